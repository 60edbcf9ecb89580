// Package quic carries connections between nodes over QUIC (RFC 9000) with TLS 1.3 on
// both sides, ALPN "parley/1". It shows a certificate that the node makes itself from its
// key, and takes from the peer nothing but such a one.
package quic

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	quicgo "github.com/quic-go/quic-go"

	"parley/federation"
	"parley/protocol"
	"parley/protocol/s2s"
)

// ALPN is what the protocol of a connection is called in the handshake (RFC 7301).
const ALPN = "parley/1"

// Times of every connection. They are no settings: both ends must count on them.
const (
	handshakeTimeout = 5 * time.Second  // without a packet; twice that in all
	keepAlive        = 15 * time.Second // shorter than the memory of common NATs (RFC 4787)
	idleTimeout      = 45 * time.Second // three pings unanswered; half of what learnt presence lives
)

// Bounds of what is remembered or sent.
const (
	connIDLength   = 8 // of 4 bytes, a stranger could collect the reset tokens of others
	tokenOrigins   = 256
	tokensPerNode  = 2
	maxReason      = 200 // bytes of a close reason
	resetKeyLabel  = "quic stateless reset v1"
	tokenKeyLabel  = "quic address token v1"
	goodbyeMessage = "shutting down"
)

// Config of a transport.
type Config struct {
	Key  *federation.Key
	Name protocol.Node // of this node: in its certificate
	// Succession, if not nil, is the statement that Key follows another, shown with it.
	Succession *s2s.Statement
	// Conn is where packets come and go, as a rule a *net.UDPConn. The transport
	// takes it over: Close closes it.
	Conn   net.PacketConn
	Log    *slog.Logger   // nil: no log
	Clock  protocol.Clock // by which certificates are good; nil: the machine's
	Limits Limits
}

// Limits of what peers can make this node do. The zero value of each field stands for
// the default.
type Limits struct {
	// OneWay and BothWays are how many streams of its own a peer may have open at a
	// time. Defaults 16, 64.
	OneWay, BothWays int64
	// StreamWindow and ConnWindow are how many bytes a peer may have sent that are not
	// read yet. Defaults 1 MiB, 4 MiB.
	StreamWindow, ConnWindow uint64
	// FreePerSecond is how many handshakes a second begin without proof that the
	// source address is the sender's own (RFC 9000 section 8.1.2); what is above gets
	// a Retry, a round trip more. Default 64; negative: none is free.
	FreePerSecond float64
	// PrefixPerSecond is how many handshakes a second one source, a /24 or /48, may
	// begin once its address is proven; PrefixBurst, how many at once. What is above
	// is refused. Defaults 8, 64.
	PrefixPerSecond float64
	PrefixBurst     int
	// Handshakes is how many may be going on at a time, with proven and with unproven
	// addresses each. Default 256.
	Handshakes int
}

func (l Limits) withDefaults() Limits {
	return Limits{
		OneWay: cmp.Or(l.OneWay, 16), BothWays: cmp.Or(l.BothWays, 64),
		StreamWindow: cmp.Or(l.StreamWindow, 1<<20), ConnWindow: cmp.Or(l.ConnWindow, 4<<20),
		FreePerSecond:   cmp.Or(l.FreePerSecond, 64),
		PrefixPerSecond: cmp.Or(l.PrefixPerSecond, 8), PrefixBurst: cmp.Or(l.PrefixBurst, 64),
		Handshakes: cmp.Or(l.Handshakes, 256),
	}
}

// Transport implements federation.Transport over one socket.
type Transport struct {
	log      *slog.Logger
	socket   net.PacketConn
	settings *quicgo.Config
	certs    *certificates
	quic     *quicgo.Transport
	listener *quicgo.Listener
	gate     *gate

	ctx    context.Context // of the transport: ends dials
	cancel context.CancelFunc

	closing sync.Once
	mu      sync.Mutex
	closed  bool                // guarded by mu
	conns   map[*conn]bool      // guarded by mu
	guests  map[string][]*guest // by ALPN, guarded by mu
	dials   sync.WaitGroup      // added to under mu while not closed
}

var _ federation.Transport = (*Transport)(nil)

// New begins to listen on cfg.Conn. The error is about the configuration or the socket;
// then cfg.Conn is closed too.
func New(cfg Config) (*Transport, error) {
	if cfg.Key == nil || cfg.Conn == nil {
		return nil, errors.New("quic: key and socket are needed")
	}
	limits := cfg.Limits.withDefaults()
	ctx, cancel := context.WithCancel(context.Background())
	t := &Transport{
		log:      cmp.Or(cfg.Log, slog.New(slog.DiscardHandler)),
		socket:   cfg.Conn,
		settings: settings(limits),
		certs:    &certificates{key: cfg.Key, name: cfg.Name, succession: cfg.Succession, clock: cfg.Clock},
		gate:     newGate(limits),
		ctx:      ctx, cancel: cancel,
		conns: map[*conn]bool{}, guests: map[string][]*guest{},
	}
	if err := t.listen(cfg.Key); err != nil {
		cancel()
		return nil, errors.Join(fmt.Errorf("quic: %w", err), cfg.Conn.Close())
	}
	return t, nil
}

