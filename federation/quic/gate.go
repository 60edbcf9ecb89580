package quic

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	quicgo "github.com/quic-go/quic-go"
	"golang.org/x/time/rate"

	"parley/federation"
)

const (
	maxPrefixes = 4096        // remembered; sources beyond share one ration
	sweepEvery  = time.Second // at most, through all of them
)

var errBusy = errors.New("quic: too many handshakes")

// gate decides which handshakes begin. Whoever forges source addresses can use up what
// is free for addresses without proof, which costs others a round trip; it cannot use
// up another source's ration, which counts proven addresses only.
type gate struct {
	limits Limits
	free   *rate.Limiter

	mu       sync.Mutex
	going    map[bool]int // handshakes, by whether the address is proven
	prefixes map[netip.Prefix]*rate.Limiter
	rest     *rate.Limiter // of sources that are not remembered
	swept    time.Time
}

func newGate(l Limits) *gate {
	g := &gate{limits: l, going: map[bool]int{}, prefixes: map[netip.Prefix]*rate.Limiter{}}
	if l.FreePerSecond > 0 {
		g.free = rate.NewLimiter(rate.Limit(l.FreePerSecond), max(1, int(2*l.FreePerSecond)))
	} else {
		g.free = rate.NewLimiter(0, 0)
	}
	g.rest = g.ration()
	return g
}

func (g *gate) ration() *rate.Limiter {
	return rate.NewLimiter(rate.Limit(g.limits.PrefixPerSecond), g.limits.PrefixBurst)
}

// needsRetry reports whether a sender must show that it receives at its address.
func (g *gate) needsRetry(net.Addr) bool {
	g.mu.Lock()
	full := g.going[false] >= g.limits.Handshakes
	g.mu.Unlock()
	return full || !g.free.Allow()
}

// slotKey is where a connection's context keeps its slot.
type slotKey struct{}

// slot is the place of one handshake among those going on.
type slot struct {
	once    sync.Once
	release func()
}

func (s *slot) done() { s.once.Do(s.release) }

// admit lets a handshake begin, or refuses it with an error. It is a ConnContext of
// quic-go: ctx ends when the handshake fails or the connection ends.
func (g *gate) admit(ctx context.Context, from *quicgo.ClientInfo) (context.Context, error) {
	proven := from.AddrVerified
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.going[proven] >= g.limits.Handshakes {
		return nil, errBusy
	}
	if proven && !g.of(addrPort(from.RemoteAddr).Addr(), now).AllowN(now, 1) {
		return nil, errBusy
	}
	g.going[proven]++
	s := &slot{release: func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.going[proven]--
	}}
	context.AfterFunc(ctx, s.done)
	return context.WithValue(ctx, slotKey{}, s), nil
}

// settled says that the handshake of a connection is done.
func settled(q *quicgo.Conn) {
	if s, ok := q.Context().Value(slotKey{}).(*slot); ok {
		s.done()
	}
}

// of is the ration of a source. The caller holds mu.
func (g *gate) of(a netip.Addr, now time.Time) *rate.Limiter {
	p := federation.Source(a)
	if l := g.prefixes[p]; l != nil {
		return l
	}
	if len(g.prefixes) >= maxPrefixes && !g.sweep(now) {
		return g.rest
	}
	l := g.ration()
	g.prefixes[p] = l
	return l
}

// sweep forgets sources whose ration is whole again, and reports whether there is room.
func (g *gate) sweep(now time.Time) bool {
	if now.Sub(g.swept) < sweepEvery {
		return false
	}
	g.swept = now
	for p, l := range g.prefixes {
		if l.TokensAt(now) >= float64(g.limits.PrefixBurst) {
			delete(g.prefixes, p)
		}
	}
	return len(g.prefixes) < maxPrefixes
}

// addrPort reads an address, of IPv4 as IPv4.
func addrPort(a net.Addr) netip.AddrPort {
	u, ok := a.(*net.UDPAddr)
	if !ok {
		ap, err := netip.ParseAddrPort(a.String())
		if err != nil {
			return netip.AddrPort{}
		}
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	ap := u.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
