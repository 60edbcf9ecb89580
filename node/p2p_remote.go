package node

import (
	"errors"
	"time"

	"parley/federation"
	"parley/protocol"
	"parley/protocol/s2s"
	"parley/reputation"
	"parley/store"
)

// A conversation of two whose users are of different nodes has a replica on each. What
// a user does is done in the own replica and posted to the other.

// What a stranger of another node may say before the user has answered.
const (
	firstTexts    = 3
	firstTextSize = 2 << 10 // bytes of head and content
	modeFirstWant = protocol.Join | protocol.Read | protocol.Approve
	modeStranger  = protocol.Join | protocol.Read | protocol.Write
)

// ends are our user and the other's, of a conversation with another node's user.
func (r *room) ends() (local, remote protocol.UserID) { return r.n.ends(r.t.id) }

// envelope is a post of our user to the other; nil if both are of this node.
func (r *room) envelope(at time.Time) *s2s.Post {
	if r.n.other(r.t.id) == "" {
		return nil
	}
	local, remote := r.ends()
	return &s2s.Post{From: local, To: remote, At: at.UnixMilli()}
}

// send queues a post of this conversation.
func (r *room) send(tx store.Tx, key string, p *s2s.Post) error {
	return r.post(tx, p.To.Node(), key, p)
}

// tellMessage queues a message of ours for the other node.
func (r *room) tellMessage(tx store.Tx, m *store.Message) error {
	p := r.envelope(m.TS)
	if p == nil || m.From != p.From {
		return nil
	}
	out, err := r.outward(tx, m)
	if err != nil {
		return err
	}
	p.Message = out
	return r.send(tx, "", p)
}

// tellMode queues what our user decides of the conversation. face: the other may not
// know the user.
func (r *room) tellMode(tx store.Tx, mine, theirs *store.Sub, face bool) error {
	p := r.envelope(mine.Updated)
	if p == nil {
		return nil
	}
	p.Mode = &s2s.Mode{Want: mine.Want, Given: theirs.Given, Ended: !mine.Live()}
	if face {
		u, err := tx.User(mine.User)
		if err != nil {
			return err
		}
		p.Mode.Card = r.n.cardOf(u)
		p.Mode.Vouchers = r.n.vouchers.shown()
	}
	key := "mode\x00" + string(r.t.id)
	if face {
		key = "" // it begins the conversation and is not replaced
	}
	return r.send(tx, key, p)
}

// acceptance gives a stranger, whom our user wants to write to, what the user gives by
// default; nil if there is nothing to accept.
func (r *room) acceptance(tx store.Tx, old, now *store.Sub) (*store.Sub, error) {
	if r.n.other(r.t.id) == "" || r.n.remote(now.User) || old.Want.Has(protocol.Write) || !now.Want.Has(protocol.Write) {
		return nil, nil
	}
	_, remote := r.ends()
	m := r.members[remote]
	if m == nil || m.sub.Given != modeStranger {
		return nil, nil
	}
	u, err := tx.User(now.User)
	if err != nil {
		return nil, err
	}
	theirs := m.sub
	theirs.Given, theirs.Updated = maskP2P(u.Defacs.Auth), now.Updated
	return &theirs, tx.PutSub(&theirs)
}

// tellChange queues a changed subscription of a conversation with another node, where
// it concerns the other: that the user wants less is nobody's business.
func (r *room) tellChange(tx store.Tx, old, now, other *store.Sub) error {
	if r.n.other(r.t.id) == "" {
		return nil
	}
	local, remote := r.ends()
	mine, theirs := now, now
	accepts := now.User == local && now.Want.Has(protocol.Write) && !old.Want.Has(protocol.Write)
	if accepts {
		if err := r.answered(tx, remote); err != nil {
			return err
		}
	}
	if now.User == local {
		if m := r.members[remote]; other != nil {
			theirs = other
		} else if m != nil {
			theirs = &m.sub
		}
		if old.Live() == now.Live() && now.Want&^old.Want == 0 {
			return nil
		}
	} else {
		mine = &r.members[local].sub
		if now.Given == old.Given {
			return nil
		}
	}
	if err := r.tellMode(tx, mine, theirs, false); err != nil || !accepts || !theirs.Given.Has(protocol.Presence) {
		return err
	}
	return r.sendMarks(tx, store.Marks{}, r.members[local].marks) // what was read of a stranger was kept back
}

// tellDelete queues a deletion for all.
func (r *room) tellDelete(tx store.Tx, ranges protocol.Ranges, at time.Time) error {
	p := r.envelope(at)
	if p == nil {
		return nil
	}
	of, err := r.erased(tx, ranges)
	if err != nil || len(of) == 0 {
		return err
	}
	p.Delete = &s2s.Delete{Of: of}
	return r.send(tx, "", p)
}

