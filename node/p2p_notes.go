package node

import (
	"parley/federation"
	"parley/protocol"
	"parley/protocol/s2s"
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
