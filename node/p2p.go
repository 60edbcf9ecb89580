package node

import (
	"errors"
	"time"

	"parley/protocol"
	"parley/store"
)

// p2p is a conversation of two. Each user's side is a subscription: what a user
// wants is the own, what the user is given is the other's to decide.
type p2p struct{ *room }

func newP2P(t *topic) kind {
	p := &p2p{newRoom(t)}
	p.room.policy, p.room.tells = p, p
	return p
}

// load implements kind: without a conversation, both users must exist.
func (p *p2p) load(tx store.Tx) error {
	if err := p.room.load(tx); err != nil || p.rec != nil {
		return err
	}
	a, b := p.t.id.Peers()
	for _, u := range []protocol.UserID{a, b} {
		if p.n.remote(u) {
			continue // what is not known of another node's user does not matter yet
		}
		user, err := tx.User(u)
		if err != nil {
			return err
		}
		if user.State != store.StateOK {
			return store.ErrNotFound
		}
	}
	return nil
}

// admit implements policy: it begins the conversation, or brings back one who left.
func (p *p2p) admit(q *request, in *protocol.Sub) error {
	want, err := askedMode(in, protocol.ModeP2P)
	if err != nil {
		return err
	}
	if want.Has(protocol.Owner) {
		return protocol.Denied
	}
	want = maskP2P(want)
	if p.rec == nil {
		return p.begin(q, in, want)
	}
	m := p.members[q.who.User]
	if m == nil || !m.sub.Given.Has(protocol.Join) {
		return protocol.Denied
	}
	sub := m.sub
	sub.Updated, sub.Want = q.at, want|protocol.Join
	return p.comeBack(q, m, sub)
}

// maskP2P keeps what makes sense between two: approving is always, sharing and
// owning never.
func maskP2P(m protocol.Mode) protocol.Mode { return m&protocol.ModeP2P | protocol.Approve }

// begin stores the topic and both subscriptions.
func (p *p2p) begin(q *request, in *protocol.Sub, want protocol.Mode) error {
	me, peer := q.who.User, p.t.id.Peer(q.who.User)
	if p.n.remote(peer) && !p.n.standing.trusts(peer.Node()) {
		if err := p.n.standing.outward(me); err != nil {
			return err
		}
	}
	var mine, theirs store.Sub
	rec := &store.Topic{ID: p.t.id, Created: q.at, Updated: q.at}
	err := p.update(func(tx store.Tx) (err error) {
		if mine, theirs, err = p.drafts(tx, q, in, want); err != nil {
			return err
		}
		if err := p.n.checkSubs(tx, me); err != nil {
			return err
		}
		if err := p.n.checkSubsBy(tx, peer, me); err != nil {
			return err
		}
		if err := errors.Join(tx.PutTopic(rec), tx.PutSub(&mine), tx.PutSub(&theirs)); err != nil {
			return err
		}
		if p.n.remote(peer) {
			if err := p.answered(tx, peer); err != nil {
				return err
			}
		}
		return p.tellMode(tx, &mine, &theirs, true)
	})
	if err != nil {
		return err
	}
	p.rec = rec
	p.members[me] = &member{sub: mine}
	p.members[peer] = &member{sub: theirs}
	q.then = func() { p.introduce(q, me, peer) }
	p.newContact()
	return nil
}

// drafts are both subscriptions of a conversation that q begins.
func (p *p2p) drafts(tx store.Tx, q *request, in *protocol.Sub, want protocol.Mode) (mine, theirs store.Sub, err error) {
	me, peer := q.who.User, p.t.id.Peer(q.who.User)
	self, err := tx.User(me)
	if err != nil {
		return mine, theirs, err
	}
	other, err := tx.User(peer)
	if errors.Is(err, store.ErrNotFound) && p.n.remote(peer) {
		other = shadow(peer, q.at)
		err = tx.PutUser(other)
	}
	if err != nil {
		return mine, theirs, err
	}
	given := other.Defacs.For(q.who.Level)
	switch {
	case other.State != store.StateOK:
		return mine, theirs, protocol.NotFound
	case !given.Has(protocol.Join):
		return mine, theirs, protocol.Denied
	}
	defacs := self.Defacs
	if in.Set != nil && in.Set.Desc != nil {
		if defacs, err = changeDefacs(defacs, in.Set.Desc.Defacs); err != nil {
			return mine, theirs, err
		}
	}
	mine = newSub(p.t.id, me, want, given|protocol.Approve, q.at)
	theirs = newSub(p.t.id, peer, protocol.ModeP2P, maskP2P(defacs.For(other.Level)), q.at)
	mine.Private, err = privateOf(in)
	return mine, theirs, err
}