// prepareRemote implements receiver.
func (p *p2p) prepareRemote(from federation.Peer, post *s2s.Post) (*pending, error) {
	if post.From.Node() != from.Name || post.To.Node() != p.n.name {
		return nil, protocol.Denied
	}
	if p.rec == nil {
		return nil, protocol.NotFound
	}
	if len(post.Message.Head)+len(post.Message.Content) > p.n.cfg.Limits.MaxMessage {
		return nil, protocol.TooLarge
	}
	var in protocol.Pub
	err := p.n.store.View(func(tx store.Tx) error {
		switch seq, err := tx.Named(p.t.id, post.From, post.Message.Origin, post.Message.Tag); {
		case err != nil:
			return err
		case seq > 0:
			return protocol.Exists
		}
		if err := p.mayContact(tx, post); err != nil {
			return err
		}
		var err error
		in, err = p.inward(tx, post)
		if err == nil && in.Head["webrtc"] != nil && p.fromStranger(post.From) {
			err = &protocol.Error{Fault: protocol.Policy, What: "not yet accepted: no calls"}
		}
		return err
	})
	if errors.Is(err, protocol.Exists) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	q := p.n.remoteRequest(post.From, &protocol.Request{Pub: &in})
	sender := headString(in.Head, "sender")
	out, err := p.prepare(q)
	if err != nil {
		return nil, err
	}
	if err := p.callSender(out.m, &in, sender, post.To); err != nil {
		return nil, err
	}
	out.origin, out.m.Tag = post.Message.Origin, post.Message.Tag
	out.m.TS = sentAt(post.At, out.m.TS)
	return out, nil
}

// mayContact limits what a stranger may say before being answered.
func (p *p2p) mayContact(tx store.Tx, post *s2s.Post) error {
	mine := p.members[post.To]
	if mine == nil || mine.sub.Want.Has(protocol.Write) || !mine.live() {
		return nil
	}
	if len(post.Message.Head)+len(post.Message.Content) > firstTextSize {
		return &protocol.Error{Fault: protocol.Policy, What: "not yet accepted: only short texts"}
	}
	texts := 0
	for m, err := range tx.History(p.t.id, 1, p.head.Seq+1) {
		if err != nil {
			return err
		}
		if m.From == post.From {
			texts++
		}
		if texts >= firstTexts {
			return &protocol.Error{Fault: protocol.Policy, What: "not yet accepted: wait for an answer"}
		}
	}
	return nil
}

// remoteRequest is what a user of another node asks.
func (n *Node) remoteRequest(u protocol.UserID, in *protocol.Request) *request {
	s := &session{n: n, who: Identity{User: u, Level: store.LevelAuth}, answered: new(protocol.Ctrl)}
	r := &request{s: s, in: in, verb: pick(in), who: s.who, at: n.wall(), came: time.Now()}
	r.id, r.name = requestID(in)
	return r
}

// receive implements receiver.
func (p *p2p) receive(from federation.Peer, post *s2s.Post) error {
	if post.From.Node() != from.Name || post.To.Node() != p.n.name {
		return protocol.Denied
	}
	switch {
	case post.Mode != nil && p.rec == nil:
		return p.approached(from, post)
	case p.rec == nil:
		return protocol.NotFound
	case post.Mode != nil:
		return p.receiveMode(post)
	case post.Marks != nil:
		return p.receiveMarks(post)
	case post.Delete != nil:
		return p.receiveDelete(post)
	case post.Aux != nil:
		return p.receiveAux(post)
	}
	return protocol.Unsupported
}

// approached begins a conversation at the wish of a remote user: ours has to accept.
func (p *p2p) approached(from federation.Peer, post *s2s.Post) error {
	if post.Mode.Ended {
		return nil
	}
	if err := p.approachable(post); err != nil {
		return err
	}
	undo, err := p.n.standing.knock(from, post.From, post.Mode.Vouchers)
	if err != nil {
		return err
	}
	if err := p.open(post); err != nil {
		undo()
		return err
	}
	return nil
}

// approachable reports whether our user takes first contacts.
func (p *p2p) approachable(post *s2s.Post) error {
	user, err := p.n.lookUp(post.To)
	switch {
	case errors.Is(err, protocol.NotFound):
		p.n.standing.observe(post.From, reputation.Probe, "")
		return err
	case err != nil:
		return err
	case !p.n.ventures(Identity{user.ID, user.Level}):
		return protocol.NotFound
	case !p.offered(user, post).Has(protocol.Join):
		return protocol.Denied
	}
	return nil
}

// offered is what our user gives to strangers such as the one who approaches.
func (p *p2p) offered(user *store.User, post *s2s.Post) protocol.Mode {
	if c := post.Mode.Card; c != nil && c.User == post.From {
		return user.Defacs.For(levelOf(c))
	}
	return user.Defacs.Auth
}

