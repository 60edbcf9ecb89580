package node

import (
	"parley/protocol"
	"parley/store"
)

// note implements verbs. What makes no sense is passed over in silence.
func (r *room) note(q *request, in *protocol.Note) {
	m := r.member(q.who.User)
	if r.at(q) == nil && !unattachedNote(in) {
		q.refuse(protocol.NotAttached)
		return
	}
	if m == nil {
		return
	}
	switch in.What {
	case "recv", "read":
		_ = r.mark(q, m, in) // logged; the client says it again
	case "kp", "kpa", "kpv":
		if in.Seq == 0 && m.mode().Has(protocol.Write) {
			r.relay(q, m, &protocol.Info{What: in.What})
			r.tells.noted(m, in.What)
		}
	case "data":
		if len(in.Payload) > 0 && m.mode().Has(protocol.Write) {
			r.relay(q, m, &protocol.Info{What: in.What, Seq: in.Seq, Event: in.Event, Payload: in.Payload})
			r.tells.replied(m, in)
		}
	case "call":
		r.callNote(q, m, in)
	}
}

// unattachedNote reports whether a note may come from a session outside the room.
func unattachedNote(in *protocol.Note) bool {
	if in.What == "call" {
		return in.Event == "ringing" || in.Event == "accept" || in.Event == "hang-up"
	}
	return in.What == "recv"
}

// mark moves how far a member has received or read; never back. It is on the disk
// before anybody is told.
func (r *room) mark(q *request, m *member, in *protocol.Note) error {
	marks := m.marks
	switch {
	case in.Seq < 1 || in.Seq > r.head.Seq || !m.mode().Has(protocol.Read):
		return nil
	case in.What == "read" && in.Seq > marks.Read:
		marks.Read, marks.Recv = in.Seq, max(marks.Recv, in.Seq)
	case in.What == "recv" && in.Seq > marks.Recv:
		marks.Recv = in.Seq
	default:
		return nil
	}
	old := m.marks
	err := r.update(func(tx store.Tx) error {
		if err := tx.PutMarks(r.t.id, m.sub.User, marks); err != nil {
			return err
		}
		return r.tells.marked(tx, m, old, marks)
	})
	if err != nil {
		r.n.log.Error("read mark not stored", "err", err)
		return err
	}
	m.marks = marks
	name := r.policy.name(m.sub.User, m.sub.Reader)
	r.n.broadcast(m.sub.User, r.t.id, &protocol.Response{Pres: &protocol.Pres{Topic: "me", Src: name,
		What: in.What, Seq: in.Seq}}, q.s)
	if !m.sub.Reader {
		r.relay(q, m, &protocol.Info{What: in.What, Seq: in.Seq})
	}
	return nil
}

// relay passes a note on to the other sessions in the room and, on me, to the
// sessions of members that are not in it.
func (r *room) relay(q *request, from *member, info *protocol.Info) {
	info.From = string(from.sub.User)
	typing := info.Seq == 0 && info.What != "data"
	hears := func(m *member) bool {
		return m.live() && !m.sub.Reader && m.mode().Has(protocol.Read) && !(typing && m == from)
	}
	r.fan(func(a *attachment) bool { return hears(a.m) }, q.s, func(name string, _ bool) *protocol.Response {
		i := *info
		i.Topic = name
		return &protocol.Response{Info: &i}
	})
	for u, m := range r.members {
		if !hears(m) || !m.mode().Has(protocol.Presence) {
			continue
		}
		i := *info
		i.Topic, i.Src = "me", r.policy.name(u, false)
		r.n.broadcast(u, r.t.id, &protocol.Response{Info: &i}, q.s)
	}
}
