package node

import (
	"errors"

	"parley/protocol"
	"parley/store"
)

// Who is in a group, as its members see it. One who has given up P on me is offline to
// all, in groups too.

// hides reports whether a user does not want to be seen.
func (n *Node) hides(u protocol.UserID) bool {
	if n.remote(u) {
		return false
	}
	hidden := false
	err := n.store.View(func(tx store.Tx) error {
		own, err := tx.Sub(protocol.Own(protocol.KindMe, u), u) // only there if the mode was changed
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		hidden = err != nil || !own.Mode().Has(protocol.Presence)
		return err
	})
	if err != nil {
		n.log.Error("own mode not read", "err", err)
	}
	return hidden
}

// see tells the others in the group that m is there, and if nobody was before, all
// members that somebody is. It reports whether that was news.
func (r *room) see(m *member) bool {
	if m.seen {
		return false
	}
	m.seen = true
	r.visible++
	r.tells.seen(m)
	r.presIn(protocol.Pres{Src: string(m.sub.User), What: "on"}, func(a *attachment) bool {
		return a.m != m && !a.reader && a.m.mode().Has(protocol.Presence)
	})
	r.t.setOnline(true)
	if r.shown {
		return true
	}
	r.shown = true // the group comes to life
	for u, other := range r.members {
		if other.live() && !other.sub.Reader && other.mode().Has(protocol.Presence|protocol.Join) {
			r.presMeAll(u, protocol.Pres{What: "on"})
		}
	}
	return true
}

// unsee tells the others that m, of whom they were told, is there no more.
func (r *room) unsee(m *member) {
	if !m.seen {
		return
	}
	m.seen = false
	r.tells.seen(m)
	if r.visible--; r.visible == 0 {
		r.emptied()
	}
	r.presIn(protocol.Pres{Src: string(m.sub.User), What: "off"}, func(a *attachment) bool {
		return a.m != m && !a.reader && a.m.mode().Has(protocol.Presence)
	})
}

// hideEvent tells a group that one who is in it does not want to be seen any more, or
// wants to be seen again.
type hideEvent struct {
	user   protocol.UserID
	hidden bool
}

func (e hideEvent) apply(t *topic) {
	k, ok := t.kind.(interface{ asRoom() *room })
	if !ok || t.id.Kind() != protocol.KindGroup {
		return
	}
	r := k.asRoom()
	m := r.member(e.user)
	switch {
	case m == nil || m.sub.Reader || m.sessions == 0:
	case e.hidden:
		r.unsee(m)
	default:
		r.see(m)
	}
}

// hide tells the groups in which u is.
func (n *Node) hide(u protocol.UserID, hidden bool) {
	h := n.hub(u)
	if h == nil {
		return
	}
	in := map[*topic]bool{}
	h.mu.Lock()
	for _, s := range h.sessions {
		s.mu.Lock()
		for _, t := range s.topics {
			in[t] = true
		}
		s.mu.Unlock()
	}
	h.mu.Unlock()
	for t := range in {
		t.push(hideEvent{u, hidden}, 0)
	}
}
