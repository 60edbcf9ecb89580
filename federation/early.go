package federation

import (
	"context"
	"slices"

	"parley/protocol/s2s"
	"parley/store"
)

// Who dials need not wait for the peer's Hello with what is waiting: posts may follow the
// own one at once, which saves a round trip on a link that was idle (spec/link.md#early).
// This is not 0-RTT: the peer is proven, the handshake is over at this end.
//
// It is done where the answer can be foreseen: since this node started it has had a link
// with the peer, which knows of it, and no post of the lane is on the way. So the first
// that follows is the one that the peer expects. If the peer was set back meanwhile, lanes
// begin anew either right behind what was settled, where the early posts have the numbers
// that they would get; or above, and the peer passes them over until they come with others.

// Bounds of what is sent early, in all lanes: about what a connection may send before it
// has heard anything (RFC 9002 section 7.2).
const (
	earlyPosts = 16
	earlyBytes = 8 << 10
)

// early are the posts that follow a Hello at once.
type early struct {
	pages [s2s.Lanes][]*store.Post
	out   [s2s.Lanes]*frameWriter // the streams they are on
}

// sent is the last post of a lane that was sent early; 0: none.
func (e *early) sent(l int) uint64 {
	if e == nil || len(e.pages[l]) == 0 {
		return 0
	}
	return e.pages[l][len(e.pages[l])-1].N
}

// stream is the one of a lane; nil: nothing is on one yet.
func (e *early) stream(l int) *frameWriter {
	if e == nil {
		return nil
	}
	return e.out[l]
}

// takeEarly takes what may follow the Hello; nil: nothing. The posts count as offered from
// here on.
func (p *remote) takeEarly(mine *s2s.Hello) (*early, error) {
	p.mu.Lock()
	prompt := p.prompt
	p.mu.Unlock()
	if !prompt || mine.Known == 0 || !knowsEarly(mine) {
		return nil, nil
	}
	e := &early{}
	posts, room := 0, earlyBytes
	err := p.m.cfg.Store.Update(func(tx store.Tx) error {
		e.pages, posts, room = [s2s.Lanes][]*store.Post{}, 0, earlyBytes
		for l := range e.pages {
			lane := store.Lane(l)
			q, err := tx.Queue(p.name, lane)
			if err != nil {
				return err
			}
			if q.Settled < q.Offered || q.Last == q.Offered {
				continue
			}
			for post, err := range tx.Posts(p.name, lane, q.Offered) {
				if err != nil {
					return err
				}
				if posts == earlyPosts || len(post.Body) > room {
					break
				}
				e.pages[l] = append(e.pages[l], post)
				posts, room = posts+1, room-len(post.Body)
			}
			if n := e.sent(l); n > 0 {
				if err := tx.Offer(p.name, lane, n); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil || posts == 0 {
		return nil, err
	}
	p.mu.Lock()
	p.prompt = false // until a link shows again how the two stand
	p.mu.Unlock()
	return e, nil
}

// sayEarly writes them behind the Hello.
func (p *remote) sayEarly(ctx context.Context, c *candidate) error {
	for l, page := range c.early.pages {
		if len(page) == 0 {
			continue
		}
		p.wire(store.Lane(l), c.early.sent(l))
		w, err := openSend(ctx, c.conn, c.codec, streamLane+byte(l))
		if err != nil {
			return err
		}
		c.early.out[l], w.count = w, &p.counts.postsOut
		for _, post := range page {
			raw, err := encodePost(c.codec, post)
			if err != nil {
				return err
			}
			p.sends(c.codec, post, len(raw))
			if err := w.writeRaw(raw); err != nil {
				return err
			}
		}
		if err := w.flush(); err != nil {
			return err
		}
	}
	return nil
}

// knowsEarly reports whether a node takes posts before it has said Hello.
func knowsEarly(h *s2s.Hello) bool { return slices.Contains(h.Features, s2s.FeatureEarly) }
