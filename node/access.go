package node

import (
	"errors"

	"parley/protocol"
	"parley/store"
)

// setSub answers {set sub}: the requester's own mode, or another's.
func (r *room) setSub(q *request, in *protocol.SetSub) error {
	if in.User == "" {
		return r.setOwnMode(q, in.Mode)
	}
	u, err := protocol.ParseUserID(in.User, r.n.name)
	if err != nil {
		return protocol.Malformed
	}
	if u == q.who.User {
		return r.setOwnMode(q, in.Mode)
	}
	return r.setOtherMode(q, u, in.Mode)
}

func (r *room) setOwnMode(q *request, mode string) error {
	m := r.member(q.who.User)
	if m == nil {
		return protocol.NotFound
	}
	want, err := m.sub.Want.Change(mode)
	if err != nil {
		return protocol.Malformed
	}
	want, given, err := r.policy.grant(q, m, want, m.sub.Given)
	if err != nil {
		return err
	}
	if want == m.sub.Want {
		q.unchanged("not modified")
		return nil
	}
	if want.Has(protocol.Owner) && !m.sub.Want.Has(protocol.Owner) {
		return r.policy.transfer(q, m, want)
	}
	if err := r.changeMode(q, m, want, given); err != nil {
		return err
	}
	q.ok(200, map[string]any{"acs": protocol.NewAcs(m.sub.Want, m.sub.Given)})
	return nil
}

// setOtherMode changes what another is given, or invites.
func (r *room) setOtherMode(q *request, u protocol.UserID, mode string) error {
	a, target := r.at(q), r.member(u)
	if a == nil {
		return protocol.Denied
	}
	if target == nil {
		return r.policy.invite(q, a.m, u, mode)
	}
	if !a.m.mode().Has(protocol.Approve) && !a.m.mode().Has(protocol.Owner) {
		return protocol.Denied
	}
	given, err := target.sub.Given.Change(mode)
	if err != nil {
		return protocol.Malformed
	}
	want, given, err := r.policy.grant(q, target, target.sub.Want, given)
	if err != nil {
		return err
	}
	if given == target.sub.Given {
		q.unchanged("not modified")
		return nil
	}
	if err := r.changeMode(q, target, want, given); err != nil {
		return err
	}
	q.ok(200, map[string]any{"acs": protocol.NewAcs(target.sub.Want, target.sub.Given), "user": string(u)})
	return nil
}

// changeMode stores new modes of m and tells everybody whom it concerns.
func (r *room) changeMode(q *request, m *member, want, given protocol.Mode) error {
	sub := m.sub
	sub.Want, sub.Given, sub.Updated = want, given, q.at
	var stranger *store.Sub
	err := r.update(func(tx store.Tx) (err error) {
		if err := tx.PutSub(&sub); err != nil {
			return err
		}
		if stranger, err = r.acceptance(tx, &m.sub, &sub); err != nil {
			return err
		}
		return r.tells.changed(tx, q, &m.sub, &sub)
	})
	if err != nil {
		return err
	}
	old := m.sub
	m.sub = sub
	if stranger != nil {
		r.members[stranger.User].sub = *stranger
	}
	r.confide()
	r.blocked(m, old.Want)
	r.presAcs(q, m, &protocol.Acs{Want: old.Want.Delta(want), Given: old.Given.Delta(given)})
	r.modeChanged(q, m, old.Mode())
	return nil
}

// modeChanged does what follows from a new mode: one who may not be here leaves,
// one who gained or lost presence learns what that shows.
func (r *room) modeChanged(q *request, m *member, old protocol.Mode) {
	now := m.mode()
	if old.Has(protocol.Join) && !now.Has(protocol.Join) {
		r.evict(nil, m, false)
		r.unsee(m)
	}
	sees := protocol.Join | protocol.Presence
	switch {
	case old.Has(sees) && !now.Has(sees):
		r.presMeAll(m.sub.User, protocol.Pres{What: "off"})
	case !old.Has(sees) && now.Has(sees) && r.online(m):
		r.presMeAll(m.sub.User, protocol.Pres{What: "on"})
	}
}

