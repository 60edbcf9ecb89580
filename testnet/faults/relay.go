package faults

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
)

// relay passes UDP packets on to a node, and back: the network between two processes,
// which can fail. Each source has a socket of its own towards the node, as behind NAT.
type relay struct {
	to     netip.AddrPort
	socket *net.UDPConn
	wg     sync.WaitGroup

	noForth, noBack atomic.Bool  // nothing gets through
	bytes, packets  atomic.Int64 // that got through, both ways; bytes with headers of UDP and IPv4

	mu    sync.Mutex
	paths map[netip.AddrPort]*net.UDPConn
}

// maxPacket is more than any packet of QUIC on a path without jumbo frames.
const maxPacket = 1 << 16

func newRelay(to netip.AddrPort) (*relay, error) {
	socket, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		return nil, err
	}
	r := &relay{to: to, socket: socket, paths: map[netip.AddrPort]*net.UDPConn{}}
	r.wg.Go(r.forth)
	return r, nil
}

func (r *relay) addr() string { return r.socket.LocalAddr().String() }

func (r *relay) close() {
	r.socket.Close()
	r.forget()
	r.wg.Wait()
}

// forget drops all paths: what comes next comes from new sources.
func (r *relay) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for a, c := range r.paths {
		c.Close()
		delete(r.paths, a)
	}
}

// headers of UDP and IPv4, in bytes of each packet.
const headers = 28

func (r *relay) count(n int) {
	r.packets.Add(1)
	r.bytes.Add(int64(n + headers))
}

func (r *relay) forth() {
	buf := make([]byte, maxPacket)
	for {
		n, from, err := r.socket.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		if r.noForth.Load() {
			continue
		}
		if c := r.path(from); c != nil {
			r.count(n)
			_, _ = c.Write(buf[:n]) // as on a network: it may get lost
		}
	}
}

// path is the socket by which the packets of a source go on.
func (r *relay) path(from netip.AddrPort) *net.UDPConn {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.paths[from]; c != nil {
		return c
	}
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(r.to))
	if err != nil {
		return nil
	}
	r.paths[from] = c
	r.wg.Go(func() { r.back(c, from) })
	return c
}

func (r *relay) back(c *net.UDPConn, to netip.AddrPort) {
	buf := make([]byte, maxPacket)
	for {
		n, err := c.Read(buf)
		if err != nil {
			if isRefused(err) {
				continue // the node is away
			}
			return
		}
		if !r.noBack.Load() {
			r.count(n)
			_, _ = r.socket.WriteToUDPAddrPort(buf[:n], to)
		}
	}
}
