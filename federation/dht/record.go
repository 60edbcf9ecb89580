package dht

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"parley/federation"
	"parley/protocol"
	"parley/protocol/s2s"
)

// kindRecord is the kind of statement that a record is.
const kindRecord = "record"

// Bounds of records.
const (
	namespace = "/parley/"
	maxRecord = 1 << 10 // bytes
	maxLife   = 48 * time.Hour
	maxSkew   = time.Hour
	maxAddrs  = 8
	maxChain  = 3
)

var errRecord = errors.New("dht: not a good record")

// record says where the holder of a key is. It is the body of a statement that is signed
// by that key, or by one that follows it by the statements of Chain.
type record struct {
	Key   []byte          `cbor:"1,keyasint"` // the record is found under its hash
	Addrs [][]byte        `cbor:"2,keyasint"` // each 4 or 16 bytes of address and 2 of UDP port
	Seq   uint64          `cbor:"3,keyasint"` // the highest holds
	Until int64           `cbor:"4,keyasint"` // ms since 1970
	Host  []byte          `cbor:"5,keyasint,omitempty"`
	Chain []s2s.Statement `cbor:"6,keyasint,omitempty"`
}

var keyText = base32.StdEncoding.WithPadding(base32.NoPadding)

// keyOf is the name of a record in the DHT.
func keyOf(key ed25519.PublicKey) string {
	sum := sha256.Sum256(key)
	return namespace + keyText.EncodeToString(sum[:])
}

// encodeAddrs writes the addresses that fit.
func encodeAddrs(all []netip.AddrPort) [][]byte {
	var out [][]byte
	for _, a := range all[:min(len(all), maxAddrs)] {
		b := append(a.Addr().Unmap().AsSlice(), byte(a.Port()>>8), byte(a.Port()))
		out = append(out, b)
	}
	return out
}

func decodeAddr(b []byte) (netip.AddrPort, bool) {
	if len(b) != 6 && len(b) != 18 {
		return netip.AddrPort{}, false
	}
	a, ok := netip.AddrFromSlice(b[:len(b)-2])
	return netip.AddrPortFrom(a.Unmap(), uint16(b[len(b)-2])<<8|uint16(b[len(b)-1])), ok
}

// read checks a record completely, but for its age if now is zero.
func read(name string, value []byte, now time.Time) (*record, error) {
	if len(value) > maxRecord {
		return nil, fmt.Errorf("%w: %d bytes", errRecord, len(value))
	}
	s, err := s2s.ParseStatement(value)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errRecord, err)
	}
	r := new(record)
	if err := s.Read(kindRecord, r); err != nil {
		return nil, fmt.Errorf("%w: %w", errRecord, err)
	}
	if len(r.Key) != ed25519.PublicKeySize || keyOf(r.Key) != name {
		return nil, fmt.Errorf("%w: filed under another key", errRecord)
	}
	if err := r.signedBy(s.Key); err != nil {
		return nil, err
	}
	if len(r.Addrs) == 0 || len(r.Addrs) > maxAddrs {
		return nil, fmt.Errorf("%w: %d addresses", errRecord, len(r.Addrs))
	}
	for _, a := range r.Addrs {
		if _, ok := decodeAddr(a); !ok {
			return nil, fmt.Errorf("%w: an address", errRecord)
		}
	}
	until := time.UnixMilli(r.Until)
	if !now.IsZero() && (until.Before(now) || until.After(now.Add(maxLife+maxSkew))) {
		return nil, fmt.Errorf("%w: good until %s", errRecord, until.UTC().Format(time.RFC3339))
	}
	return r, nil
}

// signedBy checks that a key is that of the record, or follows it.
func (r *record) signedBy(key []byte) error {
	if len(r.Chain) > maxChain {
		return fmt.Errorf("%w: %d successions", errRecord, len(r.Chain))
	}
	at, name := r.Key, protocol.Node("")
	for i, s := range r.Chain {
		var v federation.Succession
		if err := s.Read(federation.KindSuccession, &v); err != nil {
			return fmt.Errorf("%w: %w", errRecord, err)
		}
		if !bytes.Equal(s.Key, at) || i > 0 && v.Name != name {
			return fmt.Errorf("%w: the successions do not join", errRecord)
		}
		at, name = v.Next, v.Name
	}
	if !bytes.Equal(at, key) {
		return fmt.Errorf("%w: signed by another key", errRecord)
	}
	return nil
}

// validator decides what the DHT keeps and gives.
type validator struct{ clock protocol.Clock }

// Validate implements record.Validator.
func (v validator) Validate(name string, value []byte) error {
	_, err := read(name, value, v.clock.Now())
	return err
}

// Select implements record.Validator: of several, the one said last.
func (v validator) Select(name string, values [][]byte) (int, error) {
	best, seq := -1, uint64(0)
	now := v.clock.Now()
	for i, v := range values {
		if r, err := read(name, v, now); err == nil && (best < 0 || r.Seq > seq) {
			best, seq = i, r.Seq
		}
	}
	if best < 0 {
		return 0, fmt.Errorf("%w: none of %d", errRecord, len(values))
	}
	return best, nil
}
