package federation

import (
	"context"
	"crypto"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"parley/protocol"
	"parley/store"
)

// Bounds of what goes on at a time.
const (
	maxDials    = 32  // connections being made by us
	maxGreeting = 128 // connections of others that are not links yet
)

// Mesh is this node's links with all others. It implements [Network].
//
// Each peer has one worker ([remote]), which dials, adopts what the peer has dialled, and
// keeps at most one [link]. What is to be sent is in the store and nowhere else.
type Mesh struct {
	cfg    Config
	self   protocol.Node
	boot   uint64 // number of this start
	began  time.Time
	log    *slog.Logger
	quiet  quiet // says the same thing once
	dials  chan struct{}
	greets chan struct{}
	reach  atomic.Uint32 // s2s.Hello.Reach
	dialed atomic.Int64  // when a peer has shown that this node can be dialled; ns since 1970

	// Set by Run before anything is started.
	handler Handler
	gate    Gate
	logs    Logs
	ctx     context.Context
	wg      sync.WaitGroup

	keysMu    sync.Mutex
	keysAsked map[protocol.Node]time.Time // when; guarded by keysMu

	mu      sync.Mutex
	running bool                      // guarded by mu
	peers   map[protocol.Node]*remote // guarded by mu
}

var _ Network = (*Mesh)(nil)

// New makes a mesh; posts can be queued at once. The error is about the configuration
// or the store.
func New(cfg Config) (*Mesh, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	m := &Mesh{
		cfg: cfg, self: cfg.Store.Meta().Node, log: cfg.Log,
		dials:  make(chan struct{}, maxDials),
		greets: make(chan struct{}, maxGreeting),
		peers:  map[protocol.Node]*remote{},
	}
	if err := m.loadParked(); err != nil {
		return nil, fmt.Errorf("federation: read the outbox: %w", err)
	}
	return m, nil
}

// Run links with peers until ctx ends; then it says goodbye to them, and returns when
// all it has started has. It does not close the transport or the store. It is called
// once. Without l the node has no groups.
func (m *Mesh) Run(ctx context.Context, h Handler, l Logs) error {
	if l == nil {
		l = noLogs{}
	}
	m.handler, m.logs, m.gate = h, l, m.cfg.Gate
	if m.gate == nil {
		m.gate = gateOf(h)
	}
	if err := m.begin(); err != nil {
		return err
	}
	var cancel context.CancelFunc
	m.ctx, cancel = context.WithCancel(ctx)
	m.mu.Lock()
	m.running = true
	m.mu.Unlock()
	defer m.wg.Wait()
	defer cancel()
	waiting, peers, err := m.recall()
	if err != nil {
		return fmt.Errorf("federation: read the outbox and the peers: %w", err)
	}
	m.Wake(waiting...)
	m.Wake(m.partners(peers)...)
	return m.accept()
}

// valueBoot is where the number of the last start is kept, in 8 bytes.
const valueBoot = "federation boot"

