package fedtest

import (
	"container/heap"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// maxQueued is how many packets wait for one socket; more are lost, as in a kernel.
const maxQueued = 4096

// Path is what happens on the way from one socket to another. The zero value is
// perfect.
type Path struct {
	Latency time.Duration
	Jitter  time.Duration // added: uniform in [0, Jitter); packets may overtake
	Loss    float64       // probability of each packet
	MTU     int           // of IP; larger packets are lost. 0: 1500
	Cut     bool          // everything is lost
}

const (
	defaultMTU = 1500
	headers    = 48 // of IPv6 and UDP
)

// Packets is a datagram network inside of one process: real QUIC runs over it. It has no
// goroutine: who reads waits for the packet's time, so that in a bubble of
// testing/synctest the clock does the rest. Which packets are lost depends on the seed,
// the path and the count of packets on it only.
type Packets struct {
	mu    sync.Mutex
	seed  uint64
	usual Path
	paths map[way]Path
	dice  map[way]*rand.Rand
	socks map[netip.AddrPort]*packetConn
	sent  uint64
	tap   func(from, to netip.AddrPort, b []byte)
}

// way is a direction between two sockets.
type way struct{ from, to netip.AddrPort }

// NewPackets makes a network whose ways are all like usual.
func NewPackets(seed uint64, usual Path) *Packets {
	return &Packets{
		seed: seed, usual: usual,
		paths: map[way]Path{}, dice: map[way]*rand.Rand{}, socks: map[netip.AddrPort]*packetConn{},
	}
}

// SetPath changes one direction from now on.
func (n *Packets) SetPath(from, to netip.AddrPort, p Path) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.paths[way{from, to}] = p
}

// Tap calls see for each packet that is sent, also for those that get lost. It must not
// keep b nor use the network.
func (n *Packets) Tap(see func(from, to netip.AddrPort, b []byte)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.tap = see
}

// Listen opens a socket; Close of it frees the address.
func (n *Packets) Listen(at netip.AddrPort) (net.PacketConn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.socks[at] != nil {
		return nil, &net.OpError{Op: "listen", Net: "udp", Err: os.NewSyscallError("bind", syscall.EADDRINUSE)}
	}
	c := &packetConn{net: n, at: at, changed: make(chan struct{}, 1)}
	n.socks[at] = c
	return c, nil
}

func (n *Packets) send(w way, b []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.tap != nil {
		n.tap(w.from, w.to, b)
	}
	p, ok := n.paths[w]
	if !ok {
		p = n.usual
	}
	dice := n.diceOf(w)
	lost, late := dice.Float64() < p.Loss, time.Duration(dice.Float64()*float64(p.Jitter))
	mtu := p.MTU
	if mtu == 0 {
		mtu = defaultMTU
	}
	to := n.socks[w.to]
	if lost || p.Cut || len(b)+headers > mtu || to == nil {
		return
	}
	n.sent++
	to.put(packet{
		at: time.Now().Add(p.Latency + late), number: n.sent, from: w.from, data: append([]byte(nil), b...),
	})
}

func (n *Packets) diceOf(w way) *rand.Rand {
	d := n.dice[w]
	if d == nil {
		h := fnv.New64a()
		fmt.Fprint(h, w.from, w.to)
		d = rand.New(rand.NewPCG(n.seed, h.Sum64()))
		n.dice[w] = d
	}
	return d
}

// packet is one on its way.
type packet struct {
	at     time.Time // of arrival
	number uint64
	from   netip.AddrPort
	data   []byte
}

// arrivals is a heap by time.
type arrivals []packet

func (a arrivals) Len() int { return len(a) }
func (a arrivals) Less(i, j int) bool {
	if a[i].at.Equal(a[j].at) {
		return a[i].number < a[j].number
	}
	return a[i].at.Before(a[j].at)
}
func (a arrivals) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *arrivals) Push(x any)   { *a = append(*a, x.(packet)) }
func (a *arrivals) Pop() any {
	last := len(*a) - 1
	p := (*a)[last]
	(*a)[last] = packet{}
	*a = (*a)[:last]
	return p
}

// packetConn is a socket.
type packetConn struct {
	net     *Packets
	at      netip.AddrPort
	changed chan struct{} // something below has; room for one

	mu       sync.Mutex
	queue    arrivals  // guarded by mu
	deadline time.Time // guarded by mu
	closed   bool      // guarded by mu
}

func (c *packetConn) put(p packet) {
	c.mu.Lock()
	if !c.closed && len(c.queue) < maxQueued {
		heap.Push(&c.queue, p)
	}
	c.mu.Unlock()
	c.signal()
}

func (c *packetConn) signal() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// ReadFrom implements net.PacketConn, for one reader at a time.
func (c *packetConn) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		p, wait, err := c.take(time.Now())
		if err != nil {
			return 0, nil, err
		}
		if p != nil {
			return copy(b, p.data), net.UDPAddrFromAddrPort(p.from), nil
		}
		if wait < 0 {
			<-c.changed
			continue
		}
		t := time.NewTimer(wait)
		select {
		case <-c.changed:
		case <-t.C:
		}
		t.Stop()
	}
}

// take returns a packet that has arrived, or for how long to wait at most, negative for
// ever.
func (c *packetConn) take(now time.Time) (*packet, time.Duration, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	wait := time.Duration(-1)
	switch {
	case c.closed:
		return nil, 0, net.ErrClosed
	case !c.deadline.IsZero() && !now.Before(c.deadline):
		return nil, 0, os.ErrDeadlineExceeded
	case !c.deadline.IsZero():
		wait = c.deadline.Sub(now)
	}
	if len(c.queue) > 0 {
		late := c.queue[0].at.Sub(now)
		if late <= 0 {
			p := heap.Pop(&c.queue).(packet)
			return &p, 0, nil
		}
		if wait < 0 || late < wait {
			wait = late
		}
	}
	return nil, wait, nil
}

// WriteTo implements net.PacketConn. A packet to nobody is lost.
func (c *packetConn) WriteTo(b []byte, to net.Addr) (int, error) {
	c.mu.Lock()
	closed := c.closed
	c.mu.Unlock()
	if closed {
		return 0, net.ErrClosed
	}
	u, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, fmt.Errorf("fedtest: address %v is a %T", to, to)
	}
	ap := u.AddrPort()
	c.net.send(way{c.at, netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())}, b)
	return len(b), nil
}

// Close implements net.PacketConn.
func (c *packetConn) Close() error {
	c.mu.Lock()
	was := c.closed
	c.closed, c.queue = true, nil
	c.mu.Unlock()
	if was {
		return net.ErrClosed
	}
	c.net.mu.Lock()
	delete(c.net.socks, c.at)
	c.net.mu.Unlock()
	c.signal()
	return nil
}

func (c *packetConn) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(c.at) }

func (c *packetConn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

func (c *packetConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	c.deadline = t
	c.mu.Unlock()
	c.signal()
	return nil
}

// SetWriteDeadline does nothing: writing never waits.
func (c *packetConn) SetWriteDeadline(time.Time) error { return nil }

// SetReadBuffer and SetWriteBuffer are what QUIC looks for before it warns of small
// buffers.
func (c *packetConn) SetReadBuffer(int) error  { return nil }
func (c *packetConn) SetWriteBuffer(int) error { return nil }
