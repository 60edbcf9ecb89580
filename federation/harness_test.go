package federation_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"parley/federation"
	"parley/federation/fedtest"
	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
	"parley/store/bolt"
)

const latency = 10 * time.Millisecond

// world is nodes on a network in memory. Each has a real store; instead of chats there
// are books: see book.
type world struct {
	testing.TB
	virtual bool // time
	net     *fedtest.Network
	nodes   map[protocol.Node]*node
	tune    func(*federation.Config)
	plan    func(store.Store) store.Store  // wraps stores
	over    func(*node) (transport, error) // in place of net
}

// age is how the build of a node stands to this one.
type age int

const (
	present age = iota
	older       // it knows of no features, and takes little at a time
	newer       // it knows of features that nobody here has heard of
	ages
)

func (a age) tune(c *federation.Config) {
	switch a {
	case older:
		c.Features, c.Limits.Window = []string{}, 3
	case newer:
		c.Features = []string{"of a later version", s2s.FeatureEarly}
	}
}

// transport is one that can also end without a word.
type transport interface {
	federation.Transport
	Crash()
}

// node is one of them.
type node struct {
	w    *world
	name protocol.Node
	key  *federation.Key
	at   netip.AddrPort
	dir  string
	from age // its build
	disk *filling
	book *book

	ahead atomic.Int64 // its clock of the bubble's, in ns

	db   store.Store
	host transport
	mesh *federation.Mesh
	stop context.CancelFunc
	done chan struct{}
}

// bubble runs f in virtual time with nodes that are up.
func bubble(t *testing.T, names []protocol.Node, f func(w *world)) {
	t.Helper()
	bubbleWith(t, names, nil, f)
}

func bubbleWith(t *testing.T, names []protocol.Node, tune func(*federation.Config), f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, names, tune)
		w.virtual = true
		w.start()
		defer w.end()
		f(w)
	})
}

// newWorld makes nodes that are not up yet.
func newWorld(t testing.TB, names []protocol.Node, tune func(*federation.Config)) *world {
	w := &world{TB: t, net: fedtest.NewNetwork(latency), nodes: map[protocol.Node]*node{}, tune: tune}
	for i, name := range names {
		n := &node{w: w, name: name, key: fedtest.NewKey(t), dir: t.TempDir(),
			at: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}), 1)}
		n.book = &book{n: n}
		w.nodes[name] = n
	}
	return w
}

func (w *world) start() {
	for _, n := range w.nodes {
		n.start()
	}
	w.pass(time.Millisecond) // until they run
}

func (w *world) end() {
	for _, n := range w.nodes {
		if n.stop != nil {
			n.halt()
		}
	}
}

// Find and Prove make the world a Finder and Prover of what is true.
func (w *world) Find(_ context.Context, n protocol.Node) (federation.Endpoint, error) {
	if x := w.nodes[n]; x != nil {
		return federation.Endpoint{Name: n, Addrs: []netip.AddrPort{x.at}, Keys: []ed25519.PublicKey{x.key.Public()}}, nil
	}
	return federation.Endpoint{}, protocol.NotFound
}

func (w *world) Prove(_ context.Context, n protocol.Node, k ed25519.PublicKey) (federation.Proof, error) {
	if x := w.nodes[n]; x != nil && x.key.Public().Equal(k) {
		return federation.ByPin, nil
	}
	return federation.NoProof, federation.ErrUnproven
}

func (n *node) file() string { return filepath.Join(n.dir, "db") }

