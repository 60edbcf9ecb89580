package federation

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
)

// remote is what the mesh knows of another node. Its worker, which runs while there is
// something to do, owns the link and everything that follows from its state.
type remote struct {
	m        *Mesh
	name     protocol.Node
	loaded   sync.Once
	wake     chan struct{}   // room for one
	arrivals chan *candidate // dialled by the peer
	parked   parked
	counts   counters

	mu      sync.Mutex
	working bool          // guarded by mu, as all that follows
	coming  int           // sends to arrivals that go on
	link    *link         // live
	changed chan struct{} // closed when a link begins or an attempt fails
	failed  int           // attempts that have, ever
	wanted  int           // who wait for a link
	calls   []held        // call signals that wait for a link
	keep    bool          // somebody here wants to know of its users
	prompt  bool          // the last link was with a peer that takes posts early: see early
	again   bool          // there was a link before this node started: see reunion
	next    time.Time     // no attempt before
	row     int           // failures in a row, of which the last may be under way: see trying
	trying  bool          // it is being dialled, or a link begins
	since   time.Time     // of the state
	tried   time.Time     // when it was last dialled
	met     time.Time     // when there last was a link
	lastErr string
	limits  *s2s.Limits // if others than those of all
	// wired is up to where the posts of a lane may have been on a wire, by what this
	// process has done. What the store calls offered beyond that was not.
	wired [s2s.Lanes]uint64
}

// Keep implements Network.
func (m *Mesh) Keep(n protocol.Node, keep bool) {
	if n == m.self {
		return
	}
	p := m.peer(n)
	p.mu.Lock()
	changed := p.keep != keep
	p.keep = keep
	p.mu.Unlock()
	if changed && keep {
		p.kick()
	}
}

// expect makes the peer wanted until it was tried once.
func (p *remote) expect() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.again = true
}

// kept reports whether the link is to stay.
func (p *remote) kept() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.holds()
}

func newRemote(m *Mesh, n protocol.Node) *remote {
	return &remote{m: m, name: n, wake: make(chan struct{}, 1), arrivals: make(chan *candidate), changed: make(chan struct{})}
}

// wire notes that a post is about to be on a wire.
func (p *remote) wire(l store.Lane, n uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wired[l] = max(p.wired[l], n)
}

// load reads what was kept of earlier attempts, once.
func (p *remote) load() {
	p.loaded.Do(func() {
		err := p.m.cfg.Store.View(func(tx store.Tx) error {
			p.mu.Lock()
			defer p.mu.Unlock()
			for l := range p.wired {
				q, err := tx.Queue(p.name, store.Lane(l))
				if err != nil {
					return err
				}
				p.wired[l] = max(p.wired[l], q.Offered)
			}
			r, err := tx.Peer(p.name)
			if err == nil {
				p.row = r.Failures
				// What was kept is by the wall clock, and goes on by the steady one. A clock
				// that was ahead must not keep us away.
				p.next = p.m.steady(r.Next, p.m.cfg.Times.Longest)
				p.met = p.m.steady(r.Seen, 0)
			}
			return err
		})
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			p.m.log.Error("peer not read", "peer", p.name, "error", err)
		}
	})
}

// current is the live link, if any.
func (p *remote) current() *link {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.link
}

// kick makes the peer look at what there is to do.
func (p *remote) kick() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.link != nil {
		p.link.look()
		return
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
	p.employ()
}

// employ starts the worker if it does not run. p.mu is held.
func (p *remote) employ() {
	if !p.working {
		p.working = p.m.start(p.work)
	}
}

// arrive hands a connection to the worker.
func (p *remote) arrive(c *candidate) {
	p.mu.Lock()
	p.coming++
	p.employ()
	working := p.working
	p.mu.Unlock()
	if working {
		select {
		case p.arrivals <- c:
		case <-p.m.ctx.Done():
			working = false
		}
	}
	if !working {
		c.conn.CloseWith(CloseGoodbye, "shutting down")
	}
	p.mu.Lock()
	p.coming--
	p.mu.Unlock()
}

// work is the worker.
func (p *remote) work() {
	p.load()
	for {
		c := p.connect()
		if c == nil {
			return
		}
		for c != nil {
			c = p.serve(c)
		}
	}
}

