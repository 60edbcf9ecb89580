package quic

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"parley/federation"
	"parley/federation/fedtest"
)

// Tests on an emulated network in virtual time.

const latency = 20 * time.Millisecond // one way

func at(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

func pins(k *federation.Key) []ed25519.PublicKey { return []ed25519.PublicKey{k.Public()} }

// socket opens one of the emulated network.
func socket(t testing.TB, n *fedtest.Packets, addr string) net.PacketConn {
	t.Helper()
	c, err := n.Listen(at(addr))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const addrA, addrB = "192.0.2.1:1", "[2001:db8::2]:2"

// two runs f in a bubble with two nodes.
func two(t *testing.T, l Limits, f func(t *testing.T, n *fedtest.Packets, a, b node)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := fedtest.NewPackets(1, fedtest.Path{Latency: latency})
		f(t, n, start(t, "a.example", socket(t, n, addrA), l), start(t, "b.example", socket(t, n, addrB), l))
	})
}

func TestHandshakeIsOneRoundTrip(t *testing.T) {
	two(t, Limits{}, func(t *testing.T, n *fedtest.Packets, a, b node) {
		begin := time.Now()
		ab, ba := link(t, a, b)
		if d := time.Since(begin); d != 3*latency { // the accepter's is half a round trip later
			t.Errorf("both ends after %v, want %v", d, 3*latency)
		}
		checkPeers(t, a, b, ab, ba)
		echo(t, ab, ba, 100_000)
	})
}

func TestLossyPath(t *testing.T) {
	two(t, Limits{}, func(t *testing.T, n *fedtest.Packets, a, b node) {
		bad := fedtest.Path{Latency: latency, Jitter: latency, Loss: .1}
		n.SetPath(at(addrA), at(addrB), bad)
		n.SetPath(at(addrB), at(addrA), bad)
		ab, ba := link(t, a, b)
		echo(t, ab, ba, 200_000)
	})
}

func TestQuietConnectionLives(t *testing.T) {
	two(t, Limits{}, func(t *testing.T, n *fedtest.Packets, a, b node) {
		ab, ba := link(t, a, b)
		time.Sleep(time.Hour)
		echo(t, ab, ba, 10)
	})
}

func TestLostPeer(t *testing.T) {
	two(t, Limits{}, func(t *testing.T, n *fedtest.Packets, a, b node) {
		ab, ba := link(t, a, b)
		time.Sleep(time.Second)
		n.SetPath(at(addrA), at(addrB), fedtest.Path{Cut: true}) // one way is enough
		begin := time.Now()
		// b hears nothing. a hears b's pings until b has given up.
		for i, c := range []federation.Conn{ba, ab} {
			e := cause(t, c)
			if e.Code != federation.CloseIdle || e.Remote || e.Err == nil {
				t.Errorf("cause %#v", e)
			}
			if d := time.Since(begin); d < idleTimeout-keepAlive || d > time.Duration(1+i)*(idleTimeout+keepAlive) {
				t.Errorf("noticed after %v", d)
			}
		}
	})
}

func TestRestartedPeerIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := fedtest.NewPackets(1, fedtest.Path{Latency: latency})
		key := fedtest.NewKey(t)
		a := start(t, "a.example", socket(t, n, addrA), Limits{})
		old := startAs(t, key, "b.example", socket(t, n, addrB), Limits{})
		ab, _ := link(t, a, old)
		time.Sleep(time.Second)
		n.SetPath(at(addrB), at(addrA), fedtest.Path{Cut: true}) // no goodbye gets through
		old.Close()
		n.SetPath(at(addrB), at(addrA), fedtest.Path{Latency: latency})
		startAs(t, key, "b.example", socket(t, n, addrB), Limits{})
		begin := time.Now()
		s, err := ab.OpenSend(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Write(make([]byte, 100)); err != nil { // to less than a reset's size there is no answer
			t.Fatal(err)
		}
		e := cause(t, ab)
		if e.Code != federation.CloseInternal || !e.Remote {
			t.Errorf("cause %#v", e)
		}
		if d := time.Since(begin); d != 2*latency {
			t.Errorf("noticed after %v: not by a stateless reset", d)
		}
	})
}

