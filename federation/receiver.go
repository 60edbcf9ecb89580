package federation

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
)

// Sizes of what a receiver does at a time.
const (
	runPosts    = 64 // given to the node at once, and answered at once
	intakeBytes = 1 << 20
	answerPause = 20 * time.Millisecond
	maxPause    = 10 * time.Second // between attempts after faults of ours
)

// receiver takes the posts of one lane. One goroutine reads, as long as there is room;
// another hands on what has been read.
type receiver struct {
	l      *link
	lane   store.Lane
	intake *intake

	// Only the goroutine that hands on uses these.
	cursor  uint64
	kept    int                           // verdicts that the peer has not settled
	parked  map[protocol.TopicID]*parking // whose posts are to come later
	unsaid  uint64                        // entries since the last answer
	saying  []s2s.Verdict
	lastAck time.Time
	asked   uint64      // posts up to this one the gate has seen
	bar     s2s.Verdict // what it said of the last of them, if that may not pass
}

// parking is a topic whose posts come later: what the first of them was answered.
type parking s2s.Verdict

func newReceiver(l *link, lane store.Lane) *receiver {
	return &receiver{l: l, lane: lane, intake: newIntake(), parked: map[protocol.TopicID]*parking{}}
}

// read fills the intake from the stream.
func (r *receiver) read(fr *frameReader) error {
	for {
		line := new(s2s.Line)
		n, err := fr.read(line)
		if errors.Is(err, io.EOF) {
			return closing(CloseProtocol, "lane %d has ended", r.lane)
		}
		if err != nil {
			return err
		}
		if line.Log != nil {
			r.l.p.watch(false, "log", line.Log.Group, n)
		}
		if line.Post != nil {
			r.l.p.watchPost(false, line.Post, n)
		}
		if line.Post != nil || line.Log != nil {
			r.l.touch()
			if err := r.l.limit.wait(r.l.ctx, n); err != nil {
				return err
			}
		}
		if err := r.intake.put(r.l.ctx, line, n); err != nil {
			return err
		}
	}
}

// run hands on until the link ends. What it has begun it finishes.
func (r *receiver) run() error {
	for {
		lines, err := r.intake.take(r.l.ctx, runPosts)
		if err != nil {
			return err
		}
		for len(lines) > 0 {
			n, err := r.handle(lines)
			if err != nil {
				return err
			}
			lines = lines[n:]
		}
		if r.unsaid > 0 && (r.intake.empty() || r.unsaid >= runPosts || time.Since(r.lastAck) >= answerPause) {
			r.answer()
		}
	}
}

// handle deals with as many lines as belong together.
func (r *receiver) handle(lines []*s2s.Line) (int, error) {
	switch first := lines[0]; {
	case first.Settled > 0:
		return 1, r.settled(first.Settled)
	case first.Log != nil:
		return 1, r.l.followed(r.lane, first.Log)
	case first.Post == nil && first.Void == 0:
		return 1, nil // something of a later version
	}
	run := make([]Incoming, 0, len(lines))
	for _, line := range lines {
		if line.Settled > 0 || line.Log != nil || line.Post == nil && line.Void == 0 {
			break
		}
		in := Incoming{N: line.Void, Post: line.Post}
		if in.Post != nil {
			in.N = in.Post.N
		}
		run = append(run, in)
	}
	return len(run), r.posts(run)
}

// posts checks the numbers and has the posts applied.
func (r *receiver) posts(run []Incoming) error {
	for len(run) > 0 && run[0].N <= r.cursor {
		if err := r.repeat(run[0].N); err != nil {
			return err
		}
		run = run[1:]
	}
	for i, in := range run {
		if want := r.cursor + 1 + uint64(i); in.N != want {
			return closing(CloseProtocol, "post %d of lane %d where %d is expected", in.N, r.lane, want)
		}
	}
	for len(run) > 0 {
		n, err := r.admit(run)
		if err != nil {
			return err
		}
		run = run[n:]
	}
	return nil
}

