package vnet

import (
	"errors"
	"math"
	"net"
	"net/netip"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

const ms = time.Millisecond

var (
	addrA = netip.MustParseAddrPort("192.0.2.1:1")
	addrB = netip.MustParseAddrPort("[2001:db8::2]:2")
)

// arrival is a packet as it was read.
type arrival struct {
	after time.Duration
	first byte
}

// send sends count packets of size bytes, numbered in the first byte, every so often,
// over a link, and returns what arrives.
func send(t *testing.T, seed uint64, l Link, count, size int, every time.Duration) (got []arrival, stats Stats) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := New(seed, l)
		a, b := listen(t, n, addrA), listen(t, n, addrB)
		defer a.Close()
		begin := time.Now()
		done := make(chan struct{})
		go func() {
			defer close(done)
			buf := make([]byte, 4096)
			for {
				k, from, err := b.ReadFrom(buf)
				if err != nil {
					return
				}
				if k != size || from.String() != addrA.String() {
					t.Errorf("%d bytes from %v", k, from)
				}
				got = append(got, arrival{time.Since(begin), buf[0]})
			}
		}()
		for i := range count {
			p := make([]byte, size)
			p[0] = byte(i)
			if _, err := a.WriteTo(p, net.UDPAddrFromAddrPort(addrB)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(every)
		}
		time.Sleep(time.Minute)
		b.Close()
		<-done
		stats = n.Stats()
	})
	return got, stats
}

