package fedtest

import (
	"context"
	"errors"
	"sync"
	"time"

	"parley/federation"
	"parley/protocol"
)

// Bounds of a connection, like those of the real transport.
const (
	maxOneWay    = 16
	maxBothWays  = 64
	maxDatagrams = 128 // unread; more are lost
	maxDatagram  = 1200
)

var errLost = errors.New("fedtest: nothing is heard of the peer")

// conn is one end of a connection. It implements federation.Conn.
type conn struct {
	host, there *Host
	peer        federation.ConnPeer
	other       *conn
	ctx         context.Context
	cancel      context.CancelCauseFunc

	oneWay, bothWays chan struct{} // streams that this end may still open
	uni, bidi        *queue        // that the other end has opened
	datagrams        *queue
	gone             sync.Once
}

func newConn(h, there *Host, asked protocol.Node, dialed bool) *conn {
	c := &conn{
		host: h, there: there,
		oneWay: make(chan struct{}, maxOneWay), bothWays: make(chan struct{}, maxBothWays),
		peer: federation.ConnPeer{
			Key: there.key.Public(), Name: there.Endpoint.Name, Asked: asked, Dialed: dialed, Addr: there.at(),
		},
	}
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	c.uni, c.bidi, c.datagrams = newQueue(c), newQueue(c), newQueue(c)
	return c
}

func (c *conn) way() way { return way{c.host.at(), c.there.at()} }

// Peer implements federation.Conn.
func (c *conn) Peer() federation.ConnPeer { return c.peer }

// Context implements federation.Conn.
func (c *conn) Context() context.Context { return c.ctx }

// CloseWith implements federation.Conn.
func (c *conn) CloseWith(code federation.CloseCode, reason string) {
	if c.ctx.Err() != nil {
		return
	}
	c.fail(&federation.ClosedError{Code: code, Reason: reason})
	n := c.host.net
	n.mu.Lock()
	blocked := n.passage(c.way()).blocked
	n.mu.Unlock()
	if blocked {
		time.AfterFunc(lostAfter, func() { c.other.fail(lost()) })
		return
	}
	time.AfterFunc(n.latency, func() {
		c.other.fail(&federation.ClosedError{Code: code, Reason: reason, Remote: true})
	})
}

// fail ends this end.
func (c *conn) fail(cause *federation.ClosedError) {
	c.gone.Do(func() {
		c.host.net.mu.Lock()
		delete(c.host.conns, c)
		c.host.net.mu.Unlock()
		c.cancel(cause)
	})
}

// end ends both ends.
func (c *conn) end(cause *federation.ClosedError) {
	c.fail(cause)
	c.other.fail(cause)
}

// vanish ends this end, which has heard nothing for long; the other will hear nothing
// from now on.
func (c *conn) vanish() {
	c.fail(lost())
	time.AfterFunc(lostAfter, func() { c.other.fail(lost()) })
}

// speak is called when something is sent: if the other end has crashed and another
// transport is in its place, that says that it knows nothing of this connection.
func (c *conn) speak() error {
	if err := context.Cause(c.ctx); err != nil {
		return err
	}
	n := c.host.net
	n.mu.Lock()
	h := n.hosts[c.there.at()]
	reset := h != nil && h != c.there && !n.passage(c.way()).blocked
	n.mu.Unlock()
	if reset {
		time.AfterFunc(2*n.latency, func() {
			c.fail(&federation.ClosedError{Code: federation.CloseInternal, Remote: true, Err: errLost})
		})
	}
	return nil
}

// OpenSend implements federation.Conn.
func (c *conn) OpenSend(ctx context.Context) (federation.SendStream, error) {
	if err := c.allow(ctx, c.oneWay); err != nil {
		return nil, err
	}
	p := newPipe(c)
	p.shown = func() { c.other.uni.put(p) }
	p.over = func() { <-c.oneWay }
	return sendEnd{p}, nil
}

// Open implements federation.Conn.
func (c *conn) Open(ctx context.Context) (federation.Stream, error) {
	if err := c.allow(ctx, c.bothWays); err != nil {
		return nil, err
	}
	out, back := newPipe(c), newPipe(c.other)
	back.began = true
	var once sync.Once
	out.shown = func() { c.other.bidi.put(bothEnds{sendEnd{back}, receiveEnd{out}}) }
	left := 2
	var mu sync.Mutex
	over := func() {
		mu.Lock()
		defer mu.Unlock()
		if left--; left == 0 {
			once.Do(func() { <-c.bothWays })
		}
	}
	out.over, back.over = over, over
	return bothEnds{sendEnd{out}, receiveEnd{back}}, nil
}

// allow waits until the peer allows another stream.
func (c *conn) allow(ctx context.Context, room chan struct{}) error {
	if err := c.speak(); err != nil {
		return err
	}
	select {
	case room <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-c.ctx.Done():
		return context.Cause(c.ctx)
	}
}

// AcceptReceive implements federation.Conn.
func (c *conn) AcceptReceive(ctx context.Context) (federation.ReceiveStream, error) {
	p, err := c.uni.take(ctx)
	if err != nil {
		return nil, err
	}
	return receiveEnd{p.(*pipe)}, nil
}

// Accept implements federation.Conn.
func (c *conn) Accept(ctx context.Context) (federation.Stream, error) {
	s, err := c.bidi.take(ctx)
	if err != nil {
		return nil, err
	}
	return s.(bothEnds), nil
}

// SendDatagram implements federation.Conn. On a blocked way it is lost.
func (c *conn) SendDatagram(b []byte) error {
	if err := c.speak(); err != nil {
		return err
	}
	if len(b) > maxDatagram {
		return federation.ErrTooLarge
	}
	n := c.host.net
	n.mu.Lock()
	blocked := n.passage(c.way()).blocked
	n.mu.Unlock()
	if !blocked && c.other.datagrams.len() < maxDatagrams {
		c.other.datagrams.put(append([]byte(nil), b...))
	}
	return nil
}

// ReceiveDatagram implements federation.Conn.
func (c *conn) ReceiveDatagram(ctx context.Context) ([]byte, error) {
	b, err := c.datagrams.take(ctx)
	if err != nil {
		return nil, err
	}
	return b.([]byte), nil
}

// queue is what comes in at one end: streams, datagrams.
type queue struct {
	c       *conn
	mu      sync.Mutex
	items   []any       // guarded by mu
	times   []time.Time // of arrival
	changed chan struct{}
}

func newQueue(c *conn) *queue { return &queue{c: c, changed: make(chan struct{}, 1)} }

func (q *queue) put(item any) {
	q.mu.Lock()
	q.items = append(q.items, item)
	q.times = append(q.times, time.Now().Add(q.c.host.net.latency))
	q.mu.Unlock()
	select {
	case q.changed <- struct{}{}:
	default:
	}
}

func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items)
}

// take waits for the next; one taker at a time.
func (q *queue) take(ctx context.Context) (any, error) {
	for {
		if err := context.Cause(q.c.ctx); err != nil {
			return nil, err
		}
		q.mu.Lock()
		var due <-chan time.Time
		var t *time.Timer
		if len(q.items) > 0 {
			wait := time.Until(q.times[0])
			if wait <= 0 {
				item := q.items[0]
				q.items, q.times = q.items[1:], q.times[1:]
				q.mu.Unlock()
				return item, nil
			}
			t = time.NewTimer(wait)
			due = t.C
		}
		q.mu.Unlock()
		select {
		case <-due:
		case <-q.changed:
		case <-ctx.Done():
		case <-q.c.ctx.Done():
		}
		if t != nil {
			t.Stop()
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
}
