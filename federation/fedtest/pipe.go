package fedtest

import (
	"context"
	"io"
	"os"
	"sync"
	"time"

	"parley/federation"
)

// pipe is one direction of a stream, from a conn to its other end.
type pipe struct {
	c     *conn // the end that sends
	shown func()
	over  func() // when nothing more will come of it

	mu       sync.Mutex
	chunks   []chunk // guarded by mu, as all that follows
	unread   int
	began    bool
	finished bool
	ended    bool
	reset    *federation.ClosedError // by the sender
	stopped  *federation.ClosedError // by the receiver
	readBy   time.Time
	writeBy  time.Time
	changed  chan struct{} // closed and made anew with each change
}

// chunk is a piece on its way; nil data is the end.
type chunk struct {
	at   time.Time
	data []byte
}

func newPipe(c *conn) *pipe { return &pipe{c: c, changed: make(chan struct{})} }

// change wakes all who wait. p.mu is held.
func (p *pipe) change() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// begin shows the stream to the other end. p.mu is held.
func (p *pipe) begin() {
	if !p.began {
		p.began = true
		p.shown()
	}
}

// end gives the place of the stream free. p.mu is held.
func (p *pipe) end() {
	if !p.ended {
		p.ended = true
		p.over()
	}
}

func (p *pipe) write(b []byte) (int, error) {
	if err := p.c.speak(); err != nil {
		return 0, err
	}
	for done := 0; ; {
		p.mu.Lock()
		window := p.c.host.net.window
		switch {
		case p.reset != nil || p.finished:
			p.mu.Unlock()
			return done, &federation.ClosedError{Code: federation.CloseGoodbye}
		case p.stopped != nil:
			err := p.stopped
			p.mu.Unlock()
			return done, err
		case done == len(b):
			p.mu.Unlock()
			return done, nil
		case p.unread < window:
			n := min(len(b)-done, window-p.unread)
			p.chunks = append(p.chunks, chunk{time.Now().Add(p.c.host.net.latency), append([]byte(nil), b[done:done+n]...)})
			p.unread += n
			done += n
			p.begin()
			p.change()
			p.mu.Unlock()
			continue
		}
		changed, by := p.changed, p.writeBy
		p.mu.Unlock()
		if err := p.wait(p.c, changed, by, -1); err != nil {
			return done, err
		}
	}
}

// wait returns when something has changed or the time has come, with an error if the
// connection or the deadline has ended it.
func (p *pipe) wait(c *conn, changed <-chan struct{}, by time.Time, d time.Duration) error {
	if err := context.Cause(c.ctx); err != nil {
		return err
	}
	var deadline, due <-chan time.Time
	if !by.IsZero() {
		if !time.Now().Before(by) {
			return os.ErrDeadlineExceeded
		}
		t := time.NewTimer(time.Until(by))
		defer t.Stop()
		deadline = t.C
	}
	if d >= 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		due = t.C
	}
	select {
	case <-changed:
	case <-due:
	case <-deadline:
		return os.ErrDeadlineExceeded
	case <-c.ctx.Done():
		return context.Cause(c.ctx)
	}
	return nil
}

func (p *pipe) read(b []byte) (int, error) {
	here := p.c.other
	for {
		if err := context.Cause(here.ctx); err != nil {
			return 0, err
		}
		n := here.host.net
		n.mu.Lock()
		way := n.passage(p.c.way())
		blocked, opened := way.blocked, way.changed
		n.mu.Unlock()
		p.mu.Lock()
		wait := time.Duration(-1)
		switch {
		case p.stopped != nil:
			p.mu.Unlock()
			return 0, p.stopped
		case p.reset != nil:
			p.end()
			p.mu.Unlock()
			return 0, p.reset
		case len(p.chunks) > 0 && !blocked:
			if wait = time.Until(p.chunks[0].at); wait <= 0 {
				defer p.mu.Unlock()
				return p.take(b)
			}
		}
		changed, by := p.changed, p.readBy
		p.mu.Unlock()
		if blocked {
			changed = opened
		}
		if err := p.wait(here, changed, by, wait); err != nil {
			return 0, err
		}
	}
}

// take reads of the first chunk. p.mu is held.
func (p *pipe) take(b []byte) (int, error) {
	c := &p.chunks[0]
	if c.data == nil {
		p.end()
		return 0, io.EOF
	}
	n := copy(b, c.data)
	c.data = c.data[n:]
	p.unread -= n
	if len(c.data) == 0 {
		p.chunks = p.chunks[1:]
	}
	p.change()
	return n, nil
}

// sendEnd and receiveEnd are the two sides of a pipe, bothEnds one side of two.
type (
	sendEnd    struct{ p *pipe }
	receiveEnd struct{ p *pipe }
	bothEnds   struct {
		sendEnd
		receiveEnd
	}
)

// Write implements federation.SendStream.
func (s sendEnd) Write(b []byte) (int, error) { return s.p.write(b) }

// Close implements federation.SendStream.
func (s sendEnd) Close() error {
	p := s.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.finished && p.reset == nil {
		p.finished = true
		p.chunks = append(p.chunks, chunk{at: time.Now().Add(p.c.host.net.latency)})
		p.begin()
		p.change()
	}
	return nil
}

// Reset implements federation.SendStream.
func (s sendEnd) Reset(code federation.CloseCode) {
	p := s.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reset == nil && !(p.finished && len(p.chunks) == 0) {
		p.reset = &federation.ClosedError{Code: code, Remote: true}
		p.begin()
		p.end()
		p.change()
	}
}

// SetWriteDeadline implements federation.SendStream.
func (s sendEnd) SetWriteDeadline(t time.Time) error {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	s.p.writeBy = t
	s.p.change()
	return nil
}

// Read implements federation.ReceiveStream.
func (s receiveEnd) Read(b []byte) (int, error) { return s.p.read(b) }

// Stop implements federation.ReceiveStream.
func (s receiveEnd) Stop(code federation.CloseCode) {
	p := s.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped == nil {
		p.stopped = &federation.ClosedError{Code: code, Remote: true}
		p.end()
		p.change()
	}
}

// SetReadDeadline implements federation.ReceiveStream.
func (s receiveEnd) SetReadDeadline(t time.Time) error {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	s.p.readBy = t
	s.p.change()
	return nil
}