// connect waits for a reason to link and for a connection, by whichever side. Nil ends
// the worker.
func (p *remote) connect() *candidate {
	var look time.Time // when expiry is to be looked at
	for {
		if now := time.Now(); !now.Before(look) {
			wall := p.m.cfg.Clock.Now()
			look = now.Add(p.expire(wall).Sub(wall))
		}
		p.idle()
		dial, ok := p.outlook()
		if !ok && p.leave() {
			return nil
		}
		if !dial.IsZero() && !dial.After(time.Now()) && ok {
			if c := p.dial(); c != nil {
				return c
			}
			continue
		}
		wait := look
		if ok && !dial.IsZero() && dial.Before(wait) {
			wait = dial
		}
		t := time.NewTimer(time.Until(wait))
		select {
		case c := <-p.arrivals:
			t.Stop()
			return c
		case <-t.C:
		case <-p.wake:
		case <-p.m.ctx.Done():
		}
		t.Stop()
	}
}

// leave lets the worker end unless something has come up.
func (p *remote) leave() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	ended := p.m.ctx.Err() != nil
	if !ended && (p.coming > 0 || len(p.wake) > 0) {
		return false
	}
	p.working = false
	return true
}

// outlook tells when to dial, zero for not because of what there is now, and whether
// there is anything to wait for.
func (p *remote) outlook() (dial time.Time, ok bool) {
	if p.m.ctx.Err() != nil {
		return time.Time{}, false
	}
	p.mu.Lock()
	wanted, next := p.wanted > 0 || len(p.calls) > 0 || p.again || p.holds(), p.next
	p.mu.Unlock()
	posts, parked, err := p.queued()
	if err != nil {
		p.m.log.Error("outbox not read", "peer", p.name, "error", err)
		return time.Now().Add(faultPause), true
	}
	behind := false
	if !posts && !wanted {
		behind = p.behind()
	}
	due := p.parked.due()
	switch {
	case wanted || posts || behind:
		if next.IsZero() { // at once
			next = time.Unix(0, 0)
		}
		return next, true
	case parked && !due.IsZero():
		if due.Before(next) {
			due = next
		}
		return due, true
	}
	return time.Time{}, false
}

// faultPause is how long to wait after a fault of our own.
const faultPause = time.Second

// queued reports whether posts wait, in the lanes and parked.
func (p *remote) queued() (posts, parked bool, err error) {
	err = p.m.cfg.Store.View(func(tx store.Tx) error {
		for l := range store.Lane(s2s.Lanes) {
			q, err := tx.Queue(p.name, l)
			if err != nil {
				return err
			}
			k, err := tx.Queue(p.name, parkedLane(l))
			if err != nil {
				return err
			}
			posts, parked = posts || q.Settled < q.Last, parked || k.Settled < k.Last
		}
		return nil
	})
	return posts, parked, err
}

// behind reports whether the peer lacks something of a group's log.
func (p *remote) behind() bool {
	groups, err := p.m.logs.Behind(p.name)
	if err != nil {
		p.m.log.Error("followers not read", "peer", p.name, "error", err)
	}
	return len(groups) > 0
}

// serve lives through one link. What it returns is to be the next.
func (p *remote) serve(c *candidate) *candidate {
	l, err := p.establish(c)
	if err != nil {
		p.failure(err)
		c.end(err)
		return nil
	}
	p.mu.Lock()
	proves := p.proves(c.conn.Peer())
	p.mu.Unlock()
	if proves {
		p.dialable()
	}
	p.enter(l)
	p.m.log.Info("link up", "peer", p.name, "addr", c.conn.Peer().Addr, "dialed", c.conn.Peer().Dialed, "proof", l.peer.Proof)
	p.m.handler.Linked(l.peer, LinkUp)
	p.m.handler.Reaches(l.peer, l.theirs.Reach)
	next := l.run()
	state := p.exit(l)
	p.m.log.Info("link down", "peer", p.name, "cause", l.cause())
	p.m.handler.Linked(l.peer, state)
	p.unoffer()
	return next
}

// enter makes a link the live one.
func (p *remote) enter(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.link, p.since, p.again = l, time.Now(), false
	p.prompt = knowsEarly(l.theirs)
	p.met = p.since
	p.tell()
	if now := uint8(p.m.reach.Load()); now != l.reach { // it has changed since Hello
		l.control.setReach(now)
	}
	if l.ahead.Abs() >= clockTold {
		p.m.quiet.warn(p.m.log, "clocks differ", p.name, wrongClock(l.ahead))
	}
}

// wrongClock says that the clock of a peer, or this node's, is wrong.
func wrongClock(ahead time.Duration) error {
	way := "ahead of"
	if ahead < 0 {
		way = "behind"
	}
	return fmt.Errorf("its clock is %v %s this node's: one of both is wrong", ahead.Abs().Round(time.Minute), way)
}

