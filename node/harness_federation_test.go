package node_test

import (
	"context"
	"crypto/ed25519"
	"log/slog"
	"net/netip"
	"os"
	"testing"
	"time"

	"parley/federation"
	"parley/federation/fedtest"
	"parley/node"
	"parley/protocol"
	"parley/store"
)

// fedLatency is how long everything takes between nodes, one way; fedPause is longer
// than a few round trips and shorter than what nodes wait for.
const (
	fedLatency = 5 * time.Millisecond
	fedPause   = 250 * time.Millisecond
)

// site is a node with links to the others of its federation: its clients, its key, its
// address and its disk.
type site struct {
	*world
	f    *fed
	name protocol.Node
	key  *federation.Key
	at   netip.AddrPort
	dir  string
	host *fedtest.Host
	mesh *federation.Mesh
	done chan struct{} // closed when the links have ended
	down bool
}

// fed is nodes whose links are those of package federation, over a network in memory.
type fed struct {
	t      testing.TB
	net    *fedtest.Network
	sites  map[protocol.Node]*site
	change func(*node.Config) // of every node that starts; may be nil
}

// newFederation starts nodes that can find each other. Call it inside a bubble; end
// ends it.
func newFederation(t testing.TB, change func(*node.Config), names ...protocol.Node) *fed {
	t.Helper()
	f := &fed{t: t, net: fedtest.NewNetwork(fedLatency), sites: map[protocol.Node]*site{}, change: change}
	for i, name := range names {
		s := &site{f: f, name: name, key: fedtest.NewKey(t), dir: t.TempDir(),
			at: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}), 1)}
		s.world = &world{t: t, pipes: map[string]*pipe{}, wait: func() { pass(fedPause) }}
		f.sites[name] = s
	}
	for _, name := range names {
		f.sites[name].up()
	}
	return f
}

// end stops all nodes.
func (f *fed) end() {
	f.t.Helper()
	for _, s := range f.sites {
		s.halt()
	}
}

// up starts the node on what is on its disk.
func (s *site) up() {
	t := s.t
	t.Helper()
	var err error
	if s.host, err = s.f.net.Listen(s.name, s.key, s.at); err != nil {
		t.Fatal(err)
	}
	s.start(s.name, s.dir, func(c *node.Config) {
		cfg := federation.Config{Key: s.key, Store: c.Store, Transport: s.host, Finder: s.f, Prover: s.f}
		if os.Getenv("PARLEY_LOG") != "" {
			c.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("node", s.name)
			cfg.Log = c.Log
		}
		if s.mesh, err = federation.New(cfg); err != nil {
			t.Fatal(err)
		}
		c.Network, c.OpinionKey = s.mesh, s.key.Private()
		if s.f.change != nil {
			s.f.change(c)
		}
	})
	s.done, s.down = make(chan struct{}), false
	ctx, stop := context.WithCancel(context.Background())
	halt := s.stop
	s.stop = func() {
		halt()
		s.wg.Wait()
		stop()
	}
	mesh, n, done := s.mesh, s.n, s.done
	logs, _ := any(n).(federation.Logs)
	go func() {
		defer close(done)
		if err := mesh.Run(ctx, n, logs); err != nil {
			t.Errorf("%s: %v", s.name, err)
		}
	}()
}

// halt ends the node in order; its clients are disconnected.
func (s *site) halt() {
	s.t.Helper()
	if s.down {
		return
	}
	s.down = true
	s.stop()
	<-s.done
	s.pipes = map[string]*pipe{}
	if err := s.host.Close(); err != nil {
		s.t.Error(err)
	}
	if err := s.st.Close(); err != nil {
		s.t.Error(err)
	}
}

// cut holds back everything between two nodes until heal.
func (f *fed) cut(a, b protocol.Node) {
	f.net.Block(f.sites[a].at, f.sites[b].at)
	f.net.Block(f.sites[b].at, f.sites[a].at)
}

// heal undoes cut.
func (f *fed) heal(a, b protocol.Node) {
	f.net.Unblock(f.sites[a].at, f.sites[b].at)
	f.net.Unblock(f.sites[b].at, f.sites[a].at)
}

// Find and Prove make it a Finder and Prover of what is true.
func (f *fed) Find(_ context.Context, n protocol.Node) (federation.Endpoint, error) {
	if s := f.sites[n]; s != nil {
		return federation.Endpoint{Name: n, Addrs: []netip.AddrPort{s.at}, Keys: []ed25519.PublicKey{s.key.Public()}}, nil
	}
	return federation.Endpoint{}, protocol.NotFound
}

// Prove implements federation.Prover.
func (f *fed) Prove(_ context.Context, n protocol.Node, k ed25519.PublicKey) (federation.Proof, error) {
	if s := f.sites[n]; s != nil && s.key.Public().Equal(k) {
		return federation.ByPin, nil
	}
	return federation.NoProof, federation.ErrUnproven
}

// view reads the store of a node.
func (s *site) view(fn func(tx store.Tx) error) {
	s.t.Helper()
	if err := s.st.View(fn); err != nil {
		s.t.Fatal(err)
	}
}
