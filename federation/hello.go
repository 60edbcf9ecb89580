package federation

import (
	"context"
	"slices"
	"time"

	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
)

// maxHello bounds the first frame of a peer, in bytes.
const maxHello = 16 << 10

// hello says where this node stands with the peer. Only the worker calls it, while
// there is no link: what it says of the lanes must hold until the next.
func (p *remote) hello() (*s2s.Hello, error) {
	p.mu.Lock()
	limits := p.limited()
	p.mu.Unlock()
	h := &s2s.Hello{
		Name: p.m.self, To: p.name, Boot: p.m.boot,
		Features: p.m.cfg.Features, Limits: limits, Build: p.m.cfg.Build,
		Lanes: make([]s2s.LaneState, s2s.Lanes), Time: p.m.cfg.Clock.Now().UnixMilli(), Reach: uint8(p.m.reach.Load()),
	}
	err := p.m.cfg.Store.View(func(tx store.Tx) error {
		pair, err := p.pair(tx)
		if err != nil {
			return err
		}
		h.Incarnation, h.Known = pair.Mine, pair.Theirs
		for l := range h.Lanes {
			q, err := tx.Queue(p.name, store.Lane(l))
			if err != nil {
				return err
			}
			c, err := tx.Cursor(p.name, store.Lane(l))
			if err != nil {
				return err
			}
			// Next is that of the first post that was never on a wire: only what may
			// have been counts when the two compare.
			h.Lanes[l] = s2s.LaneState{Lowest: q.Settled + 1, Next: q.Offered + 1, Applied: c}
		}
		return nil
	})
	return h, err
}

// say opens the control stream with Hello.
func (c *candidate) say(ctx context.Context, h *s2s.Hello) error {
	var err error
	if c.out, err = openSend(ctx, c.conn, c.codec, streamControl); err != nil {
		return err
	}
	if err := c.out.write(&s2s.Control{Hello: h}); err != nil {
		return err
	}
	c.mine = h
	return c.out.flush()
}

// hear reads the peer's Hello, which must be the first of all that it says.
func (c *candidate) hear(ctx context.Context, self protocol.Node) error {
	s, err := c.conn.AcceptReceive(ctx)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { s.Stop(CloseIdle) })()
	c.in = newFrameReader(s, c.codec, maxHello)
	kind, err := c.in.kind()
	if err != nil {
		return err
	}
	if kind != streamControl {
		return closing(CloseProtocol, "stream of kind %d before Hello", kind)
	}
	var f s2s.Control
	if _, err := c.in.read(&f); err != nil {
		return err
	}
	c.theirs, c.heard = f.Hello, time.Now()
	return c.check(self)
}

// check refuses a Hello that is not for us or makes no sense.
func (c *candidate) check(self protocol.Node) error {
	h := c.theirs
	switch {
	case h == nil:
		return closing(CloseProtocol, "no Hello")
	case h.Name != c.peer.Name:
		return closing(CloseUnproven, "Hello of %.100q on a connection of %s", h.Name, c.peer.Name)
	case h.To != self:
		return closing(CloseProtocol, "%.100q is not here", h.To)
	case len(h.Lanes) != s2s.Lanes:
		return closing(CloseProtocol, "%d lanes", len(h.Lanes))
	}
	if slices.ContainsFunc(h.Lanes, func(l s2s.LaneState) bool {
		return l.Lowest > l.Next || max(l.Next, l.Applied) >= maxNumber
	}) {
		return closing(CloseProtocol, "numbers of lanes make no sense")
	}
	return nil
}

// ahead is by how much the peer's clock was ahead of this node's, as far as Hello tells,
// which was on its way meanwhile; 0 if it does not.
func (c *candidate) ahead(clock protocol.Clock) time.Duration {
	if c.theirs.Time == 0 || c.theirs.Time > maxTime || c.theirs.Time < -maxTime {
		return 0
	}
	return time.UnixMilli(c.theirs.Time).Sub(clock.Now().Add(-time.Since(c.heard)))
}

// Bounds of clocks.
const (
	clockTold = 5 * time.Minute // from which difference on the operator is told
	maxTime   = 1 << 48         // ms: no date is later
)

// maxNumber is above all numbers of posts.
const maxNumber = 1 << 62

// establish makes a link of a candidate: after it both know where the lanes stand.
func (p *remote) establish(c *candidate) (*link, error) {
	if c.mine == nil {
		h, err := p.hello()
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(p.m.ctx, helloTimeout)
		defer cancel()
		if err := c.say(ctx, h); err != nil {
			return nil, err
		}
	}
	compare, anew, err := p.agree(c)
	if err != nil {
		return nil, err
	}
	l := newLink(p, c)
	l.compare, l.restored = compare, anew
	return l, l.prepare(c)
}
