package federation

import (
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"net/netip"
	"time"

	"parley/protocol"
	"parley/protocol/s2s"
)

// Endpoint is where a node may be reached and what is known of its identity.
type Endpoint struct {
	Name  protocol.Node
	Addrs []netip.AddrPort // raced; IPv6 and IPv4
	// Keys, if any, are the only keys that the node may show.
	Keys []ed25519.PublicKey
}

// A Transport carries connections between nodes. A plug (federation/quic) makes
// them over UDP, federation/fedtest in memory with faults. It proves nothing but
// that the peer holds the key it shows: whose key that is, is not its business.
type Transport interface {
	// Dial connects to one of the endpoint's addresses; the first that answers wins.
	// The error says what was tried. An address that shows a key which is not among
	// Endpoint.Keys has failed: the error of Dial then wraps ErrWrongKey.
	Dial(ctx context.Context, to Endpoint) (Conn, error)
	// Accept waits for a connection that a peer has dialled.
	Accept(ctx context.Context) (Conn, error)
	// Close ends all connections and waits for what it has started.
	Close() error
}

// Conn is a connection to a peer whose key is known: encrypted, many streams,
// datagrams. All methods may be called at once.
type Conn interface {
	// Peer is who is at the other end.
	Peer() ConnPeer
	Streams
	Datagrams
	// CloseWith ends the connection at once and tells the peer why; reason is text
	// for its log.
	CloseWith(code CloseCode, reason string)
	// Context ends when the connection does; its cause is a *ClosedError.
	Context() context.Context
}

// ErrWrongKey is wrapped by the error of a Dial that has met a key which is not among
// Endpoint.Keys.
var ErrWrongKey = errors.New("federation: the node shows another key")

// ErrTooLarge is returned for a datagram that does not fit into a packet.
var ErrTooLarge = errors.New("federation: the datagram is too large")

// Streams are ordered and reliable, one way or both ways. Opening waits while the
// peer allows no more. The peer sees a stream when something has been written to it or
// it has been closed. What is wrong with a stream is a *ClosedError, or
// os.ErrDeadlineExceeded after its deadline, or what ctx ended for.
type Streams interface {
	OpenSend(ctx context.Context) (SendStream, error)
	AcceptReceive(ctx context.Context) (ReceiveStream, error)
	Open(ctx context.Context) (Stream, error)
	Accept(ctx context.Context) (Stream, error)
}

// Datagrams are small, unordered, and may get lost.
type Datagrams interface {
	// SendDatagram returns ErrTooLarge if the path does not carry so much. It may wait
	// while others wait to be sent; the end of the connection ends that.
	SendDatagram([]byte) error
	ReceiveDatagram(ctx context.Context) ([]byte, error)
}

// ConnPeer is what the handshake has shown.
type ConnPeer struct {
	Key    ed25519.PublicKey
	Name   protocol.Node // that the certificate claims; a claim only
	Asked  protocol.Node // the name that the dialler wanted to reach (SNI)
	Dialed bool          // by us
	Addr   netip.AddrPort
	// Succession, if not nil, is a statement that Key follows another; nobody has checked it.
	Succession *s2s.Statement
}

// SendStream is one way out. Close ends it in order; Reset throws away what is not
// sent yet.
type SendStream interface {
	io.WriteCloser
	Reset(code CloseCode)
	SetWriteDeadline(time.Time) error
}

// ReceiveStream is one way in. Stop tells the peer to send no more.
type ReceiveStream interface {
	io.Reader
	Stop(code CloseCode)
	SetReadDeadline(time.Time) error
}

// Stream is both.
type Stream interface {
	SendStream
	ReceiveStream
}

// CloseCode says why a connection or stream was ended. Codes are on the wire: append
// only.
type CloseCode uint64

// The codes.
const (
	CloseGoodbye    CloseCode = iota // nothing is wrong
	CloseReplaced                    // another connection with the same peer stays
	CloseIdle                        // nothing to say for long
	CloseProtocol                    // the peer breaks the rules
	CloseUnproven                    // the peer's key is not shown to be of its name
	CloseDenied                      // the operator does not want this peer
	CloseOverloaded                  // come back later
	CloseInternal                    // our fault
)

// ClosedError is the cause of the end of a connection, or of a stream that was ended
// out of order; of the latter, too, if the connection takes it along.
type ClosedError struct {
	Code   CloseCode
	Reason string // short and printable
	Remote bool   // the peer ended it
	// Err, if any, is what the transport has found. Then nobody has said Code: it is
	// the nearest, CloseIdle for a peer that is not heard of any more.
	Err error
}

// Error implements error.
func (e *ClosedError) Error() string {
	by := "by us"
	if e.Remote {
		by = "by the peer"
	}
	s := "federation: closed " + by
	if e.Reason != "" {
		s += ": " + e.Reason
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap implements errors.Unwrap.
func (e *ClosedError) Unwrap() error { return e.Err }
