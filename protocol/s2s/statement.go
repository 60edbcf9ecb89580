package s2s

import (
	"crypto/ed25519"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// StatementPrefix stands before what is signed, so that a statement cannot be taken for
// anything else that a key signs: StatementPrefix, Kind, a zero byte, Body.
const StatementPrefix = "parley statement v1\x00"

// MaxStatement is how long the body of a statement may be, in bytes.
const MaxStatement = 4 << 10

// ErrStatement is wrapped by errors about statements that are not to be believed.
var ErrStatement = errors.New("s2s: not a good statement")

var (
	// statementOut is core deterministic encoding (RFC 8949 section 4.2.1).
	statementOut = mode(cbor.CoreDetEncOptions().EncMode())
	statementIn  = mode(cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
		MaxNestedLevels: 8, MaxArrayElements: 1024, MaxMapPairs: 64,
	}.DecMode())
)

// mode is of options that are constants: they cannot be wrong at one time only.
func mode[M any](m M, err error) M {
	if err != nil {
		panic(err)
	}
	return m
}

// NewStatement makes one of body, which is what its kind says; sign is that of the key.
func NewStatement(kind string, body any, key ed25519.PublicKey, sign func(text []byte) []byte) (*Statement, error) {
	b, err := statementOut.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("make a statement: %w", err)
	}
	s := &Statement{Kind: kind, Body: b, Key: key}
	s.Sig = sign(s.text())
	return s, nil
}

// text is what is signed.
func (s *Statement) text() []byte {
	return append(append([]byte(StatementPrefix+s.Kind), 0), s.Body...)
}

// Read checks the signature of a statement that should be of the kind, and reads its body
// into v. Who has signed it about whom, and when, is for the caller to judge. The error
// wraps ErrStatement.
func (s *Statement) Read(kind string, v any) error {
	switch {
	case s == nil || s.Kind != kind:
		return fmt.Errorf("%w: not of kind %q", ErrStatement, kind)
	case len(s.Key) != ed25519.PublicKeySize || len(s.Body) > MaxStatement:
		return fmt.Errorf("%w: sizes", ErrStatement)
	case !ed25519.Verify(s.Key, s.text(), s.Sig):
		return fmt.Errorf("%w: the signature is wrong", ErrStatement)
	}
	if err := statementIn.Unmarshal(s.Body, v); err != nil {
		return fmt.Errorf("%w: %w", ErrStatement, err)
	}
	return nil
}

// Encode and ParseStatement are for where a statement stands alone, as in Hello.
func (s *Statement) Encode() ([]byte, error) { return statementOut.Marshal(s) }

// ParseStatement reads what Encode writes; it checks no signature.
func ParseStatement(b []byte) (*Statement, error) {
	s := new(Statement)
	if len(b) > MaxStatement+256 {
		return nil, fmt.Errorf("%w: %d bytes", ErrStatement, len(b))
	}
	if err := statementIn.Unmarshal(b, s); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStatement, err)
	}
	return s, nil
}