func listen(t *testing.T, n *Network, at netip.AddrPort) net.PacketConn {
	t.Helper()
	c, err := n.Listen(at)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestLatencyAndJitter(t *testing.T) {
	got, _ := send(t, 1, Link{Latency: 20 * ms}, 3, 100, ms)
	for i, a := range got {
		if want := time.Duration(20+i) * ms; a.after != want || int(a.first) != i {
			t.Errorf("packet %d arrives as %d after %v, want %v", i, a.first, a.after, want)
		}
	}
	for _, s := range []Spread{Uniform, Normal, Exponential, Pareto} {
		got, _ := send(t, 1, Link{Latency: 20 * ms, Jitter: 10 * ms, Spread: s}, 2000, 10, 100*ms)
		var sum, beyond float64
		for i, a := range got {
			late := (a.after - time.Duration(i)*100*ms - 20*ms).Seconds() / 0.01
			if late < 0 {
				t.Fatalf("%d: packet %d comes before its latency", s, i)
			}
			sum += late
			if late > 1 {
				beyond++
			}
		}
		mean, tail := sum/float64(len(got)), beyond/float64(len(got))
		want := map[Spread][2]float64{Uniform: {.5, 0}, Normal: {.798, .317}, Exponential: {1, .368}, Pareto: {.667, .177}}[s]
		if math.Abs(mean-want[0]) > .06 || math.Abs(tail-want[1]) > .04 {
			t.Errorf("spread %d: mean %.2f of jitter, %.2f beyond it; want %v", s, mean, tail, want)
		}
	}
}

func TestLoss(t *testing.T) {
	for _, burst := range []float64{0, 5} {
		got, stats := send(t, 2, Link{Loss: .2, Burst: burst}, 20000, 10, ms)
		runs, last := 0, -1
		for i, a := range got {
			at := int(a.after / ms)
			if at != last+1 {
				runs++
			}
			if got[i].first != byte(at) {
				t.Fatal("not the packet of that time")
			}
			last = at
		}
		lost := 20000 - len(got)
		if stats.Of(Lost) != uint64(lost) || math.Abs(float64(lost)/20000-.2) > .02 {
			t.Errorf("burst %v: %d lost, counted %d, want a fifth", burst, lost, stats.Of(Lost))
		}
		mean, want := float64(lost)/float64(runs), max(burst, 1.25)
		if math.Abs(mean-want) > .1*want {
			t.Errorf("burst %v: %.2f lost in a row on average, want %.2f", burst, mean, want)
		}
	}
}

func TestDoubledAndOvertaking(t *testing.T) {
	got, _ := send(t, 3, Link{Double: .1}, 1000, 10, ms)
	if n := len(got); n < 1060 || n > 1140 {
		t.Errorf("%d packets of 1000 with a tenth doubled", n)
	}
	got, _ = send(t, 3, Link{Latency: 10 * ms, Reorder: .1}, 1000, 10, ms)
	overtaken := 0
	for i := 1; i < len(got); i++ {
		if got[i].first != got[i-1].first+1 && got[i].after%ms == 0 && got[i].first < got[i-1].first {
			overtaken++
		}
	}
	if overtaken < 60 || overtaken > 140 {
		t.Errorf("%d packets of 1000 were overtaken, want about 100", overtaken)
	}
}

func TestRateAndQueue(t *testing.T) {
	// 100 packets of 1000 bits at once, over 1 Mbit/s: one each millisecond.
	const size = 1000/8 - headers
	got, _ := send(t, 4, Link{Rate: 1e6, Latency: 5 * ms}, 100, size, 0)
	if len(got) != 100 || got[0].after != 6*ms || got[99].after != 105*ms {
		t.Errorf("%d packets, first after %v, last after %v", len(got), got[0].after, got[len(got)-1].after)
	}
	got, stats := send(t, 4, Link{Rate: 1e6, Queue: 10 * 1000 / 8}, 100, size, 0)
	if len(got) != 11 || stats.Of(Dropped) != 89 {
		t.Errorf("%d packets went through a queue of 10, %d dropped", len(got), stats.Of(Dropped))
	}
}

func TestMTU(t *testing.T) {
	if got, _ := send(t, 5, Link{}, 1, DefaultMTU-headers, 0); len(got) != 1 {
		t.Error("the largest packet does not pass")
	}
	if got, stats := send(t, 5, Link{MTU: 1280}, 1, 1280-headers+1, 0); len(got) != 0 || stats.Of(TooLarge) != 1 {
		t.Error("one that is too large does")
	}
}

func TestSameSeedSameFate(t *testing.T) {
	l := Link{Latency: ms, Jitter: 10 * ms, Loss: .3, Double: .1}
	a, _ := send(t, 7, l, 200, 10, ms)
	b, _ := send(t, 7, l, 200, 10, ms)
	c, _ := send(t, 8, l, 200, 10, ms)
	if len(a) != len(b) {
		t.Fatalf("%d and %d packets with one seed", len(a), len(b))
	}
	same := len(a) == len(c)
	for i := range a {
		if a[i] != b[i] {
			t.Fatalf("packet %d: %v and %v with one seed", i, a[i], b[i])
		}
		same = same && a[i] == c[i]
	}
	if same {
		t.Error("another seed gives the same")
	}
}

func TestPolicyAndPath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(1, Link{})
		a, b := listen(t, n, addrA), listen(t, n, addrB)
		defer a.Close()
		defer b.Close()
		passes := func(from, to net.PacketConn) bool {
			t.Helper()
			if _, err := from.WriteTo([]byte("x"), to.LocalAddr()); err != nil {
				t.Fatal(err)
			}
			to.SetReadDeadline(time.Now().Add(ms))
			_, _, err := to.ReadFrom(make([]byte, 10))
			if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal(err)
			}
			return err == nil
		}
		if !passes(a, b) || !passes(b, a) {
			t.Error("a perfect network loses packets")
		}
		n.SetPolicy(func(from, to netip.Addr) Link { return Link{Cut: from == addrA.Addr()} })
		if passes(a, b) || !passes(b, a) {
			t.Error("the cut is not one way")
		}
		n.SetPath(addrA, addrB, Link{})
		if !passes(a, b) {
			t.Error("the path does not go before the policy")
		}
	})
}

func TestAddresses(t *testing.T) {
	n := New(1, Link{})
	a := listen(t, n, netip.AddrPortFrom(addrA.Addr(), 0))
	b := listen(t, n, netip.AddrPortFrom(addrA.Addr(), 0))
	if a.LocalAddr().String() == b.LocalAddr().String() {
		t.Error("one address for two")
	}
	at := a.LocalAddr().(*net.UDPAddr).AddrPort()
	if _, err := n.Listen(at); err == nil {
		t.Error("an address was taken twice")
	}
	a.Close()
	if _, err := n.Listen(at); err != nil {
		t.Errorf("a free address: %v", err)
	}
	if _, err := b.WriteTo([]byte("x"), net.UDPAddrFromAddrPort(addrB)); err != nil {
		t.Errorf("to nobody: %v", err)
	}
	if s := n.Stats(); s.Of(NoOne) != 1 || s.Bytes != 1 {
		t.Errorf("stats %+v", s)
	}
}
