// Package vnet is a network of datagrams inside of one process: sockets with addresses,
// and between them delays, losses, doubled and overtaking packets, bounded rates, cuts.
// Real QUIC runs over it.
//
// It has no goroutine: who reads waits for the packet's time. So it works in real time,
// and in a bubble of testing/synctest, where the clock jumps to the next packet. What
// happens to a packet depends on the seed, the two sockets and the count of packets
// between them only.
package vnet

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

// firstPort is where the ports begin that are given to who does not care.
const firstPort = 49152

// A Policy tells what the way between two hosts is like now. It is called for each
// packet, must be quick, and must not use the network.
type Policy func(from, to netip.Addr) Link

// Network is a network of sockets.
type Network struct {
	mu     sync.Mutex
	seed   uint64
	policy Policy
	links  map[pair]Link
	ways   map[pair]*way
	socks  map[netip.AddrPort]*socket
	number uint64
	stats  Stats
	tap    func(from, to netip.AddrPort, b []byte)
	shield map[netip.Addr]time.Duration
	spoke  map[pair]time.Time // when a shielded socket last sent to another
}

// Stats count what was sent since the network was made.
type Stats struct {
	Packets [fates]uint64 // by what became of them
	Bytes   uint64        // of all of them, without headers
}

// Of is how many packets met a fate.
func (s *Stats) Of(f Fate) uint64 { return s.Packets[f] }

// pair is a direction between two sockets.
type pair struct{ from, to netip.AddrPort }

// New makes a network whose links are all like usual.
func New(seed uint64, usual Link) *Network {
	return &Network{
		seed: seed, policy: func(netip.Addr, netip.Addr) Link { return usual },
		links: map[pair]Link{}, ways: map[pair]*way{}, socks: map[netip.AddrPort]*socket{},
		shield: map[netip.Addr]time.Duration{}, spoke: map[pair]time.Time{},
	}
}

// SetPolicy replaces what the links are like from now on.
func (n *Network) SetPolicy(p Policy) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.policy = p
}

// SetPath changes one direction between two sockets from now on; it goes before the
// policy.
func (n *Network) SetPath(from, to netip.AddrPort, l Link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.links[pair{from, to}] = l
}

// Shield puts a host behind a NAT or firewall: from now on, packets reach a socket of it
// only from where it has sent one itself not longer than memory ago.
func (n *Network) Shield(host netip.Addr, memory time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.shield[host] = memory
}

// shielded reports whether a packet is stopped before its receiver, and notes whom a
// shielded sender has spoken to.
func (n *Network) shielded(w pair, now time.Time) bool {
	if len(n.shield) == 0 {
		return false
	}
	if _, ok := n.shield[w.from.Addr()]; ok {
		n.spoke[w] = now
	}
	memory, ok := n.shield[w.to.Addr()]
	if !ok {
		return false
	}
	last, ok := n.spoke[pair{w.to, w.from}]
	return !ok || now.Sub(last) > memory
}

// Tap calls see for each packet that is sent, also for those that get lost. It must not
// keep b nor use the network.
func (n *Network) Tap(see func(from, to netip.AddrPort, b []byte)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.tap = see
}

// Stats of the network until now.
func (n *Network) Stats() Stats {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.stats
}

// Listen opens a socket; Close of it frees the address. Port 0 is any free one.
func (n *Network) Listen(at netip.AddrPort) (net.PacketConn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if at.Port() == 0 {
		for p := firstPort; p <= 0xffff && (at.Port() == 0 || n.socks[at] != nil); p++ {
			at = netip.AddrPortFrom(at.Addr(), uint16(p))
		}
	}
	if n.socks[at] != nil {
		return nil, &net.OpError{Op: "listen", Net: "udp", Err: os.NewSyscallError("bind", syscall.EADDRINUSE)}
	}
	c := &socket{net: n, at: at, changed: make(chan struct{}, 1)}
	n.socks[at] = c
	return c, nil
}

func (n *Network) send(w pair, b []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.tap != nil {
		n.tap(w.from, w.to, b)
	}
	l, ok := n.links[w]
	if !ok {
		l = n.policy(w.from.Addr(), w.to.Addr())
	}
	at, twice, fate := n.wayOf(w).pass(&l, len(b), time.Now())
	to := n.socks[w.to]
	shielded := n.shielded(w, time.Now())
	switch {
	case fate != Sent:
	case shielded:
		fate = Shielded
	case to == nil:
		fate = NoOne
	}
	n.stats.Bytes += uint64(len(b))
	if fate == Sent {
		fate = n.deliver(to, w.from, at, b)
	}
	n.stats.Packets[fate]++
	if twice && fate == Sent {
		n.deliver(to, w.from, at, b)
	}
}

func (n *Network) deliver(to *socket, from netip.AddrPort, at time.Time, b []byte) Fate {
	n.number++
	if !to.put(packet{at: at, number: n.number, from: from, data: append([]byte(nil), b...)}) {
		return Overflow
	}
	return Sent
}

func (n *Network) wayOf(p pair) *way {
	w := n.ways[p]
	if w == nil {
		h := fnv.New64a()
		fmt.Fprint(h, p.from, p.to)
		w = &way{dice: rand.New(rand.NewPCG(n.seed, h.Sum64()))}
		n.ways[p] = w
	}
	return w
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

// socket is a socket.
type socket struct {
	net     *Network
	at      netip.AddrPort
	changed chan struct{} // something below has; room for one

	mu       sync.Mutex
	queue    arrivals  // guarded by mu
	deadline time.Time // guarded by mu
	closed   bool      // guarded by mu
}

// put gives the socket a packet; false if there is no room for it.
func (c *socket) put(p packet) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || len(c.queue) >= maxQueued {
		return false
	}
	heap.Push(&c.queue, p)
	if c.queue[0].number == p.number { // else the reader waits for another one anyway
		c.signal()
	}
	return true
}

func (c *socket) signal() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// ReadFrom implements net.PacketConn, for one reader at a time.
func (c *socket) ReadFrom(b []byte) (int, net.Addr, error) {
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
func (c *socket) take(now time.Time) (*packet, time.Duration, error) {
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
func (c *socket) WriteTo(b []byte, to net.Addr) (int, error) {
	c.mu.Lock()
	closed := c.closed
	c.mu.Unlock()
	if closed {
		return 0, net.ErrClosed
	}
	u, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, fmt.Errorf("vnet: address %v is a %T", to, to)
	}
	ap := u.AddrPort()
	c.net.send(pair{c.at, netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())}, b)
	return len(b), nil
}

// Close implements net.PacketConn.
func (c *socket) Close() error {
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

func (c *socket) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(c.at) }

func (c *socket) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

func (c *socket) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	c.deadline = t
	c.mu.Unlock()
	c.signal()
	return nil
}

// SetWriteDeadline does nothing: writing never waits.
func (c *socket) SetWriteDeadline(time.Time) error { return nil }

// SetReadBuffer and SetWriteBuffer are what QUIC looks for before it warns of small
// buffers.
func (c *socket) SetReadBuffer(int) error  { return nil }
func (c *socket) SetWriteBuffer(int) error { return nil }
