// Package ws carries packets of the client protocol over WebSocket (RFC 6455): one
// packet is one text frame. It serves both ends: [Upgrade] for nodes, [Dial] for
// clients. An idle connection costs one goroutine, its reader's, and a buffer of
// 1 KiB.
package ws

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

// Options tune a connection; each zero field means its default.
type Options struct {
	MaxMessage int           // bytes of a packet; a longer one ends the connection with 1009; 128 KiB
	PingEvery  time.Duration // 50 s
	PongWait   time.Duration // silence after a ping that means that the peer is gone; 25 s
	WriteWait  time.Duration // for the network to take what is written; 10 s
	CloseWait  time.Duration // for the peer to answer a close; 2 s
	Compress   bool          // accept permessage-deflate (RFC 7692), without context
}

func (o Options) withDefaults() Options {
	if o.MaxMessage <= 0 {
		o.MaxMessage = 128 << 10
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{{&o.PingEvery, 50 * time.Second}, {&o.PongWait, 25 * time.Second}, {&o.WriteWait, 10 * time.Second}, {&o.CloseWait, 2 * time.Second}} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	return o
}

const (
	readBuffer   = 1 << 10
	writeBuffer  = 4 << 10 // pooled: held while a frame is made
	compressFrom = 512     // bytes of a packet below which deflate costs more than it saves
	drainMax     = 16 << 20
)

// Code tells the peer why a connection ends (RFC 6455 section 7.4.1).
type Code int

// The codes in use.
const (
	Normal    Code = websocket.CloseNormalClosure    // 1000
	GoingAway Code = websocket.CloseGoingAway        // 1001: the node is stopping
	Policy    Code = websocket.ClosePolicyViolation  // 1008: the client asks too much
	TooLarge  Code = websocket.CloseMessageTooBig    // 1009
	TryLater  Code = websocket.CloseTryAgainLater    // 1013
	noStatus  Code = websocket.CloseNoStatusReceived // 1005: a close frame without a code
)

// Errors of Read, beside [ClosedError] and those of the network.
var (
	ErrTooLarge = errors.New("ws: packet over the limit")
	ErrSilent   = errors.New("ws: the peer did not answer a ping")
)

// ClosedError is what Read returns when the peer has ended the connection. It is
// io.EOF to errors.Is if that was meant to be.
type ClosedError struct {
	Code Code
	Text string
}

// Error implements error.
func (e *ClosedError) Error() string {
	return fmt.Sprintf("ws: closed by the peer: %d %.64q", e.Code, e.Text)
}

// Is makes a proper end io.EOF.
func (e *ClosedError) Is(target error) bool {
	return target == io.EOF && (e.Code == Normal || e.Code == GoingAway || e.Code == noStatus)
}

// Conn is a connection. One goroutine may call Read, one Write, any the others.
type Conn struct {
	ws   *websocket.Conn
	in   *bufio.Reader // what ws reads from; nil at clients
	out  *corked
	opt  *Options
	ping *time.Timer // next turn of keepAlive

	heard    atomic.Bool // something came since the last ping
	awaiting bool        // a pong; used by keepAlive only
	silent   atomic.Bool // keepAlive gave up
	closing  atomic.Bool // a close frame was sent, or is being sent
	closed   sync.Once
}

func newConn(w *websocket.Conn, out *corked, in *bufio.Reader, opt *Options) *Conn {
	c := &Conn{ws: w, in: in, out: out, opt: opt}
	w.SetReadLimit(int64(opt.MaxMessage))
	w.SetPongHandler(func(string) error { c.heard.Store(true); return nil })
	c.ping = time.AfterFunc(math.MaxInt64, c.keepAlive)
	c.ping.Reset(opt.PingEvery) // only now may keepAlive use it
	return c
}

// keepAlive sends pings, and closes the connection if the peer has been silent
// for PongWait after one: a half-open socket lives PingEvery + PongWait at most.
func (c *Conn) keepAlive() {
	if c.awaiting {
		if !c.heard.Load() {
			c.silent.Store(true)
			c.abort()
			return
		}
		c.awaiting = false
		c.ping.Reset(max(c.opt.PingEvery-c.opt.PongWait, 0))
		return
	}
	c.heard.Store(false)
	c.awaiting = true
	if err := c.ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(c.opt.WriteWait)); err == nil {
		c.ping.Reset(c.opt.PongWait)
	}
}

