package node

import (
	"context"
	"errors"

	"parley/federation"
	"parley/protocol"
	"parley/protocol/s2s"
	"parley/reputation"
	"parley/store"
)

// What strangers see of a group: users of other nodes, too, whose nodes do not follow it
// and ask its home. Who asks is not told there.

// getStranger answers {get} of a group of which nothing is here.
func (f *follower) getStranger(q *request, in *protocol.GetQuery) {
	what := whats(in)
	if !what["desc"] { // whether there is such a group is not known
		q.refuse(protocol.NotFound)
		return
	}
	n, id := f.n, f.t.id
	n.start(func() {
		g, err := n.groupAbroad(q.who.User, id)
		if err != nil {
			q.refuse(err)
			return
		}
		q.meta(&protocol.Meta{Desc: descAbroad(g, q.who.Level, in.Desc)})
		if what["sub"] {
			q.refuse(protocol.NotFound)
		}
		refuseClosed(q, what)
	})
}

// groupAbroad asks the home of a group what strangers see of it. Errors: NotFound; Busy, if
// this cannot be known now; TooMany (by this user).
func (n *Node) groupAbroad(by protocol.UserID, id protocol.TopicID) (*s2s.Group, error) {
	f, mine, err := n.finds.begin(by, "group "+string(id)) // no handle has a blank
	if err != nil {
		return nil, err
	}
	if mine {
		g, err := n.askGroup(id)
		n.finds.end(f, finding{group: g}, err)
	}
	<-f.done // within askTime
	if f.err == nil && f.group == nil {
		return nil, protocol.NotFound
	}
	return f.group, f.err
}

// askGroup asks the home of a group for its face; nil if there is none that may be shown.
// An older node does not know the question.
func (n *Node) askGroup(id protocol.TopicID) (*s2s.Group, error) {
	ctx, stop := context.WithTimeout(n.outside, askTime)
	defer stop()
	a, err := n.ask(ctx, id.Home(), &s2s.Ask{Group: id})
	switch {
	case errors.Is(err, protocol.NotFound), errors.Is(err, protocol.Denied), errors.Is(err, protocol.Unsupported):
		return nil, nil
	case err != nil:
		n.log.Debug("a group of another node is not known yet", "group", id, "err", err)
		return nil, protocol.Busy
	case a.Group == nil || a.Group.ID != id || !isFace(a.Group.Public) || a.Group.SubCount < 0:
		return nil, nil
	}
	if err := n.offerFiles(id.Home(), a.Group.Public); err != nil {
		n.log.Error("a picture on another node cannot be fetched", "err", err)
	}
	return a.Group, nil
}

// descAbroad is what a stranger is shown of a group of another node, as getCard does it.
func descAbroad(g *s2s.Group, level store.Level, opts *protocol.GetOpts) *protocol.Desc {
	offers := store.Defacs{Auth: g.Auth, Anon: g.Anon}.For(level) &^ protocol.Owner
	d := &protocol.Desc{Created: remoteTime(g.Created), Updated: remoteTime(g.Updated), IsChan: g.Channel,
		Acs: &protocol.Acs{Mode: offers.String()}, SubCount: g.SubCount}
	if d.Updated == nil || modifiedSince(opts, d.Updated.Time) {
		d.Public = g.Public
	}
	return d
}

// answerGroup tells a peer what strangers see of a group here. What only operators set is
// for the viewer's own node to say.
func (n *Node) answerGroup(ctx context.Context, from federation.Peer, id protocol.TopicID) *s2s.Answer {
	if w := n.standing.use(from, reputation.Lookups, 1); w != nil {
		return w.answer()
	}
	if id.Home() != n.name { // else it would be loaded as a replica to be
		return failed(protocol.NotFound)
	}
	e := &faceEvent{done: make(chan struct{})}
	n.sendAlways(id, e)
	select {
	case <-e.done:
	case <-ctx.Done():
		return failed(protocol.Busy)
	}
	if e.err != nil {
		return failed(e.err)
	}
	return &s2s.Answer{Group: e.face}
}

// faceEvent wants to know what strangers see of a group.
type faceEvent struct {
	face *s2s.Group
	err  error
	done chan struct{}
}

func (e *faceEvent) absent(err error) {
	e.err = err
	close(e.done)
}

func (e *faceEvent) apply(t *topic) {
	if g, ok := t.kind.(*group); ok {
		face := faceOf(g.rec)
		face.SubCount = g.subCount()
		e.face = &face
	} else {
		e.err = protocol.NotFound
	}
	close(e.done)
}
