package ws

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

const handshakeTimeout = 10 * time.Second

var buffers sync.Pool // of the library's write buffers, for all connections

// Upgrader accepts connections.
type Upgrader struct {
	opt Options
	up  websocket.Upgrader
}

// NewUpgrader makes one. Any Origin is accepted: the protocol has no ambient
// credentials that a foreign page could use.
func NewUpgrader(o Options) *Upgrader {
	o = o.withDefaults()
	return &Upgrader{opt: o, up: websocket.Upgrader{
		WriteBufferSize:   writeBuffer, // the read buffer comes from hijacker
		WriteBufferPool:   &buffers,
		CheckOrigin:       func(*http.Request) bool { return true },
		EnableCompression: o.Compress,
	}}
}

// Requested reports whether a request asks for a WebSocket.
func Requested(r *http.Request) bool { return websocket.IsWebSocketUpgrade(r) }

// Upgrade makes a request a connection. If it cannot, it has answered the request.
func (u *Upgrader) Upgrade(w http.ResponseWriter, r *http.Request) (*Conn, error) {
	h := &hijacker{ResponseWriter: w, wait: u.opt.WriteWait}
	c, err := u.up.Upgrade(h, r, nil)
	if err != nil {
		return nil, fmt.Errorf("ws: upgrade: %w", err)
	}
	return newConn(c, h.conn, h.in, &u.opt), nil
}

// hijacker slips a corked socket and our read buffer under the library's connection.
type hijacker struct {
	http.ResponseWriter
	wait time.Duration
	conn *corked
	in   *bufio.Reader
}

// Hijack implements [http.Hijacker], through wrapped writers too.
func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	if rw.Reader.Buffered() > 0 {
		_ = c.Close() // there is nothing to save
		return nil, nil, errEager
	}
	h.conn = &corked{Conn: c, wait: h.wait}
	h.in = bufio.NewReaderSize(h.conn, readBuffer)
	return h.conn, bufio.NewReadWriter(h.in, rw.Writer), nil
}

var errEager = errors.New("data before the end of the handshake")

// RefusedError is what [Dial] returns if the server answered, but not with a
// WebSocket.
type RefusedError struct {
	Status int         // HTTP
	Header http.Header // Retry-After tells when to come back
	Body   []byte      // the first 1 KiB
}

// Error implements error.
func (e *RefusedError) Error() string { return fmt.Sprintf("ws: refused with HTTP %d", e.Status) }

// Dial connects to a ws: or wss: URL. Packets over limit bytes end the connection;
// 0 means the default.
func Dial(ctx context.Context, url string, header http.Header, limit int) (*Conn, error) {
	return Dialer{Options: Options{MaxMessage: limit}}.Dial(ctx, url, header)
}

// Dialer connects with more to choose than [Dial] has.
type Dialer struct {
	Options
	TLS *tls.Config // for wss:; nil: the usual one
}

// Dial connects to a ws: or wss: URL. Its error is a [RefusedError] if the server
// answered with another HTTP status.
func (d Dialer) Dial(ctx context.Context, url string, header http.Header) (*Conn, error) {
	opt := d.withDefaults()
	var out *corked
	var nd net.Dialer
	g := websocket.Dialer{
		ReadBufferSize:    readBuffer,
		WriteBufferSize:   writeBuffer,
		WriteBufferPool:   &buffers,
		HandshakeTimeout:  handshakeTimeout,
		TLSClientConfig:   d.TLS,
		EnableCompression: d.Compress,
		NetDialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := nd.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			out = &corked{Conn: c, wait: opt.WriteWait}
			return out, nil
		},
	}
	c, resp, err := g.DialContext(ctx, url, header)
	if err == nil {
		return newConn(c, out, nil, &opt), nil
	}
	if resp != nil {
		body, _ := io.ReadAll(resp.Body) // the library keeps 1 KiB at most
		return nil, &RefusedError{Status: resp.StatusCode, Header: resp.Header, Body: body}
	}
	return nil, fmt.Errorf("ws: dial: %w", err)
}
