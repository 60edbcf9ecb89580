package federation

import (
	"time"

	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
)

// Bounds of looking for posts that have waited for long.
const (
	expiryEvery = 10 * time.Minute
	expiryMost  = 256 // ended in one transaction
)

// aged is a post that has waited for long, and what its author is told.
type aged struct {
	lane store.Lane
	post *store.Post
	how  End
}

// expire ends posts that have waited for too long, while there is no link. It returns
// when to look again.
//
// What was never on a wire is dropped for good. What may have been is kept: only the
// peer knows what became of it, and will say so when it is back.
func (p *remote) expire(now time.Time) time.Time {
	lanes := make([]store.Lane, 0, 2*s2s.Lanes)
	for l := range store.Lane(s2s.Lanes) {
		lanes = append(lanes, l, parkedLane(l))
	}
	return p.expireLanes(now, lanes)
}

// expireParked does it for posts that the peer wants later, with or without a link: none
// of them is on a wire.
func (p *remote) expireParked(now time.Time) time.Time {
	var lanes []store.Lane
	for l := range store.Lane(s2s.Lanes) {
		lanes = append(lanes, parkedLane(l))
	}
	return p.expireLanes(now, lanes)
}

// nextParked does it now, and returns for how long there is nothing more to do.
func (p *remote) nextParked() time.Duration {
	now := p.m.cfg.Clock.Now()
	return p.expireParked(now).Sub(now)
}

func (p *remote) expireLanes(now time.Time, lanes []store.Lane) time.Time {
	for {
		var old []aged
		next := now.Add(expiryEvery)
		err := p.m.cfg.Store.View(func(tx store.Tx) error {
			old, next = nil, now.Add(expiryEvery)
			for _, l := range lanes {
				at, err := p.age(tx, l, now, &old)
				if err != nil {
					return err
				}
				if at.Before(next) {
					next = at
				}
			}
			return nil
		})
		if err == nil && len(old) > 0 {
			err = p.retire(old)
		}
		if err != nil {
			if p.m.ctx.Err() == nil {
				p.m.log.Error("old posts not ended", "peer", p.name, "error", err)
			}
			return now.Add(faultPause)
		}
		if len(old) < expiryMost {
			return next
		}
	}
}

// age adds the posts of a lane that have come of age, and tells when the next will. What
// is queued in order grows old in order, but for entries that a newer state has replaced.
func (p *remote) age(tx store.Tx, l store.Lane, now time.Time, old *[]aged) (next time.Time, err error) {
	next = now.Add(expiryEvery)
	q, err := tx.Queue(p.name, l)
	if err != nil || q.Settled == q.Last {
		return next, err
	}
	parked, told := l >= s2s.Lanes, map[string]bool{}
	for post, err := range tx.Posts(p.name, l, q.Settled) {
		if err != nil {
			return next, err
		}
		e := entry(post.Body)
		if e.void() {
			continue
		}
		how, due := p.m.fate(post, !parked && post.N <= q.Offered, now)
		if parked && how == noEnd {
			if how, due, err = p.held(post, told, now, due); err != nil {
				return next, err
			}
		}
		if how != noEnd && len(*old) < expiryMost {
			*old = append(*old, aged{l, post, how})
		}
		if how == noEnd && due.After(now) {
			if due.Before(next) {
				next = due
			}
			if post.Key == "" && !parked {
				break
			}
		}
		if len(*old) == expiryMost {
			break
		}
	}
	return next, nil
}

// noEnd is of a post that goes on waiting.
const noEnd = ^End(0)

// fate tells how a post ends now, if it does, and when else.
func (m *Mesh) fate(p *store.Post, offered bool, now time.Time) (how End, due time.Time) {
	e := entry(p.Body)
	expiry, delayed := p.At.Add(m.cfg.Times.Expiry), p.At.Add(m.cfg.Times.Delayed)
	switch {
	case e.has(toldUnconfirmed) && offered:
		return noEnd, time.Time{}
	case !now.Before(expiry) && offered:
		return Unconfirmed, expiry
	case !now.Before(expiry):
		return Expired, expiry
	case e.has(toldDelayed), e.has(toldUnconfirmed): // told worse, before it was parked or the clock went back
		return noEnd, expiry
	case !now.Before(delayed):
		return Delayed, expiry
	}
	return noEnd, delayed
}

// held tells whether the author of a parked post is to be told now that it waits, or when:
// of each topic the first message, since others wait for the same. due is when something
// else is due.
func (p *remote) held(post *store.Post, told map[string]bool, now, due time.Time) (End, time.Time, error) {
	topic, _, err := entry(post.Body).split()
	if err != nil || told[string(topic)] {
		return noEnd, due, err
	}
	said, err := entry(post.Body).post(p.m.codec(p.name))
	if err != nil || said.Message == nil {
		return noEnd, due, err
	}
	told[string(topic)] = true
	at := post.At.Add(p.m.cfg.Times.Held)
	switch {
	case entry(post.Body)[0] != 0: // of this, or worse
		return noEnd, due, nil
	case now.Before(at):
		return noEnd, at, nil
	}
	return Held, due, nil
}

// retire tells the authors, in the transaction that notes that they have been told.
func (p *remote) retire(old []aged) error {
	ends := make([]Ending, 0, len(old))
	for _, a := range old {
		post, err := entry(a.post.Body).post(p.m.codec(p.name))
		if err != nil {
			return err
		}
		ends = append(ends, Ending{Post: post, How: a.how})
	}
	p.counts.expired.Add(uint64(len(old)))
	return p.m.handler.Returned(p.m.ctx, p.name, ends, func(tx store.Tx) error {
		touched := map[store.Lane]bool{}
		for _, a := range old {
			if err := p.end(tx, a); err != nil {
				return err
			}
			touched[a.lane] = touched[a.lane] || a.how == Expired
		}
		for l, dropped := range touched {
			switch {
			case !dropped:
			case l < s2s.Lanes:
				if err := tx.Compact(p.name, l); err != nil {
					return err
				}
			default:
				if err := trim(tx, p.name, l); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// end does it for one post in the store, unless a newer state has taken its place.
func (p *remote) end(tx store.Tx, a aged) error {
	for now, err := range tx.Posts(p.name, a.lane, a.post.N-1) {
		if err != nil {
			return err
		}
		if now.N != a.post.N || !now.At.Equal(a.post.At) {
			return nil
		}
		break
	}
	switch a.how {
	case Expired:
		return tx.Void(p.name, a.lane, a.post.N)
	case Unconfirmed:
		return tx.Amend(p.name, a.lane, a.post.N, entry(a.post.Body).marked(toldUnconfirmed))
	}
	mark := toldDelayed
	if a.how == Held {
		mark = toldHeld
	}
	return tx.Amend(p.name, a.lane, a.post.N, entry(a.post.Body).marked(mark))
}

// doubtful is the last post of a lane whose author has been told that it is not known
// whether it was delivered; 0 if there is none.
func doubtful(tx store.Tx, to protocol.Node, l store.Lane, q store.Queue) (n uint64, err error) {
	for post, err := range tx.Posts(to, l, q.Settled) {
		if err != nil {
			return 0, err
		}
		if post.N > q.Offered {
			break
		}
		if entry(post.Body).has(toldUnconfirmed) {
			n = post.N
		}
	}
	return n, nil
}
