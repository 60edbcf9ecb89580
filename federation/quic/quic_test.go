package quic

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"parley/federation"
	"parley/federation/fedtest"
	"parley/protocol"
)

func TestMain(m *testing.M) {
	// quic-go says on the standard logger once that the kernel's buffers are small.
	os.Setenv("QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING", "true")
	goleak.VerifyTestMain(m)
}

// node is a transport and what others need to know to reach it.
type node struct {
	*Transport
	federation.Endpoint
}

// start runs a transport over a socket until the test ends.
func start(t testing.TB, name protocol.Node, socket net.PacketConn, l Limits) node {
	t.Helper()
	return startAs(t, fedtest.NewKey(t), name, socket, l)
}

func startAs(t testing.TB, key *federation.Key, name protocol.Node, socket net.PacketConn, l Limits) node {
	t.Helper()
	tr, err := New(Config{Key: key, Name: name, Conn: socket, Limits: l})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
	})
	at := addrPort(socket.LocalAddr())
	return node{tr, federation.Endpoint{Name: name, Addrs: []netip.AddrPort{at}, Keys: pins(key)}}
}

// udp opens a socket on a loopback address.
func udp(t testing.TB, ip string) net.PacketConn {
	t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(ip), 0)))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// link connects two nodes and returns both ends.
func link(t testing.TB, from, to node) (dialed, accepted federation.Conn) {
	t.Helper()
	dialed, err := from.Dial(t.Context(), to.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	accepted, err = to.Accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return dialed, accepted
}

// cause waits for the end of a connection.
func cause(t testing.TB, c federation.Conn) *federation.ClosedError {
	t.Helper()
	<-c.Context().Done()
	err := context.Cause(c.Context())
	e, ok := errors.AsType[*federation.ClosedError](err)
	if !ok {
		t.Fatalf("cause %v is not a *ClosedError", err)
	}
	return e
}

func TestOverUDP(t *testing.T) {
	for _, ip := range []string{"127.0.0.1", "::1"} {
		t.Run(ip, func(t *testing.T) {
			a, b := start(t, "a.example", udp(t, ip), Limits{}), start(t, "b.example", udp(t, ip), Limits{})
			ab, ba := link(t, a, b)
			checkPeers(t, a, b, ab, ba)
			echo(t, ab, ba, 1<<20)
			ab.CloseWith(federation.CloseDenied, "not\nyou\x00")
			if e := cause(t, ba); e.Code != federation.CloseDenied || !e.Remote || e.Reason != "notyou" {
				t.Errorf("accepted side: %#v", e)
			}
			if e := cause(t, ab); e.Code != federation.CloseDenied || e.Remote {
				t.Errorf("dialled side: %#v", e)
			}
		})
	}
}

func checkPeers(t *testing.T, a, b node, ab, ba federation.Conn) {
	t.Helper()
	p := ab.Peer()
	if !p.Key.Equal(b.Keys[0]) || p.Name != b.Name || p.Asked != b.Name || !p.Dialed || p.Addr != b.Addrs[0] {
		t.Errorf("the dialler sees %+v", p)
	}
	p = ba.Peer()
	if !p.Key.Equal(a.Keys[0]) || p.Name != a.Name || p.Asked != b.Name || p.Dialed || p.Addr != a.Addrs[0] {
		t.Errorf("the accepter sees %+v", p)
	}
}

// echo sends size bytes there and back on one stream.
func echo(t testing.TB, from, to federation.Conn, size int) {
	t.Helper()
	done := make(chan error, 2)
	s, err := from.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		_, err := s.Write(make([]byte, size))
		done <- errors.Join(err, s.Close())
	}()
	go func() {
		r, err := to.Accept(t.Context())
		if err != nil {
			done <- err
			return
		}
		_, err = io.Copy(r, r)
		done <- errors.Join(err, r.Close())
	}()
	n, err := io.Copy(io.Discard, s)
	if err = errors.Join(err, <-done, <-done); err != nil || n != int64(size) {
		t.Fatalf("%d of %d bytes came back: %v", n, size, err)
	}
}

func TestDialRefusesAnotherKey(t *testing.T) {
	a, b := start(t, "a.example", udp(t, "127.0.0.1"), Limits{}), start(t, "b.example", udp(t, "127.0.0.1"), Limits{})
	b.Keys = a.Keys
	if _, err := a.Dial(t.Context(), b.Endpoint); !errors.Is(err, federation.ErrWrongKey) {
		t.Errorf("error %v, want ErrWrongKey", err)
	}
}

func TestCloseEndsWaiting(t *testing.T) {
	a, nobody := start(t, "a.example", udp(t, "127.0.0.1"), Limits{}), udp(t, "127.0.0.1")
	defer nobody.Close()
	errs := make(chan error, 2)
	go func() {
		_, err := a.Accept(context.Background())
		errs <- err
	}()
	go func() {
		_, err := a.Dial(context.Background(), federation.Endpoint{
			Name: "b.example", Addrs: []netip.AddrPort{addrPort(nobody.LocalAddr())},
		})
		errs <- err
	}()
	// The first packet shows that the dial is under way.
	nobody.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, _, err := nobody.ReadFrom(make([]byte, 2000)); err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := <-errs; !errors.Is(err, net.ErrClosed) {
			t.Errorf("error %v, want net.ErrClosed", err)
		}
	}
	if _, err := a.Dial(t.Context(), a.Endpoint); !errors.Is(err, net.ErrClosed) {
		t.Errorf("dial of a closed transport: %v", err)
	}
}
