package federation

import (
	"errors"
	"sync"
	"time"

	"parley/protocol"
	"parley/protocol/s2s"
)

// Bounds of casts.
const (
	maxCasts = 256              // that wait for one peer; then the oldest is dropped
	maxCalls = 64               // call signals that wait
	callLife = 30 * time.Second // of a call signal
)

// held is a cast that waits, with the time after which it is of no use; zero: none.
type held struct {
	cast  *s2s.Cast
	until time.Time
}

// Cast implements Network. Call signals are worth a link.
func (m *Mesh) Cast(to protocol.Node, c *s2s.Cast) {
	p := m.known(to)
	if c.Call != nil {
		p = m.peer(to)
	}
	if p == nil {
		return
	}
	if l := p.current(); l != nil {
		l.casts.put(held{cast: c})
		return
	}
	if c.Call == nil {
		return
	}
	p.mu.Lock()
	if len(p.calls) == maxCalls {
		p.calls = p.calls[1:]
		p.counts.dropped.Add(1)
	}
	p.calls = append(p.calls, held{c, time.Now().Add(callLife)})
	p.mu.Unlock()
	p.kick()
}

// caster sends casts, none of which waits for another link.
type caster struct {
	l    *link
	wake chan struct{} // room for one
	w    *frameWriter  // opened when needed

	mu    sync.Mutex
	queue []held // guarded by mu
}

func newCaster(l *link) *caster { return &caster{l: l, wake: make(chan struct{}, 1)} }

// put queues a cast.
func (c *caster) put(h held) {
	if h.cast.Call != nil && h.until.IsZero() {
		h.until = time.Now().Add(callLife)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) == maxCasts {
		c.queue = c.queue[1:]
		c.l.p.counts.dropped.Add(1)
	}
	c.queue = append(c.queue, h)
	signal(c.wake)
}

func (c *caster) take() []held {
	c.mu.Lock()
	defer c.mu.Unlock()
	q := c.queue
	c.queue = nil
	return q
}

// run sends until the link ends.
func (c *caster) run() error {
	p := c.l.p
	p.mu.Lock()
	calls := p.calls
	p.calls = nil
	p.mu.Unlock()
	for _, h := range calls {
		c.put(h)
	}
	for {
		select {
		case <-c.wake:
		case <-c.l.ctx.Done():
			return c.l.cause()
		}
		for _, h := range c.take() {
			if !h.until.IsZero() && time.Now().After(h.until) {
				p.counts.dropped.Add(1)
				continue
			}
			if err := c.send(h.cast); err != nil {
				return err
			}
		}
		if c.w != nil {
			if err := c.w.flush(); err != nil {
				return err
			}
		}
	}
}

// send sends one: on the stream, in order, what says how things stand from now on; as a
// datagram, if it fits, what is said again soon.
func (c *caster) send(cast *s2s.Cast) error {
	b, err := c.l.codec.AppendFrame(nil, cast)
	if err != nil {
		return err
	}
	c.l.touch()
	c.l.p.counts.casts.Add(1)
	c.l.p.watchCast(true, cast, len(b))
	if cast.Note != nil && len(b) <= s2s.MaxDatagram {
		b, err := c.l.codec.Append(nil, cast)
		if err != nil {
			return err
		}
		if err := c.l.conn.SendDatagram(b); !errors.Is(err, ErrTooLarge) {
			c.l.p.counts.castsOut.Add(uint64(len(b)))
			return err
		}
	}
	if c.w == nil {
		if c.w, err = openSend(c.l.ctx, c.l.conn, c.l.codec, streamCasts); err != nil {
			return err
		}
		c.w.count = &c.l.p.counts.castsOut
	}
	return c.w.writeRaw(b)
}

// hearDatagrams takes casts that come as datagrams. One that makes no sense is lost.
func (l *link) hearDatagrams() error {
	for {
		b, err := l.conn.ReceiveDatagram(l.ctx)
		if err != nil {
			return err
		}
		l.p.counts.castsIn.Add(uint64(len(b)))
		c := new(s2s.Cast)
		if err := l.codec.Decode(b, c); err != nil {
			l.p.counts.dropped.Add(1)
			continue
		}
		if err := l.hear(c, len(b)); err != nil {
			return err
		}
	}
}

// hearStream takes those that come on the stream.
func (l *link) hearStream(r *frameReader) error {
	for {
		c := new(s2s.Cast)
		n, err := r.read(c)
		if err != nil {
			return streamEnd(err)
		}
		if err := l.hear(c, n); err != nil {
			return err
		}
	}
}

func (l *link) hear(c *s2s.Cast, size int) error {
	if err := l.limit.wait(l.ctx, size); err != nil {
		return err
	}
	l.touch()
	l.p.watchCast(false, c, size)
	if c.Check(l.peer.Name) != nil {
		l.p.counts.dropped.Add(1)
		return nil
	}
	if c.Presence != nil && (c.Presence.Watch || c.Presence.Digest) {
		l.watched.Store(c.Presence.Watch)
	}
	l.m.handler.Hear(l.peer, c)
	return nil
}
