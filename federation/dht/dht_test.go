package dht

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	quicgo "github.com/quic-go/quic-go"

	"parley/federation"
	"parley/federation/quic"
	"parley/protocol"
)

func TestMain(m *testing.M) {
	os.Setenv("QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING", "true")
	m.Run()
}

var loopback = federation.Fence{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}}

// newIdentity makes keys in a directory of the test.
func newIdentity(t testing.TB) *federation.Identity {
	t.Helper()
	dir := t.TempDir()
	if _, err := federation.CreateKey(filepath.Join(dir, federation.KeyFile)); err != nil {
		t.Fatal(err)
	}
	id, err := federation.LoadIdentity(dir)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// change gives the node another key.
func change(t testing.TB, id *federation.Identity, name protocol.Node) {
	t.Helper()
	if err := id.Prepare(false); err != nil {
		t.Fatal(err)
	}
	if _, err := id.Change(name, false, time.Now()); err != nil {
		t.Fatal(err)
	}
}

// member is a node of the DHT, and of links, with one UDP port.
type member struct {
	*Node
	links *quic.Transport
	addr  netip.AddrPort
}

// begin runs a node until the test ends. It takes in links, and says who dialled.
func begin(t testing.TB, id *federation.Identity, listen string, known ...netip.AddrPort) *member {
	t.Helper()
	conn, err := net.ListenPacket("udp", listen)
	if err != nil {
		t.Fatal(err)
	}
	m := &member{}
	m.links, err = quic.New(quic.Config{Key: id.Key, Name: federation.KeyName(id.Key.Public()), Conn: conn})
	if err != nil {
		t.Fatal(err)
	}
	port := conn.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	ip := netip.MustParseAddr("127.0.0.1")
	if a := conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr(); a == netip.IPv6Loopback() {
		ip = a
	}
	m.addr = netip.AddrPortFrom(ip, port)
	m.Node, err = New(Config{
		Identity: id, Socket: m.links.Share(), Fence: loopback, Server: true, Addrs: []netip.AddrPort{m.addr},
		Bootstrap: func(context.Context) []netip.AddrPort { return known },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			if _, err := m.links.Accept(ctx); err != nil {
				return
			}
		}
	})
	wg.Go(func() { _ = m.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		if err := errors.Join(m.Close(), m.links.Close()); err != nil {
			t.Error(err)
		}
	})
	return m
}

// exchanges is a Socket that keeps what key exchanges there were in handshakes it began.
type exchanges struct {
	Socket
	mu   sync.Mutex
	seen []tls.CurveID
}

func (e *exchanges) Dial(ctx context.Context, to net.Addr, conf *tls.Config, settings *quicgo.Config) (*quicgo.Conn, error) {
	c, err := e.Socket.Dial(ctx, to, conf, settings)
	if err == nil {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.seen = append(e.seen, c.ConnectionState().TLS.CurveID)
	}
	return c, err
}

// Handshakes go without the kilobytes of a hybrid key exchange.
func TestKeyExchange(t *testing.T) {
	there := begin(t, newIdentity(t), "127.0.0.1:0")
	socket := &exchanges{Socket: begin(t, newIdentity(t), "127.0.0.1:0").links.Share()}
	here, err := New(Config{Identity: newIdentity(t), Socket: socket, Fence: loopback})
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	if err := here.Connect(t.Context(), there.addr); err != nil {
		t.Fatal(err)
	}
	socket.mu.Lock()
	defer socket.mu.Unlock()
	if want := []tls.CurveID{tls.X25519, tls.X25519}; !slices.Equal(socket.seen, want) {
		t.Errorf("%v", socket.seen)
	}
}

// eventually tries until it works, or the test has taken too long.
func eventually(t testing.TB, what string, try func() error) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	late := time.After(20 * time.Second)
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-late:
			t.Fatalf("%s: %v", what, err)
		case <-tick.C:
		}
	}
}

