package node

import (
	"encoding/json"
	"errors"
	"time"

	"parley/federation"
	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
)

// The home of a group keeps its log. Nodes of members follow it: each has a position in
// the log, and nothing else is kept for it.

var _ federation.Logs = (*Node)(nil)

// follow makes the node of a remote user a follower of the group, in the transaction of
// the user's subscription, and invites the user there.
func (r *room) follow(tx store.Tx, q *request, sub *store.Sub) error {
	to := sub.User.Node()
	if to == r.n.name || r.t.id.Kind() != protocol.KindGroup {
		return nil
	}
	if r.n.cfg.Network == nil {
		return protocol.NotFound
	}
	_, err := tx.Follower(r.t.id, to)
	fresh := errors.Is(err, store.ErrNotFound)
	if err != nil && !fresh {
		return err
	}
	head, err := tx.Head(r.t.id)
	if err != nil {
		return err
	}
	if !fresh { // the log tells it
		return nil
	}
	snapshot, err := r.snapshot(tx, head)
	if err != nil {
		return err
	}
	invite := &s2s.Invite{User: sub.User, By: q.who.User, Given: sub.Given, Want: sub.Want, Group: snapshot.Group, Members: snapshot.Members}
	if err := tx.PutFollower(&store.Follower{Topic: r.t.id, Node: to, Rev: head.Rev}); err != nil {
		return err
	}
	return r.post(tx, to, "", &s2s.Post{Topic: r.t.id, At: q.at.UnixMilli(), Invite: invite})
}

// snapshot is the group at its last revision.
func (r *room) snapshot(tx store.Tx, head store.Head) (*s2s.Snapshot, error) {
	rec, err := tx.Topic(r.t.id)
	if err != nil {
		return nil, err
	}
	s := &s2s.Snapshot{Group: groupOf(rec, head)}
	for sub, err := range tx.SubsTo(r.t.id) {
		if err != nil {
			return nil, err
		}
		if sub.Reader || !sub.Live() {
			continue
		}
		m, err := r.n.membership(tx, sub)
		if err != nil {
			return nil, err
		}
		s.Members = append(s.Members, *m)
	}
	return s, nil
}

func groupOf(rec *store.Topic, head store.Head) s2s.Group {
	return s2s.Group{ID: rec.ID, Channel: rec.Channel, Created: rec.Created.UnixMilli(), Updated: rec.Updated.UnixMilli(),
		Owner: rec.Owner, Auth: rec.Defacs.Auth, Anon: rec.Defacs.Anon, Public: rec.Public, Aux: rec.Aux, Seq: head.Seq, Rev: head.Rev}
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
			l.Events = []s2s.Event{{At: time.Now().UnixMilli(), End: true}}
			return nil
		} else if err != nil {
			return err
		}
		bytes := 0
		for e, err := range tx.EventsAfter(group, after) {
			if err != nil {
				return err
			}
			out, err := n.outwardEvent(tx, group, e)
			if err != nil {
				return err
			}
			l.Events = append(l.Events, *out)
			if out.Message != nil {
				bytes += len(out.Message.Head) + len(out.Message.Content)
			}
			if bytes += 64; bytes >= size {
				break
			}
		}
		return nil
	})
	if errors.Is(err, store.ErrNotFound) || err == nil && len(l.Events) == 0 {
		return nil, nil
	}
	return l, err
}

// outwardEvent is an entry of the log as followers get it.
func (n *Node) outwardEvent(tx store.Tx, group protocol.TopicID, e *store.Event) (*s2s.Event, error) {
	out := &s2s.Event{At: e.TS.UnixMilli(), By: e.By}
	switch e.Kind {
	case eventMessage:
		out.Message = &s2s.GroupMessage{Seq: e.Seq}
		m, err := tx.Message(group, e.Seq)
		if errors.Is(err, store.ErrNotFound) { // erased since: its place only
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		out.Message.Tag, out.Message.TS, out.Message.Head, out.Message.Content = m.Tag, m.TS.UnixMilli(), m.Head, m.Content
		out.Sig = e.Body
	case eventDelete:
		var d deleteEvent
		if err := json.Unmarshal(e.Body, &d); err != nil {
			return nil, err
		}
		out.Erase = &s2s.Erasure{ID: d.ID, Ranges: spansOf(d.Ranges)}
	case eventSub:
		var s subEvent
		if err := json.Unmarshal(e.Body, &s); err != nil {
			return nil, err
		}
		m, err := n.membership(tx, &store.Sub{User: s.User, Want: s.Want, Given: s.Given})
		if err != nil {
			return nil, err
		}
		m.Ended = s.Ended
		out.Sub = m
	case eventOwner:
		var o ownerEvent
		if err := json.Unmarshal(e.Body, &o); err != nil {
			return nil, err
		}
		out.Owner = o.To
	case eventDesc, eventTags, eventAux: // as it is now: later events say the same again
		rec, err := tx.Topic(group)
		if err != nil {
			return nil, err
		}
		g := groupOf(rec, store.Head{})
		out.Desc = &g
	case eventEnd:
		out.End = true
	}
	return out, nil
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
		if a.Stop {
			return tx.DeleteFollower(a.Group, from.Name)
		}
		head, err := tx.Head(a.Group)
		if err != nil {
			return err
		}
		if a.Rev > head.Rev {
			return nil // of a group that has ended, or nonsense
		}
		if a.Rev > f.Rev || a.Reset {
			f.Rev = a.Rev
			return tx.PutFollower(f)
		}
		return nil
	})
}

