package fedtest

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"parley/federation"
	"parley/protocol"
)

// Times of connections in memory, like those of QUIC.
const (
	lostAfter   = 45 * time.Second // without hearing of the other end
	dialTimeout = 10 * time.Second
	backlog     = 16 // connections that are not accepted yet
)

// Network carries connections between transports in memory, with faults. It is quicker
// than real QUIC over [Packets] and has no goroutines: who reads waits for the time of
// what is on its way, so that in a bubble of testing/synctest the clock does the rest.
type Network struct {
	mu      sync.Mutex
	latency time.Duration
	hosts   map[netip.AddrPort]*Host
	ways    map[way]*passage
	window  int
	dials   int
}

// way is a direction between two addresses.
type way struct{ from, to netip.AddrPort }

// passage is what happens on the way from one address to another.
type passage struct {
	blocked bool
	changed chan struct{} // closed when blocked changes
}

// NewNetwork makes a network where everything takes latency, one way.
func NewNetwork(latency time.Duration) *Network {
	return &Network{latency: latency, hosts: map[netip.AddrPort]*Host{}, ways: map[way]*passage{}, window: 1 << 20}
}

// SetWindow is how many bytes may be unread on a stream.
func (n *Network) SetWindow(bytes int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.window = bytes
}

// Dials counts attempts to connect.
func (n *Network) Dials() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dials
}

func (n *Network) passage(w way) *passage {
	p := n.ways[w]
	if p == nil {
		p = &passage{changed: make(chan struct{})}
		n.ways[w] = p
	}
	return p
}

// Block holds back everything from one address to another until Unblock: nothing is
// lost, as with retransmission, unless it lasts so long that connections are lost.
func (n *Network) Block(from, to netip.AddrPort) { n.set(from, to, true) }

// Unblock lets it through again.
func (n *Network) Unblock(from, to netip.AddrPort) { n.set(from, to, false) }

func (n *Network) set(from, to netip.AddrPort, blocked bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.passage(way{from, to})
	if p.blocked == blocked {
		return
	}
	p.blocked = blocked
	close(p.changed)
	p.changed = make(chan struct{})
	if !blocked {
		return
	}
	was := p.changed
	time.AfterFunc(lostAfter, func() { n.lose(way{from, to}, was) })
}

// lose ends connections over a way that has been blocked for too long, at the end that
// hears nothing; the other end is next.
func (n *Network) lose(w way, since chan struct{}) {
	n.mu.Lock()
	p := n.passage(w)
	if !p.blocked || p.changed != since {
		n.mu.Unlock()
		return
	}
	var ends []*conn
	for _, h := range n.hosts {
		for c := range h.conns {
			if c.way() == (way{w.to, w.from}) {
				ends = append(ends, c)
			}
		}
	}
	n.mu.Unlock()
	for _, c := range ends {
		c.vanish()
	}
}

// Sever ends all connections between two addresses at this instant: what was on its way
// is lost, and both ends notice.
func (n *Network) Sever(a, b netip.AddrPort) {
	n.mu.Lock()
	var ends []*conn
	for _, h := range n.hosts {
		for c := range h.conns {
			if c.way() == (way{a, b}) || c.way() == (way{b, a}) {
				ends = append(ends, c)
			}
		}
	}
	n.mu.Unlock()
	for _, c := range ends {
		c.end(lost())
	}
}

func lost() *federation.ClosedError {
	return &federation.ClosedError{Code: federation.CloseIdle, Err: errLost}
}

// Host is one end of the network. It implements federation.Transport.
type Host struct {
	net      *Network
	Endpoint federation.Endpoint
	key      *federation.Key
	accept   chan *conn
	ctx      context.Context
	cancel   context.CancelFunc
	conns    map[*conn]bool // guarded by net.mu
}

var _ federation.Transport = (*Host)(nil)

