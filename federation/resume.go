package federation

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"

	"parley/protocol/s2s"
	"parley/store"
)

// A store that is set back, by a restored backup or by a file copied back, no longer
// knows what it has sent or taken. The two Hellos show it (spec/link.md#restored): the
// numbers of a lane do not fit, or the incarnation is not the one last seen. Both nodes
// see the same two Hellos, come to the same conclusion, and begin the lanes anew above
// all numbers ever used. Each step is one transaction; if one of the two dies before
// it, the next Hellos differ again.

// agree compares the Hellos, begins the lanes anew if they do not fit, and keeps what
// the link tells of the peer. It reports whether topics must be compared, because of
// this or of an earlier link, and whether the lanes have begun anew.
func (p *remote) agree(c *candidate) (compare, anew bool, err error) {
	fits := fits(c.mine, c.theirs) && fits(c.theirs, c.mine)
	var offered [s2s.Lanes]uint64
	err = p.m.cfg.Store.Update(func(tx store.Tx) (err error) {
		if !fits {
			if offered, err = p.restart(tx, c); err != nil {
				return err
			}
		}
		pair, err := p.pair(tx)
		if err != nil {
			return err
		}
		compare = pair.Compare || !fits
		theirs, mine := c.theirs.Incarnation, c.mine.Incarnation
		if !fits {
			theirs, mine = succeed(theirs, mine), succeed(mine, theirs)
		}
		return p.m.changePeer(tx, p.name, func(r *store.Peer) {
			r.Seen, r.Boot, r.Incarnation = p.m.cfg.Clock.Now(), c.theirs.Boot, theirs
			r.Pair, r.PairOf, r.Compare = mine, p.m.cfg.Store.Meta().Incarnation, compare
		})
	})
	if err != nil {
		return false, false, err
	}
	if !fits {
		p.m.log.Warn("one of two nodes was set back: lanes begin anew", "peer", p.name,
			"mine", c.mine.Lanes, "theirs", c.theirs.Lanes)
		p.rewire(offered)
	}
	return compare, !fits, nil
}

// fits reports whether b can have taken what it says of what a says that it has sent,
// and whether b knows a as it is.
func fits(a, b *s2s.Hello) bool {
	if b.Known != 0 && b.Known != a.Incarnation {
		return false
	}
	for l, out := range a.Lanes {
		if in := b.Lanes[l].Applied; in+1 < out.Lowest || in >= out.Next {
			return false
		}
	}
	return true
}

// base is the number above which a lane from a to b begins anew.
func base(a, b *s2s.Hello, l int) uint64 { return max(a.Lanes[l].Next-1, b.Lanes[l].Applied) }

// restart begins the lanes anew, both ways. Posts that wait get new numbers; offered is
// up to where they may have been on a wire, under their old ones.
func (p *remote) restart(tx store.Tx, c *candidate) (offered [s2s.Lanes]uint64, err error) {
	for i := range offered {
		l := store.Lane(i)
		err := errors.Join(
			tx.Renumber(p.name, l, base(c.mine, c.theirs, i)),
			tx.Restart(p.name, l, base(c.theirs, c.mine, i)))
		if err != nil {
			return offered, err
		}
		q, err := tx.Queue(p.name, l)
		if err != nil {
			return offered, err
		}
		offered[i] = q.Offered
	}
	return offered, nil
}

func (p *remote) rewire(offered [s2s.Lanes]uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wired = offered
}

// succeed makes the next incarnation of a towards b. Both nodes know both.
func succeed(a, b uint64) uint64 {
	text := []byte("parley incarnation v1")
	text = binary.BigEndian.AppendUint64(text, a)
	text = binary.BigEndian.AppendUint64(text, b)
	sum := sha256.Sum256(text)
	return binary.BigEndian.Uint64(sum[:])
}

// pair is what two nodes call each other's store.
type pair struct {
	Mine, Theirs uint64
	Compare      bool // topics are still to be compared
}

// pair reads it. A store that is made anew from a backup has a new incarnation, and
// then what it was called towards the peer is void.
func (p *remote) pair(tx store.Tx) (pair, error) {
	meta := p.m.cfg.Store.Meta().Incarnation
	r, err := tx.Peer(p.name)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return pair{Mine: meta}, nil
	case err != nil:
		return pair{}, err
	case r.Pair == 0 || r.PairOf != meta:
		return pair{meta, r.Incarnation, r.Compare}, nil
	}
	return pair{r.Pair, r.Incarnation, r.Compare}, nil
}

// unoffer notes, after a link, that posts which were to be sent have not been, and until
// when the peer was there.
func (p *remote) unoffer() {
	p.mu.Lock()
	wired := p.wired
	p.mu.Unlock()
	err := p.m.cfg.Store.Update(func(tx store.Tx) error {
		if err := p.m.changePeer(tx, p.name, func(r *store.Peer) { r.Seen = p.m.cfg.Clock.Now() }); err != nil {
			return err
		}
		for l, n := range wired {
			if err := tx.Unoffer(p.name, store.Lane(l), n); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil { // they count as offered: careful, not wrong
		p.m.log.Warn("outbox not written", "peer", p.name, "error", err)
	}
}

// compared notes that topics have been.
func compared(r *store.Peer) { r.Compare = false }
