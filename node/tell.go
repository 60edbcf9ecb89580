package node

import (
	"parley/protocol"
	"parley/store"
)

// A teller tells other nodes what has happened in a room of which they have a part.
type teller interface {
	// changed tells of a subscription in the transaction that stores it; old is nil if
	// there was none.
	changed(tx store.Tx, q *request, old, now *store.Sub) error
	// marked tells how far a member has received and read, likewise.
	marked(tx store.Tx, m *member, old, now store.Marks) error
	// seen tells that a member is there now, or no more.
	seen(m *member)
	// noted passes on that a member types.
	noted(m *member, what string)
	// replied passes on what a member says to a form.
	replied(m *member, in *protocol.Note)
}

// silent is the teller of rooms that are here alone.
type silent struct{}

func (silent) changed(store.Tx, *request, *store.Sub, *store.Sub) error { return nil }
func (silent) marked(store.Tx, *member, store.Marks, store.Marks) error { return nil }
func (silent) seen(*member)                                             {}
func (silent) noted(*member, string)                                    {}
func (silent) replied(*member, *protocol.Note)                          {}

// changed implements teller.
func (p *p2p) changed(tx store.Tx, _ *request, old, now *store.Sub) error {
	var other *store.Sub
	if p.n.other(p.t.id) != "" {
		var err error
		_, remote := p.ends()
		if other, err = orNone(tx.Sub(p.t.id, remote)); err != nil {
			return err
		}
	}
	return p.tellChange(tx, old, now, other)
}

// marked implements teller.
func (p *p2p) marked(tx store.Tx, m *member, old, now store.Marks) error {
	return p.tellMarks(tx, m, old, now)
}

// seen implements teller: presence in conversations of two is that of their users.
func (p *p2p) seen(*member) {}

// noted implements teller.
func (p *p2p) noted(m *member, what string) { p.castNote(m, what) }

// replied implements teller.
func (p *p2p) replied(m *member, in *protocol.Note) { p.castData(m, in) }

// changed implements teller: it goes into the log.
func (g *group) changed(tx store.Tx, q *request, old, now *store.Sub) error {
	if now.Reader {
		return nil
	}
	e := subEvent{User: now.User, Want: now.Want, Given: now.Given}
	if !now.Live() {
		e = subEvent{User: now.User, Ended: true}
	}
	if c := g.remote; c != nil && c.User == now.User {
		e.Sig, e.At = c.Sig, c.At
	}
	if err := g.log(tx, q, eventSub, e); err != nil {
		return err
	}
	if now.Live() && (old == nil || !old.Live()) {
		return g.follow(tx, q, now)
	}
	return nil
}
