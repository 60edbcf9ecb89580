package quic

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"

	quicgo "github.com/quic-go/quic-go"

	"parley/federation"
)

// maxUnclaimed is how many connections of another protocol may wait to be taken.
const maxUnclaimed = 16

// Shared is the use of a transport's socket by another protocol, which the handshake tells
// apart by ALPN. So one UDP port serves both. Connections are taken in as those of nodes
// are: rationed, and by whoever calls Transport.Accept.
type Shared struct{ t *Transport }

// Share lets another protocol use the socket.
func (t *Transport) Share() *Shared { return &Shared{t} }

// guest is another protocol on the socket.
type guest struct {
	tls   *tls.Config
	takes func(net.Addr) bool
	conns chan *quicgo.Conn
}

// Serve takes in connections of a protocol from remote addresses that takes says yes to.
// The channel is closed when the transport is, or stop has been called; both end what
// nobody has taken. An ALPN may be served more than once, with tls of the first.
func (s *Shared) Serve(alpn string, conf *tls.Config, takes func(net.Addr) bool) (conns <-chan *quicgo.Conn, stop func(), err error) {
	g := &guest{conf, takes, make(chan *quicgo.Conn, maxUnclaimed)}
	s.t.mu.Lock()
	defer s.t.mu.Unlock()
	if s.t.closed {
		return nil, nil, fmt.Errorf("quic: %w", net.ErrClosed)
	}
	if alpn == ALPN {
		return nil, nil, errors.New("quic: that is the protocol of nodes")
	}
	s.t.guests[alpn] = append(s.t.guests[alpn], g)
	return g.conns, func() { s.t.dismiss(alpn, g) }, nil
}

// Dial connects from the socket. The fence is for whoever calls.
func (s *Shared) Dial(ctx context.Context, to net.Addr, conf *tls.Config, settings *quicgo.Config) (*quicgo.Conn, error) {
	return s.t.quic.Dial(ctx, to, conf, settings)
}

// LocalAddr is that of the socket.
func (s *Shared) LocalAddr() net.Addr { return s.t.socket.LocalAddr() }

// dismiss ends the service of a guest, once.
func (t *Transport) dismiss(alpn string, g *guest) {
	t.mu.Lock()
	i := slices.Index(t.guests[alpn], g)
	if i >= 0 {
		t.guests[alpn] = slices.Delete(t.guests[alpn], i, i+1)
		close(g.conns)
	}
	t.mu.Unlock()
	if i >= 0 {
		for q := range g.conns {
			q.CloseWithError(code(federation.CloseGoodbye), goodbyeMessage)
		}
	}
}

// dismissAll is for the end of the transport.
func (t *Transport) dismissAll() {
	t.mu.Lock()
	all := t.guests
	t.mu.Unlock()
	for alpn, list := range all {
		for _, g := range slices.Clone(list) {
			t.dismiss(alpn, g)
		}
	}
}

// configFor is how a handshake goes on, by what the peer wants to speak.
func (t *Transport) configFor(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, alpn := range hello.SupportedProtos {
		if alpn == ALPN {
			return t.certs.server(), nil
		}
		if list := t.guests[alpn]; len(list) > 0 {
			if conf := list[0].tls; conf.GetConfigForClient != nil {
				return conf.GetConfigForClient(hello)
			}
			return list[0].tls, nil
		}
	}
	return nil, fmt.Errorf("quic: nothing in common among %q", hello.SupportedProtos)
}

// receive hands a connection of another protocol to who serves it, and reports whether it
// was one.
func (t *Transport) receive(q *quicgo.Conn) bool {
	alpn := q.ConnectionState().TLS.NegotiatedProtocol
	if alpn == ALPN {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, g := range t.guests[alpn] {
		if !g.takes(q.RemoteAddr()) {
			continue
		}
		select {
		case g.conns <- q:
			return true
		default:
		}
	}
	q.CloseWithError(code(federation.CloseOverloaded), "not served now")
	return true
}
