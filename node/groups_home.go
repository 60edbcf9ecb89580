package node

import (
	"encoding/json"
	"errors"

	"parley/federation"
	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
)

// The home of a group keeps its log. Nodes of members follow it: each has a position in
// the log, and nothing else is kept for it.

var _ federation.Logs = (*Node)(nil)

// maxInvite is up to how many bytes of members go along with an invitation; more are
// asked for.
const maxInvite = 256 << 10

// follow makes the node of a remote user a follower of the group, in the transaction of
// the user's subscription, and invites the user there. A follower that is up to date
// learns of it from the log.
func (g *group) follow(tx store.Tx, q *request, sub *store.Sub) error {
	to := sub.User.Node()
	if to == g.n.name {
		return nil
	}
	if g.n.cfg.Network == nil {
		return protocol.NotFound
	}
	if _, err := tx.User(sub.User); errors.Is(err, store.ErrNotFound) {
		if err := tx.PutUser(shadow(sub.User, q.at)); err != nil {
			return err
		}
	}
	f, err := tx.Follower(g.t.id, to)
	if err == nil && f.Live {
		return nil
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	return g.invitation(tx, sub, q.who.User)
}

// invitation queues what makes the node of a user a follower.
func (g *group) invitation(tx store.Tx, sub *store.Sub, by protocol.UserID) error {
	s, size, err := g.n.snapshot(tx, g.t.id, false)
	if err != nil {
		return err
	}
	invite := &s2s.Invite{User: sub.User, By: by, Given: sub.Given, Want: sub.Want, Group: s.Group, Members: s.Members}
	if size > maxInvite {
		invite.Members = nil
	}
	to := sub.User.Node()
	if err := tx.PutFollower(&store.Follower{Topic: g.t.id, Node: to, Rev: s.Group.Rev}); err != nil {
		return err
	}
	return g.post(tx, to, "", &s2s.Post{Topic: g.t.id, At: g.n.wall().UnixMilli(), Invite: invite})
}

// maxCards is how many bytes of faces go into a snapshot. Others are asked for.
const maxCards = 128 << 10

// snapshot is a group at its last revision, and about how many bytes that is. bare: for a
// node that may not know its members.
func (n *Node) snapshot(tx store.Tx, group protocol.TopicID, bare bool) (*s2s.Snapshot, int, error) {
	rec, err := tx.Topic(group)
	if err != nil {
		return nil, 0, err
	}
	head, err := tx.Head(group)
	if err != nil {
		return nil, 0, err
	}
	s := &s2s.Snapshot{Group: groupOf(rec, head, bare)}
	size, cards := len(rec.Public)+len(rec.Aux), 0
	for sub, err := range tx.SubsTo(group) {
		if err != nil {
			return nil, 0, err
		}
		if bare || sub.Reader || !sub.Live() {
			continue
		}
		m, err := n.membership(tx, sub)
		if err != nil {
			return nil, 0, err
		}
		if m.Card != nil {
			if cards += len(m.Card.Public); cards > maxCards {
				m.Card = nil
			}
		}
		size += 2*len(m.User) + 16
		s.Members = append(s.Members, *m)
	}
	return s, size + cards, nil
}

func groupOf(rec *store.Topic, head store.Head, bare bool) s2s.Group {
	g := faceOf(rec)
	g.Aux, g.Seq, g.Rev = rec.Aux, head.Seq, head.Rev
	if !bare {
		g.Owner, g.Tags = rec.Owner, rec.Tags
	}
	return g
}

// faceOf is what a record says of a group to anybody.
func faceOf(rec *store.Topic) s2s.Group {
	return s2s.Group{ID: rec.ID, Channel: rec.Channel, Created: rec.Created.UnixMilli(), Updated: rec.Updated.UnixMilli(),
		Auth: rec.Defacs.Auth, Anon: rec.Defacs.Anon, Public: rec.Public}
}

// bare reports whether a node has readers of a channel only: it is not told who writes.
func (n *Node) bare(tx store.Tx, group protocol.TopicID, to protocol.Node) (bool, error) {
	if rec, err := tx.Topic(group); err != nil || !rec.Channel {
		return false, err
	}
	for sub, err := range tx.SubsTo(group) {
		if err != nil {
			return false, err
		}
		if sub.User.Node() == to && sub.Live() && !sub.Reader {
			return false, nil
		}
	}
	return true, nil
}

// maxInlineCard is up to how many bytes a face goes along with a membership; larger ones
// are asked for at the user's home.
const maxInlineCard = 8 << 10

// membership is a subscription as followers get it.
func (n *Node) membership(tx store.Tx, sub *store.Sub) (*s2s.Membership, error) {
	m := &s2s.Membership{User: sub.User, Want: sub.Want, Given: sub.Given, Ended: !sub.Live()}
	u, err := tx.User(sub.User)
	if errors.Is(err, store.ErrNotFound) || err == nil && u.State != store.StateOK {
		return m, nil
	}
	if err != nil {
		return nil, err
	}
	if len(u.Public) <= maxInlineCard {
		m.Card, err = n.anyCard(tx, u)
	}
	return m, err
}

// Behind implements federation.Logs.
func (n *Node) Behind(to protocol.Node) ([]store.Follower, error) {
	var all []store.Follower
	err := n.store.View(func(tx store.Tx) error {
		all = nil
		for f, err := range tx.FollowedBy(to) {
			if err != nil {
				return err
			}
			if !f.Live || f.Topic.Home() != n.name {
				continue
			}
			head, err := tx.Head(f.Topic)
			if err != nil {
				return err
			}
			if head.Rev == 0 || f.Rev < head.Rev { // 0: the group has ended
				all = append(all, *f)
			}
		}
		return nil
	})
	return all, err
}

// Page implements federation.Logs.
func (n *Node) Page(to protocol.Node, group protocol.TopicID, after uint64, size int) (*s2s.Log, error) {
	l := &s2s.Log{Group: group, After: after}
	err := n.store.View(func(tx store.Tx) error {
		l.Events = nil
		if _, err := tx.Follower(group, to); err != nil {
			return err
		}
		if _, err := tx.Topic(group); errors.Is(err, store.ErrNotFound) {
			l.Events = []s2s.Event{{At: n.wall().UnixMilli(), End: true}}
			return nil
		} else if err != nil {
			return err
		}
		bare, err := n.bare(tx, group, to)
		if err != nil {
			return err
		}
		for e, err := range tx.EventsAfter(group, after) {
			if err != nil {
				return err
			}
			out, err := n.outwardEvent(tx, to, group, e, bare)
			if err != nil {
				return err
			}
			if size -= sizeOf(out); size < 0 && len(l.Events) > 0 {
				break
			}
			l.Events = append(l.Events, *out)
		}
		return nil
	})
	if errors.Is(err, store.ErrNotFound) || err == nil && len(l.Events) == 0 {
		return nil, nil
	}
	return l, err
}

// sizeOf is about how many bytes an event takes.
func sizeOf(e *s2s.Event) int {
	size := 64
	switch {
	case e.Message != nil:
		size += len(e.Message.Head) + len(e.Message.Content)
	case e.Sub != nil && e.Sub.Card != nil:
		size += len(e.Sub.Card.Public)
	case e.Desc != nil:
		size += len(e.Desc.Public) + len(e.Desc.Aux)
	}
	return size
}

// outwardEvent is an entry of the log as followers get it. Bare ones get no names of
// users but their own: instead of what consists of these the description, which has
// changed or not.
func (n *Node) outwardEvent(tx store.Tx, to protocol.Node, group protocol.TopicID, e *store.Event, bare bool) (*s2s.Event, error) {
	out := &s2s.Event{At: e.TS.UnixMilli(), By: e.By}
	if bare {
		out.By = ""
	}
	switch e.Kind {
	case eventMessage:
		m, err := tx.Message(group, e.Seq)
		if errors.Is(err, store.ErrNotFound) { // erased since: its place only
			out.Message = &s2s.GroupMessage{Seq: e.Seq}
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		out.Message = messageOf(m)
		if !bare {
			out.Sig = e.Body
		}
	case eventDelete:
		var d deleteEvent
		if err := json.Unmarshal(e.Body, &d); err != nil {
			return nil, err
		}
		out.Erase = &s2s.Erasure{ID: d.ID, Ranges: spansOf(d.Ranges)}
		if !bare && d.At != 0 {
			out.Sig, out.At = d.Sig, d.At
		}
	case eventDesc, eventTags, eventAux:
		return out, n.outwardDesc(tx, group, out, bare)
	case eventEnd:
		out.End = true
	case eventSub, eventOwner:
		if err := n.outwardMember(tx, e, out); err != nil {
			return nil, err
		}
		if bare && (out.Sub == nil || out.Sub.User.Node() != to) {
			*out = s2s.Event{At: e.TS.UnixMilli()}
			return out, n.outwardDesc(tx, group, out, bare)
		}
	}
	return out, nil
}

// outwardDesc fills in the description: as it is now, later events say the same again.
func (n *Node) outwardDesc(tx store.Tx, group protocol.TopicID, out *s2s.Event, bare bool) error {
	rec, err := tx.Topic(group)
	if err != nil {
		return err
	}
	g := groupOf(rec, store.Head{}, bare)
	out.Desc = &g
	return nil
}

// outwardMember fills in what an event says of members.
func (n *Node) outwardMember(tx store.Tx, e *store.Event, out *s2s.Event) error {
	if e.Kind == eventOwner {
		var o ownerEvent
		err := json.Unmarshal(e.Body, &o)
		out.Owner = o.To
		return err
	}
	var s subEvent
	if err := json.Unmarshal(e.Body, &s); err != nil {
		return err
	}
	m, err := n.membership(tx, &store.Sub{User: s.User, Want: s.Want, Given: s.Given})
	if err != nil {
		return err
	}
	m.Ended, out.Sub, out.Sig = s.Ended, m, s.Sig
	if s.At != 0 {
		out.At = s.At
	}
	return nil
}

// messageOf is a message as it goes to followers.
func messageOf(m *store.Message) *s2s.GroupMessage {
	return &s2s.GroupMessage{Seq: m.Seq, Tag: m.Tag, TS: m.TS.UnixMilli(), Head: m.Head, Content: m.Content}
}

func spansOf(rs protocol.Ranges) []s2s.Span {
	spans := make([]s2s.Span, len(rs))
	for i, r := range rs {
		spans[i] = s2s.Span{Low: r.Low, High: r.End()}
	}
	return spans
}

// Followed implements federation.Logs.
func (n *Node) Followed(from federation.Peer, a *s2s.LogAck) error {
	return n.store.Update(func(tx store.Tx) error {
		f, err := tx.Follower(a.Group, from.Name)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := tx.Topic(a.Group); errors.Is(err, store.ErrNotFound) || err == nil && a.Stop {
			return tx.DeleteFollower(a.Group, from.Name) // told of its end, or not interested
		} else if err != nil {
			return err
		}
		head, err := tx.Head(a.Group)
		if err != nil {
			return err
		}
		switch {
		case a.Rev > head.Rev:
			n.log.Error("a follower has more of a group's log than its home: was this node set back?",
				"group", a.Group, "follower", from.Name, "has", a.Rev, "home", head.Rev)
			return nil
		case a.Rev > f.Rev, a.Reset && a.Rev < f.Rev:
			f.Rev = a.Rev
			return tx.PutFollower(f)
		}
		return nil
	})
}

// receive applies a post of a follower: that it follows, how far its users have read,
// what they wish, a command that is to have no effect any more.
func (g *group) receive(from federation.Peer, p *s2s.Post) error {
	switch {
	case p.Topic != g.t.id:
		return protocol.NotFound
	case p.Follow != nil:
		return g.followed(from, p.Follow)
	case p.Reads != nil:
		return g.takeReads(from.Name, p.Reads)
	case p.Withdraw != nil:
		return g.withdraw(from, p.Withdraw)
	case p.Command != nil:
		return g.wish(from, p.Command)
	}
	return protocol.Unsupported
}

// prepareRemote implements receiver: messages to a group are commands.
func (g *group) prepareRemote(federation.Peer, *s2s.Post) (*pending, error) {
	return nil, protocol.Unsupported
}

// followed takes that a node has the group, and wants what follows, or no more of it. If
// meanwhile one of its users has become a member, it is invited again.
func (g *group) followed(from federation.Peer, f *s2s.Follow) error {
	err := g.putFollowed(from, f)
	if err == nil && !f.Stop {
		g.tellHere(from.Name)
	}
	return err
}

func (g *group) putFollowed(from federation.Peer, f *s2s.Follow) error {
	return g.update(func(tx store.Tx) error {
		old, err := tx.Follower(g.t.id, from.Name)
		if errors.Is(err, store.ErrNotFound) {
			return protocol.Denied
		}
		if err != nil {
			return err
		}
		if !f.Stop {
			old.Rev, old.Live = f.Rev, true
			g.peers = append(g.peers, from.Name)
			return tx.PutFollower(old)
		}
		for u, m := range g.members {
			if m.live() && !m.sub.Reader && u.Node() == from.Name {
				return g.invitation(tx, &m.sub, g.rec.Owner)
			}
		}
		return tx.DeleteFollower(g.t.id, from.Name)
	})
}

// meetInvited makes sure that the node of a user who is to be invited knows the user.
func (r *request) meetInvited() error {
	if r.in.Set == nil || r.in.Set.Sub == nil || r.in.Set.Sub.User == "" {
		return nil
	}
	n := r.s.n
	u, err := protocol.ParseUserID(r.in.Set.Sub.User, n.name)
	if err != nil || !n.remote(u) {
		return nil // the verb will tell
	}
	if !n.ventures(r.who) {
		return protocol.Denied
	}
	return n.meet(r.who.User, u)
}

// sigOf finds the signature of a remote member's message in the log: that has an entry
// for each message, so the one of message n is not before the n-th.
func sigOf(tx store.Tx, group protocol.TopicID, m *store.Message) ([]byte, error) {
	for e, err := range tx.EventsAfter(group, uint64(m.Seq-1)) {
		if err != nil {
			return nil, err
		}
		if e.Kind == eventMessage && e.Seq == m.Seq {
			return e.Body, nil
		}
	}
	return nil, nil
}

// answerGroupHistory gives a follower messages that it lacks, the newest first.
func (n *Node) answerGroupHistory(from protocol.Node, in *s2s.History) *s2s.Answer {
	out := &s2s.Answer{}
	err := n.store.View(func(tx store.Tx) error {
		out.History = nil
		if _, err := tx.Follower(in.Topic, from); err != nil {
			return err
		}
		bare, err := n.bare(tx, in.Topic, from)
		if err != nil {
			return err
		}
		size := 0
		for m, err := range tx.History(in.Topic, in.Low, in.High) {
			if err != nil {
				return err
			}
			e := s2s.Event{At: m.TS.UnixMilli(), Message: messageOf(m)}
			if size += sizeOf(&e); len(out.History) == min(max(in.Limit, 1), historyBatch) || size > s2s.MaxFrame/2 && len(out.History) > 0 {
				break
			}
			if !bare {
				e.By = m.From
				if n.remote(m.From) {
					if e.Sig, err = sigOf(tx, in.Topic, m); err != nil {
						return err
					}
				}
			}
			out.History = append(out.History, e)
		}
		return nil
	})
	if err != nil {
		return failed(err)
	}
	return out
}
