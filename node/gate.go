package node

import (
	"net/netip"
	"sync"
)

// gate counts connections, in all and per address.
type gate struct {
	limits Limits

	mu    sync.Mutex
	total int
	from  map[netip.Addr]int
}

func newGate(l Limits) *gate { return &gate{limits: l, from: map[netip.Addr]int{}} }

// prefix is what counts as one address: an IPv6 customer has a /64 of them.
func prefix(a netip.Addr) netip.Addr {
	a = a.Unmap()
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}

func (g *gate) admit(a netip.Addr) bool {
	a = prefix(a)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.total >= g.limits.MaxSessions || g.from[a] >= g.limits.PerAddress {
		return false
	}
	g.total++
	g.from[a]++
	return true
}

func (g *gate) dismiss(a netip.Addr) {
	a = prefix(a)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.total--
	if g.from[a]--; g.from[a] <= 0 {
		delete(g.from, a)
	}
}
