package node

import "parley/protocol"

// presMe tells a user on me, in sessions that are not in the room.
func (r *room) presMe(u protocol.UserID, p protocol.Pres) {
	if p.Src == "" {
		m := r.members[u]
		p.Src = r.policy.name(u, m != nil && m.sub.Reader)
	}
	r.n.presOnMe(u, r.t.id, p)
}

// presIn tells those sessions in the room that pass.
func (r *room) presIn(p protocol.Pres, pass func(*attachment) bool) {
	r.fan(pass, nil, func(name string, _ bool) *protocol.Response {
		p.Topic = name
		return &protocol.Response{Pres: &p}
	})
}

// fan sends the sessions in the room that pass, but one, what make makes: once for
// each name that the room goes by.
func (r *room) fan(pass func(*attachment) bool, except *session, make func(name string, reader bool) *protocol.Response) int {
	packets, hint := map[string][]byte{}, false
	sent := 0
	for s, a := range r.attached {
		if s == except || !pass(a) {
			continue
		}
		name := r.policy.name(a.m.sub.User, a.reader)
		p := packets[name]
		if p == nil {
			response := make(name, a.reader)
			hint = isHint(response)
			p = response.Encode()
			packets[name] = p
		}
		s.pass(p, hint)
		sent++
	}
	return sent
}
