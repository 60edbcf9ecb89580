package reputation

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"parley/protocol"
)

func testKey(b byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{b}, ed25519.SeedSize))
}

func keyOf(by protocol.Node) (ed25519.PublicKey, bool) {
	return testKey(1).Public().(ed25519.PublicKey), by == "r.example"
}

type statementVector struct {
	Name      string
	Statement Statement
	Seed      string // of the Ed25519 key, hex
	Wire      string // hex
}

const vectorFile = "../spec/vectors/reputation/statements.json"

func TestStatementVectors(t *testing.T) {
	text, err := os.ReadFile(vectorFile)
	if err != nil {
		t.Fatal(err)
	}
	var all []statementVector
	if err := json.Unmarshal(text, &all); err != nil || len(all) < 2 {
		t.Fatalf("%d vectors, %v", len(all), err)
	}
	for _, v := range all {
		t.Run(v.Name, func(t *testing.T) {
			seed, err := hex.DecodeString(v.Seed)
			if err != nil {
				t.Fatal(err)
			}
			key := ed25519.NewKeyFromSeed(seed)
			wire, err := v.Statement.Sign(key)
			if err != nil || hex.EncodeToString(wire) != v.Wire {
				t.Fatalf("signed %x, %v\nwant   %s", wire, err, v.Wire)
			}
			pub := func(protocol.Node) (ed25519.PublicKey, bool) { return key.Public().(ed25519.PublicKey), true }
			if s, err := OpenStatement(wire, pub, time.Unix(v.Statement.Issued, 0)); err != nil || s != v.Statement {
				t.Errorf("opened %+v, %v", s, err)
			}
		})
	}
}

func sample() Statement {
	return Statement{By: "r.example", About: "x.example", Kind: Carried, Issued: 1_767_225_600, Expires: 1_767_312_000, Good: 3, Days: 5}
}

// TestStatementRefused: every single bit counts, and so do time, key and form.
func TestStatementRefused(t *testing.T) {
	s := sample()
	wire, err := s.Sign(testKey(1))
	if err != nil {
		t.Fatal(err)
	}
	at := time.Unix(s.Issued, 0)
	refuse := func(what string, w []byte, now time.Time) {
		t.Helper()
		if _, err := OpenStatement(w, keyOf, now); !errors.Is(err, ErrStatement) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for i := range wire {
		for bit := range 8 {
			w := bytes.Clone(wire)
			w[i] ^= 1 << bit
			refuse("a flipped bit", w, at)
		}
		refuse("cut off", wire[:i], at)
	}
	refuse("with a tail", append(bytes.Clone(wire), 0), at)
	refuse("too early", wire, at.Add(-statementSkew-time.Second))
	refuse("too late", wire, at.Add(statementLife+statementSkew))
	if _, err := OpenStatement(wire, keyOf, at.Add(statementLife+statementSkew-time.Second)); err != nil {
		t.Errorf("within the skew: %v", err)
	}
	other, _ := s.Sign(testKey(2))
	refuse("of another key", other, at)
	for what, change := range map[string]func(*Statement){
		"of itself": func(s *Statement) { s.By = s.About }, "kind": func(s *Statement) { s.Kind = 9 },
		"life": func(s *Statement) { s.Expires++ }, "class": func(s *Statement) { s.Bad = 6 },
		"days": func(s *Statement) { s.Days = 13 }, "name": func(s *Statement) { s.About = "X.example" },
		"before 1970": func(s *Statement) { s.Issued, s.Expires = -9, -1 },
	} {
		c := sample()
		change(&c)
		if _, err := c.Sign(testKey(1)); !errors.Is(err, ErrStatement) {
			t.Errorf("%s: signed, %v", what, err)
		}
	}
	plain := ed25519.Sign(testKey(1), wire[:len(wire)-2-ed25519.SignatureSize])
	refuse("signed without the domain", append(bytes.Clone(wire[:len(wire)-ed25519.SignatureSize]), plain...), at)
}

func TestClasses(t *testing.T) {
	for v, want := range map[float64]uint8{-1: 0, 0.99: 0, 1: 1, 1.99: 1, 2: 2, 4: 3, 15.9: 4, 16: 5, 1e9: 5} {
		if got := class(v, maxMassClass); got != want {
			t.Errorf("class(%v) = %d, want %d", v, got, want)
		}
	}
	near(t, "class 5", least(5), 16)
	near(t, "class 0", least(0), 0)
}

// FuzzParseStatement: nothing crashes it, and what it takes has one encoding.
func FuzzParseStatement(f *testing.F) {
	wire, err := sample().Sign(testKey(1))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(wire)
	f.Add(wire[:20])
	f.Add([]byte{0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, sig, err := ParseStatement(b)
		if err != nil {
			if !errors.Is(err, ErrStatement) {
				t.Fatal(err)
			}
			return
		}
		if again := slices.Concat(s.fields(), []byte{0, ed25519.SignatureSize}, sig); !bytes.Equal(again, b) {
			t.Fatalf("%x is encoded as %x", b, again)
		}
	})
}