func TestRace(t *testing.T) {
	const dead = "[2001:db8::dead]:1"
	for _, c := range []struct {
		name  string
		addrs []string
		want  time.Duration
	}{
		{"first", []string{addrB}, 2 * latency},
		{"IPv6 first", []string{"192.0.2.99:1", addrB}, 2 * latency},
		{"second", []string{dead, "192.0.2.99:1", addrB}, 2*raceStep + 2*latency},
	} {
		t.Run(c.name, func(t *testing.T) {
			two(t, Limits{}, func(t *testing.T, n *fedtest.Packets, a, b node) {
				to := b.Endpoint
				to.Addrs = nil
				for _, s := range c.addrs {
					to.Addrs = append(to.Addrs, at(s))
				}
				begin := time.Now()
				ab, err := a.Dial(t.Context(), to)
				if err != nil {
					t.Fatal(err)
				}
				if d := time.Since(begin); d != c.want || ab.Peer().Addr != at(addrB) {
					t.Errorf("%v after %v, want %v", ab.Peer().Addr, d, c.want)
				}
			})
		})
	}
}

func TestDialNobody(t *testing.T) {
	two(t, Limits{}, func(t *testing.T, n *fedtest.Packets, a, b node) {
		begin := time.Now()
		_, err := a.Dial(t.Context(), federation.Endpoint{Name: "c.example", Addrs: []netip.AddrPort{at("192.0.2.3:3"), at("192.0.2.4:4")}})
		e, ok := errors.AsType[*federation.ClosedError](err)
		if !ok || e.Code != federation.CloseIdle || time.Since(begin) > 2*handshakeTimeout {
			t.Errorf("after %v: %v", time.Since(begin), err)
		}
		for _, addr := range []string{"192.0.2.3:3", "192.0.2.4:4"} {
			if !bytes.Contains([]byte(err.Error()), []byte(addr)) {
				t.Errorf("%v does not say that %s was tried", err, addr)
			}
		}
		if _, err := a.Dial(t.Context(), federation.Endpoint{Name: "c.example"}); !errors.Is(err, errNoAddress) {
			t.Errorf("without address: %v", err)
		}
	})
}

// retried collects the handshakes that were answered with a Retry (RFC 9000 section
// 17.2.5), by the dialler's connection id: a large hello is two packets, with a Retry each.
func retried(n *fedtest.Packets) map[string]bool {
	seen := map[string]bool{}
	n.Tap(func(_, _ netip.AddrPort, b []byte) {
		const version1 = 1
		if b[0]>>4 == 0xf && binary.BigEndian.Uint32(b[1:]) == version1 {
			seen[string(b[6:6+b[5]])] = true
		}
	})
	return seen
}

func TestRetryUnderLoad(t *testing.T) {
	two(t, Limits{FreePerSecond: 1}, func(t *testing.T, n *fedtest.Packets, a, b node) {
		seen := retried(n)
		c := start(t, "c.example", socket(t, n, "192.0.2.3:3"), Limits{})
		d := start(t, "d.example", socket(t, n, "192.0.2.4:4"), Limits{})
		for i, step := range []struct {
			from node
			want int // retries so far
		}{
			{a, 0}, {c, 0}, // two are free at once
			{d, 1}, // from here on a proof is asked for
			{d, 1}, // and d has got a token meanwhile
		} {
			link(t, step.from, b)
			time.Sleep(4 * latency) // the token arrives
			if len(seen) != step.want {
				t.Errorf("step %d: %d retries, want %d", i, len(seen), step.want)
			}
		}
	})
}

func TestSourceIsRationed(t *testing.T) {
	const burst = 3
	two(t, Limits{FreePerSecond: -1, PrefixPerSecond: .1, PrefixBurst: burst}, func(t *testing.T, n *fedtest.Packets, a, b node) {
		for range burst {
			link(t, a, b)
		}
		_, err := a.Dial(t.Context(), b.Endpoint)
		if e, ok := errors.AsType[*federation.ClosedError](err); !ok || e.Code != federation.CloseOverloaded || !e.Remote {
			t.Errorf("one too many: %v", err)
		}
		link(t, start(t, "c.example", socket(t, n, "198.51.100.3:3"), Limits{}), b)
		time.Sleep(11 * time.Second)
		link(t, a, b)
	})
}

func TestBrokenSocket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := fedtest.NewPackets(1, fedtest.Path{Latency: latency})
		s := socket(t, n, addrA)
		a, err := New(Config{Key: fedtest.NewKey(t), Name: "a.example", Conn: s})
		if err != nil {
			t.Fatal(err)
		}
		b := start(t, "b.example", socket(t, n, addrB), Limits{})
		ab, err := a.Dial(t.Context(), b.Endpoint)
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
		if e := cause(t, ab); e.Code != federation.CloseInternal || e.Remote {
			t.Errorf("cause %#v", e)
		}
		if _, err := a.Accept(t.Context()); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("accept: %v", err)
		}
		a.Close()
	})
}
