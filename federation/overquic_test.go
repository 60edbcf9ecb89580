package federation_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"parley/federation"
	"parley/federation/fedtest"
	"parley/federation/quic"
	"parley/protocol"
	"parley/protocol/s2s"
)

// overQUIC makes a transport crash: nothing that it says at its end gets out.
type overQUIC struct {
	*quic.Transport
	mute func(bool)
}

func (q overQUIC) Crash() {
	q.mute(true)
	q.Close()
	q.mute(false)
}

// quicBubble runs f with nodes that are linked by real QUIC over an emulated network.
func quicBubble(t *testing.T, usual fedtest.Path, names []protocol.Node, tune func(*federation.Config), f func(w *world, n *fedtest.Packets)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w, packets := newWorld(t, names, tune), fedtest.NewPackets(1, usual)
		w.over = func(n *node) (transport, error) {
			socket, err := packets.Listen(n.at)
			if err != nil {
				return nil, err
			}
			tr, err := quic.New(quic.Config{Key: n.key, Name: n.name, Conn: socket, Clock: n.clock})
			mute := func(on bool) {
				for _, other := range w.nodes {
					p := usual
					p.Cut = on
					packets.SetPath(n.at, other.at, p)
				}
			}
			return overQUIC{tr, mute}, err
		}
		w.virtual = true
		w.start()
		defer w.end()
		f(w, packets)
	})
}

func TestOverQUIC(t *testing.T) {
	bad := fedtest.Path{Latency: latency, Jitter: latency, Loss: .02}
	quicBubble(t, bad, two, nil, func(w *world, packets *fedtest.Packets) {
		a, b := w.ab()
		k := 0
		write := func(n int) {
			for range n {
				k++
				a.write(b, 1, k)
				b.write(a, 2, k)
			}
		}
		both := func(within time.Duration) {
			w.Helper()
			b.has(a, 1, k, within)
			a.has(b, 2, k, within)
		}
		write(300)
		both(time.Minute)
		a.mesh.Cast(b.name, &s2s.Cast{Presence: &s2s.Presence{Digest: true}})
		a.mesh.Cast(b.name, &s2s.Cast{Note: &s2s.Note{Topic: topic(a.name, b.name, 1), From: user(a.name, 1),
			Data: []byte(`"` + strings.Repeat("x", 5000) + `"`)}})
		_, body, err := a.mesh.Ask(w.Context(), b.name, &s2s.Ask{File: &s2s.File{Length: 1 << 20}})
		if err != nil {
			w.Fatal(err)
		}
		n, err := io.Copy(io.Discard, body)
		if err := errors.Join(err, body.Close()); err != nil || n != 1<<20 {
			w.Errorf("body of %d bytes, %v", n, err)
		}
		w.pass(time.Second)
		if len(b.book.heard) != 2 {
			w.Errorf("%d casts were heard, want 2", len(b.book.heard))
		}
		cut := bad
		cut.Cut = true
		write(50)
		packets.SetPath(b.at, a.at, cut) // one way
		write(50)
		w.pass(3 * time.Minute)
		packets.SetPath(b.at, a.at, bad)
		both(time.Hour)
		write(50)
		b.kill()
		write(0)
		b.start()
		write(50)
		both(time.Minute)
		a.settled(b, time.Minute)
		b.settled(a, time.Minute)
		if a.book.again+b.book.again > 0 {
			w.Errorf("%d messages came twice", a.book.again+b.book.again)
		}
	})
}

// overLoopback starts the nodes with QUIC over UDP between them, nothing emulated.
func (w *world) overLoopback() {
	w.Helper()
	sockets := map[*node]net.PacketConn{}
	for _, n := range w.nodes {
		c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
		if err != nil {
			w.Fatal(err)
		}
		sockets[n], n.at = c, c.LocalAddr().(*net.UDPAddr).AddrPort()
	}
	w.over = func(n *node) (transport, error) {
		tr, err := quic.New(quic.Config{Key: n.key, Name: n.name, Conn: sockets[n]})
		return overQUIC{tr, func(bool) {}}, err
	}
	w.start()
}

// The same without anything emulated.
func TestOverUDP(t *testing.T) {
	w := newWorld(t, two, nil)
	w.overLoopback()
	defer w.end()
	a, b := w.ab()
	for k := range 500 {
		a.write(b, 1, k+1)
		b.write(a, 1, k+1)
	}
	b.has(a, 1, 500, 10*time.Second)
	a.has(b, 1, 500, 10*time.Second)
}

// tardy closes its streams long after what it has written to them.
type (
	tardy       struct{ transport }
	tardyConn   struct{ federation.Conn }
	tardyStream struct{ federation.Stream }
)

func (t tardy) Dial(ctx context.Context, to federation.Endpoint) (federation.Conn, error) {
	c, err := t.transport.Dial(ctx, to)
	return tardyConn{c}, err
}

func (t tardy) Accept(ctx context.Context) (federation.Conn, error) {
	c, err := t.transport.Accept(ctx)
	return tardyConn{c}, err
}

func (c tardyConn) Open(ctx context.Context) (federation.Stream, error) {
	s, err := c.Conn.Open(ctx)
	return tardyStream{s}, err
}

func (s tardyStream) Close() error {
	time.Sleep(time.Second)
	return s.Stream.Close()
}

// A question is answered though the answer was there before the asker had closed its side.
func TestAnswerBeforeTheEndOfTheQuestion(t *testing.T) {
	quicBubble(t, fedtest.Path{Latency: latency}, two, nil, func(w *world, _ *fedtest.Packets) {
		a, b := w.ab()
		for _, n := range w.nodes {
			n.kill()
		}
		over := w.over
		w.over = func(n *node) (transport, error) {
			t, err := over(n)
			return tardy{t}, err
		}
		for _, n := range w.nodes {
			n.start()
		}
		w.pass(time.Second)
		answer, _, err := a.mesh.Ask(w.Context(), b.name, &s2s.Ask{Ping: &s2s.Ping{Data: []byte("x")}})
		if err != nil || string(answer.Ping.Data) != "x" {
			w.Errorf("%v, %v", answer, err)
		}
	})
}

// Who comes while the peer is being dialled waits for that, too.
func TestAskedWhileDialling(t *testing.T) {
	quicBubble(t, fedtest.Path{Latency: latency}, two, nil, func(w *world, _ *fedtest.Packets) {
		a, b := w.ab()
		failed := make(chan error, 2)
		for range 2 {
			go func() {
				_, _, err := a.mesh.Ask(w.Context(), b.name, &s2s.Ask{Ping: &s2s.Ping{Data: []byte("x")}})
				failed <- err
			}()
			w.pass(latency / 2)
		}
		for range 2 {
			if err := <-failed; err != nil {
				w.Error(err)
			}
		}
	})
}
