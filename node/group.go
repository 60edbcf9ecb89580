package node

import (
	"errors"
	"strings"

	"parley/protocol"
	"parley/store"
)

// group is a topic of many. Its owner describes it, those who approve decide who is
// in it. A channel is a group that also has any number of readers.
type group struct {
	*room
	parts
}

func newGroup(t *topic) kind {
	g := &group{room: newRoom(t)}
	g.parts = newParts(g.room)
	g.room.policy, g.room.tells = g, g
	return g
}

// load implements kind.
func (g *group) load(tx store.Tx) error {
	err := g.room.load(tx)
	if err == nil && g.rec == nil {
		err = store.ErrNotFound
	}
	return err
}

// createGroup answers {sub new…} and {sub nch…}: the group is stored, then the
// request goes on to it.
func (n *Node) createGroup(q *request) {
	in := q.in.Sub
	rec, sub, err := n.foundGroup(q, in)
	if err == nil {
		err = n.store.Update(func(tx store.Tx) error {
			if err := n.checkSubs(tx, q.who.User); err != nil {
				return err
			}
			if err := aliasFree(tx, rec.Tags, string(rec.ID)); err != nil {
				return err
			}
			if err := tx.PutTopic(rec); err != nil {
				return err
			}
			if err := tx.SetLinks(store.RefTopic(rec.ID), q.files); err != nil {
				return err
			}
			return tx.PutSub(sub)
		})
	}
	if err != nil {
		q.refuse(err)
		return
	}
	q.tmpname, q.name = q.name, string(rec.ID)
	if !q.bring(rec.ID) {
		q.refuse(protocol.Busy)
	}
}

// foundGroup makes the records of a new group as its founder wants it.
func (n *Node) foundGroup(q *request, in *protocol.Sub) (*store.Topic, *store.Sub, error) {
	rec := &store.Topic{
		ID:      protocol.NewGroupID(random(), n.name),
		Channel: strings.HasPrefix(in.Topic, "nch"),
		Created: q.at, Updated: q.at,
		Owner:  q.who.User,
		Defacs: store.Defacs{Auth: protocol.ModeGroupAuth},
	}
	if rec.Channel {
		rec.Defacs.Auth = protocol.ModeChanMember
	}
	if in.Set == nil {
		in.Set = &protocol.SetQuery{}
	}
	want, err := askedMode(in, protocol.ModeOwner)
	if err != nil {
		return nil, nil, err
	}
	if !want.Has(protocol.Owner) {
		return nil, nil, protocol.Denied
	}
	sub := newSub(rec.ID, q.who.User, want|protocol.Join, protocol.ModeOwner, q.at)
	if sub.Private, err = privateOf(in); err != nil {
		return nil, nil, err
	}
	if d := in.Set.Desc; d != nil {
		if rec.Public, _, err = merge(nil, d.Public); err != nil {
			return nil, nil, err
		}
		if rec.Defacs, err = changeDefacs(rec.Defacs, d.Defacs); err != nil {
			return nil, nil, err
		}
	}
	if in.Set.Tags != nil {
		if rec.Tags, err = n.accounts.groupTags(nil, in.Set.Tags); err != nil {
			return nil, nil, err
		}
	}
	if in.Set.Aux != nil {
		return nil, nil, protocol.Malformed
	}
	return rec, &sub, nil
}

// checkSubs refuses a user who has too many subscriptions already.
func (n *Node) checkSubs(tx store.Tx, u protocol.UserID) error {
	return fewerSubs(tx, u, n.cfg.Limits.MaxSubs)
}

// checkSubsBy is checkSubs for what by does. What others do takes no more than half of
// what a user may have: else a stranger could use up all.
func (n *Node) checkSubsBy(tx store.Tx, u, by protocol.UserID) error {
	if u == by {
		return n.checkSubs(tx, u)
	}
	return fewerSubs(tx, u, n.cfg.Limits.MaxSubs/2)
}

