package auth

import (
	"bytes"
	"testing"
	"time"

	"parley/node"
	"parley/protocol"
	"parley/store"
)

var _ node.Tokens = (*Tokens)(nil)

var testNow = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func newTokens(t *testing.T, secret byte, home protocol.Node) *Tokens {
	t.Helper()
	k, err := NewTokens(bytes.Repeat([]byte{secret}, SecretLen), home, Lifetimes{})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func sample() node.Token {
	return node.Token{User: protocol.NewUserID(0xfedcba9876543210, "example.org"), Level: store.LevelAuth,
		Epoch: 7, Expires: testNow.Add(time.Hour), Purpose: node.ForReset}
}

func TestTokenRoundTrip(t *testing.T) {
	k := newTokens(t, 1, "example.org")
	for _, want := range []node.Token{sample(), {User: protocol.NewUserID(0, "example.org"), Level: store.LevelRoot, Epoch: 1<<32 - 1, Expires: testNow.Add(time.Second)}} {
		b := k.Issue(want)
		if len(b) != tokenLen {
			t.Errorf("a token has %d bytes", len(b))
		}
		if got, err := k.Read(b, testNow); err != nil || got != want {
			t.Errorf("Read = %+v, %v; want %+v", got, err, want)
		}
	}
}

func TestTokenRefused(t *testing.T) {
	k := newTokens(t, 1, "example.org")
	good := k.Issue(sample())
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 0x55
		if _, err := k.Read(bad, testNow); protocol.FaultOf(err) != protocol.BadLogin {
			t.Fatalf("byte %d changed: %v", i, err)
		}
	}
	for n := range len(good) {
		if _, err := k.Read(good[:n], testNow); protocol.FaultOf(err) != protocol.Malformed {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
	if _, err := k.Read(append(bytes.Clone(good), 0), testNow); protocol.FaultOf(err) != protocol.Malformed {
		t.Errorf("too long: %v", err)
	}
	for at, want := range map[time.Duration]bool{time.Hour - 1: true, time.Hour: false, 1000 * time.Hour: false} {
		if _, err := k.Read(good, testNow.Add(at)); (err == nil) != want {
			t.Errorf("after %v: %v", at, err)
		}
	}
	for name, other := range map[string]*Tokens{"another secret": newTokens(t, 2, "example.org"), "another node": newTokens(t, 1, "example.net")} {
		if _, err := other.Read(good, testNow); protocol.FaultOf(err) != protocol.BadLogin {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTokenLifetimes(t *testing.T) {
	k := newTokens(t, 1, "example.org")
	for p, want := range map[node.Purpose]time.Duration{node.ForLogin: 14 * 24 * time.Hour, node.ForValidate: 24 * time.Hour, node.ForReset: time.Hour} {
		if got := k.Lifetime(p); got != want {
			t.Errorf("Lifetime(%d) = %v", p, got)
		}
	}
	if _, err := NewTokens(make([]byte, 16), "example.org", Lifetimes{}); err == nil {
		t.Error("a short secret was accepted")
	}
	long, _ := NewTokens(make([]byte, SecretLen), "example.org", Lifetimes{Login: time.Minute, Validate: time.Second, Reset: 2})
	if long.Lifetime(node.ForLogin) != time.Minute || long.Lifetime(node.ForValidate) != time.Second || long.Lifetime(node.ForReset) != 2 {
		t.Error("configured lifetimes are not used")
	}
}

func FuzzTokenRead(f *testing.F) {
	k, _ := NewTokens(make([]byte, SecretLen), "example.org", Lifetimes{})
	f.Add(k.Issue(sample()))
	f.Add([]byte("AAAA"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := k.Read(b, testNow)
		if err != nil {
			if c := protocol.FaultOf(err).Code(); c != 400 && c != 401 {
				t.Fatalf("code %d", c)
			}
			return
		}
		if !bytes.Equal(k.Issue(got), b) {
			t.Fatalf("%x is accepted and is not what is issued", b)
		}
	})
}