// RemoteAddr is the other end of the socket, which may be a proxy's.
func (c *Conn) RemoteAddr() net.Addr { return c.ws.RemoteAddr() }

// Read returns the next packet, which may be empty or not UTF-8. After Close it
// passes over what still arrives and returns when the peer has closed too. Its
// error is final, and the connection closed with it.
func (c *Conn) Read() ([]byte, error) {
	for {
		c.await()
		_, r, err := c.ws.NextReader() // binary frames are taken for text
		if err != nil {
			return nil, c.ended(err)
		}
		c.heard.Store(true)
		// The library's limit is of bytes on the wire, before decompression.
		p, err := io.ReadAll(io.LimitReader(r, int64(c.opt.MaxMessage)+1))
		switch {
		case err != nil:
			return nil, c.ended(err)
		case c.closing.Load():
		case len(p) > c.opt.MaxMessage:
			c.CloseWith(TooLarge, "")
			return nil, c.ended(ErrTooLarge)
		default:
			return p, nil
		}
	}
}

// await waits for the first byte of a frame. NextReader would too, but so deep that
// the stack of an idle reader could not shrink from 8 to 4 KiB.
func (c *Conn) await() {
	if c.in != nil {
		_, _ = c.in.Peek(1) // NextReader meets the error again
	}
}

// ended closes the socket and finds out what the end of reading means.
func (c *Conn) ended(err error) error {
	var ce *websocket.CloseError
	switch {
	case errors.Is(err, websocket.ErrReadLimit):
		err = ErrTooLarge // the library has sent 1009
		c.drain()
	case errors.Is(err, ErrTooLarge):
		c.drain()
	case c.silent.Load():
		err = ErrSilent
	case errors.As(err, &ce):
		err = &ClosedError{Code: Code(ce.Code), Text: ce.Text}
	}
	c.abort()
	return err
}

// drain takes what the peer is still sending, for CloseWait at most: closing a
// socket with unread bytes resets it, and the peer would not see the close frame.
func (c *Conn) drain() {
	_ = c.out.SetReadDeadline(time.Now().Add(c.opt.CloseWait)) // a dead socket ends the copy as well
	_, _ = io.CopyN(io.Discard, c.out, drainMax)
}

// Write sends packets in order, many of them in one system call, and returns when
// the socket took them. After an error the connection is of no use.
func (c *Conn) Write(packets [][]byte) error {
	if len(packets) == 1 && len(packets[0]) < writeBuffer {
		return c.send(packets[0])
	}
	c.out.cork()
	for _, p := range packets {
		if err := c.send(p); err != nil {
			_ = c.out.uncork() // fails likewise
			return err
		}
	}
	return c.out.uncork()
}

func (c *Conn) send(packet []byte) error {
	if c.opt.Compress {
		c.ws.EnableWriteCompression(len(packet) >= compressFrom)
	}
	return c.ws.WriteMessage(websocket.TextMessage, packet)
}

// Close ends the connection as intended.
func (c *Conn) Close() error { return c.CloseWith(Normal, "") }

// CloseWith sends a close frame and returns; the socket is closed when the peer
// has answered it, which Read notices, or after CloseWait. Calls after the first
// do nothing.
func (c *Conn) CloseWith(code Code, text string) error {
	if c.closing.Swap(true) {
		return nil
	}
	hard := time.AfterFunc(c.opt.CloseWait, c.abort)
	err := c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(int(code), text), time.Now().Add(c.opt.CloseWait))
	if err != nil {
		hard.Stop()
		c.abort()
	}
	return err
}

// Abort closes the socket at once, for peers that do not read what is sent to them.
func (c *Conn) Abort() {
	c.closing.Store(true)
	c.abort()
}

func (c *Conn) abort() {
	c.closed.Do(func() {
		c.ping.Stop()
		_ = c.ws.Close() // nothing can be done about it
	})
}
