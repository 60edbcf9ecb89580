package node

import (
	"time"

	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
)

// What passes in groups across nodes: typing, and how far members have read.

// maxReadMarks is up to how many members a group's read marks are passed on to followers.
const maxReadMarks = 100

// tellGroupMarks tells the home of a group how far a member of ours has read.
func (r *room) tellGroupMarks(tx store.Tx, m *member, old, now store.Marks) error {
	home := r.t.id.Home()
	if home == r.n.name || r.n.remote(m.sub.User) || now.Read <= old.Read {
		return nil
	}
	return r.post(tx, home, "read\x00"+string(r.t.id)+"\x00"+string(m.sub.User), &s2s.Post{Topic: r.t.id, From: m.sub.User,
		At: time.Now().UnixMilli(), Marks: &s2s.Marks{Read: &s2s.Name{From: m.sub.User, Origin: now.Read}}})
}

// castGroupNote passes a note on: a follower to the home, the home to all followers but
// the one it came from.
func (r *room) castGroupNote(from protocol.Node, n *s2s.Note) {
	if r.n.cfg.Network == nil {
		return
	}
	if home := r.t.id.Home(); home != r.n.name {
		if from == "" && !r.n.remote(n.From) {
			r.n.cfg.Network.Cast(home, &s2s.Cast{Note: n})
		}
		return
	}
	told := map[protocol.Node]bool{r.n.name: true, from: true}
	for u, m := range r.members {
		if to := u.Node(); m.live() && !told[to] {
			told[to] = true
			r.n.cfg.Network.Cast(to, &s2s.Cast{Note: n})
		}
	}
}

// castRead tells followers of a small group how far a member has read.
func (r *room) castRead(m *member, what string, seq int) {
	if r.keepsLog() && what == "read" && len(r.members) <= maxReadMarks && !m.sub.Reader {
		r.castGroupNote(m.sub.User.Node(), &s2s.Note{Topic: r.t.id, From: m.sub.User, What: what,
			Of: &s2s.Name{From: m.sub.User, Origin: seq}})
	}
}

// inGroup takes a note about a group: of a member at the node that it comes from, or of
// anybody from the home.
func (e *noteEvent) inGroup(t *topic) {
	k, ok := t.kind.(interface{ asRoom() *room })
	if !ok {
		return
	}
	r := k.asRoom()
	home := r.t.id.Home()
	if r.rec == nil || e.note.From.Node() != e.from.Name && e.from.Name != home || !r.n.remote(e.note.From) {
		return
	}
	m := r.member(e.note.From)
	if m == nil || m.sub.Reader {
		return
	}
	q := r.n.remoteRequest(e.note.From, &protocol.Request{Note: &protocol.Note{}})
	switch e.note.What {
	case "kp", "kpa", "kpv":
		if m.mode().Has(protocol.Write) {
			r.relay(q, m, &protocol.Info{What: e.note.What})
			r.castGroupNote(e.from.Name, e.note)
		}
	case "read":
		if e.from.Name == home && e.note.Of != nil {
			_ = r.mark(q, m, &protocol.Note{What: "read", Seq: e.note.Of.Origin}) // the next one says it again
		}
	}
}