// repeat answers again what was answered before.
func (r *receiver) repeat(n uint64) error {
	v := s2s.Verdict{N: n}
	err := r.l.m.cfg.Store.View(func(tx store.Tx) error {
		for kept, err := range tx.Verdicts(r.l.peer.Name, r.lane, n-1) {
			if err != nil {
				return err
			}
			if kept.N == n {
				return s2s.Unmarshal(kept.Body, &v)
			}
			return nil
		}
		return nil
	})
	if err != nil {
		return err
	}
	r.unsaid++
	if v.Outcome != s2s.Applied {
		r.l.control.ack(r.lane, n, []s2s.Verdict{v})
	}
	return nil
}

// admit asks the gate, and lets the node have those that pass, up to the first that does
// not; it returns how many are done.
func (r *receiver) admit(run []Incoming) (int, error) {
	v, barred := r.barred(run[0])
	if !barred {
		n := 1
		for n < len(run) {
			if _, barred = r.barred(run[n]); barred {
				break
			}
			n++
		}
		return r.deliver(run[:n])
	}
	err := r.persist(func() error {
		return r.l.m.cfg.Store.Update(func(tx store.Tx) error { return Record(tx, r.l.peer.Name, r.lane, v) })
	})
	if err != nil {
		return 0, err
	}
	return 1, r.dealt(run[:1], []s2s.Verdict{v})
}

// barred reports what is answered to a post that the node does not get to see.
func (r *receiver) barred(in Incoming) (s2s.Verdict, bool) {
	if in.Post == nil {
		return s2s.Verdict{}, false
	}
	if p := r.parked[in.Post.TopicID()]; p != nil {
		v := s2s.Verdict(*p)
		v.N = in.N
		return v, true
	}
	if in.N > r.asked { // once for each
		r.asked, r.bar = in.N, r.l.judge(in.Post)
		r.bar.N = in.N
	}
	return r.bar, r.bar.N == in.N && r.bar.Outcome != s2s.Applied
}

// judge refuses a post that makes no sense, or is not the peer's to send, and has the gate
// look at others.
func (l *link) judge(p *s2s.Post) s2s.Verdict {
	if err := p.Check(l.peer.Name); err != nil {
		f := protocol.FaultOf(err)
		return s2s.Verdict{Outcome: s2s.Refused, Fault: f, Reason: f.Text()}
	}
	return l.m.gate.Screen(l.peer, p)
}