// open stores a conversation that a remote user has begun.
func (p *p2p) open(post *s2s.Post) error {
	now := p.n.wall()
	rec := &store.Topic{ID: p.t.id, Created: now, Updated: now}
	mine := newSub(p.t.id, post.To, modeFirstWant, maskP2P(post.Mode.Given), now)
	theirs := newSub(p.t.id, post.From, maskP2P(post.Mode.Want), modeStranger, now)
	err := p.update(func(tx store.Tx) error {
		user, err := tx.User(post.To)
		if err != nil {
			return err
		}
		theirs.Given &= p.offered(user, post)
		if c := post.Mode.Card; c != nil && c.User == post.From {
			if _, err := putCard(tx, c, now); err != nil {
				return err
			}
		} else if _, err := tx.User(post.From); errors.Is(err, store.ErrNotFound) {
			if err := tx.PutUser(shadow(post.From, now)); err != nil {
				return err
			}
		}
		if err := p.n.checkSubsBy(tx, post.To, post.From); err != nil {
			return err
		}
		return errors.Join(tx.PutTopic(rec), tx.PutSub(&mine), tx.PutSub(&theirs))
	})
	if err != nil {
		return err
	}
	p.rec = rec
	p.members[post.To], p.members[post.From] = &member{sub: mine}, &member{sub: theirs}
	p.newContact()
	p.n.broadcast(post.To, "", &protocol.Response{Pres: &protocol.Pres{Topic: "me", Src: string(post.From), What: "acs",
		Act: string(post.From), Acs: &protocol.Acs{Want: mine.Want.String(), Given: mine.Given.String()}}}, nil)
	return nil
}

// receiveMode takes what the other decides: the own want and what ours is given.
func (p *p2p) receiveMode(post *s2s.Post) error {
	mine, theirs := p.members[post.To], p.members[post.From]
	my, their := mine.sub, theirs.sub
	now := p.n.wall()
	my.Given, my.Updated = maskP2P(post.Mode.Given), now
	their.Want, their.Updated = maskP2P(post.Mode.Want), now
	their.Ended = time.Time{}
	if post.Mode.Ended {
		their.Ended = now
	}
	err := p.update(func(tx store.Tx) error {
		if c := post.Mode.Card; c != nil && c.User == post.From {
			if _, err := putCard(tx, c, now); err != nil {
				return err
			}
		}
		return errors.Join(tx.PutSub(&my), tx.PutSub(&their))
	})
	if err != nil {
		return err
	}
	q := p.n.remoteRequest(post.From, &protocol.Request{Set: &protocol.Set{}})
	oldMine, oldTheirs := mine.sub, theirs.sub
	mine.sub, theirs.sub = my, their
	if oldTheirs.Want != their.Want || oldMine.Given != my.Given || post.Mode.Card != nil {
		p.confide()
	}
	if oldMine.Given != my.Given {
		p.presAcs(q, mine, &protocol.Acs{Want: oldMine.Want.Delta(my.Want), Given: oldMine.Given.Delta(my.Given)})
		p.modeChanged(q, mine, oldMine.Mode())
	}
	if oldTheirs.Want != their.Want && their.Live() {
		p.presAcs(q, theirs, &protocol.Acs{Want: oldTheirs.Want.Delta(their.Want), Given: oldTheirs.Given.Delta(their.Given)})
	}
	if oldTheirs.Live() && !their.Live() {
		p.presAcs(q, theirs, &protocol.Acs{Want: "N", Given: "N"})
		p.presMeAll(post.To, protocol.Pres{What: "off"})
	}
	return nil
}

// receiveDelete erases what the other has deleted for all.
func (p *p2p) receiveDelete(post *s2s.Post) error {
	var ranges protocol.Ranges
	err := p.n.store.View(func(tx store.Tx) (err error) {
		ranges, err = p.local(tx, post.Delete.Of)
		return err
	})
	if err != nil || len(ranges) == 0 {
		return err
	}
	m := p.members[post.From]
	if m == nil || !m.mode().Has(protocol.Delete) {
		return protocol.Denied
	}
	q := p.n.remoteRequest(post.From, &protocol.Request{Del: &protocol.Del{}})
	d := &store.Deletion{TS: q.at, Ranges: ranges}
	if err := p.delete(q, m, d); err != nil {
		return err
	}
	p.announceDel(q, d)
	return nil
}

// receiveAux takes what the other keeps for both.
func (p *p2p) receiveAux(post *s2s.Post) error {
	if m := p.members[post.From]; m == nil || !m.mode().Has(protocol.Approve) {
		return protocol.Denied
	}
	aux, err := p.auxInward(post.Aux)
	if err != nil {
		return err
	}
	q := p.n.remoteRequest(post.From, &protocol.Request{Set: &protocol.Set{}})
	if err := p.putAux(q, aux); err != nil {
		return err
	}
	p.announceAux(q)
	return nil
}

// tellAux queues what our user has changed of what is kept for both.
func (r *room) tellAux(tx store.Tx, q *request, aux []byte) error {
	p := r.envelope(q.at)
	if p == nil || q.who.User != p.From {
		return nil
	}
	var err error
	if p.Aux, err = r.auxOutward(tx, aux); err != nil {
		return err
	}
	return r.send(tx, "aux\x00"+string(r.t.id), p)
}