// A node that has a key name and no DNS is found by two others through a third; what they
// find is enough to link with it, by the same port.
func TestThreeNodes(t *testing.T) {
	id := newIdentity(t)
	meeting := begin(t, newIdentity(t), "127.0.0.1:0")
	lonely := begin(t, id, "127.0.0.1:0", meeting.addr)
	seekers := []*member{begin(t, newIdentity(t), "127.0.0.1:0", meeting.addr), begin(t, newIdentity(t), "[::]:0", meeting.addr)}
	name := federation.KeyName(id.Key.Public())
	for _, s := range seekers {
		var addrs []netip.AddrPort
		eventually(t, "locate", func() (err error) {
			addrs, err = s.Locate(t.Context(), id.Key.Public())
			return err
		})
		if len(addrs) != 1 || addrs[0] != lonely.addr {
			t.Fatalf("found at %v, want %v", addrs, lonely.addr)
		}
		c, err := s.links.Dial(t.Context(), federation.Endpoint{Name: name, Addrs: addrs, Keys: []ed25519.PublicKey{id.Key.Public()}})
		if err != nil {
			t.Fatal(err)
		}
		c.CloseWith(federation.CloseGoodbye, "")
	}
	_, err := seekers[0].Locate(t.Context(), newIdentity(t).Key.Public())
	if !errors.Is(err, federation.ErrNothing) {
		t.Errorf("a key that is not there: %v", err)
	}
}

func TestOverIPv6(t *testing.T) {
	id := newIdentity(t)
	meeting := begin(t, newIdentity(t), "[::1]:0")
	lonely := begin(t, id, "[::1]:0", meeting.addr)
	seeker := begin(t, newIdentity(t), "[::1]:0", meeting.addr)
	eventually(t, "locate", func() error {
		addrs, err := seeker.Locate(t.Context(), id.Key.Public())
		if err == nil && (len(addrs) != 1 || addrs[0] != lonely.addr) {
			err = fmt.Errorf("found at %v", addrs)
		}
		return err
	})
}

// A node whose key has changed is found by its first one, which is its name.
func TestFoundByTheFirstKey(t *testing.T) {
	id := newIdentity(t)
	first := id.Key.Public()
	for range 2 {
		change(t, id, federation.KeyName(first))
	}
	meeting := begin(t, newIdentity(t), "127.0.0.1:0")
	begin(t, id, "127.0.0.1:0", meeting.addr)
	seeker := begin(t, newIdentity(t), "127.0.0.1:0", meeting.addr)
	for _, key := range []ed25519.PublicKey{first, id.Key.Public()} {
		eventually(t, "locate", func() error {
			_, err := seeker.Locate(t.Context(), key)
			return err
		})
	}
}

// A record is filed again when the table has grown, after an hour, and when the table was
// lost; not for nothing: that is a handshake with each of twenty nodes.
func TestFiledAgain(t *testing.T) {
	now := time.Now()
	here, err := New(Config{Identity: newIdentity(t), Socket: begin(t, newIdentity(t), "127.0.0.1:0").links.Share(), Fence: loopback,
		Addrs: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:1")}, Clock: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	meet := func() {
		t.Helper()
		known := here.Size()
		if err := here.Connect(t.Context(), begin(t, newIdentity(t), "127.0.0.1:0").addr); err != nil {
			t.Fatal(err)
		}
		eventually(t, "one more in the table", func() error {
			if here.Size() == known {
				return errors.New("not yet")
			}
			return nil
		})
	}
	files := func(when string, after time.Duration, want bool) {
		t.Helper()
		now = now.Add(after)
		if err := here.Publish(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := here.at.Equal(now); got != want {
			t.Errorf("%s: filed %v, want %v", when, got, want)
		}
	}
	meet()
	files("at first", 0, true)
	files("nobody has come", 10*time.Minute, false)
	meet()
	files("one has come", 0, true)
	files("an hour later", time.Hour, true)
	files("a minute later", time.Minute, false)
	here.lost()
	files("the table was lost", 0, true)
	files("six hours later", 6*time.Hour, true)
}

func TestNobodyThere(t *testing.T) {
	n := begin(t, newIdentity(t), "127.0.0.1:0")
	if _, err := n.Locate(t.Context(), n.cfg.Identity.Key.Public()); err == nil || errors.Is(err, federation.ErrNothing) {
		t.Errorf("alone: %v, want a failure that may pass", err)
	}
	dead, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer dead.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := n.Connect(ctx, dead.LocalAddr().(*net.UDPAddr).AddrPort()); err == nil {
		t.Error("connected with nobody")
	}
}