// tell wakes those who wait for a change. p.mu is held.
func (p *remote) tell() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// exit ends the time of a link.
func (p *remote) exit(l *link) LinkState {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.link, p.since = nil, time.Now()
	p.met = p.since
	state := LinkLost
	cause, _ := errors.AsType[*ClosedError](l.cause())
	if cause != nil && cause.Err == nil && (cause.Code == CloseGoodbye || cause.Code == CloseIdle || cause.Code == CloseReplaced) {
		state = LinkClosed
	} else {
		p.lastErr = l.cause().Error()
	}
	if soon := time.Now().Add(Jitter(p.m.cfg.Times.Retry)); p.next.Before(soon) {
		p.next = soon
	}
	return state
}

// failure notes an attempt that has failed.
func (p *remote) failure(err error) {
	p.mu.Lock()
	p.failed++
	p.again = false // whose turn it is then the other's start, or its patience, decides
	p.lastErr = err.Error()
	row := p.row
	p.tell()
	p.mu.Unlock()
	p.m.quiet.warn(p.m.log, "no link", p.name, err, "failures", row)
}

// attempt records, before it is made, that it will have failed.
func (p *remote) attempt() error {
	p.mu.Lock()
	row := p.row + 1
	p.mu.Unlock()
	wait := backoff(p.m.cfg.Times, row)
	next := time.Now().Add(wait)
	err := p.m.change(p.name, func(r *store.Peer) { r.Failures, r.Next = row, p.m.cfg.Clock.Now().Add(wait) })
	p.mu.Lock()
	defer p.mu.Unlock()
	p.row, p.next, p.tried, p.trying = row, next, time.Now(), true
	return err
}

// idle notes that no attempt is under way.
func (p *remote) idle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trying = false
}

// reached forgets failures.
func (p *remote) reached() {
	p.mu.Lock()
	row := p.row
	p.row, p.next = 0, time.Time{}
	p.mu.Unlock()
	if row == 0 {
		return
	}
	err := p.m.change(p.name, func(r *store.Peer) { r.Failures, r.Next = 0, time.Time{} })
	if err != nil {
		p.m.log.Error("peer not written", "peer", p.name, "error", err)
	}
}

// backoff is the time between attempts after some failures in a row.
func backoff(t Times, row int) time.Duration {
	d := t.Retry
	for ; row > 1 && d < t.Longest; row-- {
		d *= 2
	}
	return Jitter(min(d, t.Longest))
}

// Jitter is d, give or take a quarter.
func Jitter(d time.Duration) time.Duration {
	return d*3/4 + rand.N(d/2+1)
}

// patience is up to how long one may be ready to wait who waits for the next attempt to
// reach a peer, if that is in time: others do not wait for who has just not been reached.
const patience = 5 * time.Second

// soon reports whether the next attempt is one to wait for. The caller has the lock.
func (p *remote) soon(ctx context.Context) bool {
	now := time.Now()
	end, ends := ctx.Deadline()
	return !now.Before(p.next) || ends && end.Sub(now) <= patience && p.next.Before(end)
}

// await returns the link, made if need be. It fails with protocol.Busy if the peer
// cannot be reached, or has just not been.
func (p *remote) await(ctx context.Context) (*link, error) {
	p.load()
	p.mu.Lock()
	if p.link != nil {
		defer p.mu.Unlock()
		return p.link, nil
	}
	if p.row > 0 && !p.trying && !p.soon(ctx) {
		defer p.mu.Unlock()
		return nil, protocol.Errorf(protocol.Busy, "%s was not reached: %s", p.name, p.lastErr)
	}
	p.wanted++
	failed, changed := p.failed, p.changed
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.wanted--
		p.mu.Unlock()
	}()
	if p.m.done() == nil {
		return nil, protocol.Errorf(protocol.Busy, "not running")
	}
	p.kick()
	for {
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, protocol.Errorf(protocol.Timeout, "%s was not reached in time", p.name)
		case <-p.m.done():
			return nil, protocol.Errorf(protocol.Busy, "shutting down")
		}
		p.mu.Lock()
		l, f, why := p.link, p.failed, p.lastErr
		changed = p.changed
		p.mu.Unlock()
		if l != nil {
			return l, nil
		}
		if f != failed {
			return nil, protocol.Errorf(protocol.Busy, "%s cannot be reached: %s", p.name, why)
		}
	}
}
