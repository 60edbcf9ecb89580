package rogue

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"parley/federation"
)

// record is what the DHT has of a key (spec/discovery.md#dht): where its holder is.
type record struct {
	Key   []byte   `cbor:"1,keyasint"`
	Addrs [][]byte `cbor:"2,keyasint"`
	Seq   uint64   `cbor:"3,keyasint"`
	Until int64    `cbor:"4,keyasint"`
	More  []byte   `cbor:"99,keyasint,omitempty"`
}

// filed is what a record is filed under.
func filed(k *federation.Key) string {
	sum := sha256.Sum256(k.Public())
	return "/parley/" + base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:])
}

// value is the record of a key, signed by one.
func value(of, by *federation.Key, seq uint64, life time.Duration, more int) ([]byte, error) {
	at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 9)
	s, err := by.State("record", &record{Key: of.Public(), Addrs: [][]byte{append(at.Addr().AsSlice(), 0, byte(at.Port()))},
		Seq: seq, Until: time.Now().Add(life).UnixMilli(), More: make([]byte, more)})
	if err != nil {
		return nil, err
	}
	return s.Encode()
}

// crowd is how many good records are put: more than the victim keeps for others. So many of
// the first are asked for afterwards.
const (
	crowd   = 5000
	sampled = 200
)

func records(ctx context.Context, w *World) (string, error) {
	m, err := w.Member(ctx)
	if err != nil {
		return "", err
	}
	how, err := overrun(ctx, m)
	return how, errors.Join(err, m.Close())
}

func overrun(ctx context.Context, m Member) (string, error) {
	honest := strange()
	good, err := value(honest, honest, 5, time.Hour, 0)
	if err != nil {
		return "", err
	}
	if err := m.Put(ctx, filed(honest), good); err != nil {
		return "", fmt.Errorf("a good record is not taken: %w", err)
	}
	thief := strange()
	for _, bad := range []struct {
		what  string
		of    *federation.Key
		by    *federation.Key
		seq   uint64
		life  time.Duration
		bytes int
	}{
		{"signed by another key", honest, thief, 9, time.Hour, 0},
		{"of another key", thief, thief, 9, time.Hour, 0},
		{"older", honest, honest, 4, time.Hour, 0},
		{"expired", honest, honest, 9, -time.Hour, 0},
		{"good for a year", honest, honest, 9, 365 * 24 * time.Hour, 0},
		{"too large", honest, honest, 9, time.Hour, 2 << 10}, // a good statement still
	} {
		v, err := value(bad.of, bad.by, bad.seq, bad.life, bad.bytes)
		if err != nil {
			return "", err
		}
		if err := m.Put(ctx, filed(honest), v); err == nil {
			return "", through("a record that is %s is taken", bad.what)
		}
	}
	if got, err := m.Get(ctx, filed(honest)); err != nil || string(got) != string(good) {
		return "", through("the good record is not there any more: %v", err)
	}
	return flooded(ctx, m)
}

// flooded puts more good records than there is room for.
func flooded(ctx context.Context, m Member) (string, error) {
	var sample []string
	for i := range crowd {
		key := strange()
		v, err := value(key, key, 1, time.Hour, 0)
		if err != nil {
			return "", err
		}
		if err := m.Put(ctx, filed(key), v); err != nil {
			return "", fmt.Errorf("good record %d is not taken: %w", i, err)
		}
		if i < sampled {
			sample = append(sample, filed(key))
		}
	}
	kept := 0
	for _, name := range sample {
		got, err := m.Get(ctx, name)
		if err != nil {
			return "", err
		}
		if got != nil {
			kept++
		}
	}
	if kept == sampled || kept < sampled/2 { // all, or the first to go are the oldest
		return "", through("of %d early ones %d are kept", sampled, kept)
	}
	return fmt.Sprintf("6 bad records refused; of %d good ones some are dropped by chance, so of the first %d %d are kept", crowd, sampled, kept), nil
}