func (n *node) start() {
	n.w.Helper()
	db, err := bolt.Open(n.file(), bolt.Options{Node: n.name, Create: true})
	if err != nil {
		n.w.Fatal(err)
	}
	if n.disk == nil {
		n.disk = new(filling)
	}
	n.disk.Store = db
	n.db = n.disk
	if n.w.plan != nil {
		n.db = n.w.plan(n.db)
	}
	if n.w.over != nil {
		n.host, err = n.w.over(n)
	} else {
		n.host, err = n.w.net.Listen(n.name, n.key, n.at)
	}
	if err != nil {
		n.w.Fatal(err)
	}
	cfg := federation.Config{Key: n.key, Store: n.db, Transport: n.host, Finder: n.w, Prover: n.w, Clock: n.clock}
	if os.Getenv("PARLEY_LOG") != "" {
		cfg.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("node", n.name)
	}
	if n.w.tune != nil {
		n.w.tune(&cfg)
	}
	n.from.tune(&cfg)
	if n.mesh, err = federation.New(cfg); err != nil {
		n.w.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	n.stop, n.done = cancel, make(chan struct{})
	mesh, done := n.mesh, n.done
	go func() {
		defer close(done)
		if err := mesh.Run(ctx, n.book, n.book); err != nil && !errors.Is(err, net.ErrClosed) { // after a crash
			n.w.Errorf("%s: %v", n.name, err)
		}
	}()
}

// halt stops in order.
func (n *node) halt() {
	n.stop()
	<-n.done
	n.stop = nil
	if err := errors.Join(n.host.Close(), n.db.Close()); err != nil {
		n.w.Error(err)
	}
}

// kill stops without a word to anybody.
func (n *node) kill() {
	n.host.Crash()
	n.stop()
	<-n.done
	n.stop = nil
	if err := n.db.Close(); err != nil {
		n.w.Error(err)
	}
}

// cut and heal what is between two nodes; sever ends their connections.
func (w *world) cut(a, b *node) {
	w.net.Block(a.at, b.at)
	w.net.Block(b.at, a.at)
}

func (w *world) heal(a, b *node) {
	w.net.Unblock(a.at, b.at)
	w.net.Unblock(b.at, a.at)
}

// pages are the numbers of what another node's user wrote in a topic, as they stand here.
func (n *node) pages(from *node, i int) (ks []int) {
	n.w.Helper()
	err := n.db.View(func(tx store.Tx) error {
		for m, err := range tx.History(topic(n.name, from.name, i), 0, 1<<30) {
			if err != nil {
				return err
			}
			if m.From == user(from.name, i) {
				ks = append(ks, m.Origin)
			}
		}
		return nil
	})
	if err != nil {
		n.w.Fatal(err)
	}
	slices.Reverse(ks)
	return ks
}

// has waits until a topic holds messages 1 to k of another node, and no others.
func (n *node) has(from *node, i, k int, within time.Duration) {
	n.w.Helper()
	want := make([]int, 0, k)
	for j := range k {
		want = append(want, j+1)
	}
	n.reads(from, i, want, within)
}

func (n *node) reads(from *node, i int, want []int, within time.Duration) {
	n.w.Helper()
	var got []int
	for end := time.Now().Add(within); ; n.w.pass(within / 50) {
		if got = n.pages(from, i); slices.Equal(got, want) {
			n.w.pass(0)
			return
		}
		if time.Now().After(end) {
			break
		}
	}
	n.w.Fatalf("%s has %v of %s in topic %d, want %v", n.name, brief(got), from.name, i, brief(want))
}

func brief(ks []int) string {
	if len(ks) < 40 {
		return fmt.Sprint(ks)
	}
	return fmt.Sprintf("%d to %d (%d)", ks[0], ks[len(ks)-1], len(ks))
}

// settled waits until nothing waits for the other node any more.
func (n *node) settled(to *node, within time.Duration) {
	n.w.Helper()
	var left uint64
	for end := time.Now().Add(within); ; n.w.pass(within / 50) {
		left = 0
		err := n.db.View(func(tx store.Tx) error {
			for _, l := range []store.Lane{0, 1, 2, 3, 128, 129, 130, 131} {
				q, err := tx.Queue(to.name, l)
				if err != nil {
					return err
				}
				left += q.Last - q.Settled
			}
			return nil
		})
		if err != nil {
			n.w.Fatal(err)
		}
		if left == 0 {
			n.w.pass(0)
			return
		}
		if time.Now().After(end) {
			break
		}
	}
	n.w.Fatalf("%d posts of %s for %s are not settled", left, n.name, to.name)
}

// told are the ends of message k of topic i.
func (n *node) told(to *node, i, k int) []federation.End {
	n.book.mu.Lock()
	defer n.book.mu.Unlock()
	return slices.Clone(n.book.ends[fmt.Sprint(topic(n.name, to.name, i), " ", k)])
}

func (n *node) stats(of *node) federation.PeerStats {
	n.w.Helper()
	all, err := n.mesh.Stats()
	if err != nil {
		n.w.Fatal(err)
	}
	for _, s := range all {
		if s.Name == of.name {
			return s
		}
	}
	return federation.PeerStats{}
}

// pass lets time go by, until all that it causes has happened: then the test may look at
// what others have written.
func (w *world) pass(d time.Duration) {
	time.Sleep(d)
	if w.virtual {
		synctest.Wait()
	}
}
