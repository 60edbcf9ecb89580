package node

import (
	"errors"

	"parley/protocol"
	"parley/store"
)

// errUseOther sends a member of a channel to the name that members use.
var errUseOther = errors.New("members use the group's name")

// enter gives the requester's subscription, new or old, if it may be used.
func (r *room) enter(q *request, in *protocol.Sub) (m *member, fresh bool, err error) {
	m = r.member(q.who.User)
	switch {
	case m == nil:
		if err := r.policy.admit(q, in); err != nil {
			return nil, false, err
		}
		m, fresh = r.members[q.who.User], true
	case q.reader && !m.sub.Reader: // members use the group's name
		return nil, false, errUseOther
	case q.tmpname != "": // just created
		fresh = true
	default:
		old := m.sub.Want
		if err := r.rejoin(q, m, in); err != nil {
			return nil, false, err
		}
		if !m.mode().Has(protocol.Join) {
			return nil, false, protocol.Denied
		}
		if m.sub.Want == old {
			return m, false, nil
		}
	}
	q.params = map[string]any{"acs": protocol.NewAcs(m.sub.Want, m.sub.Given)}
	if q.tmpname != "" {
		q.params["tmpname"] = q.tmpname
	}
	return m, fresh, nil
}

// rejoin lets a member change the own mode while attaching; one who gave up Join
// takes it back by coming.
func (r *room) rejoin(q *request, m *member, in *protocol.Sub) error {
	if !m.sub.Given.Has(protocol.Join) {
		return protocol.Denied
	}
	want, err := askedMode(in, m.sub.Want)
	if err != nil {
		return err
	}
	if !want.Has(protocol.Join) {
		want = r.policy.wants(m) | protocol.Join
	}
	want, given, err := r.policy.grant(q, m, want, m.sub.Given)
	if err != nil || want == m.sub.Want {
		return err
	}
	if want.Has(protocol.Owner) && !m.sub.Want.Has(protocol.Owner) {
		want &^= protocol.Owner // ownership is taken by {set} only
	}
	return r.changeMode(q, m, want, given)
}

// askedMode is the mode that {sub} asks for.
func askedMode(in *protocol.Sub, old protocol.Mode) (protocol.Mode, error) {
	if in.Set == nil || in.Set.Sub == nil {
		return old, nil
	}
	if in.Set.Sub.User != "" {
		return 0, protocol.Malformed
	}
	want, err := old.Change(in.Set.Sub.Mode)
	if err != nil {
		return 0, protocol.Malformed
	}
	return want, nil
}

// privateOf is the private part that {sub} brings along, nil if none.
func privateOf(in *protocol.Sub) ([]byte, error) {
	if in.Set == nil || in.Set.Desc == nil {
		return nil, nil
	}
	p, _, err := merge(nil, in.Set.Desc.Private)
	return p, err
}

// leave implements verbs.
func (r *room) leave(q *request, in *protocol.Leave) {
	a := r.at(q)
	switch {
	case a == nil && in.Unsub:
		q.refuse(protocol.NotAttached)
	case a == nil:
		q.unchanged("not joined")
	case !in.Unsub:
		r.detach(q.s)
		q.ok(200, nil)
	default:
		if err := r.unsubscribe(q, a.m); err != nil {
			q.refuse(err)
			return
		}
	}
}

// unsubscribe ends the requester's subscription, in all sessions.
func (r *room) unsubscribe(q *request, m *member) error {
	if m.mode().Has(protocol.Owner) {
		return protocol.Denied
	}
	return r.expel(q, m)
}

// expel ends a subscription and tells everybody whom it concerns.
func (r *room) expel(q *request, m *member) error {
	if err := r.endSub(q, m); err != nil {
		return err
	}
	r.putOut(q, m, func() { q.ok(200, nil) })
	return nil
}

// putOut takes one whose subscription has ended out of the room and tells everybody
// whom it concerns, after the answer.
func (r *room) putOut(q *request, m *member, answer func()) {
	r.evict(q, m, true)
	answer()
	if m.sub.Reader {
		return
	}
	r.presAcs(q, m, &protocol.Acs{Want: "N", Given: "N"})
	if r.t.id.Kind() == protocol.KindP2P {
		if r.n.userOnline(m.sub.User) {
			r.presMeAll(r.t.id.Peer(m.sub.User), protocol.Pres{What: "off"})
		}
	} else {
		r.unsee(m)
	}
}

// endSub stores that a subscription has ended. Who leaves a group wants no more of it than
// to be asked, if invited again.
func (r *room) endSub(q *request, m *member) error {
	ended := m.sub
	ended.Ended, ended.Updated = q.at, q.at
	if q.who.User == ended.User && r.t.id.Kind() == protocol.KindGroup {
		ended.Want &= modeInvited
	}
	err := r.update(func(tx store.Tx) error {
		if err := tx.PutSub(&ended); err != nil {
			return err
		}
		return r.tells.changed(tx, q, &m.sub, &ended)
	})
	if err == nil {
		m.sub = ended
	}
	return err
}

// evict takes all sessions of m out of the room: those that did not ask for it are
// told. unsub says that the subscription has ended.
func (r *room) evict(q *request, m *member, unsub bool) {
	for s, a := range r.attached {
		if a.m != m {
			continue
		}
		delete(r.attached, s)
		s.detach(r.t)
		r.callLeft(s)
		if q == nil || s != q.s {
			s.reply(&protocol.Ctrl{Topic: r.policy.name(m.sub.User, a.reader), Code: 205, Text: okText(205),
				Params: map[string]any{"unsub": unsub}})
		}
	}
	m.sessions = 0
	if unsub {
		var acting *session
		if q != nil && q.who.User == m.sub.User {
			acting = q.s
		}
		r.n.broadcast(m.sub.User, "", &protocol.Response{Pres: &protocol.Pres{Topic: "me",
			Src: r.policy.name(m.sub.User, m.sub.Reader), What: "gone"}}, acting)
	}
}