// deliver hands posts to the node, again after a fault of ours until it has taken some.
func (r *receiver) deliver(run []Incoming) (int, error) {
	var done []s2s.Verdict
	err := r.persist(func() (err error) {
		done, err = r.l.m.handler.Deliver(r.l.ctx, r.l.peer, r.lane, run)
		if len(done) > 0 {
			return nil // what is left comes again
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	if len(done) == 0 || len(done) > len(run) {
		return 0, closing(CloseInternal, "%d verdicts on %d posts", len(done), len(run))
	}
	return len(done), r.dealt(run[:len(done)], done)
}

// persist does something until it succeeds or the link ends. Meanwhile nothing is read:
// the peer waits.
func (r *receiver) persist(f func() error) error {
	for pause := faultPause / 4; ; pause = min(2*pause, maxPause) {
		err := f()
		if err == nil {
			return nil
		}
		if r.l.ctx.Err() != nil {
			return r.l.cause()
		}
		r.l.m.quiet.warn(r.l.m.log, "posts not taken", r.l.peer.Name, err)
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-r.l.ctx.Done():
			t.Stop()
			return r.l.cause()
		}
	}
}

// dealt takes note of verdicts that are in the store.
func (r *receiver) dealt(run []Incoming, done []s2s.Verdict) error {
	for i, v := range done {
		if v.N != run[i].N {
			return closing(CloseInternal, "verdict on post %d instead of %d", v.N, run[i].N)
		}
		if v.Outcome == s2s.Applied {
			if p := run[i].Post; p != nil && r.l.p.parked.hasten(p.TopicID()) {
				r.l.books.look()
			}
			continue
		}
		r.kept++
		r.saying = append(r.saying, v)
		if t := run[i].Post.TopicID(); v.Outcome == s2s.Later && r.parked[t] == nil {
			p := parking(v)
			r.parked[t] = &p
		}
	}
	if r.unsaid == 0 {
		r.lastAck = time.Now()
	}
	r.cursor += uint64(len(done))
	r.unsaid += uint64(len(done))
	r.l.p.counts.taken.Add(uint64(len(done)))
	if r.kept > maxKept {
		return closing(CloseOverloaded, "%d verdicts that are not settled", r.kept)
	}
	return nil
}

// maxKept bounds the verdicts kept for a lane. An honest sender settles them within
// about two windows.
const maxKept = 8 * maxWindow

// answer tells the peer how far its posts are in the store.
func (r *receiver) answer() {
	r.l.control.ack(r.lane, r.cursor, r.saying)
	r.saying, r.unsaid, r.lastAck = nil, 0, time.Now()
}

// settled forgets verdicts that the peer has acted upon; its posts about the topics of
// these come anew from here on.
func (r *receiver) settled(upto uint64) error {
	if upto > r.cursor {
		return closing(CloseProtocol, "post %d of lane %d is settled and has not come", upto, r.lane)
	}
	err := r.persist(func() error {
		return r.l.m.cfg.Store.Update(func(tx store.Tx) error {
			if err := tx.Forget(r.l.peer.Name, r.lane, upto); err != nil {
				return err
			}
			r.kept = 0
			for _, err := range tx.Verdicts(r.l.peer.Name, r.lane, 0) {
				if err != nil {
					return err
				}
				r.kept++
			}
			return nil
		})
	})
	for t, p := range r.parked {
		if p.N <= upto {
			delete(r.parked, t)
		}
	}
	return err
}

// intake is what has been read of a lane and not handed on: bounded in bytes.
type intake struct {
	mu    sync.Mutex
	lines []*s2s.Line // guarded by mu
	sizes []int
	bytes int
	some  chan struct{} // room for one: there are lines
	room  chan struct{} // room for one: there is room
}

func newIntake() *intake {
	return &intake{some: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// put waits while there is no room.
func (k *intake) put(ctx context.Context, line *s2s.Line, size int) error {
	for {
		k.mu.Lock()
		if k.bytes == 0 || k.bytes+size <= intakeBytes && len(k.lines) < 4*runPosts {
			k.lines, k.sizes, k.bytes = append(k.lines, line), append(k.sizes, size), k.bytes+size
			k.mu.Unlock()
			signal(k.some)
			return nil
		}
		k.mu.Unlock()
		select {
		case <-k.room:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// take waits for lines and returns at most n.
func (k *intake) take(ctx context.Context, n int) ([]*s2s.Line, error) {
	for {
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		k.mu.Lock()
		if n = min(n, len(k.lines)); n > 0 {
			lines := k.lines[:n:n]
			for _, s := range k.sizes[:n] {
				k.bytes -= s
			}
			k.lines, k.sizes = k.lines[n:], k.sizes[n:]
			k.mu.Unlock()
			signal(k.room)
			return lines, nil
		}
		k.mu.Unlock()
		select {
		case <-k.some:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		n = runPosts
	}
}

func (k *intake) empty() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.lines) == 0
}

// begin sets where the lane stands: settled, what the peer has acted upon.
func (r *receiver) begin(tx store.Tx, cursor, settled uint64) error {
	if err := tx.Forget(r.l.peer.Name, r.lane, settled); err != nil {
		return err
	}
	r.cursor, r.asked, r.kept, r.saying = cursor, cursor, 0, nil
	for v, err := range tx.Verdicts(r.l.peer.Name, r.lane, settled) {
		if err != nil {
			return err
		}
		var verdict s2s.Verdict
		if err := s2s.Unmarshal(v.Body, &verdict); err != nil {
			return err
		}
		r.kept++
		r.saying = append(r.saying, verdict)
	}
	if cursor > settled {
		r.unsaid = cursor - settled
	}
	return nil
}

// greet answers, before anything comes, what was taken on earlier links.
func (r *receiver) greet() {
	if r.unsaid > 0 {
		r.answer()
	}
}