// introduce tells both users of their new conversation, and that the other is
// online if so.
func (p *p2p) introduce(q *request, me, peer protocol.UserID) {
	for _, u := range []protocol.UserID{peer, me} {
		sub := p.members[u].sub
		pres := &protocol.Pres{Topic: "me", Src: p.name(u, false), What: "acs",
			Acs: &protocol.Acs{Want: sub.Want.String(), Given: sub.Given.String()}}
		if u == peer {
			pres.Act = string(me)
		}
		p.n.broadcast(u, "", &protocol.Response{Pres: pres}, q.s)
	}
	for _, u := range []protocol.UserID{peer, me} {
		m := p.members[u]
		if p.online(m) && m.mode().Has(protocol.Join|protocol.Presence) {
			p.presMeAll(u, protocol.Pres{What: "on"})
		}
	}
}

// comeBack stores a subscription that is live again.
func (r *room) comeBack(q *request, m *member, sub store.Sub) error {
	sub.Ended = time.Time{}
	marks := store.Marks{}
	err := r.update(func(tx store.Tx) error {
		if err := tx.PutSub(&sub); err != nil {
			return err
		}
		if err := tx.PutMarks(r.t.id, sub.User, marks); err != nil {
			return err
		}
		return r.tells.changed(tx, q, &m.sub, &sub)
	})
	if err != nil {
		return err
	}
	m.sub, m.marks = sub, marks
	if r.t.id.Kind() == protocol.KindP2P {
		r.presAcs(q, m, &protocol.Acs{Want: sub.Want.String(), Given: sub.Given.String()})
		if r.n.userOnline(sub.User) {
			if peer := r.member(r.t.id.Peer(sub.User)); peer != nil && peer.mode().Has(protocol.Join|protocol.Presence) {
				r.presMeAll(peer.sub.User, protocol.Pres{What: "on"})
			}
		}
	}
	return nil
}

// invite: there is no third in a conversation of two, but the other may be called back.
func (p *p2p) invite(*request, *member, protocol.UserID, string) error { return protocol.Denied }

// name implements policy: each calls it by the other.
func (p *p2p) name(u protocol.UserID, _ bool) string { return p.t.id.Name(u) }

// card implements policy: each sees the other's face.
func (p *p2p) card(tx store.Tx, u protocol.UserID) (card, error) {
	peer, err := tx.User(p.t.id.Peer(u))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return card{}, nil
	case err != nil:
		return card{}, err
	case peer.State == store.StateDeleted:
		return card{gone: true}, nil
	}
	return card{public: peer.Public, trusted: peer.Trusted, created: peer.Created, updated: peer.Updated}, nil
}

// grant implements policy.
func (p *p2p) grant(_ *request, target *member, want, given protocol.Mode) (protocol.Mode, protocol.Mode, error) {
	if (want|given)&protocol.Owner != 0 {
		return 0, 0, protocol.Denied
	}
	if want != target.sub.Want {
		want = maskP2P(want)
	}
	if given != target.sub.Given {
		given = maskP2P(given)
	}
	return want, given, nil
}

// transfer implements policy: nobody owns a conversation of two.
func (p *p2p) transfer(*request, *member, protocol.Mode) error { return protocol.Denied }

// offers implements policy.
func (p *p2p) offers(who Identity) protocol.Mode {
	peer := p.t.id.Peer(who.User)
	u, err := p.n.lookUp(peer)
	switch {
	case err == nil:
		return u.Defacs.For(who.Level)
	case errors.Is(err, protocol.NotFound) && p.n.remote(peer): // it could not be asked yet
		return remoteDefacs.For(who.Level)
	}
	return protocol.None
}

// wants implements policy.
func (p *p2p) wants(*member) protocol.Mode { return protocol.ModeP2P }
