package node

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
)

// witness is what a signature in the log was found to be.
type witness uint8

const (
	unproven witness = iota // there is none, or it is wrong
	proven
	undecided // the author's node could not be asked
)

// proveTime is how long one waits for keys of other nodes before a piece of a log is
// applied without them.
const proveTime = 3 * time.Second

// prove checks who has done what a home relays.
func (n *Node) prove(ctx context.Context, group protocol.TopicID, events []s2s.Event) []witness {
	ctx, stop := context.WithTimeout(ctx, proveTime)
	defer stop()
	witnesses := make([]witness, len(events))
	for i := range events {
		witnesses[i] = n.proveOne(ctx, group, &events[i])
	}
	return witnesses
}

func (n *Node) proveOne(ctx context.Context, group protocol.TopicID, e *s2s.Event) witness {
	by := e.By.Node()
	if by == group.Home() || by == "" {
		return proven // the home speaks for itself
	}
	var texts [][]byte
	at := e.At
	switch {
	case e.Message != nil:
		at = e.Message.TS // which is signed, and is not for the home to choose
		texts = [][]byte{e.Message.Signed(group, e.By)}
	case e.Erase != nil:
		texts = [][]byte{signedErase(group, e.By, e.At, rangesOf(e.Erase.Ranges))}
	case e.Sub != nil && e.Sub.User == e.By:
		texts = [][]byte{signedWant(group, e.By, e.At, e.Sub.Want, e.Sub.Ended)}
		if e.Sub.Want == e.Sub.Given&^protocol.Owner|protocol.Join { // joined without saying more
			texts = append(texts, signedWant(group, e.By, e.At, 0, false))
		}
	}
	if len(e.Sig) == 0 {
		return unproven
	}
	for _, text := range texts {
		switch err := n.cfg.Network.Verify(ctx, by, at, text, e.Sig); {
		case err == nil:
			return proven
		case unsure(err) && protocol.FaultOf(err) != protocol.Internal || ctx.Err() != nil:
			return undecided
		}
	}
	return unproven
}

// logged is the message of an event.
func logged(e *s2s.Event) *store.Message {
	g := e.Message
	return &store.Message{Seq: g.Seq, From: e.By, TS: time.UnixMilli(g.TS), Tag: g.Tag, Head: g.Head, Content: g.Content}
}

// readable is the message of an event as clients can read it: without heads that only
// nodes set, and calls, which are between two.
func readable(e *s2s.Event) (*store.Message, error) {
	m := logged(e)
	head, err := outsideHead(m.Head, true)
	if err != nil || !isJSON(m.Content) || remoteTime(e.Message.TS) == nil {
		return nil, protocol.Malformed
	}
	m.Head = head
	return m, nil
}

func rangesOf(spans []s2s.Span) protocol.Ranges {
	rs := make(protocol.Ranges, len(spans))
	for i, s := range spans {
		rs[i] = protocol.Range{Low: s.Low, Hi: s.High}
	}
	return rs
}