// receive applies a post of a follower: that it follows, how far its users have read, a
// command that is to have no effect any more.
func (g *group) receive(from federation.Peer, p *s2s.Post) error {
	switch {
	case g.rec == nil || p.Topic != g.t.id:
		return protocol.NotFound
	case p.Follow != nil:
		return g.startFollowing(from, p.Follow)
	case p.Marks != nil && p.Marks.Read != nil && p.From.Node() == from.Name:
		return g.receiveRead(p)
	case p.Withdraw != nil:
		return g.withdraw(from, p.Withdraw.Key)
	case p.Command != nil && p.From == p.Command.User && p.From.Node() == from.Name:
		return g.departed(p)
	}
	return protocol.Unsupported
}

// prepareRemote implements receiver: messages to a group are commands.
func (g *group) prepareRemote(federation.Peer, *s2s.Post) (*pending, error) {
	return nil, protocol.Unsupported
}

func (g *group) startFollowing(from federation.Peer, f *s2s.Follow) error {
	defer g.n.cfg.Network.Wake(from.Name)
	return g.update(func(tx store.Tx) error {
		old, err := tx.Follower(g.t.id, from.Name)
		if errors.Is(err, store.ErrNotFound) {
			return protocol.Denied
		}
		if err != nil {
			return err
		}
		if f.Stop {
			return tx.DeleteFollower(g.t.id, from.Name)
		}
		old.Rev, old.Live = f.Rev, true
		return tx.PutFollower(old)
	})
}

// receiveRead moves how far a remote member has read.
func (g *group) receiveRead(p *s2s.Post) error {
	m := g.member(p.From)
	if m == nil {
		return protocol.Denied
	}
	q := g.n.remoteRequest(p.From, &protocol.Request{Note: &protocol.Note{What: "read", Seq: p.Marks.Read.Origin}})
	return g.mark(q, m, q.in.Note)
}

// departed ends the subscription of a remote member who has left while we were away.
func (g *group) departed(p *s2s.Post) error {
	m := g.member(p.From)
	if m == nil || m.mode().Has(protocol.Owner) {
		return nil
	}
	return g.expel(g.n.remoteRequest(p.From, &protocol.Request{Leave: &protocol.Leave{}}), m)
}

// sigOf finds the signature of a remote member's message in the log: that has an entry
// for each message, so the one of message n is not before the n-th.
func sigOf(tx store.Tx, group protocol.TopicID, m *store.Message) []byte {
	for e, err := range tx.EventsAfter(group, uint64(m.Seq-1)) {
		if err != nil {
			return nil
		}
		if e.Kind == eventMessage && e.Seq == m.Seq {
			return e.Body
		}
	}
	return nil
}

// answerGroupHistory gives a follower messages that it lacks.
func (n *Node) answerGroupHistory(from protocol.Node, in *s2s.History) *s2s.Answer {
	out := &s2s.Answer{}
	err := n.store.View(func(tx store.Tx) error {
		out.History = nil
		if _, err := tx.Follower(in.Topic, from); err != nil {
			return err
		}
		for m, err := range tx.History(in.Topic, in.Low, in.High) {
			if err != nil {
				return err
			}
			out.History = append(out.History, s2s.Event{At: m.TS.UnixMilli(), By: m.From, Message: &s2s.GroupMessage{
				Seq: m.Seq, Tag: m.Tag, TS: m.TS.UnixMilli(), Head: m.Head, Content: m.Content}, Sig: sigOf(tx, in.Topic, m)})
			if len(out.History) == min(max(in.Limit, 1), historyBatch) {
				break
			}
		}
		return nil
	})
	if errors.Is(err, store.ErrNotFound) {
		err = protocol.Denied
	}
	if err != nil {
		return failed(err)
	}
	return out
}
