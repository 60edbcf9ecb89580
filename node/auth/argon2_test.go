package auth

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"parley/node"
)

var _ node.Passwords = (*Argon2)(nil)

// cheap makes tests fast; what is tested does not depend on the costs.
var cheap = Params{Time: 1, Memory: 8}

func TestArgon2(t *testing.T) {
	a := NewArgon2(cheap, 0)
	h, err := a.Hash(t.Context(), "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(h), "$argon2id$v=19$m=8,t=1,p=1$") {
		t.Errorf("hash %s is not in PHC form", h)
	}
	for password, want := range map[string]bool{"correct horse": true, "correct horsf": false, "": false} {
		if ok, err := a.Verify(t.Context(), h, password); ok != want || err != nil {
			t.Errorf("Verify(%q) = %v, %v", password, ok, err)
		}
	}
	again, _ := a.Hash(t.Context(), "correct horse")
	if string(again) == string(h) {
		t.Error("two hashes of one password are equal: no salt")
	}
}

// TestArgon2Known verifies the vector that the reference implementation's command
// line gives for `echo -n password | argon2 somesalt -id -t 2 -k 65536 -p 1`.
func TestArgon2Known(t *testing.T) {
	const h = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	if ok, err := NewArgon2(cheap, 0).Verify(t.Context(), []byte(h), "password"); !ok || err != nil {
		t.Errorf("Verify = %v, %v", ok, err)
	}
}

func TestArgon2Unknown(t *testing.T) {
	a := NewArgon2(cheap, 0)
	if ok, err := a.Verify(t.Context(), nil, "anything"); ok || err != nil {
		t.Errorf("Verify without a hash = %v, %v", ok, err)
	}
	if a.dummy.params != a.params || len(a.dummy.key) != keyLen || len(a.dummy.salt) != saltLen {
		t.Error("an unknown user is verified at other costs than a known one")
	}
}

func TestArgon2Upgrade(t *testing.T) {
	old := NewArgon2(cheap, 0)
	h, _ := old.Hash(t.Context(), "secret")
	a := NewArgon2(Params{Time: 2, Memory: 16}, 0)
	if ok, err := a.Verify(t.Context(), h, "secret"); !ok || err != nil {
		t.Errorf("a hash of older costs: Verify = %v, %v", ok, err)
	}
	fresh, _ := a.Hash(t.Context(), "secret")
	if old.Outdated(h) || !a.Outdated(h) || a.Outdated(fresh) {
		t.Error("Outdated does not compare with the costs in force")
	}
}

func TestArgon2Damaged(t *testing.T) {
	a := NewArgon2(cheap, 0)
	good, _ := a.Hash(t.Context(), "x")
	for name, h := range map[string]string{
		"empty":       "",
		"other kind":  "$2a$10$abcdefghijklmnopqrstuuu",
		"version":     strings.Replace(string(good), "v=19", "v=16", 1),
		"huge memory": strings.Replace(string(good), "m=8", "m=4294967295", 1),
		"no threads":  strings.Replace(string(good), "p=1", "p=0", 1),
		"trailing":    strings.Replace(string(good), "p=1", "p=1,x", 1),
		"cut":         string(good[:len(good)-30]),
		"not base64":  string(good[:len(good)-1]) + "!",
	} {
		if ok, err := a.Verify(t.Context(), []byte(h), "x"); ok || err == nil {
			t.Errorf("%s: Verify = %v, %v", name, ok, err)
		}
	}
}

func TestArgon2Turns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := NewArgon2(cheap, 2)
		var done []func()
		for range 2 {
			d, err := a.turn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			done = append(done, d)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		var waited error
		wg.Go(func() { _, waited = a.Hash(ctx, "third") })
		synctest.Wait() // blocked: both turns are taken
		cancel()
		wg.Wait()
		if !errors.Is(waited, context.Canceled) {
			t.Errorf("the third of two at once got %v", waited)
		}
		done[0]()
		if _, err := a.Verify(t.Context(), nil, "fourth"); err != nil {
			t.Errorf("after a turn became free: %v", err)
		}
		done[1]()
		if _, err := a.Hash(ctx, "late"); !errors.Is(err, context.Canceled) {
			t.Errorf("with an ended context: %v", err)
		}
	})
}

func BenchmarkArgon2(b *testing.B) {
	a := NewArgon2(Params{}, 0)
	for b.Loop() {
		if _, err := a.Hash(b.Context(), "correct horse battery staple"); err != nil {
			b.Fatal(err)
		}
	}
}
