package federation

import (
	"crypto/ed25519"
	"fmt"
	"time"

	"parley/protocol"
	"parley/protocol/s2s"
)

// The kinds of statement about keys (spec/naming.md#statements).
const (
	KindSuccession = "succession" // the key that signs names the one that follows it
	KindRevocation = "revocation" // the key that signs is not to be believed any more
	KindHistory    = "keys"       // which keys the node has had
)

// Bounds of statements and keys.
const (
	MaxStatements  = 16 // of a node, published together
	maxKeys        = 32 // of a node that are remembered
	successionLife = 400 * 24 * time.Hour
	historyLife    = 30 * 24 * time.Hour
	skew           = time.Hour      // by which clocks may differ
	overlap        = 48 * time.Hour // a key that is followed is still good
)

// Succession says that a key follows the one that signs. Seq rises with each of the name:
// whoever has seen a higher one does not believe a lower.
type Succession struct {
	Name  protocol.Node `cbor:"1,keyasint"`
	Next  []byte        `cbor:"2,keyasint"`
	Seq   uint64        `cbor:"3,keyasint"`
	From  int64         `cbor:"4,keyasint"` // ms since 1970: when the key changes
	Until int64         `cbor:"5,keyasint"` // ms since 1970: who hears of it later must not act on it
}

// Revocation says of the key that signs it that it is in wrong hands. There is no way back.
type Revocation struct {
	Name protocol.Node `cbor:"1,keyasint"`
	At   int64         `cbor:"2,keyasint"` // ms since 1970: what it has signed before is good
}

// History is which keys a node has had, signed by the present one.
type History struct {
	Name  protocol.Node `cbor:"1,keyasint"`
	Until int64         `cbor:"2,keyasint"` // ms since 1970
	Keys  []HistoryKey  `cbor:"3,keyasint"`
}

// HistoryKey is a key and when it was in use, in ms since 1970; Until 0: it still is.
type HistoryKey struct {
	Key     []byte `cbor:"1,keyasint"`
	Since   int64  `cbor:"2,keyasint"`
	Until   int64  `cbor:"3,keyasint,omitempty"`
	Revoked bool   `cbor:"4,keyasint,omitempty"`
}

// State signs a statement; body is what its kind says.
func (k *Key) State(kind string, body any) (*s2s.Statement, error) {
	return s2s.NewStatement(kind, body, k.Public(), func(text []byte) []byte {
		return ed25519.Sign(k.private, text)
	})
}

// succeed states that next follows k.
func (k *Key) succeed(name protocol.Node, next ed25519.PublicKey, seq uint64, now time.Time) (*s2s.Statement, error) {
	return k.State(KindSuccession, &Succession{
		Name: name, Next: next, Seq: seq, From: now.UnixMilli(), Until: now.Add(successionLife).UnixMilli(),
	})
}

// revoke states that k is not to be believed any more.
func (k *Key) revoke(name protocol.Node, now time.Time) (*s2s.Statement, error) {
	return k.State(KindRevocation, &Revocation{Name: name, At: now.UnixMilli()})
}

// readSuccession checks all but who has signed.
func readSuccession(s *s2s.Statement, name protocol.Node, now time.Time) (*Succession, error) {
	var v Succession
	if err := s.Read(KindSuccession, &v); err != nil {
		return nil, err
	}
	switch {
	case v.Name != name:
		return nil, fmt.Errorf("%w: about %q", s2s.ErrStatement, shorten(string(v.Name)))
	case len(v.Next) != ed25519.PublicKeySize:
		return nil, fmt.Errorf("%w: no key", s2s.ErrStatement)
	case time.UnixMilli(v.From).After(now.Add(skew)):
		return nil, fmt.Errorf("%w: not good before %s", s2s.ErrStatement, time.UnixMilli(v.From).UTC().Format(time.RFC3339))
	case time.UnixMilli(v.Until).Before(now.Add(-skew)):
		return nil, fmt.Errorf("%w: expired", s2s.ErrStatement)
	}
	return &v, nil
}
