package cluster

import (
	"errors"
	"net"
	"net/netip"
	"sync"

	"parley/testnet"
)

// gate leads the packets of a node in a process of its own through the emulated network: to
// it, each other node is a socket on loopback, behind which is the network.
type gate struct {
	node   netip.AddrPort // where the process listens
	inside net.PacketConn // the machine on the network
	to     map[int]*net.UDPConn
	wg     sync.WaitGroup
}

// maxDatagram bounds what passes, in bytes.
const maxDatagram = 1 << 16

// gates makes those of all machines, before any node runs.
func (c *Cluster) gates() error {
	for _, m := range c.Machines {
		g := &gate{to: map[int]*net.UDPConn{}}
		m.gate = g
		var err error
		if g.node, err = testnet.FreeUDP(); err != nil {
			return err
		}
		if g.inside, err = c.Net.Listen(m.Addr); err != nil {
			return err
		}
		for _, o := range c.Machines {
			if o == m {
				continue
			}
			s, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
			if err != nil {
				return err
			}
			g.to[o.no] = s
			g.wg.Go(func() { g.takeOut(s, net.UDPAddrFromAddrPort(o.Addr)) })
		}
		g.wg.Go(func() { g.bringIn(c.at) })
	}
	return nil
}

// takeOut passes on what the process sends to another node, until the socket is closed.
func (g *gate) takeOut(from *net.UDPConn, to net.Addr) {
	b := make([]byte, maxDatagram)
	for {
		n, sender, err := from.ReadFromUDPAddrPort(b)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil || sender != g.node:
			continue // nothing listened at the other end, or it is somebody else
		}
		_, _ = g.inside.WriteTo(b[:n], to) // what cannot be sent is lost, as on a network
	}
}

// bringIn gives the process what the network has for it.
func (g *gate) bringIn(machines map[netip.Addr]int) {
	b := make([]byte, maxDatagram)
	for {
		n, from, err := g.inside.ReadFrom(b)
		if err != nil {
			return
		}
		if s := g.to[machines[from.(*net.UDPAddr).AddrPort().Addr().Unmap()]]; s != nil {
			_, _ = s.WriteToUDPAddrPort(b[:n], g.node) // to a dead process: lost
		}
	}
}

func (g *gate) close() error {
	var err error
	if g.inside != nil {
		err = g.inside.Close()
	}
	for _, s := range g.to {
		if s != nil {
			err = errors.Join(err, s.Close())
		}
	}
	g.wg.Wait()
	return err
}
