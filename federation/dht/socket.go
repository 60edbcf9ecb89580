package dht

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	quicgo "github.com/quic-go/quic-go"
)

// ALPN is what libp2p is called in the handshake, next to the protocol of nodes.
const ALPN = "libp2p"

// Windows of connections that this node dials, in bytes. Those that it takes in have the
// limits of the socket.
const (
	streamWindow = 512 << 10
	connWindow   = 1 << 20
)

// Socket is a QUIC endpoint that is shared with the links of the node
// (federation/quic.Shared).
type Socket interface {
	// Serve takes in connections of a protocol from addresses that takes says yes to.
	Serve(alpn string, conf *tls.Config, takes func(net.Addr) bool) (conns <-chan *quicgo.Conn, stop func(), err error)
	Dial(ctx context.Context, to net.Addr, conf *tls.Config, settings *quicgo.Config) (*quicgo.Conn, error)
	LocalAddr() net.Addr
}

// lent is one address family of a Socket, in the form that libp2p borrows. libp2p keeps
// IPv4 and IPv6 apart, and knows lent sockets by their port only.
type lent struct {
	socket Socket
	v4     bool
}

var (
	_ quicreuse.QUICTransport = (*lent)(nil)
	_ net.PacketConn          = (*facade)(nil)
)

// lend makes a manager of connections that uses the socket and opens none.
func lend(s Socket) (*quicreuse.ConnManager, func(), error) {
	m, err := quicreuse.NewConnManager(quicgo.StatelessResetKey{}, quicgo.TokenGeneratorKey{},
		quicreuse.OverrideListenUDP(func(string, *net.UDPAddr) (net.PacketConn, error) {
			return nil, errors.New("dht: no other socket")
		}))
	if err != nil {
		return nil, nil, err
	}
	back := func() {}
	for network, any := range map[string]net.IP{"udp4": net.IPv4zero, "udp6": net.IPv6unspecified} {
		port := portOf(s.LocalAddr())
		returned, err := m.LendTransport(network, &lent{s, network == "udp4"}, &facade{addr: &net.UDPAddr{IP: any, Port: port}})
		if err != nil {
			return nil, nil, errors.Join(fmt.Errorf("dht: lend the socket: %w", err), m.Close())
		}
		before := back
		back = func() { before(); <-returned }
	}
	return m, back, nil
}

func portOf(a net.Addr) int {
	if u, ok := a.(*net.UDPAddr); ok {
		return u.Port
	}
	return 0
}

// takes says whether a remote address is of the family.
func (l *lent) takes(a net.Addr) bool {
	ap, err := netip.ParseAddrPort(a.String())
	return err == nil && ap.Addr().Unmap().Is4() == l.v4
}

// Listen implements quicreuse.QUICTransport.
func (l *lent) Listen(conf *tls.Config, _ *quicgo.Config) (quicreuse.QUICListener, error) {
	conns, stop, err := l.socket.Serve(ALPN, conf, l.takes)
	if err != nil {
		return nil, err
	}
	return &listener{conns, stop, l.socket.LocalAddr()}, nil
}

// Dial implements quicreuse.QUICTransport.
func (l *lent) Dial(ctx context.Context, to net.Addr, conf *tls.Config, settings *quicgo.Config) (*quicgo.Conn, error) {
	settings = settings.Clone()
	settings.MaxStreamReceiveWindow, settings.MaxConnectionReceiveWindow = streamWindow, connWindow
	return l.socket.Dial(ctx, to, light(conf), settings)
}

// light is conf without the hybrid key exchange. Where two shake hands for a question about
// public records, that would be most of it: a kilobyte more each way, and so a packet more,
// and a fifth of the time.
func light(conf *tls.Config) *tls.Config {
	conf = conf.Clone()
	conf.CurvePreferences = []tls.CurveID{tls.X25519}
	return conf
}

// WriteTo implements quicreuse.QUICTransport: nothing but QUIC goes out.
func (l *lent) WriteTo([]byte, net.Addr) (int, error) { return 0, errors.ErrUnsupported }

// ReadNonQUICPacket implements quicreuse.QUICTransport: nothing but QUIC comes in.
func (l *lent) ReadNonQUICPacket(ctx context.Context, _ []byte) (int, net.Addr, error) {
	<-ctx.Done()
	return 0, nil, ctx.Err()
}

// Close implements io.Closer. The socket stays.
func (l *lent) Close() error { return nil }

// listener is a quicreuse.QUICListener.
type listener struct {
	conns <-chan *quicgo.Conn
	stop  func()
	addr  net.Addr
}

func (l *listener) Accept(ctx context.Context) (*quicgo.Conn, error) {
	select {
	case c, ok := <-l.conns:
		if !ok {
			return nil, quicgo.ErrServerClosed
		}
		return c, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *listener) Close() error {
	l.stop()
	return nil
}

func (l *listener) Addr() net.Addr { return l.addr }

// facade is the socket as libp2p may see it: an address.
type facade struct {
	net.PacketConn // nil: nobody reads or writes
	addr           *net.UDPAddr
}

func (f *facade) LocalAddr() net.Addr { return f.addr }

func (f *facade) Close() error { return nil }
