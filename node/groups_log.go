package node

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"parley/federation"
	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
)

// How a follower's replica of a group is made and kept up to date.

// messageDomain stands before what the home node of an author signs of a message to a
// group of another node.
const messageDomain = "parley group message v1\x00"

// signedMessage is that text: group, author, tag, time, hashes of head and content.
func signedMessage(group protocol.TopicID, m *store.Message) []byte {
	text := []byte(messageDomain)
	for _, part := range []string{string(group), string(m.From)} {
		text = binary.BigEndian.AppendUint32(text, uint32(len(part)))
		text = append(text, part...)
	}
	text = binary.BigEndian.AppendUint32(text, m.Tag)
	text = binary.BigEndian.AppendUint64(text, uint64(m.TS.UnixMilli()))
	head, content := sha256.Sum256(m.Head), sha256.Sum256(m.Content)
	return append(append(text, head[:]...), content[:]...)
}

// verified reports whether a message that the home relays is of its author: of a user of
// the home itself, or signed by the author's node; and one that can be shown. Heads that
// only nodes set, and calls, which are between two, are taken off then.
func (f *follower) verified(ctx context.Context, m *store.Message, sig []byte) error {
	head, err := outsideHead(m.Head, true)
	if err != nil || !isJSON(m.Content) || remoteTime(m.TS.UnixMilli()) == nil {
		return protocol.Malformed
	}
	if by := m.From.Node(); by != f.t.id.Home() {
		err = f.n.cfg.Network.Verify(ctx, by, m.TS.UnixMilli(), signedMessage(f.t.id, m), sig)
	}
	m.Head = head
	return err
}

// receive applies a post of the home.
func (f *follower) receive(from federation.Peer, p *s2s.Post) error {
	if from.Name != f.t.id.Home() || p.Topic != f.t.id {
		return protocol.Denied
	}
	if p.Invite == nil || p.Invite.Group.ID != f.t.id || p.Invite.User.Node() != f.n.name {
		return protocol.Unsupported
	}
	user, err := f.n.lookUp(p.Invite.User)
	if err != nil {
		return err
	}
	return f.begin(p.Invite, user)
}

// begin makes the replica of a group, or brings an old one to the present.
func (f *follower) begin(in *s2s.Invite, user *store.User) error {
	now := time.Now()
	rec := f.record(&in.Group)
	if f.rec != nil {
		rec.Base = f.rec.Base
	}
	if rec.Base == 0 || f.rec != nil && f.head.Seq < in.Group.Seq {
		rec.Base = in.Group.Seq + 1
	}
	var subs []store.Sub
	for _, m := range in.Members {
		subs = append(subs, f.subOf(&m, now))
	}
	err := f.update(func(tx store.Tx) error {
		if err := f.n.checkSubs(tx, user.ID); err != nil {
			return err
		}
		if err := errors.Join(putGroup(tx, rec), tx.Raise(f.t.id, in.Group.Seq, in.Group.Rev)); err != nil {
			return err
		}
		for i, m := range in.Members {
			if err := f.putMember(tx, &m, &subs[i], now); err != nil {
				return err
			}
		}
		return f.post(tx, f.t.id.Home(), "", &s2s.Post{Topic: f.t.id, At: now.UnixMilli(), Follow: &s2s.Follow{Rev: in.Group.Rev}})
	})
	if err != nil {
		return err
	}
	f.rec = rec
	f.head.Seq, f.head.Rev = max(f.head.Seq, in.Group.Seq), max(f.head.Rev, in.Group.Rev)
	for i := range subs {
		f.setMember(&subs[i])
	}
	f.n.relayed.introduce(in.Members...)
	f.n.relayed.introduce(in.Members...)
	f.welcome(in.User, in.By)
	return nil
}

