package federation_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"parley/federation"
	"parley/federation/fedtest"
	"parley/federation/quic"
)

// What spec/link.md says of certificates.
const (
	day         = 24 * time.Hour
	certRenewal = 3 * day
	certLife    = 7 * day
	certSkew    = time.Hour
)

// witness counts the handshakes that a node has let through as the one that was dialled.
type witness struct {
	overQUIC
	accepted *int
}

func (t witness) Accept(ctx context.Context) (federation.Conn, error) {
	c, err := t.overQUIC.Accept(ctx)
	if err == nil {
		*t.accepted++
	}
	return c, err
}

// aging is two nodes whose certificates get old while they exchange posts.
type aging struct {
	*world
	packets  *fedtest.Packets
	log      lines
	k        int // messages written each way
	a, b     *node
	stranger *federation.Key
	accepted map[*node]*int
}

// withAging runs f with nodes whose clocks are apart, the second started half a renewal after
// the first, and then looks whether all is well.
func withAging(t *testing.T, apart time.Duration, f func(g *aging)) {
	t.Helper()
	g := &aging{stranger: fedtest.NewKey(t), accepted: map[*node]*int{}}
	tune := func(c *federation.Config) {
		c.Log = slog.New(slog.NewTextHandler(&g.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	quicBubble(t, fedtest.Path{Latency: latency}, two, tune, func(w *world, packets *fedtest.Packets) {
		g.world, g.packets = w, packets
		g.a, g.b = w.ab()
		over := w.over
		w.over = func(n *node) (transport, error) {
			g.accepted[n] = new(int)
			t, err := over(n)
			return witness{t.(overQUIC), g.accepted[n]}, err
		}
		g.a.halt()
		g.b.halt()
		g.log.take()
		g.a.start()
		g.pass(certRenewal / 2)
		g.b.setClock(apart)
		g.b.start()
		f(g)
		g.well()
	})
}

// well fails if anything was lost, came twice, or came back to its author, or if a node has
// sent another away.
func (g *aging) well() {
	g.Helper()
	g.both()
	g.a.settled(g.b, time.Minute)
	g.b.settled(g.a, time.Minute)
	if n := g.a.book.again + g.b.book.again; n > 0 {
		g.Errorf("%d messages came twice", n)
	}
	for k := range g.k {
		g.ends(g.a, g.b, 1, k+1)
		g.ends(g.b, g.a, 2, k+1)
	}
	for line := range strings.Lines(g.log.take()) {
		if strings.Contains(line, "certificate") || strings.Contains(line, "refused") {
			g.Error(line)
		}
	}
}

func (g *aging) write(n int) {
	g.Helper()
	for range n {
		g.k++
		g.a.write(g.b, 1, g.k)
		g.b.write(g.a, 2, g.k)
	}
}

// both waits until each has all that the other wrote, in order and once.
func (g *aging) both() {
	g.Helper()
	g.b.has(g.a, 1, g.k, 5*time.Minute)
	g.a.has(g.b, 2, g.k, 5*time.Minute)
}

func (g *aging) cut(on bool) {
	p := fedtest.Path{Latency: latency, Cut: on}
	g.packets.SetPath(g.a.at, g.b.at, p)
	g.packets.SetPath(g.b.at, g.a.at, p)
}

var errSeen = errors.New("seen")

// shown is the certificate with which a node answers a stranger, who goes away then.
func (g *aging) shown(n *node) (seen *x509.Certificate) {
	g.Helper()
	socket, err := g.packets.Listen(netip.MustParseAddrPort("192.0.2.99:1"))
	if err != nil {
		g.Fatal(err)
	}
	stranger, err := quic.New(quic.Config{Key: g.stranger, Name: "c.example", Conn: socket})
	if err != nil {
		g.Fatal(err)
	}
	_, err = stranger.Share().Dial(g.Context(), net.UDPAddrFromAddrPort(n.at), &tls.Config{
		NextProtos: []string{quic.ALPN}, ServerName: string(n.name), InsecureSkipVerify: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			seen = s.PeerCertificates[0]
			return errSeen
		},
	}, nil)
	if !errors.Is(err, errSeen) {
		g.Fatal(err)
	}
	if err := stranger.Close(); err != nil {
		g.Fatal(err)
	}
	return seen
}

// old is how old the certificate is that a node shows, by its own clock.
func (g *aging) old(n *node) time.Duration {
	g.Helper()
	return n.clock().Sub(g.shown(n).NotBefore.Add(day))
}

// TestRenewalUnderTraffic: a link breaks and comes about anew, on both sides of a renewal, for
// longer than two certificates live. Clocks are apart by up to what a link endures.
func TestRenewalUnderTraffic(t *testing.T) {
	for _, apart := range []time.Duration{0, 25*time.Hour - time.Minute} {
		t.Run(apart.String(), func(t *testing.T) {
			withAging(t, apart, func(g *aging) {
				due, other := g.a, g.b
				for start := time.Now(); time.Since(start) <= 2*certLife; due, other = other, due {
					g.pass(certRenewal - time.Minute - g.old(due))
					before, kept, links := g.shown(due), g.shown(other), g.links()
					g.write(2)
					g.both() // over a link that comes about with the old one
					g.cut(true)
					g.write(2)
					g.pass(2 * time.Minute)
					g.cut(false)
					g.write(2)
					g.both()
					if n := g.links() - links; n < 6 { // up, down, up on both sides
						t.Fatalf("%d changes of links", n)
					}
					g.pass(time.Minute) // so that it is the link's, and not made for who asks now
					old, another := g.old(due), !g.shown(due).Equal(before)
					if old < 50*time.Second || old > 10*time.Minute || !another || !g.shown(other).Equal(kept) {
						t.Fatalf("certificates of %v and %v are shown, want a new one and that of before", old, g.old(other))
					}
				}
				if *g.accepted[g.a] == 0 || *g.accepted[g.b] == 0 {
					t.Errorf("dialled: a %d times, b %d", *g.accepted[g.a], *g.accepted[g.b])
				}
			})
		})
	}
}

// TestLinkOutlivesCertificates: a link stays up when the certificates with which it came about
// have expired, and the next comes about.
func TestLinkOutlivesCertificates(t *testing.T) {
	withAging(t, 0, func(g *aging) {
		g.pass(certRenewal - time.Minute - g.old(g.a))
		g.a.mesh.Keep(g.b.name, true)
		g.write(1)
		g.both()
		links, ends := g.links(), g.shown(g.b).NotAfter // a's ends before
		for time.Until(ends) > -2*certSkew {
			g.pass(6 * time.Hour)
			g.write(1)
			g.both()
		}
		if now := g.links(); now != links {
			t.Errorf("links came and went: %v, before %v", now, links)
		}
		g.cut(true)
		g.write(1)
		g.pass(2 * time.Minute)
		g.cut(false)
		g.both()
		if g.links() == links {
			t.Error("the link was not cut")
		}
	})
}

// links is how many links have come and gone.
func (g *aging) links() (n int) {
	for _, x := range []*node{g.a, g.b} {
		x.book.mu.Lock()
		n += len(x.book.links)
		x.book.mu.Unlock()
	}
	return n
}