func fewerSubs(tx store.Tx, u protocol.UserID, limit int) error {
	count := 0
	for s, err := range tx.SubsOf(u) {
		if err != nil {
			return err
		}
		if !s.Live() {
			continue
		}
		if count++; count >= limit {
			return &protocol.Error{Fault: protocol.Policy, What: "subscriptions"}
		}
	}
	return nil
}

// admit implements policy: one joins with what the group gives by default, or what
// one was given before.
func (g *group) admit(q *request, in *protocol.Sub) error {
	if q.reader && !g.rec.Channel {
		return protocol.NotFound
	}
	old := g.members[q.who.User]
	given := g.rec.Defacs.For(q.who.Level)
	want := given
	switch {
	case q.reader:
		given = protocol.ModeChanReader
		want = given
		if old != nil && !old.sub.Given.Has(protocol.Join) {
			return protocol.Denied // banned
		}
	case old != nil && !old.sub.Reader:
		given = old.sub.Given
	}
	if !given.Has(protocol.Join) {
		return protocol.Denied
	}
	want, err := askedMode(in, want)
	if err != nil {
		return err
	}
	if want.Has(protocol.Owner) && !given.Has(protocol.Owner) {
		return protocol.Denied
	}
	sub := newSub(g.t.id, q.who.User, want&^protocol.Owner|protocol.Join, given, q.at)
	sub.Reader = q.reader
	if sub.Private, err = privateOf(in); err != nil {
		return err
	}
	if q.reader {
		sub.Want &= protocol.ModeChanReader
	}
	return g.enrol(q, sub)
}

// enrol stores a new subscription, if there is room for one.
func (g *group) enrol(q *request, sub store.Sub) error {
	if !sub.Reader && g.memberCount() >= g.n.cfg.Limits.MaxSubscribers {
		return &protocol.Error{Fault: protocol.Policy, What: "subscribers"}
	}
	if old := g.members[sub.User]; old != nil {
		sub.Created = old.sub.Created
		if sub.Private == nil {
			sub.Private = old.sub.Private
		}
		old.sub.Reader = sub.Reader
		return g.comeBack(q, old, sub)
	}
	err := g.update(func(tx store.Tx) error {
		if err := g.n.checkSubsBy(tx, sub.User, q.who.User); err != nil {
			return err
		}
		if err := tx.PutSub(&sub); err != nil {
			return err
		}
		return g.tells.changed(tx, q, nil, &sub)
	})
	if err == nil {
		g.members[sub.User] = &member{sub: sub}
	}
	return err
}

func (g *group) memberCount() int {
	n := 0
	for _, m := range g.members {
		if m.live() && !m.sub.Reader {
			n++
		}
	}
	return n
}

// invite implements policy: whoever shares may invite to the default access, whoever
// approves may say to which.
func (g *group) invite(q *request, by *member, u protocol.UserID, mode string) error {
	approves := by.mode()&(protocol.Approve|protocol.Owner) != 0
	switch {
	case !approves && !by.mode().Has(protocol.Share), !approves && mode != "":
		return protocol.Denied
	}
	user, err := g.n.lookUp(u)
	if errors.Is(err, protocol.NotFound) && g.n.remote(u) && g.n.cfg.Network != nil {
		user, err = shadow(u, q.at), nil // its node could not be asked
	}
	if err != nil {
		return err
	}
	given := g.rec.Defacs.For(user.Level)
	var before *store.Sub
	if old := g.members[u]; old != nil {
		if before = &old.sub; !before.Given.Has(protocol.Join) && !approves {
			return protocol.Denied // only who approves lifts a ban
		}
	}
	if given, err = given.Change(mode); err != nil {
		return protocol.Malformed
	}
	if given.Has(protocol.Owner) && !by.mode().Has(protocol.Owner) {
		return protocol.Denied
	}
	sub := newSub(g.t.id, u, invitedWant(before, given), given, q.at)
	if g.n.remote(u) && u.Node() != q.who.User.Node() {
		sub.Want = 0 // that is for the user's node to say
	}
	if err := g.enrol(q, sub); err != nil {
		return err
	}
	m := g.members[u]
	q.ok(200, map[string]any{"acs": protocol.NewAcs(m.sub.Want, m.sub.Given), "user": string(u)})
	g.presAcs(q, m, &protocol.Acs{Want: m.sub.Want.String(), Given: m.sub.Given.String()})
	if m.mode().Has(protocol.Join|protocol.Presence) && g.online(m) {
		g.presMeAll(u, protocol.Pres{What: "on"})
	}
	return nil
}

