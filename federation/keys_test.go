package federation

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func loadRing(t *testing.T, dir string) *Identity {
	t.Helper()
	r, err := LoadIdentity(dir)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestChangeOfKeys(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	first, err := CreateKey(filepath.Join(dir, KeyFile))
	if err != nil {
		t.Fatal(err)
	}
	r := loadRing(t, dir)
	if _, err := r.Change(peer, false, now); !errors.Is(err, ErrNoNext) || r.Succession() != nil {
		t.Errorf("change without a next key: %v", err)
	}
	if err := errors.Join(r.Prepare(false), r.Prepare(false)); err != nil {
		t.Fatal(err)
	}
	r = loadRing(t, dir)
	if len(r.Public()) != 2 || !bytes.Equal(r.Public()[0], first.Public()) {
		t.Errorf("to publish: %v", r.Public())
	}
	second := r.Next
	old, err := r.Change(peer, false, now)
	if err != nil {
		t.Fatal(err)
	}
	r = loadRing(t, dir)
	if r.Key.Pin() != second.Pin() || r.Next != nil || !bytes.Equal(r.Key.Secret("x"), first.Secret("x")) {
		t.Error("the new key, or what is derived from it, is not as it should be")
	}
	if kept, err := LoadKey(old); err != nil || kept.Pin() != first.Pin() {
		t.Errorf("the old key: %v", err)
	}
	if _, err := readSuccession(r.Succession(), peer, now); err != nil {
		t.Error(err)
	}
	// In wrong hands: nothing of the old key stays.
	if err := r.Prepare(true); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Change(peer, true, now.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	r = loadRing(t, dir)
	if bytes.Equal(r.Key.Secret("x"), first.Secret("x")) {
		t.Error("secrets outlive a key in wrong hands")
	}
	inOffice(t, NotaryConfig{}, func(o *office) { // whose clock is in the year 2000
		o.dns.publish(peer, true, first)
		o.proves(peer, first, ByDNS)
		o.passes(time.Until(now) + time.Hour)
		o.dns.of = nil
		said, err := r.Statements(peer, time.Now())
		if err != nil || len(said) != 4 {
			t.Fatalf("%d statements, %v", len(said), err)
		}
		for _, s := range said {
			o.learns(peer, s, nil)
		}
		o.proves(peer, r.Key, ByContinuity)
		o.refuses(peer, second, "revoked")
	})
}

func TestChangeIsRepeatable(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	if _, err := CreateKey(filepath.Join(dir, KeyFile)); err != nil {
		t.Fatal(err)
	}
	r := loadRing(t, dir)
	if err := r.Prepare(false); err != nil {
		t.Fatal(err)
	}
	if err := r.stateChange(peer, false, now); err != nil { // and then the power fails
		t.Fatal(err)
	}
	r = loadRing(t, dir)
	if r.Succession() != nil || r.Next == nil {
		t.Error("the key has changed half")
	}
	if _, err := r.Change(peer, false, now); err != nil {
		t.Fatal(err)
	}
	if r = loadRing(t, dir); r.Succession() == nil || len(r.statements) != 1 {
		t.Errorf("%d statements after a repeated change", len(r.statements))
	}
	if err := r.Prepare(false); err != nil {
		t.Fatal(err)
	}
	if err := r.Cancel(); err != nil || loadRing(t, dir).Next != nil {
		t.Errorf("cancel: %v", err)
	}
}

func TestBrokenIdentities(t *testing.T) {
	dir := t.TempDir()
	if _, err := CreateKey(filepath.Join(dir, KeyFile)); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"not base64!", "AAAA", strings.Repeat("A", 9999)} {
		if err := os.WriteFile(filepath.Join(dir, statementsFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadIdentity(dir); err == nil {
			t.Errorf("statements %.20q are read", text)
		}
	}
}
