package node

import (
	"context"
	"errors"
	"time"

	"parley/federation"
	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
)

// How a follower's replica of a group is made and kept up to date.

// modeInvited is what one wants of a group to which a stranger has invited: to see that
// it is there. Clients then offer to accept.
const modeInvited = protocol.Join

// receive applies a post of the home.
func (f *follower) receive(from federation.Peer, p *s2s.Post) error {
	switch {
	case from.Name != f.home() || p.Topic != f.t.id:
		return protocol.Denied
	case p.Reads != nil:
		return f.takeReads(from.Name, p.Reads)
	case p.Invite != nil:
		return f.invited(from, p.Invite)
	}
	return protocol.Unsupported
}

// invited takes that a user of ours is a member, and so this node is to follow.
func (f *follower) invited(from federation.Peer, in *s2s.Invite) error {
	if in.Group.ID != f.t.id || in.User.Node() != f.n.name {
		return protocol.Denied
	}
	if _, err := f.n.lookUp(in.User); err != nil {
		return err
	}
	if f.broken {
		return protocol.Denied
	}
	if f.follows() && f.head.Rev <= in.Group.Rev { // the log tells the rest
		return f.update(func(tx store.Tx) error { return f.tellFollowing(tx) })
	}
	undo := func() {}
	if !f.orderedBy(in.User) && f.n.remote(in.By) && !f.n.takesMail(in.User, in.By) {
		var err error
		if undo, err = f.n.standing.knock(from, in.By, nil); err != nil {
			return err
		}
	}
	if len(in.Members) == 0 { // too many
		f.askSnapshot()
		return nil
	}
	err := f.replicate(&s2s.Snapshot{Group: in.Group, Members: in.Members}, in.By)
	if err != nil {
		undo()
	}
	return err
}

// takesMail reports whether a user of ours takes messages of another.
func (n *Node) takesMail(u, other protocol.UserID) bool {
	known := false
	err := n.store.View(func(tx store.Tx) error {
		s, err := tx.Sub(protocol.P2P(u, other), u)
		known = err == nil && s.Live() && s.Want.Has(protocol.Write)
		return nil
	})
	return err == nil && known
}

// tellFollowing queues up to where this node has the group.
func (f *follower) tellFollowing(tx store.Tx) error {
	head, err := tx.Head(f.t.id)
	if err != nil {
		return err
	}
	return f.post(tx, f.home(), "", &s2s.Post{Topic: f.t.id, At: f.n.wall().UnixMilli(), Follow: &s2s.Follow{Rev: head.Rev}})
}

// For how long a snapshot is waited for, and until it is asked for again.
const (
	snapshotTime  = 10 * time.Second
	snapshotRetry = time.Minute
)

// askSnapshot asks the home for the group as it is, once at a time.
func (f *follower) askSnapshot() {
	if f.asking {
		return
	}
	f.asking = true
	f.n.start(func() {
		ctx, stop := context.WithTimeout(f.n.outside, snapshotTime)
		defer stop()
		s, err := f.n.pages(ctx, f.home(), f.t.id)
		f.t.push(&snapshotEvent{f: f, s: s, err: err}, 0)
	})
}

// maxPages bounds the pages of a snapshot.
const maxPages = 64

// pages asks for a group, page by page. Its revision is that of the first: what has
// changed meanwhile, the log tells again.
func (n *Node) pages(ctx context.Context, home protocol.Node, group protocol.TopicID) (*s2s.Snapshot, error) {
	var whole *s2s.Snapshot
	ask := &s2s.Ask{Snapshot: group, Pages: true}
	for range maxPages {
		a, err := n.ask(ctx, home, ask)
		if err != nil || a.Snapshot == nil {
			return nil, err
		}
		s := a.Snapshot
		if whole == nil {
			whole = s
		} else {
			whole.Members = append(whole.Members, s.Members...)
		}
		if !s.More {
			return whole, nil
		}
		if len(s.Members) == 0 || s.Members[len(s.Members)-1].User <= ask.After {
			return nil, protocol.Malformed
		}
		ask = &s2s.Ask{Snapshot: group, Pages: true, After: s.Members[len(s.Members)-1].User}
	}
	return nil, protocol.TooLarge
}

