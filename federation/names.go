package federation

import (
	"context"
	"crypto/ed25519"
	"errors"

	"parley/protocol"
	"parley/protocol/s2s"
)

// Finder tells where nodes are.
type Finder interface {
	// Find may take its time; answers are cached behind it. The error says what was
	// looked up; it wraps protocol.NotFound if the node is nowhere to be found.
	Find(ctx context.Context, n protocol.Node) (Endpoint, error)
}

// ErrUnproven is wrapped by the errors of a Prover about a key that is shown not to be
// of the name, or that nothing shows to be. Other errors are failures to find out.
var ErrUnproven = errors.New("federation: the key is not proven to be of the node")

// Prover tells whether a key is of a node (spec/naming.md#proof).
type Prover interface {
	// Prove returns the strongest proof there is; it keeps what it has found, and never
	// takes a weaker one than once seen.
	Prove(ctx context.Context, name protocol.Node, key ed25519.PublicKey) (Proof, error)
}

// Learner is a Prover that takes statements about keys; it believes what is signed well.
type Learner interface {
	Learn(ctx context.Context, name protocol.Node, s *s2s.Statement) error
}
