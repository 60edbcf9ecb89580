package dht

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	ds "github.com/ipfs/go-datastore"
	ma "github.com/multiformats/go-multiaddr"

	"parley/federation"
	"parley/protocol"
	"parley/protocol/s2s"
)

var somewhere = []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:7788"), netip.MustParseAddrPort("[2001:db8::1]:1")}

// signed makes the value of a record.
func signed(t testing.TB, id *federation.Identity, r record) []byte {
	t.Helper()
	s, err := id.Key.State(kindRecord, &r)
	if err != nil {
		t.Fatal(err)
	}
	value, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func good(id *federation.Identity) record {
	return record{Key: id.Key.Public(), Addrs: encodeAddrs(somewhere), Seq: 7, Until: time.Now().Add(time.Hour).UnixMilli()}
}

func TestRecords(t *testing.T) {
	id, other := newIdentity(t), newIdentity(t)
	name := keyOf(id.Key.Public())
	if err := (validator{}).Validate(name, signed(t, id, good(id))); err != nil {
		t.Error(err)
	}
	r, err := read(name, signed(t, id, good(id)), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for i, b := range r.Addrs {
		if a, ok := decodeAddr(b); !ok || a != somewhere[i] {
			t.Errorf("address %d: %v", i, a)
		}
	}
	bad := map[string]func(r *record){
		"expired":        func(r *record) { r.Until = time.Now().Add(-time.Second).UnixMilli() },
		"too long":       func(r *record) { r.Until = time.Now().Add(50 * time.Hour).UnixMilli() },
		"no address":     func(r *record) { r.Addrs = nil },
		"many addresses": func(r *record) { r.Addrs = slicesRepeat(r.Addrs[0], 9) },
		"half address":   func(r *record) { r.Addrs[0] = r.Addrs[0][1:] },
		"another's key":  func(r *record) { r.Key = other.Key.Public() },
		"short key":      func(r *record) { r.Key = r.Key[1:] },
		"too large":      func(r *record) { r.Host = make([]byte, 1000) },
	}
	for what, change := range bad {
		r := good(id)
		change(&r)
		for _, at := range []string{name, keyOf(r.Key)} {
			if err := (validator{}).Validate(at, signed(t, id, r)); !errors.Is(err, errRecord) {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	if err := (validator{}).Validate(name, signed(t, other, good(id))); !errors.Is(err, errRecord) {
		t.Errorf("signed by another: %v", err)
	}
	s, err := id.Key.State("other", good(id))
	if err != nil {
		t.Fatal(err)
	}
	value, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := (validator{}).Validate(name, value); !errors.Is(err, errRecord) {
		t.Errorf("a statement of another kind: %v", err)
	}
}

func slicesRepeat(b []byte, n int) (all [][]byte) {
	for range n {
		all = append(all, b)
	}
	return all
}

func TestRecordsOfKeysThatFollow(t *testing.T) {
	id, thief := newIdentity(t), newIdentity(t)
	first := id.Key.Public()
	name := federation.KeyName(first)
	for range 2 {
		change(t, id, name)
	}
	said := id.Chain()
	chain := []s2s.Statement{*said[1], *said[0]}
	r := good(id)
	r.Key, r.Chain = first, chain
	if err := (validator{}).Validate(keyOf(first), signed(t, id, r)); err != nil {
		t.Errorf("by a chain: %v", err)
	}
	if err := (validator{}).Validate(keyOf(first), signed(t, thief, r)); !errors.Is(err, errRecord) {
		t.Errorf("signed by none of the chain: %v", err)
	}
	for what, c := range map[string][]s2s.Statement{
		"out of order": {*said[0], *said[1]}, "a link is missing": {*said[0]}, "none": nil,
	} {
		r.Chain = c
		if err := (validator{}).Validate(keyOf(first), signed(t, id, r)); !errors.Is(err, errRecord) {
			t.Errorf("%s: %v", what, err)
		}
	}
	mixed := newIdentity(t)
	firstMixed := mixed.Key.Public()
	for _, n := range []protocol.Node{"a.example", "b.example"} {
		change(t, mixed, n)
	}
	said = mixed.Chain()
	r = good(mixed)
	r.Key, r.Chain = firstMixed, []s2s.Statement{*said[1], *said[0]}
	if err := (validator{}).Validate(keyOf(firstMixed), signed(t, mixed, r)); !errors.Is(err, errRecord) {
		t.Errorf("successions of two names: %v", err)
	}
}

func TestNewestRecordHolds(t *testing.T) {
	id := newIdentity(t)
	name := keyOf(id.Key.Public())
	r := good(id)
	old := signed(t, id, r)
	r.Seq = 9
	fresh := signed(t, id, r)
	for _, values := range [][][]byte{{old, fresh, []byte("x")}, {[]byte("x"), old, fresh}} {
		i, err := (validator{}).Select(name, values)
		if err != nil || !bytes.Equal(values[i], fresh) {
			t.Errorf("%d, %v", i, err)
		}
	}
	if _, err := (validator{}).Select(name, [][]byte{[]byte("x")}); err == nil {
		t.Error("one of none is good")
	}
}

func TestShelfIsBounded(t *testing.T) {
	s, ctx := newShelf(), context.Background()
	early := 0
	for i := range 2 * maxShelf {
		if err := s.Put(ctx, ds.NewKey(fmt.Sprint(i)), []byte("v")); err != nil {
			t.Fatal(err)
		}
	}
	for i := range maxShelf {
		if has, _ := s.Has(ctx, ds.NewKey(fmt.Sprint(i))); has {
			early++
		}
	}
	if len(s.records) != maxShelf || early < maxShelf/3 || early > 2*maxShelf/3 {
		t.Errorf("%d records, %d of those that were there before the flood", len(s.records), early)
	}
}

// libp2p goes where the node may go, by QUIC, and asks no DNS.
func TestFence(t *testing.T) {
	f := fence{federation.Fence{}}
	for m, want := range map[string]bool{
		"/ip4/1.1.1.1/udp/1/quic-v1": true, "/ip6/2606:4700::1/udp/1/quic-v1": true,
		"/ip4/127.0.0.1/udp/1/quic-v1": false, "/ip4/10.0.0.1/udp/1/quic-v1": false, "/ip6/::ffff:7f00:1/udp/1/quic-v1": false,
		"/ip4/1.1.1.1/tcp/1": false, "/ip4/1.1.1.1/udp/1": false, "/dns4/example.org/udp/1/quic-v1": false,
		"/ip4/1.1.1.1/udp/1/quic-v1/p2p/12D3KooWGatU9DLW17DmG48uTXvmg9Dw7mFdQXUAgh6cBMhBUSA1/p2p-circuit": false,
	} {
		a, err := ma.NewMultiaddr(m)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.InterceptAddrDial("", a); got != want {
			t.Errorf("%s: %v, want %v", m, got, want)
		}
	}
}

// Whoever has one network does not fill the table.
func TestCrowdedNetworks(t *testing.T) {
	of := func(texts ...string) (all []netip.Prefix) {
		for _, s := range texts {
			all = append(all, federation.Source(netip.MustParseAddr(s)))
		}
		return all
	}
	table := [][]netip.Prefix{of("192.0.2.1", "2001:db8:1::1"), of("192.0.2.2"), of("198.51.100.1"), nil, of("2001:db8:2::1")}
	for addr, want := range map[string]bool{
		"192.0.2.200": true, "192.0.3.1": false, "198.51.100.2": false, "2001:db8:1:ffff::2": false,
	} {
		if got := crowded(of(addr), table); got != want {
			t.Errorf("one more of %s: crowded %v, want %v", addr, got, want)
		}
	}
	if crowded(nil, table) { // not connected, or on loopback
		t.Error("a node without a network is one too many")
	}
}

func FuzzRecord(f *testing.F) {
	id := newIdentity(f)
	f.Add(signed(f, id, good(id)))
	name := keyOf(id.Key.Public())
	f.Fuzz(func(t *testing.T, value []byte) {
		if r, err := read(name, value, time.Now()); err == nil && !bytes.Equal(r.Key, id.Key.Public()) {
			t.Errorf("%x is of %x", value, r.Key)
		}
	})
}