// snapshotEvent is the answer.
type snapshotEvent struct {
	f   *follower
	s   *s2s.Snapshot
	err error
}

func (e *snapshotEvent) apply(*topic) {
	f := e.f
	f.asking = false
	if e.err == nil && (e.s == nil || e.s.Group.ID != f.t.id) {
		e.err = protocol.Malformed
	}
	if e.err == nil && !f.broken && e.s.Group.Rev > f.head.Rev {
		e.err = f.replicate(e.s, e.s.Group.Owner)
	}
	if e.err == nil {
		return
	}
	f.n.log.Warn("no snapshot of a group", "group", f.t.id, "err", e.err)
	if unsure(e.err) {
		f.asking = true
		f.t.after(snapshotRetry, retrySnapshot{})
	}
}

// retrySnapshot says that it is time to ask for a snapshot again.
type retrySnapshot struct{}

func (retrySnapshot) apply(t *topic) {
	if f, ok := t.kind.(*follower); ok {
		f.asking = false
		f.askSnapshot()
	}
}

// replicate makes the replica, or brings it to the present with a gap in its history.
func (f *follower) replicate(s *s2s.Snapshot, by protocol.UserID) error {
	rec := f.record(&s.Group)
	if f.rec == nil || f.head.Seq < s.Group.Seq {
		rec.Base = s.Group.Seq + 1
	}
	q := f.n.remoteRequest(by, &protocol.Request{Set: &protocol.Set{}})
	var steps []*step
	there := map[protocol.UserID]bool{}
	for i := range s.Members {
		there[s.Members[i].User] = true
		steps = append(steps, f.subStep(q, &s.Members[i], true))
	}
	for u, m := range f.members {
		if m.live() && !m.sub.Reader && !there[u] {
			steps = append(steps, f.subStep(q, &s2s.Membership{User: u, Ended: true}, true))
		}
	}
	err := f.update(func(tx store.Tx) error {
		if err := errors.Join(f.putTopic(tx, rec), tx.Raise(f.t.id, s.Group.Seq, s.Group.Rev)); err != nil {
			return err
		}
		for _, s := range steps {
			if err := s.store(tx); err != nil {
				return err
			}
		}
		return f.tellFollowing(tx)
	})
	if err != nil {
		return err
	}
	f.rec = rec
	f.head.Seq, f.head.Rev = max(f.head.Seq, s.Group.Seq), max(f.head.Rev, s.Group.Rev)
	for _, s := range steps {
		s.then()
	}
	f.show()
	return nil
}

// record is the description of the group here. What the home says of trust stays there.
func (f *follower) record(g *s2s.Group) *store.Topic {
	rec := &store.Topic{ID: f.t.id, Channel: g.Channel, Created: time.UnixMilli(g.Created), Updated: time.UnixMilli(g.Updated),
		Owner: g.Owner, Defacs: store.Defacs{Auth: g.Auth &^ protocol.Owner, Anon: g.Anon &^ protocol.Owner}, Public: shownJSON(g.Public), Tags: g.Tags, Aux: shownJSON(g.Aux)}
	if f.rec != nil {
		rec.Trusted, rec.Base = f.rec.Trusted, f.rec.Base
	}
	return rec
}

// Follow implements federation.Logs.
func (n *Node) Follow(ctx context.Context, from federation.Peer, l *s2s.Log) (*s2s.LogAck, error) {
	if !n.enter() {
		return nil, errStopping
	}
	defer n.wg.Done()
	if l.Group.Kind() != protocol.KindGroup || l.Group.Home() != from.Name {
		return &s2s.LogAck{Group: l.Group, Stop: true}, nil
	}
	witnesses := n.prove(ctx, l.Group, l.Events)
	held, release, err := n.hold(ctx, []protocol.TopicID{l.Group})
	if err != nil {
		return nil, err
	}
	defer release()
	e := held[l.Group]
	if e.err != nil {
		return nil, e.err
	}
	f, ok := e.t.kind.(*follower)
	if !ok {
		return nil, protocol.Unsupported
	}
	if f.follows() {
		n.metPartner(from.Name)
	}
	return f.take(l, witnesses)
}

