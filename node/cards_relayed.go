package node

import (
	"context"
	"sync"

	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
)

// maxRelayed bounds how many members of groups wait to be introduced; the faces of
// others come with their next change.
const maxRelayed = 4096

// relayed are users of whom the home of a group has told. The faces of those who are of
// third nodes are believed if these have signed them; who has none here is asked for at
// the own node. One after the other, beside the topics.
type relayed struct {
	n *Node

	mu      sync.Mutex
	waiting []s2s.Membership
	running bool
}

// introduce takes members of a group whose home has told of them.
func (r *relayed) introduce(members ...s2s.Membership) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range members {
		if r.n.remote(m.User) && !m.Ended && len(r.waiting) < maxRelayed {
			r.waiting = append(r.waiting, m)
		}
	}
	if len(r.waiting) > 0 && !r.running {
		r.running = true
		r.n.start(r.run)
	}
}

func (r *relayed) run() {
	for {
		r.mu.Lock()
		if len(r.waiting) == 0 || r.n.outside.Err() != nil {
			r.waiting, r.running = nil, false
			r.mu.Unlock()
			return
		}
		m := r.waiting[0]
		r.waiting = r.waiting[1:]
		r.mu.Unlock()
		if err := r.meet(&m); err != nil {
			r.n.log.Debug("the face of a member of a group is not known", "user", m.User, "err", err)
		}
	}
}

// meet finds the face of one member, unless it is known.
func (r *relayed) meet(m *s2s.Membership) error {
	var known *s2s.Card
	err := r.n.store.View(func(tx store.Tx) error {
		u, err := tx.User(m.User)
		if err != nil {
			return err
		}
		known, err = keptCard(tx, u)
		return err
	})
	if err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(r.n.outside, askTime)
	defer stop()
	c, at := m.Card, m.User.Node()
	if c != nil && c.User == m.User && (known == nil || c.Version > known.Version) &&
		r.n.cfg.Network.Verify(ctx, at, c.Version, c.Signed(), c.Sig) == nil {
		return r.keep(c)
	}
	if known != nil || r.n.cfg.Network.Away(at) {
		return nil
	}
	a, err := r.n.ask(ctx, at, &s2s.Ask{Card: m.User})
	switch {
	case err != nil:
		return err
	case a.Card == nil || a.Card.User != m.User:
		return protocol.Malformed
	}
	return r.keep(a.Card)
}

func (r *relayed) keep(c *s2s.Card) error {
	changed := false
	err := r.n.store.Update(func(tx store.Tx) (err error) {
		changed, err = putCard(tx, c, r.n.wall())
		return err
	})
	if err == nil && changed {
		r.n.tellContacts(c.User, protocol.Pres{What: "upd"})
	}
	return err
}
