package federation

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"parley/protocol/s2s"
	"parley/store"
)

// link is a connection with a proven peer, after the Hellos. Its loops run until one of
// them fails, the connection ends, or the worker wants it so; run returns when all have.
type link struct {
	p        *remote
	m        *Mesh
	conn     Conn
	codec    s2s.Codec
	peer     Peer
	theirs   *s2s.Hello
	reach    uint8 // that was said in ours
	since    time.Time
	ahead    time.Duration // the peer's clock of this node's
	compare  bool          // topics, since one of the two was set back
	restored bool          // the lanes have begun anew
	doubtful [s2s.Lanes]uint64

	in      *frameReader // control stream
	control *control
	out     [s2s.Lanes]*sender
	into    [s2s.Lanes]*receiver
	books   *books
	casts   *caster
	follow  *following
	limit   *limiter
	asks    chan struct{} // questions of the peer that are being answered

	ctx     context.Context
	cancel  context.CancelCauseFunc
	wg      sync.WaitGroup
	active  atomic.Int64 // when something was last said, ns after since
	busy    atomic.Int64 // questions under way
	watched atomic.Bool  // the peer wants to know of our users

	mu     sync.Mutex
	opened map[byte]bool // guarded by mu: kinds of streams
}

func newLink(p *remote, c *candidate) *link {
	l := &link{
		p: p, m: p.m, conn: c.conn, codec: c.codec, peer: c.peer, theirs: c.theirs, reach: c.mine.Reach, since: time.Now(), ahead: c.ahead(p.m.cfg.Clock), in: c.in,
		asks: make(chan struct{}, maxAnswers), opened: map[byte]bool{streamControl: true},
		limit: newLimiter(c.mine.Limits),
	}
	l.ctx, l.cancel = context.WithCancelCause(context.Background())
	l.control = newControl(c.out)
	l.books, l.casts, l.follow = newBooks(l), newCaster(l), newFollowing(l)
	for i := range s2s.Lanes {
		l.out[i], l.into[i] = newSender(l, store.Lane(i)), newReceiver(l, store.Lane(i))
	}
	c.in.max = p.m.cfg.Limits.Frame
	c.in.count, c.out.count = &p.counts.controlIn, &p.counts.controlOut
	l.touch()
	return l
}

// prepare reads where the lanes stand. What the peer has taken without our knowing the
// answers, it tells at once; so do we.
func (l *link) prepare(c *candidate) error {
	return l.m.cfg.Store.Update(func(tx store.Tx) error {
		for i := range l.out {
			lane, theirs := store.Lane(i), l.theirs.Lanes[i]
			q, err := tx.Queue(l.peer.Name, lane)
			if err != nil {
				return err
			}
			cursor, err := tx.Cursor(l.peer.Name, lane)
			if err != nil {
				return err
			}
			taken, settled := theirs.Applied, theirs.Lowest-1
			if l.restored { // the Hellos are void
				taken, settled = q.Settled, cursor
			}
			l.out[i].begin(q.Settled, taken, c.early.sent(i), c.early.stream(i))
			if l.doubtful[i], err = doubtful(tx, l.peer.Name, lane, q); err != nil {
				return err
			}
			if err := l.into[i].begin(tx, cursor, settled); err != nil {
				return err
			}
		}
		return nil
	})
}

// touch notes that something was said.
func (l *link) touch() { l.active.Store(int64(time.Since(l.since))) }

// look wakes what may have something to send.
func (l *link) look() {
	l.follow.look()
	for _, s := range l.out {
		s.look()
	}
}

// cause is why the link ends; nil while it lives.
func (l *link) cause() error { return context.Cause(l.ctx) }

// fail ends the link.
func (l *link) fail(err error) { l.cancel(err) }

// start runs a loop of the link; its error ends the link.
func (l *link) start(f func() error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ctx.Err() != nil {
		return
	}
	l.wg.Go(func() {
		if err := f(); err != nil {
			l.fail(err)
		}
	})
}

// run lives through the link. It returns a connection that is to replace it.
func (l *link) run() *candidate {
	stop := context.AfterFunc(l.conn.Context(), func() { l.fail(context.Cause(l.conn.Context())) })
	defer stop()
	for i := range l.out {
		l.start(l.out[i].run)
		l.start(l.into[i].run)
		l.into[i].greet()
	}
	for _, f := range []func() error{l.readControl, l.control.run(l.ctx), l.acceptStreams, l.acceptAsks,
		l.hearDatagrams, l.casts.run, l.books.run} {
		l.start(f)
	}
	if l.compare {
		l.start(l.compareTopics)
	}
	next := l.attend()
	l.mu.Lock() // no more starts
	l.cancel(errLinkOver)
	l.mu.Unlock()
	l.shut()
	l.wg.Wait()
	return next
}

var errLinkOver = closing(CloseGoodbye, "the link is over")