// invitedWant is what one wants who is invited: all that is given; but who has left before,
// or has not accepted, is asked, and who gave up Join stays out.
func invitedWant(before *store.Sub, given protocol.Mode) protocol.Mode {
	if before == nil || before.Want.Has(protocol.Join) && before.Want != modeInvited {
		return given &^ protocol.Owner
	}
	return before.Want & modeInvited & given
}

// name implements policy.
func (g *group) name(_ protocol.UserID, reader bool) string {
	if reader {
		return g.t.id.ChannelName()
	}
	return string(g.t.id)
}

// card implements policy.
func (g *group) card(store.Tx, protocol.UserID) (card, error) {
	return card{public: g.rec.Public, trusted: g.rec.Trusted, created: g.rec.Created, updated: g.rec.Updated}, nil
}

// grant implements policy: ownership is given by the owner only and is never taken
// or laid down without a successor.
func (g *group) grant(q *request, target *member, want, given protocol.Mode) (protocol.Mode, protocol.Mode, error) {
	actor := g.member(q.who.User)
	self := actor == target
	owns := target.mode().Has(protocol.Owner)
	switch {
	case target.sub.Reader && (!self || want&^protocol.ModeChanReader != 0):
		return 0, 0, protocol.Denied
	case self && owns && !want.Has(protocol.Owner), !self && owns:
		return 0, 0, protocol.Denied
	case self && want.Has(protocol.Owner) && !given.Has(protocol.Owner):
		return 0, 0, protocol.Denied
	case !self && given.Has(protocol.Owner) && !target.sub.Given.Has(protocol.Owner) &&
		(actor == nil || !actor.mode().Has(protocol.Owner)):
		return 0, 0, protocol.Denied
	}
	return want, given, nil
}

// transfer implements policy. The former owner keeps all but ownership.
func (g *group) transfer(q *request, m *member, want protocol.Mode) error {
	old := g.member(g.rec.Owner)
	rec := *g.rec
	rec.Owner = m.sub.User
	mine := m.sub
	mine.Want, mine.Updated = want, q.at
	var theirs store.Sub
	if old != nil {
		theirs = old.sub
		theirs.Want &^= protocol.Owner
		theirs.Given &^= protocol.Owner
		theirs.Updated = q.at
	}
	err := g.update(func(tx store.Tx) error {
		if err := tx.PutTopic(&rec); err != nil {
			return err
		}
		if err := tx.PutSub(&mine); err != nil {
			return err
		}
		if old != nil {
			if err := tx.PutSub(&theirs); err != nil {
				return err
			}
		}
		return g.log(tx, q, eventOwner, ownerEvent{From: g.rec.Owner, To: rec.Owner})
	})
	if err != nil {
		return err
	}
	before := m.sub.Want
	g.rec, m.sub = &rec, mine
	q.ok(200, map[string]any{"acs": protocol.NewAcs(mine.Want, mine.Given)})
	if old != nil {
		change := &protocol.Acs{Want: old.sub.Want.Delta(theirs.Want), Given: old.sub.Given.Delta(theirs.Given)}
		old.sub = theirs
		all := *q
		all.s = nil // the new owner's session too learns who the old one was
		g.presAcs(&all, old, change)
	}
	g.presAcs(q, m, &protocol.Acs{Want: before.Delta(want)})
	return nil
}

// offers implements policy.
func (g *group) offers(who Identity) protocol.Mode { return g.rec.Defacs.For(who.Level) }

// wants implements policy.
func (g *group) wants(m *member) protocol.Mode { return m.sub.Given &^ protocol.Owner }
