package federation

import (
	"slices"
	"sync"
	"time"

	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
)

// Posts of a topic that the peer wants later are parked: they leave their lane, in order,
// for a queue of their own that is on no wire, and come back with new numbers.
//
// When the verdict on post n is acted upon, others of the topic may be on the wire. The
// peer answers Later to each of them, until it reads in the lane that the verdict has
// been acted upon (Line.Settled); all of them were written before that. So it is safe to
// park them at once, and voids take their places should the link end. What is posted
// from then on is parked as well, behind them, while any of the topic is. On another
// link nothing is sent before the answers to what the peer has already taken have been
// acted upon, so that the peer need not remember topics.
//
// After the time that the peer has given, the first of them is tried alone; if it is
// taken the others follow, and if not it is put back in front of them.

// parked are the topics of one peer of which posts may be parked: all that are, in the
// store, and for a moment some that are not yet or not any more.
type parked struct {
	mu     sync.Mutex
	topics map[protocol.TopicID]*aside // guarded by mu
}

// aside is one of them.
type aside struct {
	lane  store.Lane
	after time.Time // when to try; zero: being parked
	probe uint64    // number of the post that is tried
}

// Waiting times of parked topics.
const (
	minWait = time.Second
	maxWait = 24 * time.Hour
)

func wait(seconds uint32) time.Duration {
	return min(max(time.Duration(seconds)*time.Second, minWait), maxWait)
}

// loadParked finds the topics that were parked when the store was last open. The time is
// lost with the process: they are tried again.
func (m *Mesh) loadParked() error {
	return m.cfg.Store.View(func(tx store.Tx) error {
		for n, err := range tx.Waiting() {
			if err != nil {
				return err
			}
			for l := range store.Lane(s2s.Lanes) {
				for p, err := range tx.Posts(n, parkedLane(l), 0) {
					if err != nil {
						return err
					}
					if topic, _, err := entry(p.Body).split(); err == nil {
						k := &m.peer(n).parked
						k.note(protocol.TopicID(topic), l)
						k.topics[protocol.TopicID(topic)].after = time.Now()
					}
				}
			}
		}
		return nil
	})
}

// note says that posts of a topic may be parked from now on. It comes before they are.
func (k *parked) note(t protocol.TopicID, l store.Lane) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.topics == nil {
		k.topics = map[protocol.TopicID]*aside{}
	}
	if k.topics[t] == nil {
		k.topics[t] = &aside{lane: l}
	}
}

// holds reports whether what is posted to a topic is to be parked.
func (k *parked) holds(tx store.Tx, to protocol.Node, l store.Lane, t protocol.TopicID) (bool, error) {
	k.mu.Lock()
	maybe := k.topics[t] != nil
	k.mu.Unlock()
	if !maybe {
		return false, nil
	}
	for p, err := range tx.Posts(to, parkedLane(l), 0) {
		if err != nil {
			return false, err
		}
		if entry(p.Body).about(t) {
			return true, nil
		}
	}
	return false, nil
}

// some reports whether any topic is parked.
func (k *parked) some() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.topics) > 0
}

// due is when the next topic is to be tried; zero if none is.
func (k *parked) due() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	var at time.Time
	for _, a := range k.topics {
		if (a.probe == 0 || a.probe == allOf) && !a.after.IsZero() && (at.IsZero() || a.after.Before(at)) {
			at = a.after
		}
	}
	return at
}

// hasten has a topic tried now: the peer, too, has something to say about it. It
// reports whether any of it is parked.
func (k *parked) hasten(t protocol.TopicID) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	a := k.topics[t]
	if a == nil || a.probe != 0 || a.after.IsZero() {
		return false
	}
	a.after = time.Now()
	return true
}

// answered takes what the peer has said of a lane.
func (k *parked) answered(s settling) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, t := range s.later {
		if a := k.topics[t.topic]; a != nil {
			a.after, a.probe = t.until, 0
		}
	}
	for _, a := range k.topics {
		if a.lane == s.lane && a.probe != 0 && a.probe <= s.upto {
			a.probe, a.after = allOf, time.Now()
		}
	}
}

// allOf in place of a probe: the first has been taken, now the others.
const allOf = ^uint64(0)

// park moves the posts of a topic from n on out of their lane. Those that are parked
// already are younger, and come after them.
func park(tx store.Tx, to protocol.Node, l store.Lane, n uint64, t protocol.TopicID) error {
	moved, err := takeOut(tx, to, l, n-1, t, false)
	if err != nil || len(moved) == 0 {
		return err
	}
	rest, err := takeOut(tx, to, parkedLane(l), 0, t, false)
	if err != nil {
		return err
	}
	return putIn(tx, to, parkedLane(l), append(moved, rest...))
}

// takeOut voids the posts of a topic above a number, or the first of them, and returns
// them.
func takeOut(tx store.Tx, to protocol.Node, l store.Lane, after uint64, t protocol.TopicID, first bool) ([]*store.Post, error) {
	var out []*store.Post
	for p, err := range tx.Posts(to, l, after) {
		if err != nil {
			return nil, err
		}
		if !entry(p.Body).about(t) {
			continue
		}
		out = append(out, p)
		if first {
			break
		}
	}
	for _, p := range out {
		if err := tx.Void(to, l, p.N); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func putIn(tx store.Tx, to protocol.Node, l store.Lane, ps []*store.Post) error {
	for _, p := range ps {
		if err := tx.Enqueue(to, l, p); err != nil {
			return err
		}
	}
	return nil
}

// trim settles the voids at the head of a parked queue.
func trim(tx store.Tx, to protocol.Node, l store.Lane) error {
	q, err := tx.Queue(to, l)
	if err != nil {
		return err
	}
	upto := q.Last
	for p, err := range tx.Posts(to, l, q.Settled) {
		if err != nil {
			return err
		}
		if len(p.Body) > 0 {
			upto = p.N - 1
			break
		}
	}
	return tx.Settle(to, l, upto)
}

// unpark brings back what it is time for.
func (b *books) unpark(now time.Time) error {
	p := b.l.p
	for _, t := range p.parked.ready(now) {
		var n, unsure uint64
		err := p.m.cfg.Store.Update(func(tx store.Tx) error {
			out, err := takeOut(tx, p.name, parkedLane(t.lane), 0, t.topic, !t.all)
			if err != nil {
				return err
			}
			if err := putIn(tx, p.name, t.lane, out); err != nil {
				return err
			}
			n, unsure = 0, 0
			for _, post := range slices.Backward(out) {
				if n = post.N; unsure == 0 && entry(post.Body).has(toldUnconfirmed) {
					unsure = n
				}
			}
			return trim(tx, p.name, parkedLane(t.lane))
		})
		if err != nil {
			return err
		}
		p.parked.back(t.topic, n, t.all)
		b.l.doubtful[t.lane] = max(b.l.doubtful[t.lane], unsure)
		b.l.out[t.lane].look()
	}
	return nil
}

// due is a topic that is to come back: its first post, or all.
type due struct {
	topic protocol.TopicID
	lane  store.Lane
	all   bool
}

func (k *parked) ready(now time.Time) (ts []due) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for t, a := range k.topics {
		if all := a.probe == allOf; (a.probe == 0 || all) && !a.after.IsZero() && !a.after.After(now) {
			ts = append(ts, due{t, a.lane, all})
		}
	}
	return ts
}

// back notes that posts are in their lane again, the first as n; 0: there were none.
func (k *parked) back(t protocol.TopicID, n uint64, all bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if all || n == 0 {
		delete(k.topics, t)
	} else if a := k.topics[t]; a != nil {
		a.probe = n
	}
}
