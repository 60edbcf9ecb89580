package quic

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	quicgo "github.com/quic-go/quic-go"
)

// attempt is a handshake from the n-th /24; it goes on until end is called.
func attempt(g *gate, n int, proven bool) (end func(), ok bool) {
	ctx, cancel := context.WithCancel(context.Background())
	from := netip.AddrFrom4([4]byte{byte(1 + n>>16), byte(n >> 8), byte(n), 7})
	_, err := g.admit(ctx, &quicgo.ClientInfo{
		RemoteAddr: net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 1)), AddrVerified: proven,
	})
	return cancel, err == nil
}

func TestGateForgetsQuietSources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(Limits{PrefixPerSecond: 1, PrefixBurst: 2}.withDefaults())
		try := func(n, times int) (admitted int) {
			for range times {
				end, ok := attempt(g, n, true)
				end()
				synctest.Wait()
				if ok {
					admitted++
				}
			}
			return admitted
		}
		for n := range maxPrefixes {
			try(n, 1)
		}
		if got := try(maxPrefixes, 3) + try(maxPrefixes+1, 3); got != 2 {
			t.Errorf("%d handshakes of sources beyond those remembered, want 2 together", got)
		}
		time.Sleep(3 * time.Second)
		if got := try(maxPrefixes+2, 3); got != 2 {
			t.Errorf("%d handshakes of a new source after a quiet time, want 2", got)
		}
		if n := len(g.prefixes); n != 1 {
			t.Errorf("%d sources remembered, want the last", n)
		}
	})
}

// TestGateCountsUnprovenApart: forged sources do not keep real ones out.
func TestGateCountsUnprovenApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(Limits{Handshakes: 3}.withDefaults())
		var ends []func()
		for n := range 4 {
			if got, want := g.needsRetry(nil), n >= 3; got != want {
				t.Errorf("with %d going on, retry %v, want %v", n, got, want)
			}
			end, ok := attempt(g, n, false)
			if ok != (n < 3) {
				t.Errorf("unproven %d admitted: %v", n, ok)
			}
			ends = append(ends, end)
		}
		end, ok := attempt(g, 9, true)
		if !ok {
			t.Error("a proven one is kept out")
		}
		for _, e := range append(ends, end) {
			e()
		}
		synctest.Wait()
		if g.going[true] != 0 || g.going[false] != 0 || g.needsRetry(nil) {
			t.Errorf("places are not given back: %v", g.going)
		}
	})
}
