package federation

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"slices"

	"parley/protocol"
	"parley/protocol/s2s"
)

// DefaultPort is the UDP port of a node whose name leads to addresses and to nothing that
// says more (spec/discovery.md#dns).
const DefaultPort = 7788

// MaxPublishedKeys is how many keys a name may have published at a time: the present one,
// and the next.
const MaxPublishedKeys = 2

// Faults of looking something up. What is neither is a failure that may pass.
var (
	// ErrNothing: there is nothing, for sure as far as the source goes.
	ErrNothing = errors.New("federation: nothing is published")
	// ErrMalformed: there is something, and it is against the rules.
	ErrMalformed = errors.New("federation: what is published is malformed")
)

// A Register is where the owner of a name makes its keys known: the DNS, or the web site
// of the name.
type Register interface {
	// Published returns what is published. An answer that is not of this moment and does
	// not have the key that is wanted is looked up again, if it is not quite new. The
	// error wraps ErrNothing or ErrMalformed, or tells of a failure.
	Published(ctx context.Context, name protocol.Node, want ed25519.PublicKey) (Published, error)
}

// Published is what a register has about a name.
type Published struct {
	Keys []ed25519.PublicKey // 1 or 2
	// Authentic: it is shown to be from the owner of the name. What is not proves
	// nothing, but a key that is missing in it is not the node's.
	Authentic  bool
	Statements []*s2s.Statement
}

// Has reports whether the key is among those published.
func (p Published) Has(key ed25519.PublicKey) bool { return hasKey(p.Keys, key) }

func hasKey(all []ed25519.PublicKey, key ed25519.PublicKey) bool {
	return slices.ContainsFunc(all, func(k ed25519.PublicKey) bool { return bytes.Equal(k, key) })
}