// markOf is by what an event is known again, however much of it is told: nil if that
// cannot be said.
func markOf(e *s2s.Event) []byte {
	var v any
	switch {
	case e.Message != nil && len(e.Message.Content) > 0:
		v = []any{"message", e.Message.Seq, e.Message.Tag}
	case e.Erase != nil:
		v = []any{"erase", e.Erase.ID, e.Erase.Ranges}
	case e.Sub != nil:
		v = []any{"sub", e.Sub.User, e.Sub.Want, e.Sub.Given, e.Sub.Ended}
	case e.Owner != "":
		v = []any{"owner", e.Owner}
	default:
		return nil
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	sum := sha256.Sum256(raw)
	return sum[:8]
}

// step is what an event of the log does: in the store, and then.
type step struct {
	store func(store.Tx) error
	then  func()
}

func (f *follower) step(q *request, e *s2s.Event, p witness) *step {
	switch {
	case e.Message != nil:
		return f.messageStep(e, p)
	case e.Erase != nil:
		if p != proven && f.n.remote(e.By) { // by the power of the home
			q = f.n.remoteRequest("", &protocol.Request{Del: &protocol.Del{}})
		}
		return f.eraseStep(q, e.Erase)
	case e.Sub != nil:
		own := e.Sub.User == e.By || e.Sub.User.Node() == f.home()
		return f.subStep(q, e.Sub, own && p == proven)
	case e.Owner != "":
		return f.ownerStep(q, e.Owner)
	case e.Desc != nil:
		return f.descStep(q, e.Desc)
	case e.End:
		return &step{store: func(tx store.Tx) error { return f.drop(tx, true) }, then: f.closed}
	}
	return &step{} // of a later release, or not for this node
}

func (f *follower) messageStep(e *s2s.Event, p witness) *step {
	g := e.Message
	hole := &step{
		store: func(tx store.Tx) error { return tx.Raise(f.t.id, g.Seq, 0) },
		then:  func() { f.head.Seq = max(f.head.Seq, g.Seq) },
	}
	if len(g.Content) == 0 { // erased since
		return hole
	}
	m, err := readable(e)
	switch {
	case p == unproven || err != nil:
		f.forged(e)
		return hole
	case p == undecided:
		return f.undecidedStep(hole, g.Seq)
	}
	again := false
	return &step{store: func(tx store.Tx) (err error) {
		if again, err = f.saidBefore(tx, e); err != nil {
			return err
		}
		if again {
			return hole.store(tx)
		}
		if err := tx.Raise(f.t.id, g.Seq-1, 0); err != nil {
			return err
		}
		m.Seq, m.Origin = 0, 0
		if err := tx.Append(f.t.id, m); err != nil {
			return err
		}
		if m.Seq != g.Seq {
			return fmt.Errorf("%w: message %d of %s came as number %d", errStory, g.Seq, f.t.id, m.Seq)
		}
		if err := f.useNamed(tx, m); err != nil {
			return err
		}
		if f.members[m.From] != nil {
			return tx.PutMarks(f.t.id, m.From, store.Marks{Recv: m.Seq, Read: m.Seq})
		}
		return nil
	}, then: func() {
		if again {
			f.forged(e)
			hole.then()
			return
		}
		f.stored(&pending{r: f.room, m: m, told: true})
		f.deliver(m, f.echo(m))
	}}
}

func (f *follower) forged(e *s2s.Event) {
	f.n.metrics.forged.Inc()
	f.n.log.Warn("a message is not shown: the home of the group does not prove that it is of its author",
		"group", f.t.id, "author", e.By, "seq", e.Message.Seq)
}

// undecidedStep leaves a message out until its author's node can be asked.
func (f *follower) undecidedStep(hole *step, seq int) *step {
	list := append(slices.Clone(f.unverified), seq)
	f.unverified = list
	return &step{store: func(tx store.Tx) error {
		return errors.Join(hole.store(tx), putList(tx, valueUnverified+string(f.t.id), list))
	}, then: hole.then}
}

func (f *follower) eraseStep(q *request, e *s2s.Erasure) *step {
	d := &store.Deletion{TS: q.at, Ranges: rangesOf(e.Ranges)}
	return &step{store: func(tx store.Tx) error {
		d.ID = 0
		return tx.Delete(f.t.id, d)
	}, then: func() {
		f.head.Del, f.hardDel = d.ID, d.ID
		f.announceDel(q, d)
	}}
}

// subStep takes a subscription. What a user wants is for the user's own node to say: of
// our users it is known here, of others it holds if their node has said so.
func (f *follower) subStep(q *request, in *s2s.Membership, said bool) *step {
	var old, now *store.Sub
	own := !f.n.remote(in.User)
	return &step{store: func(tx store.Tx) error {
		var err error
		if old, err = orNone(tx.Sub(f.t.id, in.User)); err != nil {
			return err
		}
		now = f.nextSub(q, in, old, said)
		if own {
			if done, err := f.ownSub(tx, q, in, old, &now); done || err != nil {
				return err
			}
		} else if err := f.putFace(tx, in, q.at); err != nil {
			return err
		}
		return tx.PutSub(now)
	}, then: func() {
		if now != nil {
			f.showSub(q, old, now)
		}
		f.n.relayed.introduce(*in)
		if !own {
			return
		}
		if in.Ended {
			delete(f.left, in.User)
		}
		if m := f.room.member(in.User); m != nil && m.sub.Want == in.Want {
			delete(f.changing, in.User)
		}
		f.proceed(in.User)
	}}
}

func orNone(s *store.Sub, err error) (*store.Sub, error) {
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return s, err
}

// nextSub is the subscription that a membership makes of what there was.
func (f *follower) nextSub(q *request, in *s2s.Membership, old *store.Sub, said bool) *store.Sub {
	now := newSub(f.t.id, in.User, in.Want, in.Given, q.at)
	own := !f.n.remote(in.User)
	if old != nil {
		now.Private, now.Created, now.DelID = old.Private, old.Created, old.DelID
		if in.Ended {
			now.Want, now.Given = old.Want, old.Given
		}
	}
	live := old != nil && old.Live() && !old.Reader
	switch {
	case in.Ended:
		now.Ended = q.at
	case own && live, !own && !said && live:
		now.Want = old.Want
	case own:
		now.Want = f.firstWant(q, in, old)
	case !said:
		now.Want = 0
	}
	return &now
}

// firstWant is what a new member of ours wants: what was asked for; if invited all that
// is given, or if that was by a stranger not yet more than to see that it is there. Who
// was in the group is asked as at home.
func (f *follower) firstWant(q *request, in *s2s.Membership, old *store.Sub) protocol.Mode {
	by, reads := q.who.User, old != nil && old.Live() && old.Reader
	switch {
	case in.Want != 0:
		return in.Want
	case reads || !f.n.remote(by) || f.n.takesMail(in.User, by):
		return invitedWant(old, in.Given)
	}
	return modeInvited & invitedWant(old, in.Given)
}

// ownSub does what is particular about users of ours. done: there is nothing to store.
func (f *follower) ownSub(tx store.Tx, q *request, in *s2s.Membership, old *store.Sub, now **store.Sub) (done bool, err error) {
	switch _, err := tx.Value(leftName(f.t.id, in.User)); {
	case err == nil: // has left, and the log does not say so yet, or now
		*now = nil
		if in.Ended {
			return true, tx.DeleteValue(leftName(f.t.id, in.User))
		}
		return true, nil
	case !errors.Is(err, store.ErrNotFound):
		return false, err
	}
	if in.Ended {
		if old == nil || !old.Live() || old.Reader {
			*now = nil
			return true, nil
		}
		return false, nil
	}
	if u, err := tx.User(in.User); err != nil || u.State == store.StateDeleted {
		*now = nil
		return true, nil // the home will hear of that
	}
	if (*now).Want != in.Want && (old == nil || !old.Live()) {
		return false, f.changed(tx, q, nil, *now)
	}
	return false, nil
}

// putFace keeps the face of a remote member, if it comes along and is the home's to show;
// see introduce for others.
func (f *follower) putFace(tx store.Tx, in *s2s.Membership, now time.Time) error {
	if in.Card != nil && in.Card.User == in.User && in.User.Node() == f.home() {
		_, err := putCard(tx, in.Card, now)
		return err
	}
	if _, err := tx.User(in.User); errors.Is(err, store.ErrNotFound) {
		return tx.PutUser(shadow(in.User, now))
	} else if err != nil {
		return err
	}
	return nil
}

// showSub takes a stored subscription into account and tells of it as its home does.
func (f *follower) showSub(q *request, old, now *store.Sub) {
	m := f.members[now.User]
	if m == nil {
		m = &member{}
		f.members[now.User] = m
	}
	live := old != nil && old.Live()
	if live && old.Reader && !now.Reader { // a member is called so from now on
		f.evict(nil, m, true)
		live = false
	}
	m.sub = *now
	if f.early[now.User] && m.live() {
		delete(f.early, now.User)
		defer f.see(m)
	}
	switch {
	case !m.live() && live:
		f.putOut(q, m, func() {})
	case m.live() && !live:
		if f.orderedBy(now.User) {
			return // told when the session is let in
		}
		f.presAcs(q, m, &protocol.Acs{Want: m.sub.Want.String(), Given: m.sub.Given.String()})
		if m.mode().Has(protocol.Join|protocol.Presence) && f.online(m) {
			f.presMeAll(now.User, protocol.Pres{What: "on"})
		}
	case m.live() && (old.Want != now.Want || old.Given != now.Given):
		f.presAcs(q, m, &protocol.Acs{Want: old.Want.Delta(now.Want), Given: old.Given.Delta(now.Given)})
		f.modeChanged(q, m, old.Mode())
	}
}

func (f *follower) ownerStep(q *request, to protocol.UserID) *step {
	var olds, nows []*store.Sub
	var rec store.Topic
	return &step{store: func(tx store.Tx) error {
		olds, nows = nil, nil
		for s, err := range tx.SubsTo(f.t.id) {
			if err != nil {
				return err
			}
			now := *s
			switch {
			case s.User == to:
				now.Want |= protocol.Owner
				now.Given |= protocol.Owner
			case s.Given.Has(protocol.Owner):
				now.Want &^= protocol.Owner
				now.Given &^= protocol.Owner
			default:
				continue
			}
			now.Updated = q.at
			if s.User == to { // told last
				olds, nows = append(olds, s), append(nows, &now)
			} else {
				olds, nows = append([]*store.Sub{s}, olds...), append([]*store.Sub{&now}, nows...)
			}
		}
		for _, s := range nows {
			if err := tx.PutSub(s); err != nil {
				return err
			}
		}
		rec = *f.rec
		rec.Owner = to
		return f.putTopic(tx, &rec)
	}, then: func() {
		f.rec = &rec
		for i, s := range nows {
			all := *q
			if s.User != to {
				all.s = nil // the new owner's session too learns who the old one was
			}
			f.showSub(&all, olds[i], s)
		}
	}}
}

func (f *follower) descStep(q *request, g *s2s.Group) *step {
	rec := f.record(g)
	if rec.Owner == "" {
		rec.Owner = f.rec.Owner
	}
	return &step{store: func(tx store.Tx) error { return f.putTopic(tx, rec) }, then: func() {
		old := f.rec
		f.rec = rec
		if string(old.Aux) != string(rec.Aux) {
			f.announceAux(q)
		}
		if string(old.Public) == string(rec.Public) && old.Defacs == rec.Defacs {
			return
		}
		for u, m := range f.members {
			if m.live() && !m.away() && m.mode().Has(protocol.Join) {
				f.n.broadcast(u, "", &protocol.Response{Pres: &protocol.Pres{Topic: "me", Src: f.room.policy.name(u, m.sub.Reader), What: "upd"}}, q.s)
			}
		}
	}}
}