// online is whether m sees the room as online.
func (r *room) online(m *member) bool {
	if r.t.id.Kind() == protocol.KindP2P {
		return r.n.userOnline(r.t.id.Peer(m.sub.User))
	}
	return r.shown
}

// presMeAll tells a user on me in all sessions, also those in the room.
func (r *room) presMeAll(u protocol.UserID, p protocol.Pres) {
	m := r.members[u]
	p.Src = r.policy.name(u, m != nil && m.sub.Reader)
	r.n.presOnMe(u, "", p)
}

// presAcs tells of a changed subscription: the one concerned, those in the room, and
// on me those who approve.
func (r *room) presAcs(q *request, m *member, change *protocol.Acs) {
	target, actor := m.sub.User, q.who.User
	act := ""
	if actor != target {
		act = string(actor)
	}
	if !m.sub.Reader {
		r.fan(func(a *attachment) bool { return !a.reader && a.m != m }, q.s, func(name string, _ bool) *protocol.Response {
			return &protocol.Response{Pres: &protocol.Pres{Topic: name, Src: string(target), What: "acs", Act: act, Acs: change}}
		})
	}
	r.fan(func(a *attachment) bool { return a.m == m }, q.s, func(name string, _ bool) *protocol.Response {
		return &protocol.Response{Pres: &protocol.Pres{Topic: name, What: "acs", Acs: change}}
	})
	if m.live() {
		r.n.broadcast(target, r.t.id, &protocol.Response{Pres: &protocol.Pres{Topic: "me",
			Src: r.policy.name(target, m.sub.Reader), What: "acs", Act: act, Acs: change}}, q.s)
	}
	if m.sub.Reader {
		return
	}
	for u, other := range r.members {
		if u == target || !other.live() || other.sub.Reader || !other.mode().Has(protocol.Approve) || r.t.id.Kind() != protocol.KindGroup {
			continue
		}
		p := protocol.Pres{What: "acs", Tgt: string(target), Act: string(actor), Acs: change}
		if u == actor {
			p.Act = ""
		}
		r.presMe(u, p)
	}
}

// announce tells of a session that came: with a new subscription first of that.
func (r *room) announce(q *request, m *member, fresh bool) {
	if r.t.id.Kind() != protocol.KindGroup {
		return
	}
	if fresh {
		r.presAcs(q, m, &protocol.Acs{Want: m.sub.Want.String(), Given: m.sub.Given.String()})
	}
	if m.sub.Reader {
		return
	}
	if wasShown := r.shown; m.sessions == 1 && !r.n.hides(m.sub.User) && r.see(m) && !wasShown {
		return // all have been told
	}
	if r.shown && fresh && m.mode().Has(protocol.Presence|protocol.Join) {
		r.presMeAll(m.sub.User, protocol.Pres{What: "on"})
	}
}

// delSub answers {del sub}: a member is put out.
func (r *room) delSub(q *request, in *protocol.Del) {
	a := r.at(q)
	u, err := protocol.ParseUserID(in.User, r.n.name)
	switch {
	case a == nil:
		q.refuse(protocol.NotAttached)
		return
	case err != nil || u == q.who.User || r.t.id.Kind() != protocol.KindGroup || !a.m.mode().Has(protocol.Approve):
		q.refuse(protocol.Denied)
		return
	}
	m := r.member(u)
	switch {
	case m == nil:
		q.unchanged("no action")
		return
	case m.mode().Has(protocol.Owner):
		q.refuse(protocol.Denied)
		return
	}
	if err := r.expel(q, m); err != nil {
		q.refuse(err)
	}
}

// lookUp reads an account that may be given something to do.
func (n *Node) lookUp(u protocol.UserID) (*store.User, error) {
	var user *store.User
	err := n.store.View(func(tx store.Tx) (err error) {
		user, err = tx.User(u)
		return err
	})
	if errors.Is(err, store.ErrNotFound) || err == nil && user.State != store.StateOK {
		return nil, protocol.NotFound
	}
	return user, err
}
