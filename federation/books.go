package federation

import (
	"errors"
	"slices"
	"sync"
	"time"

	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
)

// settlePause is how long answers without verdicts gather before they are written down.
const settlePause = 20 * time.Millisecond

// answer is what the peer has said of a lane and has not been acted upon.
type answer struct {
	upto     uint64
	verdicts []s2s.Verdict // ascending
}

// books keeps account of what the peer answers: one goroutine of a link writes it down,
// all lanes in one transaction, and sees to what is parked.
type books struct {
	l    *link
	wake chan struct{} // room for one

	mu   sync.Mutex
	open [s2s.Lanes]answer // guarded by mu
}

func newBooks(l *link) *books { return &books{l: l, wake: make(chan struct{}, 1)} }

func (b *books) look() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// take notes an answer of the peer.
func (b *books) take(a *s2s.Ack) error {
	if a.Lane >= s2s.Lanes {
		return closing(CloseProtocol, "answer for lane %d", a.Lane)
	}
	if err := b.l.out[a.Lane].got(a.Upto); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	o := &b.open[a.Lane]
	for _, v := range a.Verdicts {
		if v.N <= o.upto {
			continue // told before
		}
		if v.N > a.Upto || len(o.verdicts) > 0 && v.N <= o.verdicts[len(o.verdicts)-1].N {
			return closing(CloseProtocol, "verdict on post %d out of place", v.N)
		}
		v.Reason = printable(v.Reason) // people will see it
		o.verdicts = append(o.verdicts, v)
	}
	o.upto = max(o.upto, a.Upto)
	b.look()
	return nil
}

// hasty reports whether something waits for what is open.
func (b *books) hasty() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for l := range b.open {
		if len(b.open[l].verdicts) > 0 || b.l.out[l].holds() {
			return true
		}
	}
	return false
}

// run is the loop.
func (b *books) run() error {
	for {
		var due <-chan time.Time
		if at := b.l.p.parked.due(); !at.IsZero() {
			due = time.After(time.Until(at))
		}
		select {
		case <-b.wake:
		case <-due:
		case <-b.l.ctx.Done():
			return b.l.cause()
		}
		if !b.hasty() {
			b.pause(settlePause)
		}
		err := b.settle()
		if err == nil {
			err = b.unpark(time.Now())
		}
		if err != nil { // ours: it is all still there
			b.l.m.log.Error("answers not written", "peer", b.l.peer.Name, "error", err)
			b.pause(faultPause)
			b.look()
		}
	}
}

func (b *books) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-b.l.ctx.Done():
	}
}

// settle acts on what is open: in one transaction posts end, or are parked, and their
// places are given up.
func (b *books) settle() error {
	b.mu.Lock()
	open := b.open
	for l := range open {
		open[l].verdicts = slices.Clone(open[l].verdicts)
	}
	b.mu.Unlock()
	var todo []settling
	var ends []Ending
	err := b.l.m.cfg.Store.View(func(tx store.Tx) error {
		todo, ends = nil, nil
		for l := range open {
			s, err := b.plan(tx, store.Lane(l), open[l])
			if err != nil {
				return err
			}
			if s.upto > s.from {
				todo, ends = append(todo, s), append(ends, s.ends...)
			}
		}
		return nil
	})
	if err != nil || len(todo) == 0 {
		return err
	}
	to := b.l.peer.Name
	fn := func(tx store.Tx) error {
		for _, s := range todo {
			if err := s.apply(tx, to); err != nil {
				return err
			}
		}
		return nil
	}
	if len(ends) > 0 {
		err = b.l.m.handler.Returned(b.l.ctx, to, ends, fn)
	} else {
		err = b.l.m.cfg.Store.Update(fn)
	}
	if err != nil {
		return err
	}
	b.close(todo)
	return nil
}