func (t *Transport) listen(key *federation.Key) error {
	if _, err := t.certs.current(); err != nil {
		return err
	}
	reset := quicgo.StatelessResetKey(key.Secret(resetKeyLabel))
	token := quicgo.TokenGeneratorKey(key.Secret(tokenKeyLabel))
	t.quic = &quicgo.Transport{
		Conn:                t.socket,
		ConnectionIDLength:  connIDLength,
		StatelessResetKey:   &reset,
		TokenGeneratorKey:   &token, // tokens given out before a restart stay good
		VerifySourceAddress: t.gate.needsRetry,
		ConnContext:         t.gate.admit,
	}
	var err error
	t.listener, err = t.quic.Listen(&tls.Config{
		MinVersion: tls.VersionTLS13, SessionTicketsDisabled: true, GetConfigForClient: t.configFor,
	}, t.settings)
	return err
}

func settings(l Limits) *quicgo.Config {
	return &quicgo.Config{
		HandshakeIdleTimeout: handshakeTimeout,
		KeepAlivePeriod:      keepAlive,
		MaxIdleTimeout:       idleTimeout,
		// A token of an earlier connection saves the Retry.
		TokenStore:                     quicgo.NewLRUTokenStore(tokenOrigins, tokensPerNode),
		InitialStreamReceiveWindow:     min(l.StreamWindow, 256<<10),
		MaxStreamReceiveWindow:         l.StreamWindow,
		InitialConnectionReceiveWindow: min(l.ConnWindow, 512<<10),
		MaxConnectionReceiveWindow:     l.ConnWindow,
		MaxIncomingUniStreams:          l.OneWay,
		MaxIncomingStreams:             l.BothWays,
		EnableDatagrams:                true,
		// The least that all paths carry (RFC 9000 section 14); the default would not pass
		// where the MTU is the least of IPv6. Larger packets are tried then.
		InitialPacketSize: 1200,
		Allow0RTT:         false, // what is replayed must not act
	}
}

// Accept implements federation.Transport.
func (t *Transport) Accept(ctx context.Context) (federation.Conn, error) {
	for {
		q, err := t.listener.Accept(ctx)
		if err != nil {
			return nil, fmt.Errorf("quic: accept: %w", err)
		}
		settled(q)
		if t.receive(q) {
			continue
		}
		c, err := t.adopt(q, false)
		if err != nil { // it has ended while it waited
			t.log.Debug("connection not taken", "addr", q.RemoteAddr(), "error", err)
			continue
		}
		return c, nil
	}
}

// adopt makes a connection of ours of one whose handshake is done.
func (t *Transport) adopt(q *quicgo.Conn, dialed bool) (*conn, error) {
	peer, err := t.certs.peerOf(q, dialed)
	if err == nil {
		err = context.Cause(q.Context())
	}
	if err != nil {
		return nil, errors.Join(err, q.CloseWithError(code(federation.CloseProtocol), "no usable certificate"))
	}
	c := &conn{q: q, peer: peer}
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	if !t.keep(c) {
		return nil, errors.Join(net.ErrClosed, q.CloseWithError(code(federation.CloseGoodbye), goodbyeMessage))
	}
	context.AfterFunc(q.Context(), func() {
		t.mu.Lock()
		delete(t.conns, c)
		t.mu.Unlock()
		c.cancel(ended(context.Cause(q.Context())))
	})
	return c, nil
}

// keep remembers a connection unless the transport is closed.
func (t *Transport) keep(c *conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.conns[c] = true
	}
	return !t.closed
}

// Close implements federation.Transport. Peers are told goodbye; the socket is closed.
func (t *Transport) Close() error {
	var err error
	t.closing.Do(func() { err = t.close() })
	return err
}

func (t *Transport) close() error {
	t.mu.Lock()
	t.closed = true
	open := make([]*conn, 0, len(t.conns))
	for c := range t.conns {
		open = append(open, c)
	}
	t.mu.Unlock()
	t.cancel()
	t.dials.Wait()
	t.dismissAll()
	err := t.listener.Close() // refuses handshakes that are going on
	for {
		q, err := t.listener.Accept(context.Background())
		if err != nil {
			break
		}
		q.CloseWithError(code(federation.CloseGoodbye), goodbyeMessage)
	}
	var ending sync.WaitGroup
	for _, c := range open {
		ending.Go(func() { c.CloseWith(federation.CloseGoodbye, goodbyeMessage) })
	}
	ending.Wait()
	return errors.Join(err, t.quic.Close(), t.socket.Close())
}
