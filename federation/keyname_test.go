package federation

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"parley/protocol"
)

func TestKeyNames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := ed25519.PublicKey(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "key"))
		name := KeyName(key)
		parsed, err := protocol.ParseNode(strings.ToUpper(string(name)))
		if err != nil || parsed != name {
			t.Fatalf("%q is no node's name: %q, %v", name, parsed, err)
		}
		if got := KeyOf(name); !bytes.Equal(got, key) {
			t.Fatalf("KeyOf(%q) = %x, want %x", name, got, key)
		}
		if got, err := ParsePin(Pin(key)); err != nil || !bytes.Equal(got, key) {
			t.Fatalf("pin %q gives %x, %v", Pin(key), got, err)
		}
	})
	zero := KeyName(make([]byte, 32))
	for _, n := range []protocol.Node{
		zero[1:], "a" + zero, "x." + zero, zero[:52], zero[:52] + ".example", "alt",
		zero[:51] + "b.alt", // a spare bit is set: a second name of one key
		"1" + zero[1:],
	} {
		if key := KeyOf(n); key != nil {
			t.Errorf("%q is taken for the name of %x", n, key)
		}
	}
}

func TestPinsHaveOneSpelling(t *testing.T) {
	good := Pin(make([]byte, 32))
	for _, bad := range []string{
		"", "ed25519:", good + "=", good[:len(good)-1], good[:len(good)-1] + "B",
		strings.TrimPrefix(good, "ed25519:"), strings.ToUpper(good), good + "\n", strings.Repeat(good, 9),
	} {
		if _, err := ParsePin(bad); !errors.Is(err, ErrPin) || len(err.Error()) > 250 {
			t.Errorf("ParsePin(%q): %v", bad, err)
		}
	}
}

func TestScopes(t *testing.T) {
	for n, want := range map[protocol.Node]Scope{
		"chat.example.org": PublicScope, "alt.example": PublicScope, "x.internal": PublicScope,
		"localhost": LoopbackScope, "a.localhost": LoopbackScope, "a.b.localhost": LoopbackScope,
		"mynode": LoopbackScope, "localhost.example": PublicScope, "xlocalhost": LoopbackScope,
		KeyName(make([]byte, 32)): KeyScope, "x.alt": OperatorScope, "alt": OperatorScope,
		"printer.local": OperatorScope, "x.onion": OperatorScope, "no.invalid": OperatorScope,
	} {
		if got := ScopeOf(n); got != want {
			t.Errorf("ScopeOf(%q) = %d, want %d", n, got, want)
		}
	}
}