// begin gives this start its number: the time, in ms since 1970, unless the clock was set
// back since the last. A disk that is full does not keep the node from starting.
func (m *Mesh) begin() error {
	m.began = time.Now()
	m.boot = uint64(m.cfg.Clock.Now().UnixMilli())
	err := m.cfg.Store.View(func(tx store.Tx) error {
		last, err := tx.Value(valueBoot)
		if err == nil && len(last) == 8 {
			m.boot = max(m.boot, binary.BigEndian.Uint64(last)+1)
		}
		return err
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("federation: count the start: %w", err)
	}
	err = m.cfg.Store.Update(func(tx store.Tx) error {
		return tx.PutValue(valueBoot, binary.BigEndian.AppendUint64(nil, m.boot))
	})
	if err != nil {
		m.log.Error("start not counted", "error", err)
	}
	return nil
}

// reunion is how long ago a link may have been that a node which starts makes anew, once:
// the peer may have something for it, and have given up trying often.
const reunion = 7 * 24 * time.Hour

// acquaintance is when there was something with a peer: see store.Peer.
type acquaintance struct {
	name         protocol.Node
	seen, dialed time.Time
}

// recall finds the peers for which there is something in the store, or with which there was
// a link lately, and when there was something with each that is known.
func (m *Mesh) recall() (waiting []protocol.Node, peers []acquaintance, err error) {
	var again []protocol.Node
	err = m.cfg.Store.View(func(tx store.Tx) error {
		waiting, again, peers = nil, nil, nil
		for n, err := range tx.Waiting() {
			if err != nil {
				return err
			}
			waiting = append(waiting, n)
		}
		for p, err := range tx.AllPeers() {
			if err != nil {
				return err
			}
			peers = append(peers, acquaintance{p.Name, p.Seen, p.Dialed})
			for _, err := range tx.FollowedBy(p.Name) {
				if err != nil {
					return err
				}
				waiting = append(waiting, p.Name)
				break
			}
			if m.cfg.Clock.Since(p.Seen) < reunion && p.Access != store.AccessDeny {
				again = append(again, p.Name)
			}
		}
		return nil
	})
	for _, n := range again {
		m.peer(n).expect()
	}
	return append(waiting, again...), peers, err
}

// accept takes connections that others dial until the mesh ends.
func (m *Mesh) accept() error {
	for {
		c, err := m.cfg.Transport.Accept(m.ctx)
		if m.ctx.Err() != nil {
			if err == nil {
				c.CloseWith(CloseGoodbye, "shutting down")
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("federation: %w", err)
		}
		select {
		case m.greets <- struct{}{}:
		default:
			c.CloseWith(CloseOverloaded, "too many connections at a time")
			continue
		}
		m.wg.Go(func() {
			defer func() { <-m.greets }()
			m.greet(c)
		})
	}
}

// peer finds or makes what is known of a peer.
func (m *Mesh) peer(n protocol.Node) *remote {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.peers[n]
	if p == nil {
		p = newRemote(m, n)
		m.peers[n] = p
	}
	return p
}

// known is the peer if there is anything to know.
func (m *Mesh) known(n protocol.Node) *remote {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.peers[n]
}

// remotes are all peers that are known.
func (m *Mesh) remotes() []*remote {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Values(m.peers))
}

// start runs f in the group of what Run waits for, unless there is no Run.
func (m *Mesh) start(f func()) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.running || m.ctx.Err() != nil {
		return false
	}
	m.wg.Go(f)
	return true
}

// done is closed when the mesh ends; nil before it runs.
func (m *Mesh) done() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.running {
		return nil
	}
	return m.ctx.Done()
}

// Wake implements Network.
func (m *Mesh) Wake(to ...protocol.Node) {
	for _, n := range to {
		if n != m.self {
			m.peer(n).kick()
		}
	}
}

// Linked implements Network.
func (m *Mesh) Linked(n protocol.Node) bool {
	p := m.known(n)
	return p != nil && p.current() != nil
}

// Away implements Network.
func (m *Mesh) Away(n protocol.Node) bool {
	trying := false
	if p := m.known(n); p != nil {
		p.mu.Lock()
		linked := p.link != nil
		trying = p.working
		p.mu.Unlock()
		if linked {
			return false
		}
	}
	away := false
	err := m.cfg.Store.View(func(tx store.Tx) error {
		r, err := tx.Peer(n)
		away = err == nil && r.Failures > 0 && (trying || time.Now().Before(m.steady(r.Next, m.cfg.Times.Longest)))
		return nil
	})
	return err == nil && away
}

// Reach implements Network.
func (m *Mesh) Reach(class uint8) {
	if m.reach.Swap(uint32(class)) == uint32(class) {
		return
	}
	for _, p := range m.remotes() {
		p.mu.Lock()
		if p.link != nil {
			p.link.control.setReach(class)
		}
		p.mu.Unlock()
	}
}

// Sign implements Network.
func (m *Mesh) Sign(text []byte) []byte {
	sig, err := m.cfg.Key.Signer().Sign(rand.Reader, text, crypto.Hash(0))
	if err != nil { // an Ed25519 key in memory does not fail
		panic(err)
	}
	return sig
}

// change edits what the store knows of a peer.
func (m *Mesh) change(n protocol.Node, f func(*store.Peer)) error {
	return m.cfg.Store.Update(func(tx store.Tx) error { return m.changePeer(tx, n, f) })
}

func (m *Mesh) changePeer(tx store.Tx, n protocol.Node, f func(*store.Peer)) error {
	r, err := tx.Peer(n)
	if errors.Is(err, store.ErrNotFound) {
		r, err = &store.Peer{Name: n, First: m.cfg.Clock.Now()}, nil
	}
	if err != nil {
		return err
	}
	f(r)
	return tx.PutPeer(r)
}

// steady is when the wall clock will show, or has shown, a time, by the clock that timers
// go by, unless the wall clock is set meanwhile; zero stays zero. A time ahead is at most so
// far ahead.
func (m *Mesh) steady(wall time.Time, most time.Duration) time.Time {
	if wall.IsZero() {
		return wall
	}
	return time.Now().Add(min(m.cfg.Clock.Until(wall), most))
}
