package federation

import (
	"crypto/ed25519"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"

	"parley/protocol"
)

// keySuffix is the ending of names made from keys. Nothing below "alt" is ever in the DNS
// (RFC 9476).
const keySuffix = ".alt"

// keyLabel writes a key in a label: RFC 4648 base32 in lower case, 52 characters. The four
// spare bits are zero, so that a key has one name.
var keyLabel = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// KeyName is the name of a node without DNS: made from its key, it proves itself
// (spec/naming.md#key-name).
func KeyName(public ed25519.PublicKey) protocol.Node {
	return protocol.Node(keyLabel.EncodeToString(public) + keySuffix)
}

// KeyOf returns the key that a name is made from, or nil if it is no key name.
func KeyOf(n protocol.Node) ed25519.PublicKey {
	label, ok := strings.CutSuffix(string(n), keySuffix)
	if !ok || len(label) != keyLabel.EncodedLen(ed25519.PublicKeySize) {
		return nil
	}
	key, err := keyLabel.DecodeString(label)
	if err != nil || KeyName(key) != n {
		return nil
	}
	return key
}

// ParsePin reads what [Pin] writes.
func ParsePin(s string) (ed25519.PublicKey, error) {
	text, ok := strings.CutPrefix(s, pinPrefix)
	if !ok {
		return nil, fmt.Errorf("%w: %q does not begin with %q", ErrPin, shorten(s), pinPrefix)
	}
	key, err := pinText.DecodeString(text)
	if err != nil || len(key) != ed25519.PublicKeySize || Pin(key) != s { // the decoder skips newlines
		return nil, fmt.Errorf("%w: %q is not %q and 43 characters of base64url", ErrPin, shorten(s), pinPrefix)
	}
	return key, nil
}

// ErrPin is wrapped by errors about text that is no pin.
var ErrPin = errors.New("federation: not a key's pin")

// shorten keeps text of others out of errors at length.
func shorten(s string) string {
	const most = 80
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}

// Scope is where names like this mean something (spec/naming.md#scope).
type Scope uint8

// The scopes.
const (
	// PublicScope is the DNS.
	PublicScope Scope = iota
	// KeyScope is everywhere: the name is a key. It is never given to a resolver.
	KeyScope
	// LoopbackScope is one machine: "localhost", what is below it, and bare words.
	LoopbackScope
	// OperatorScope means only what an operator has said: names that are not in the
	// DNS, such as others below ".alt". They are never given to a resolver.
	OperatorScope
)

// ScopeOf says where a name means something.
func ScopeOf(n protocol.Node) Scope {
	if KeyOf(n) != nil {
		return KeyScope
	}
	dot := strings.LastIndexByte(string(n), '.')
	switch n[dot+1:] {
	case "localhost":
		return LoopbackScope
	case "alt", "onion", "local", "invalid": // RFC 9476, 7686, 6762, 6761
		return OperatorScope
	}
	if dot < 0 {
		return LoopbackScope
	}
	return PublicScope
}
