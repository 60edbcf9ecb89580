package node

import (
	"parley/federation"
	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
)

// noteEvent is a passing note of a remote user.
type noteEvent struct {
	from federation.Peer
	note *s2s.Note
}

func (e *noteEvent) apply(t *topic) {
	if k, ok := t.kind.(interface {
		hearNote(protocol.Node, *s2s.Note)
	}); ok {
		k.hearNote(e.from.Name, e.note)
		return
	}
	p, ok := t.kind.(*p2p)
	if !ok || e.note.From.Node() != e.from.Name || p.rec == nil {
		return
	}
	m := p.member(e.note.From)
	if m == nil || !m.mode().Has(protocol.Write) {
		return
	}
	q := p.n.remoteRequest(e.note.From, &protocol.Request{Note: &protocol.Note{}})
	switch e.note.What {
	case "kp", "kpa", "kpv":
		p.relay(q, m, &protocol.Info{What: e.note.What})
	case "data":
		p.hearData(q, m, e.note)
	}
}

// hearData passes on what a remote user whom ours has answered says to a form.
func (p *p2p) hearData(q *request, m *member, note *s2s.Note) {
	if len(note.Data) == 0 || p.fromStranger(note.From) {
		return
	}
	if info := p.dataInfo(note); info != nil {
		p.relay(q, m, info)
	}
}

// dataInfo is what is said to a form elsewhere as it is told here; nil if the message
// that is meant is not here.
func (r *room) dataInfo(note *s2s.Note) *protocol.Info {
	info := &protocol.Info{What: note.What, Event: note.Event, Payload: note.Data}
	if note.Of == nil {
		return info
	}
	err := r.n.store.View(func(tx store.Tx) (err error) {
		info.Seq, err = r.seqOf(tx, *note.Of)
		return err
	})
	if err != nil || info.Seq == 0 {
		return nil
	}
	return info
}

// dataNote is what a member says to a form as other nodes are told it; nil if the
// message that is meant is not here.
func (r *room) dataNote(m *member, in *protocol.Note) *s2s.Note {
	note := &s2s.Note{Topic: r.t.id, From: m.sub.User, What: in.What, Event: in.Event, Data: in.Payload}
	if in.Seq == 0 {
		return note
	}
	err := r.n.store.View(func(tx store.Tx) (err error) {
		note.Of, err = r.named(tx, in.Seq)
		return err
	})
	if err != nil || note.Of == nil {
		return nil
	}
	return note
}

// castData tells the other node what our user says to a form.
func (r *room) castData(m *member, in *protocol.Note) {
	if r.n.other(r.t.id) == "" || r.n.remote(m.sub.User) {
		return
	}
	if note := r.dataNote(m, in); note != nil {
		_, remote := r.ends()
		r.n.cfg.Network.Cast(remote.Node(), &s2s.Cast{Note: note})
	}
}

// castNote tells the other node that our user types.
func (r *room) castNote(m *member, what string) {
	if r.n.other(r.t.id) == "" || r.n.remote(m.sub.User) || !r.confides() {
		return
	}
	local, remote := r.ends()
	r.n.cfg.Network.Cast(remote.Node(), &s2s.Cast{Note: &s2s.Note{Topic: r.t.id, From: local, What: what}})
}