// close drops what has been acted upon, and says so.
func (b *books) close(todo []settling) {
	p := b.l.p
	b.mu.Lock()
	for _, s := range todo {
		o := &b.open[s.lane]
		o.verdicts = slices.DeleteFunc(o.verdicts, func(v s2s.Verdict) bool { return v.N <= s.upto })
	}
	b.mu.Unlock()
	for _, s := range todo {
		p.counts.acked.Add(s.upto - s.from)
		p.counts.refused.Add(uint64(s.refused))
		p.counts.later.Add(uint64(len(s.later)))
		p.parked.answered(s)
		b.l.out[s.lane].done(s.upto, s.told)
	}
	p.reached()
}

// tooLarge ends a post that the peer does not take because of its size: it was on no
// wire, and a void goes in its place.
func (b *books) tooLarge(lane store.Lane, p *store.Post) error {
	to := b.l.peer.Name
	post, err := entry(p.Body).post(b.l.codec)
	if err != nil {
		return err
	}
	end := Ending{Post: post, How: Refused, Verdict: s2s.Verdict{N: p.N, Outcome: s2s.Refused,
		Fault: protocol.TooLarge, Reason: "larger than the other node takes"}}
	err = b.l.m.handler.Returned(b.l.ctx, to, []Ending{end}, func(tx store.Tx) error {
		for now, err := range tx.Posts(to, lane, p.N-1) {
			if err != nil {
				return err
			}
			if now.N != p.N || len(now.Body) == 0 {
				return errParked
			}
			break
		}
		return tx.Void(to, lane, p.N)
	})
	if errors.Is(err, errParked) { // meanwhile: its end is to come
		return nil
	}
	return err
}

var errParked = errors.New("federation: the post has left its lane")

// settling is what one lane's answers come to.
type settling struct {
	lane       store.Lane
	from, upto uint64
	ends       []Ending
	refused    int
	told       bool // the peer keeps verdicts
	later      []later
}

// later is a topic whose posts, from one on, the peer wants later.
type later struct {
	n     uint64
	topic protocol.TopicID
	until time.Time
}

// plan finds out what the answers mean for the posts that they are about.
func (b *books) plan(tx store.Tx, lane store.Lane, a answer) (settling, error) {
	to := b.l.peer.Name
	q, err := tx.Queue(to, lane)
	if err != nil || a.upto <= q.Settled {
		return settling{}, err
	}
	s := settling{lane: lane, from: q.Settled, upto: a.upto, told: len(a.verdicts) > 0}
	doubtful := b.l.doubtful[lane]
	if len(a.verdicts) == 0 && q.Settled >= doubtful {
		return s, nil
	}
	verdicts := map[uint64]s2s.Verdict{}
	for _, v := range a.verdicts {
		verdicts[v.N] = v
	}
	for p, err := range tx.Posts(to, lane, q.Settled) {
		if err != nil {
			return s, err
		}
		if p.N > a.upto {
			break
		}
		if v, ok := verdicts[p.N]; ok || entry(p.Body).has(toldUnconfirmed) {
			v.N = p.N
			if err := s.add(b.l.codec, entry(p.Body), v); err != nil {
				return s, err
			}
		}
	}
	for _, t := range s.later {
		b.l.p.parked.note(t.topic, lane)
	}
	return s, nil
}

// add plans for one post that was not simply applied.
func (s *settling) add(c s2s.Codec, e entry, v s2s.Verdict) error {
	if e.void() { // parked before
		return nil
	}
	p, err := e.post(c)
	if err != nil {
		return err
	}
	switch {
	case v.Outcome == s2s.Later:
		s.later = append(s.later, later{v.N, p.TopicID(), time.Now().Add(wait(v.Wait))})
	case v.Outcome == s2s.Applied:
		s.ends = append(s.ends, Ending{Post: p, How: Confirmed})
	default: // an outcome that is not known here is no success either
		s.refused++
		s.ends = append(s.ends, Ending{Post: p, How: Refused, Verdict: v})
	}
	return nil
}

// apply does it.
func (s *settling) apply(tx store.Tx, to protocol.Node) error {
	for _, t := range s.later {
		if err := park(tx, to, s.lane, t.n, t.topic); err != nil {
			return err
		}
	}
	return tx.Settle(to, s.lane, s.upto)
}
