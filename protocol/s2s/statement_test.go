package s2s

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"
)

type body struct {
	N    int    `cbor:"1,keyasint"`
	Text string `cbor:"2,keyasint,omitempty"`
}

func testKey(b byte) ed25519.PrivateKey { return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{b}, 32)) }

func stateTest(t *testing.T, kind string, v any) *Statement {
	t.Helper()
	k := testKey(1)
	s, err := NewStatement(kind, v, k.Public().(ed25519.PublicKey), func(b []byte) []byte { return ed25519.Sign(k, b) })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStatements(t *testing.T) {
	s := stateTest(t, "test", body{7, "x"})
	raw, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := ParseStatement(raw)
	if err != nil {
		t.Fatal(err)
	}
	var got body
	if err := back.Read("test", &got); err != nil || got != (body{7, "x"}) {
		t.Errorf("%+v, %v", got, err)
	}
	other := testKey(2).Public().(ed25519.PublicKey)
	for what, change := range map[string]func(*Statement){
		"another kind":  func(s *Statement) { s.Kind = "tes" },
		"kind and body": func(s *Statement) { s.Kind, s.Body = "test\x00\xa1", s.Body[1:] },
		"body":          func(s *Statement) { s.Body[len(s.Body)-1] ^= 1 },
		"key":           func(s *Statement) { s.Key = other },
		"short key":     func(s *Statement) { s.Key = s.Key[1:] },
		"no signature":  func(s *Statement) { s.Sig = nil },
	} {
		bad := stateTest(t, "test", body{7, "x"})
		change(bad)
		for _, kind := range []string{"test", bad.Kind} {
			if err := bad.Read(kind, &got); !errors.Is(err, ErrStatement) {
				t.Errorf("%s is read as %q: %v", what, kind, err)
			}
		}
	}
	if err := (*Statement)(nil).Read("test", &got); !errors.Is(err, ErrStatement) {
		t.Errorf("none: %v", err)
	}
	if err := stateTest(t, "test", body{1, strings.Repeat("x", MaxStatement)}).Read("test", &got); !errors.Is(err, ErrStatement) {
		t.Errorf("too long: %v", err)
	}
	if err := stateTest(t, "test", "text").Read("test", &got); !errors.Is(err, ErrStatement) {
		t.Errorf("another shape: %v", err)
	}
}

func FuzzStatement(f *testing.F) {
	f.Add([]byte{0xa4, 1, 0x61, 'k', 2, 0x41, 0, 3, 0x41, 0, 4, 0x41, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseStatement(b)
		if err != nil {
			return
		}
		raw, err := s.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseStatement(raw)
		if err != nil || again.Kind != s.Kind || !bytes.Equal(again.Body, s.Body) {
			t.Errorf("%x reads as %+v, then %+v, %v", b, s, again, err)
		}
		if again.Read(again.Kind, new(body)) == nil {
			t.Errorf("%x has a good signature", b)
		}
	})
}
