package node_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"parley/federation"
	"parley/federation/fedtest"
	"parley/node"
	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
	"parley/store/bolt"
)

// inFederation runs f in a bubble with linked nodes.
func inFederation(t *testing.T, change func(*node.Config), names []protocol.Node, f func(f *fed)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		nodes := newFederation(t, change, names...)
		defer nodes.end()
		f(nodes)
	})
}

// strange adds a node of which only the links are real: h is the node.
func (f *fed) strange(name protocol.Node, h federation.Handler) *site {
	f.t.Helper()
	s := &site{f: f, name: name, key: fedtest.NewKey(f.t), dir: f.t.TempDir(),
		at: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(len(f.sites) + 1)}), 1)}
	s.world = &world{t: f.t, pipes: map[string]*pipe{}, wait: func() { pass(fedPause) }}
	f.sites[name] = s
	var err error
	if s.host, err = f.net.Listen(name, s.key, s.at); err != nil {
		f.t.Fatal(err)
	}
	if s.st, err = bolt.Open(filepath.Join(s.dir, "db"), bolt.Options{Node: name, Create: true}); err != nil {
		f.t.Fatal(err)
	}
	s.mesh, err = federation.New(federation.Config{Key: s.key, Store: s.st, Transport: s.host, Finder: f, Prover: f})
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	s.stop, s.done = stop, make(chan struct{})
	go func() {
		defer close(s.done)
		if err := s.mesh.Run(ctx, h, nil); err != nil {
			f.t.Errorf("%s: %v", name, err)
		}
	}()
	return s
}

// rest lets the network do its work and forgets what sessions have got.
func (f *fed) rest() {
	pass(2 * time.Second)
	for _, s := range f.sites {
		s.settle()
	}
}

// say sends a packet and returns all that the session then gets, other nodes' doing
// included.
func (s *site) say(name, packet string) []string {
	s.t.Helper()
	p := s.pipes[name]
	p.take()
	if !p.send(packet) {
		s.t.Fatalf("%s: connection is closed", name)
	}
	pass(2 * time.Second)
	return p.take()
}

// got fails unless one of the packets holds all of the parts.
func got(t testing.TB, packets []string, parts ...string) {
	t.Helper()
	if find(packets, parts...) == "" {
		t.Errorf("no packet has %q in:\n  %s", parts, strings.Join(packets, "\n  "))
	}
}

// find is the first packet that holds all of the parts.
func find(packets []string, parts ...string) string {
	for _, p := range packets {
		all := true
		for _, part := range parts {
			all = all && strings.Contains(p, part)
		}
		if all {
			return p
		}
	}
	return ""
}

// befriend makes two users of two nodes write to each other: alice writes first, bob
// accepts. Both stay attached.
func befriend(a *site, alice, aliceID string, b *site, bob, bobID string) {
	a.t.Helper()
	got(a.t, a.say(alice, `{"sub":{"id":"s","topic":"`+bobID+`"}}`), `"code":200`)
	got(a.t, a.say(alice, `{"pub":{"id":"hello","topic":"`+bobID+`","content":"hello"}}`), `"code":202`)
	got(a.t, b.say(bob, `{"sub":{"id":"s","topic":"`+aliceID+`","set":{"sub":{"mode":"JRWPAD"}}}}`), `"code":200`)
	got(a.t, b.say(bob, `{"set":{"id":"g","topic":"`+aliceID+`","sub":{"user":"`+aliceID+`","mode":"JRWPAD"}}}`), `"id":"g"`)
	a.f.rest()
}

// mute is a strange node that says nothing.
type mute struct{}

func (mute) Deliver(context.Context, federation.Peer, store.Lane, []federation.Incoming) ([]s2s.Verdict, error) {
	return nil, errors.New("mute")
}
func (mute) Returned(context.Context, protocol.Node, []federation.Ending, func(store.Tx) error) error {
	return nil
}
func (mute) Hear(federation.Peer, *s2s.Cast) {}
func (mute) Answer(context.Context, federation.Peer, *s2s.Ask) (*s2s.Answer, io.ReadCloser) {
	return &s2s.Answer{Failed: true, Fault: protocol.NotFound}, nil
}
func (mute) Linked(federation.Peer, federation.LinkState) {}
func (mute) Reaches(federation.Peer, uint8)               {}

// nap is time that goes by for one of several who do things at once.
func nap(d time.Duration) { time.Sleep(d) } // a bubble's clock

// KeysAt implements federation.Historian.
func (f *fed) KeysAt(_ context.Context, n protocol.Node, _ time.Time) ([]ed25519.PublicKey, error) {
	if s := f.sites[n]; s != nil {
		return []ed25519.PublicKey{s.key.Public()}, nil
	}
	return nil, nil
}