// record is the description of the group here. What the home says of trust stays there.
func (f *follower) record(g *s2s.Group) *store.Topic {
	rec := &store.Topic{ID: f.t.id, Channel: g.Channel, Created: time.UnixMilli(g.Created), Updated: time.UnixMilli(g.Updated),
		Owner: g.Owner, Defacs: store.Defacs{Auth: g.Auth, Anon: g.Anon}, Public: shownJSON(g.Public), Aux: shownJSON(g.Aux)}
	if f.rec != nil {
		rec.Trusted, rec.Base = f.rec.Trusted, f.rec.Base
		if rec.Owner == "" {
			rec.Owner = f.rec.Owner
		}
	}
	return rec
}

// putGroup stores the description of a group of another node, and names its picture.
func putGroup(tx store.Tx, rec *store.Topic) error {
	if err := tx.PutTopic(rec); err != nil {
		return err
	}
	return useFiles(tx, store.RefTopic(rec.ID), pictures(rec.ID.Home(), rec.Public), rec.Updated)
}

// subOf is the subscription that a membership makes, with what is only known here.
func (f *follower) subOf(m *s2s.Membership, now time.Time) store.Sub {
	sub := newSub(f.t.id, m.User, m.Want, m.Given, now)
	if old := f.members[m.User]; old != nil {
		sub.Private, sub.Created, sub.DelID = old.sub.Private, old.sub.Created, old.sub.DelID
		if m.Want == 0 && m.Given == 0 {
			sub.Want, sub.Given = old.sub.Want, old.sub.Given
		}
	}
	if m.Ended {
		sub.Ended = now
	}
	return sub
}

// putMember stores a subscription, and the face of its user if it comes along and is
// the home's to show; see introduce for others.
func (f *follower) putMember(tx store.Tx, m *s2s.Membership, sub *store.Sub, now time.Time) error {
	if f.n.remote(m.User) {
		if m.Card != nil && m.Card.User == m.User && m.User.Node() == f.t.id.Home() {
			if _, err := putCard(tx, m.Card, now); err != nil {
				return err
			}
		} else if _, err := tx.User(m.User); errors.Is(err, store.ErrNotFound) {
			if err := tx.PutUser(shadow(m.User, now)); err != nil {
				return err
			}
		}
	}
	return tx.PutSub(sub)
}

// setMember takes a stored subscription into account.
func (f *follower) setMember(sub *store.Sub) *member {
	m := f.members[sub.User]
	if m == nil {
		m = &member{}
		f.members[sub.User] = m
	}
	m.sub = *sub
	return m
}

// welcome tells a user of ours that a group is theirs now, and lets in those who wait.
func (f *follower) welcome(u, by protocol.UserID) {
	m := f.room.member(u)
	if m == nil {
		return
	}
	var waiting []*request
	for _, q := range f.joining {
		if q.who.User == u {
			f.join(q)
		} else {
			waiting = append(waiting, q)
		}
	}
	joined := len(waiting) < len(f.joining)
	f.joining = waiting
	if !joined {
		f.n.broadcast(u, f.t.id, &protocol.Response{Pres: &protocol.Pres{Topic: "me", Src: f.room.policy.name(u, false), What: "acs",
			Act: string(by), Acs: &protocol.Acs{Want: m.sub.Want.String(), Given: m.sub.Given.String()}}}, nil)
	}
}

// Follow implements federation.Logs.
func (n *Node) Follow(ctx context.Context, from federation.Peer, l *s2s.Log) (*s2s.LogAck, error) {
	if !n.enter() {
		return nil, errStopping
	}
	defer n.wg.Done()
	ack := &s2s.LogAck{Group: l.Group}
	if l.Group.Kind() != protocol.KindGroup || l.Group.Home() != from.Name {
		ack.Stop = true
		return ack, nil
	}
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
	if f.rec == nil {
		ack.Stop = true
		return ack, nil
	}
	err = f.apply(ctx, l)
	ack.Rev = f.head.Rev
	if l.After > ack.Rev { // something is missing before: from where we are
		ack.Reset = true
		return ack, nil
	}
	if err == nil && f.empty() {
		ack.Stop = true
	}
	return ack, err
}