// maxReplay is up to how many events the home is asked to tell again.
const maxReplay = 1000

// take takes a piece of the log and says how far the group is here.
func (f *follower) take(l *s2s.Log, witnesses []witness) (*s2s.LogAck, error) {
	ack := &s2s.LogAck{Group: f.t.id, Rev: f.head.Rev}
	switch {
	case len(l.Events) == 1 && l.Events[0].End && f.rec != nil: // whatever came before
		return ack, f.apply(l.Events, witnesses, 0)
	case !f.follows() || f.broken:
		ack.Stop = true
		return ack, nil
	case l.After > f.head.Rev+maxReplay:
		f.askSnapshot()
		return ack, nil
	case l.After > f.head.Rev:
		ack.Reset = true
		return ack, nil
	}
	if err := f.compare(l); err != nil {
		return nil, err
	}
	if f.broken {
		ack.Stop = true
		return ack, nil
	}
	known := int(min(uint64(len(l.Events)), f.head.Rev-l.After))
	if known == len(l.Events) {
		return ack, nil
	}
	err := f.apply(l.Events[known:], witnesses[known:], f.head.Rev+1)
	if errors.Is(err, errStory) { // to be told it again would not help, and others wait behind it
		ack.Stop = true
		return ack, f.disbelieve(f.head.Rev + 1)
	}
	ack.Rev = f.head.Rev
	f.prune()
	return ack, err
}

// compare checks that events that are here already are the same still: else the home is
// not believed any more.
func (f *follower) compare(l *s2s.Log) error {
	if l.After >= f.head.Rev {
		return nil
	}
	bad := uint64(0)
	err := f.n.store.View(func(tx store.Tx) error {
		bad = 0
		for e, err := range tx.EventsAfter(f.t.id, l.After) {
			if err != nil {
				return err
			}
			i := e.Rev - l.After - 1
			if i >= uint64(len(l.Events)) {
				break
			}
			if mark := markOf(&l.Events[i]); mark != nil && len(e.Body) > 0 && string(mark) != string(e.Body) {
				bad = e.Rev
				break
			}
		}
		return nil
	})
	if err != nil || bad == 0 {
		return err
	}
	return f.disbelieve(bad)
}

// errStory is wrapped by errors about a log that does not go with what is here.
var errStory = errors.New("node: the home of a group contradicts itself")

// disbelieve ends the following of a group whose home does not tell one story.
func (f *follower) disbelieve(rev uint64) error {
	f.n.metrics.rewritten.Inc()
	f.n.log.Error("the home of a group tells another history than before: it is not followed any more",
		"group", f.t.id, "home", f.home(), "rev", rev)
	f.broken = true
	return f.n.store.Update(func(tx store.Tx) error { return tx.PutValue(valueBroken+string(f.t.id), []byte{1}) })
}

// apply takes new events in one transaction. The first has the revision rev.
func (f *follower) apply(events []s2s.Event, witnesses []witness, rev uint64) error {
	steps := make([]*step, len(events))
	for i := range events {
		q := f.actor(events[i].By, rev+uint64(i))
		steps[i] = f.step(q, &events[i], witnesses[i])
	}
	ended := false
	err := f.update(func(tx store.Tx) error {
		for i, s := range steps {
			if s.store != nil {
				if err := s.store(tx); err != nil {
					return err
				}
			}
			if ended = events[i].End; ended {
				return nil
			}
			e := &store.Event{TS: time.UnixMilli(events[i].At), By: events[i].By, Body: markOf(&events[i])}
			if err := tx.AppendEvent(f.t.id, e); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	f.head.Rev += uint64(len(events))
	for _, s := range steps {
		if s.then != nil {
			s.then()
		}
	}
	if !ended {
		f.show()
	}
	return nil
}
