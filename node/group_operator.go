package node

import (
	"context"
	"errors"
	"time"

	"parley/protocol"
	"parley/store"
)

// What operators see and do about groups of their node.

// GroupInfo is a group as operators see it.
type GroupInfo struct {
	ID       protocol.TopicID
	Name     string // "fn" of public
	Channel  bool
	Owner    protocol.UserID
	Members  int // without readers
	Messages int // the number of the last
	Touched  time.Time
}

// Groups are all groups and channels of this node, in the order of their ids.
func (n *Node) Groups() (all []GroupInfo, err error) {
	err = n.store.View(func(tx store.Tx) error {
		all = nil
		for t, err := range tx.AllTopics() {
			if err != nil {
				return err
			}
			if t.ID.Kind() != protocol.KindGroup || n.other(t.ID) != "" {
				continue
			}
			head, err := tx.Head(t.ID)
			if err != nil {
				return err
			}
			g := GroupInfo{ID: t.ID, Name: fullName(t.Public), Channel: t.Channel, Owner: t.Owner, Messages: head.Seq, Touched: head.Touched}
			for s, err := range tx.SubsTo(t.ID) {
				if err != nil {
					return err
				}
				if s.Live() && !s.Reader {
					g.Members++
				}
			}
			all = append(all, g)
		}
		return nil
	})
	return all, err
}

// AppointOwner makes a member the owner of a group of this node, as the operator's word:
// the owner may be gone, with the node that is to act for the owner. The former one stays a
// member. It fails with protocol.NotFound if there is no such group or member.
func (n *Node) AppointOwner(ctx context.Context, id protocol.TopicID, u protocol.UserID) error {
	if id.Kind() != protocol.KindGroup || n.other(id) != "" {
		return protocol.Errorf(protocol.NotFound, "%s is no group of this node", id)
	}
	if !n.enter() {
		return protocol.Busy
	}
	defer n.wg.Done()
	e := &appointEvent{user: u, done: make(chan error, 1)}
	n.sendAlways(id, e)
	select {
	case err := <-e.done:
		return err
	case <-ctx.Done():
		return protocol.Timeout
	}
}

// appointEvent is the operator's word about who owns a group.
type appointEvent struct {
	user protocol.UserID
	done chan error // room for one
}

func (e *appointEvent) apply(t *topic) {
	g, ok := t.kind.(*group)
	if !ok {
		e.absent(protocol.NotFound)
		return
	}
	e.done <- g.appoint(e.user)
}

// absent is called in place of apply for a group that is not there, or cannot be read.
func (e *appointEvent) absent(err error) {
	if errors.Is(err, protocol.NotFound) {
		err = protocol.Errorf(protocol.NotFound, "there is no such group")
	}
	e.done <- err
}

func (g *group) appoint(u protocol.UserID) error {
	m := g.members[u]
	switch {
	case m == nil || !m.live() || m.sub.Reader:
		return protocol.Errorf(protocol.NotFound, "%s is no member of %s", u, g.t.id)
	case g.rec.Owner == u:
		return nil
	}
	q := g.n.remoteRequest("", &protocol.Request{Set: &protocol.Set{}}) // nobody's but the home's
	old, now := m.sub, m.sub
	now.Given, now.Updated = protocol.ModeOwner, q.at
	err := g.update(func(tx store.Tx) error {
		if err := tx.PutSub(&now); err != nil {
			return err
		}
		return g.tells.changed(tx, q, &old, &now)
	})
	if err != nil {
		return err
	}
	m.sub = now
	g.presAcs(q, m, &protocol.Acs{Given: old.Given.Delta(now.Given)})
	return g.transfer(q, m, now.Want|protocol.Owner)
}