// empty reports whether no user of ours is in the group any more, nor wants to be.
func (f *follower) empty() bool {
	if len(f.joining) > 0 || f.busy {
		return false
	}
	for u, m := range f.members {
		if m.live() && !f.n.remote(u) {
			return false
		}
	}
	return true
}

// apply takes a piece of the log: what is new of it, in one transaction.
func (f *follower) apply(ctx context.Context, l *s2s.Log) error {
	if l.After > f.head.Rev {
		return nil
	}
	events := l.Events[min(uint64(len(l.Events)), f.head.Rev-l.After):]
	if len(events) == 0 {
		return nil
	}
	steps := make([]*step, len(events))
	for i := range events {
		s, err := f.step(ctx, &events[i])
		if err != nil {
			return err
		}
		steps[i] = s
	}
	rev := f.head.Rev + uint64(len(events))
	err := f.update(func(tx store.Tx) error {
		for _, s := range steps {
			if s.store != nil {
				if err := s.store(tx); err != nil {
					return err
				}
			}
		}
		if steps[len(steps)-1].ends {
			return nil
		}
		return tx.Raise(f.t.id, 0, rev)
	})
	if err != nil {
		return err
	}
	f.head.Rev = rev
	for _, s := range steps {
		if s.then != nil {
			s.then()
		}
	}
	return nil
}

// step is what an event of the log does: in the store, and then.
type step struct {
	store func(store.Tx) error
	then  func()
	ends  bool
}

func (f *follower) step(ctx context.Context, e *s2s.Event) (*step, error) {
	q := f.n.remoteRequest(e.By, &protocol.Request{Set: &protocol.Set{}})
	switch {
	case e.Message != nil:
		return f.messageStep(ctx, e)
	case e.Erase != nil:
		return f.eraseStep(q, e.Erase)
	case e.Sub != nil:
		return f.subStep(q, e.Sub), nil
	case e.Owner != "":
		return f.ownerStep(q, e.Owner), nil
	case e.Desc != nil:
		return f.descStep(q, e.Desc), nil
	case e.End:
		return &step{ends: true, store: func(tx store.Tx) error { return tx.DeleteTopic(f.t.id) }, then: f.end}, nil
	}
	return &step{}, nil // of a later release
}

func (f *follower) messageStep(ctx context.Context, e *s2s.Event) (*step, error) {
	g := e.Message
	hole := &step{
		store: func(tx store.Tx) error { return tx.Raise(f.t.id, g.Seq, 0) },
		then:  func() { f.head.Seq = max(f.head.Seq, g.Seq) },
	}
	if len(g.Content) == 0 { // erased since
		return hole, nil
	}
	m := &store.Message{Seq: g.Seq, From: e.By, TS: time.UnixMilli(g.TS), Tag: g.Tag, Head: g.Head, Content: g.Content}
	if err := f.verified(ctx, m, e.Sig); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		f.n.metrics.forged.Inc()
		f.n.log.Warn("a message is not shown: the home of the group does not prove that it is of its author",
			"group", f.t.id, "author", m.From, "seq", m.Seq, "err", err)
		return hole, nil
	}
	return &step{store: func(tx store.Tx) error {
		if err := tx.Raise(f.t.id, g.Seq-1, 0); err != nil {
			return err
		}
		if err := tx.Append(f.t.id, m); err != nil {
			return err
		}
		if err := f.useNamed(tx, m); err != nil {
			return err
		}
		if m.Seq != g.Seq {
			return fmt.Errorf("node: message %d of %s came as number %d", g.Seq, f.t.id, m.Seq)
		}
		if author := f.members[m.From]; author != nil {
			return tx.PutMarks(f.t.id, m.From, store.Marks{Recv: m.Seq, Read: m.Seq})
		}
		return nil
	}, then: func() { f.showMessage(m) }}, nil
}

// showMessage brings a message to those who are here. The session that sent it gets it
// after its answer.
func (f *follower) showMessage(m *store.Message) {
	f.stored(&pending{r: f.room, m: m, told: true})
	o := f.sent
	if o == nil || o.m == nil || o.m.Tag != m.Tag || o.c.User != m.From {
		o = nil
		for _, u := range f.unknown {
			if u.c.Tag == m.Tag && u.c.User == m.From {
				u.arrived = m.Seq
			}
		}
		f.deliver(m, nil)
		return
	}
	o.arrived = m.Seq
	f.deliver(m, o.q.s)
}

