package reputation

import (
	"bytes"
	"crypto/ed25519"
	"testing"
	"time"

	"parley/protocol"
)

// TestList: a list comes back as it was written; nothing else passes.
func TestList(t *testing.T) {
	key := testKey(1)
	pub := key.Public().(ed25519.PublicKey)
	l := List{Issued: epoch, Expires: epoch.Add(7 * dayLong), Pins: map[protocol.Node]Pin{"spam.example": Deny, "good.example": Allow}}
	text := l.Sign(key)
	if !bytes.HasPrefix(text, []byte("parley-list-v1 2026-01-01T00:00:00Z 2026-01-08T00:00:00Z\nallow good.example\ndeny spam.example\nsignature ")) {
		t.Errorf("%s", text)
	}
	back, err := ReadList(text, pub, epoch.Add(time.Hour))
	if err != nil || len(back.Pins) != 2 || back.Pins["spam.example"] != Deny || back.Pins["good.example"] != Allow {
		t.Fatalf("%+v %v", back, err)
	}
	for i := range text[:len(text)-1] {
		bad := bytes.Clone(text)
		bad[i] ^= 1
		if _, err := ReadList(bad, pub, epoch.Add(time.Hour)); err == nil && i < len(text)-5 { // base64 has spare bits
			t.Fatalf("byte %d changed, and it passes", i)
		}
	}
	if _, err := ReadList(text, testKey(2).Public().(ed25519.PublicKey), epoch); err == nil {
		t.Error("signed by somebody else")
	}
	for _, at := range []time.Time{epoch.Add(-2 * time.Hour), epoch.Add(7 * dayLong)} {
		if _, err := ReadList(text, pub, at); err == nil {
			t.Errorf("good at %v", at)
		}
	}
	for _, pins := range []map[protocol.Node]Pin{{"Spam.example": Deny}, {"spam example": Deny}, {"x.example": Auto}} {
		bad := List{Issued: epoch, Expires: epoch.Add(dayLong), Pins: pins}
		if _, err := ReadList(bad.Sign(key), pub, epoch); err == nil {
			t.Errorf("%v passes", pins)
		}
	}
}