// attend waits for the end of the link.
func (l *link) attend() *candidate {
	idle := time.NewTimer(l.m.cfg.Times.Idle / 2)
	defer idle.Stop()
	expiry := time.NewTimer(l.m.cfg.Times.Held)
	defer expiry.Stop()
	proof := time.NewTicker(provenEvery)
	defer proof.Stop()
	for {
		select {
		case <-l.ctx.Done():
			return nil
		case c := <-l.p.arrivals:
			if l.yields(c) {
				l.fail(closing(CloseReplaced, "another connection stays"))
				return c
			}
			c.conn.CloseWith(CloseReplaced, "another connection stays")
		case <-l.m.ctx.Done():
			l.farewell()
			return nil
		case <-proof.C:
			l.start(l.proveAgain)
		case <-expiry.C:
			next := l.m.cfg.Times.Held
			if l.p.parked.some() {
				next = min(next, max(l.p.nextParked(), time.Second))
			}
			expiry.Reset(next)
		case <-idle.C:
			left := l.idle()
			if left <= 0 {
				l.fail(closing(CloseIdle, "nothing to say"))
				return nil
			}
			idle.Reset(left)
		}
	}
}

// yields decides between this link and a connection that the peer has dialled.
func (l *link) yields(c *candidate) bool {
	switch {
	case c.theirs.Boot != l.theirs.Boot:
		return c.theirs.Boot > l.theirs.Boot
	case time.Since(l.since) > raceSpan:
		return true
	case !l.conn.Peer().Dialed: // the same dialler again: it has lost this one
		return true
	}
	return l.peer.Name < l.m.self
}

// idle is for how long the link stays without another word. If it is wanted here, the
// peer hears of that now and then, or it would close the link.
func (l *link) idle() time.Duration {
	switch {
	case l.p.kept():
		l.control.nudge()
		return l.m.cfg.Times.Idle / 2
	case l.watched.Load() || l.busy.Load() > 0 || l.unanswered():
		return l.m.cfg.Times.Idle
	}
	return l.m.cfg.Times.Idle - (time.Since(l.since) - time.Duration(l.active.Load()))
}

func (l *link) unanswered() bool {
	for _, s := range l.out {
		if s.open() {
			return true
		}
	}
	return false
}

// farewell ends the link in order: what was taken is answered before Goodbye, upon
// which the peer closes.
func (l *link) farewell() {
	l.control.goodbye("shutting down")
	t := time.NewTimer(l.m.cfg.Times.Drain)
	defer t.Stop()
	select {
	case <-l.ctx.Done():
	case <-t.C:
	}
	l.fail(closing(CloseGoodbye, "shutting down"))
}

// shut closes the connection for the link's cause.
func (l *link) shut() {
	code, reason := CloseInternal, "internal error"
	if e, ok := errors.AsType[*ClosedError](l.cause()); ok {
		code, reason = e.Code, e.Reason
	}
	l.conn.CloseWith(code, reason)
}

// readControl acts on the control stream.
func (l *link) readControl() error {
	for {
		var f s2s.Control
		if _, err := l.in.read(&f); err != nil {
			return streamEnd(err)
		}
		l.touch()
		var err error
		switch {
		case f.Ack != nil:
			err = l.books.take(f.Ack)
		case f.LogAck != nil:
			err = l.follow.answered(f.LogAck)
		case f.Limits != nil:
			l.theirsChanged(f.Limits)
		case f.Reach != nil:
			l.m.handler.Reaches(l.peer, f.Reach.Class)
		case f.Goodbye != nil:
			return closing(CloseGoodbye, "so it is")
		case f.Hello != nil:
			err = closing(CloseProtocol, "a second Hello")
		}
		if err != nil {
			return err
		}
	}
}

// theirsChanged takes other limits of the peer.
func (l *link) theirsChanged(n *s2s.Limits) {
	for _, s := range l.out {
		s.resize(n.Window)
	}
}

// streamEnd makes a fault of the end of a stream that must not end.
func streamEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return closing(CloseProtocol, "a stream has ended early")
	}
	return err
}

// acceptStreams takes the one-way streams of the peer.
func (l *link) acceptStreams() error {
	for {
		s, err := l.conn.AcceptReceive(l.ctx)
		if err != nil {
			return err
		}
		l.start(func() error { return l.readStream(s) })
	}
}

// readStream finds out what a stream is for. Kinds that are not known are left alone.
func (l *link) readStream(s ReceiveStream) error {
	r := newFrameReader(s, l.codec, l.m.cfg.Limits.Frame)
	kind, err := r.kind()
	if err != nil {
		return streamEnd(err)
	}
	l.mu.Lock()
	again := l.opened[kind]
	lane := kind >= streamLane && kind < streamLane+s2s.Lanes
	if known := lane || kind == streamCasts || again; !known {
		l.mu.Unlock()
		s.Stop(CloseGoodbye)
		return nil
	}
	l.opened[kind] = true
	l.mu.Unlock()
	if again {
		return closing(CloseProtocol, "two streams of kind %d", kind)
	}
	if lane {
		r.count = &l.p.counts.postsIn
		return l.into[kind-streamLane].read(r)
	}
	r.count = &l.p.counts.castsIn
	return l.hearStream(r)
}