// Listen opens a transport at an address. That of a transport that has been closed or
// has crashed may be used again.
func (n *Network) Listen(name protocol.Node, key *federation.Key, at netip.AddrPort) (*Host, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.hosts[at] != nil {
		return nil, fmt.Errorf("fedtest: %s is in use", at)
	}
	h := &Host{net: n, key: key, accept: make(chan *conn, backlog), conns: map[*conn]bool{},
		Endpoint: federation.Endpoint{Name: name, Addrs: []netip.AddrPort{at}}}
	h.Endpoint.Keys = append(h.Endpoint.Keys, key.Public())
	h.ctx, h.cancel = context.WithCancel(context.Background())
	n.hosts[at] = h
	return h, nil
}

func (h *Host) at() netip.AddrPort { return h.Endpoint.Addrs[0] }

// Dial implements federation.Transport.
func (h *Host) Dial(ctx context.Context, to federation.Endpoint) (federation.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	defer context.AfterFunc(h.ctx, cancel)()
	h.net.mu.Lock()
	h.net.dials++
	h.net.mu.Unlock()
	if len(to.Addrs) == 0 {
		return nil, fmt.Errorf("fedtest: dial %s: no address", to.Name)
	}
	for _, w := range []way{{h.at(), to.Addrs[0]}, {to.Addrs[0], h.at()}} {
		if err := h.net.pass(ctx, w); err != nil {
			if h.ctx.Err() != nil {
				err = net.ErrClosed
			}
			return nil, fmt.Errorf("fedtest: dial %s: %w", to.Name, err)
		}
	}
	return h.connect(to)
}

// pass waits until a packet has got through.
func (n *Network) pass(ctx context.Context, w way) error {
	for {
		t := time.NewTimer(n.latency)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		}
		n.mu.Lock()
		p := n.passage(w)
		blocked, changed := p.blocked || n.hosts[w.to] == nil, p.changed
		n.mu.Unlock()
		if !blocked {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// connect makes both ends.
func (h *Host) connect(to federation.Endpoint) (federation.Conn, error) {
	n := h.net
	n.mu.Lock()
	defer n.mu.Unlock()
	there := n.hosts[to.Addrs[0]]
	if there == nil || h.ctx.Err() != nil {
		return nil, fmt.Errorf("fedtest: dial %s: %w", to.Name, net.ErrClosed)
	}
	if len(to.Keys) > 0 && !holds(to, there.key) {
		return nil, fmt.Errorf("fedtest: dial %s: %w", to.Name, federation.ErrWrongKey)
	}
	a, b := newConn(h, there, to.Name, true), newConn(there, h, to.Name, false)
	a.other, b.other = b, a
	h.conns[a], there.conns[b] = true, true
	select {
	case there.accept <- b:
	default:
		delete(h.conns, a)
		delete(there.conns, b)
		return nil, &federation.ClosedError{Code: federation.CloseOverloaded, Remote: true}
	}
	return a, nil
}

func holds(to federation.Endpoint, k *federation.Key) bool {
	for _, p := range to.Keys {
		if k.Public().Equal(p) {
			return true
		}
	}
	return false
}

// Accept implements federation.Transport.
func (h *Host) Accept(ctx context.Context) (federation.Conn, error) {
	select {
	case c := <-h.accept:
		return c, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-h.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Close implements federation.Transport.
func (h *Host) Close() error {
	for _, c := range h.leave() {
		c.CloseWith(federation.CloseGoodbye, "shutting down")
	}
	return nil
}

// Crash ends the transport without a word: the other ends notice after 45 s, or when
// they send something and another has taken the address.
func (h *Host) Crash() {
	for _, c := range h.leave() {
		c.fail(lost())
		time.AfterFunc(lostAfter, func() { c.other.fail(lost()) })
	}
}

func (h *Host) leave() []*conn {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	h.cancel()
	if h.net.hosts[h.at()] == h {
		delete(h.net.hosts, h.at())
	}
	var all []*conn
	for c := range h.conns {
		all = append(all, c)
	}
	return all
}