func (f *follower) eraseStep(q *request, e *s2s.Erasure) (*step, error) {
	var ranges []protocol.Range
	for _, s := range e.Ranges {
		ranges = append(ranges, protocol.Range{Low: s.Low, Hi: s.High})
	}
	rs, err := protocol.NewRanges(ranges)
	if err != nil {
		return nil, err
	}
	d := &store.Deletion{TS: q.at, Ranges: rs}
	return &step{store: func(tx store.Tx) error {
		d.ID = 0
		return tx.Delete(f.t.id, d)
	}, then: func() {
		f.head.Del, f.hardDel = d.ID, d.ID
		f.announceDel(q, d)
	}}, nil
}

func (f *follower) subStep(q *request, in *s2s.Membership) *step {
	sub := f.subOf(in, q.at)
	return &step{
		store: func(tx store.Tx) error { return f.putMember(tx, in, &sub, q.at) },
		then: func() {
			old := store.Sub{Ended: q.at}
			if m := f.members[in.User]; m != nil {
				old = m.sub
			}
			m := f.setMember(&sub)
			f.showSub(q, m, &old)
			f.n.relayed.introduce(*in)
		},
	}
}

// showSub tells of a changed subscription as its home does.
func (f *follower) showSub(q *request, m *member, old *store.Sub) {
	switch {
	case !m.live() && old.Live():
		f.putOut(q, m, func() {})
	case m.live() && !old.Live():
		f.presAcs(q, m, &protocol.Acs{Want: m.sub.Want.String(), Given: m.sub.Given.String()})
		if !f.n.remote(m.sub.User) {
			f.welcome(m.sub.User, q.who.User)
		}
	case m.live() && (old.Want != m.sub.Want || old.Given != m.sub.Given):
		f.presAcs(q, m, &protocol.Acs{Want: old.Want.Delta(m.sub.Want), Given: old.Given.Delta(m.sub.Given)})
		f.modeChanged(q, m, old.Mode())
	}
}

func (f *follower) ownerStep(q *request, to protocol.UserID) *step {
	rec := *f.rec
	var subs []store.Sub
	for u, m := range f.members {
		sub := m.sub
		switch {
		case u == to:
			sub.Want |= protocol.Owner
			sub.Given |= protocol.Owner
		case m.sub.Given.Has(protocol.Owner):
			sub.Want &^= protocol.Owner
			sub.Given &^= protocol.Owner
		default:
			continue
		}
		sub.Updated = q.at
		subs = append(subs, sub)
	}
	rec.Owner = to
	return &step{store: func(tx store.Tx) error {
		for i := range subs {
			if err := tx.PutSub(&subs[i]); err != nil {
				return err
			}
		}
		return tx.PutTopic(&rec)
	}, then: func() {
		f.rec = &rec
		for i := range subs {
			old := f.members[subs[i].User].sub
			f.showSub(q, f.setMember(&subs[i]), &old)
		}
	}}
}

func (f *follower) descStep(q *request, g *s2s.Group) *step {
	rec := f.record(g)
	return &step{store: func(tx store.Tx) error { return putGroup(tx, rec) }, then: func() {
		aux := string(f.rec.Aux) != string(rec.Aux)
		face := string(f.rec.Public) != string(rec.Public) || f.rec.Defacs != rec.Defacs
		f.rec = rec
		if aux {
			f.announceAux(q)
		}
		if !face {
			return
		}
		for u, m := range f.members {
			if m.live() && m.mode().Has(protocol.Join) {
				f.n.broadcast(u, "", &protocol.Response{Pres: &protocol.Pres{Topic: "me", Src: f.room.policy.name(u, m.sub.Reader), What: "upd"}}, nil)
			}
		}
	}}
}
