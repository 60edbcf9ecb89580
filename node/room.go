package node

import (
	"errors"
	"maps"
	"slices"
	"time"

	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
)

// A room is a topic that keeps messages: the common part of conversations of two,
// groups, notes to oneself and sys. What differs is its policy.
type room struct {
	t      *topic
	n      *Node
	policy policy
	tells  teller

	rec      *store.Topic // nil before the topic is created
	head     store.Head
	hardDel  int // last deletion that holds for all
	members  map[protocol.UserID]*member
	attached map[*session]*attachment
	shown    bool // members of the group were told that somebody is there
	visible  int  // members in the room of whom the others were told
	call     *call
	slow     []slowPub    // oldest first
	talk     talk         // with another node's user
	remote   *s2s.Command // that is being carried out

	// also is done in the next transaction, with which it ends; peers are the nodes to
	// wake after it.
	also  func(store.Tx) error
	peers []protocol.Node
}

// member is one who is or was subscribed.
type member struct {
	sub      store.Sub
	marks    store.Marks
	sessions int  // attached
	seen     bool // the others in the room were told that one is there
}

func (m *member) mode() protocol.Mode { return m.sub.Mode() }

// live reports whether m is subscribed now.
func (m *member) live() bool { return m != nil && m.sub.Live() }

// away reports whether m is a channel's reader without a session in it: there may be
// any number of them, and they are told nothing.
func (m *member) away() bool { return m.sub.Reader && m.sessions == 0 }

// attachment is a session in a room.
type attachment struct {
	m      *member
	reader bool                  // of a channel: sees no authors
	recent [recentPubs]recentPub // answers to repeated {pub}
	next   int
}

// policy is what differs between rooms.
type policy interface {
	// admit makes the subscription of a user who has none. It may create the topic.
	admit(q *request, in *protocol.Sub) error
	// name is what a member calls the room.
	name(u protocol.UserID, reader bool) string
	// card is how the room presents itself to u.
	card(tx store.Tx, u protocol.UserID) (card, error)
	// grant checks and limits modes before they are stored.
	grant(q *request, target *member, want, given protocol.Mode) (protocol.Mode, protocol.Mode, error)
	// invite subscribes another user; an empty mode is the default.
	invite(q *request, by *member, u protocol.UserID, mode string) error
	// transfer makes m, to whom ownership was given, the owner.
	transfer(q *request, m *member, want protocol.Mode) error
	// offers is the access that one who is not subscribed would have.
	offers(who Identity) protocol.Mode
	// wants is the mode of a member who comes back without saying which.
	wants(m *member) protocol.Mode
}

// card is the public face of a room or user.
type card struct {
	public, trusted  []byte
	created, updated time.Time
	gone             bool // whose it was
}

func newRoom(t *topic) *room {
	return &room{t: t, n: t.n, tells: silent{}, members: map[protocol.UserID]*member{}, attached: map[*session]*attachment{}}
}

// load reads the topic; a topic that is not there yet is no error here.
func (r *room) load(tx store.Tx) error {
	rec, err := tx.Topic(r.t.id)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if r.head, err = tx.Head(r.t.id); err != nil {
		return err
	}
	for s, err := range tx.SubsTo(r.t.id) {
		if err != nil {
			return err
		}
		m := &member{sub: *s}
		if m.marks, err = tx.Marks(r.t.id, s.User); err != nil {
			return err
		}
		r.members[s.User] = m
	}
	for d, err := range tx.Deletions(r.t.id, "", 1, r.head.Del+1) {
		if err != nil {
			return err
		}
		r.hardDel = d.ID
	}
	r.rec = rec
	return nil
}

// idle implements kind.
func (r *room) idle() bool { return len(r.attached) == 0 && !r.shown && r.call == nil }

// gone implements kind. A call may have been taken by a session that was not attached.
func (r *room) gone(s *session) {
	r.detach(s)
	r.callLeft(s)
}

// member returns the live subscription of a user, nil if there is none.
func (r *room) member(u protocol.UserID) *member {
	if m := r.members[u]; m.live() {
		return m
	}
	return nil
}

// at returns how the request's session is attached, nil if it is not. Answers to a
// reader of a channel bear the name that readers use, whichever the request bore.
func (r *room) at(q *request) *attachment {
	a := r.attached[q.s]
	if a == nil && q.s.answered != nil { // another node asks for its user
		if m := r.member(q.who.User); m != nil {
			a = &attachment{m: m, reader: m.sub.Reader}
		}
	}
	if a != nil {
		q.name = r.policy.name(q.who.User, a.reader)
	}
	return a
}

// sub implements verbs: subscribe if need be, attach, then {set} and {get}.
func (r *room) sub(q *request, in *protocol.Sub) {
	if r.at(q) != nil {
		q.unchanged("already subscribed")
		if in.Get != nil {
			r.get(q, in.Get)
		}
		return
	}
	m, fresh, err := r.enter(q, in)
	switch {
	case errors.Is(err, errUseOther):
		q.s.reply(&protocol.Ctrl{ID: q.id, Topic: q.name, Code: 303, Text: "use other", Params: map[string]any{"topic": string(r.t.id)}})
		return
	case err != nil:
		q.refuse(err)
		return
	}
	r.attach(q, m)
	q.name = r.policy.name(q.who.User, m.sub.Reader)
	q.ok(200, q.params)
	if q.then != nil {
		q.then()
	}
	r.announce(q, m, fresh)
	if in.Get != nil {
		r.get(q, in.Get)
	}
}

// attach puts the session in the room.
func (r *room) attach(q *request, m *member) {
	if q.s.answered != nil || !q.s.attach(r.t) {
		return
	}
	r.attached[q.s] = &attachment{m: m, reader: m.sub.Reader}
	m.sessions++
}

// detach takes it out, and tells the others when it was the last of its user.
func (r *room) detach(s *session) {
	a := r.attached[s]
	if a == nil {
		return
	}
	delete(r.attached, s)
	s.detach(r.t)
	a.m.sessions--
	r.callLeft(s)
	if a.m.sessions == 0 {
		r.unsee(a.m)
	}
}

// emptied is called when the last of whom others know has left the group. Its members
// are told when nobody has come back for a while.
func (r *room) emptied() { r.t.after(offDelay, emptyEvent{}) }

// emptyEvent is the event of a group in which nobody was for a while.
type emptyEvent struct{}

func (emptyEvent) apply(t *topic) {
	if k, ok := t.kind.(interface{ asRoom() *room }); ok {
		k.asRoom().presOff()
	}
}

// presOff tells members that nobody is in the group any more.
func (r *room) presOff() {
	if !r.shown || r.visible > 0 {
		return
	}
	r.shown = false
	r.t.setOnline(false)
	for u, m := range r.members {
		if m.live() && !m.sub.Reader && m.mode().Has(protocol.Presence|protocol.Join) {
			r.presMe(u, protocol.Pres{What: "off"})
		}
	}
}

// del implements verbs.
func (r *room) del(q *request, in *protocol.Del) {
	switch in.What {
	case "", "msg":
		r.delMessages(q, in)
	case "topic":
		r.delTopic(q, in)
	case "sub":
		r.delSub(q, in)
	case "cred":
		q.refuse(protocol.Unsupported)
	default:
		q.refuse(protocol.Malformed)
	}
}

// delTopic of one who does not own the topic only unsubscribes.
func (r *room) delTopic(q *request, in *protocol.Del) {
	m := r.member(q.who.User)
	switch {
	case m == nil:
		q.unchanged("no action")
	case m.mode().Has(protocol.Owner):
		r.destroy(q)
	default:
		if err := r.unsubscribe(q, m); err != nil {
			q.refuse(err)
		}
	}
}

// destroy deletes the topic for everybody.
func (r *room) destroy(q *request) {
	err := r.update(func(tx store.Tx) error {
		if err := r.log(tx, q, eventEnd, nil); err != nil {
			return err
		}
		return tx.DeleteTopic(r.t.id)
	})
	if err != nil {
		q.refuse(err)
		return
	}
	q.ok(200, nil)
	r.end()
}

// end empties a room whose topic is no more.
func (r *room) end() {
	for s, a := range r.attached {
		s.detach(r.t)
		r.callLeft(s)
		delete(r.attached, s)
		a.m.sessions = 0
	}
	for u, m := range r.members {
		if m.live() {
			r.presMe(u, protocol.Pres{What: "gone"})
		}
	}
	r.t.setOnline(false)
	r.t.giveUp(protocol.NotFound)
}

// terminate tells the sessions in a room that has failed that they may come again.
func (r *room) terminate() {
	for s, a := range r.attached {
		s.detach(r.t)
		name := r.policy.name(a.m.sub.User, a.reader)
		s.reply(&protocol.Ctrl{Topic: name, Code: 205, Text: okText(205), Params: map[string]any{"unsub": false}})
		s.send(&protocol.Response{Pres: &protocol.Pres{Topic: name, Src: name, What: "term"}})
	}
	r.t.setOnline(false)
}

// update runs one store transaction; every change of a room is one.
func (r *room) update(fn func(tx store.Tx) error) error {
	also := r.also
	r.also = nil
	err := r.n.store.Update(func(tx store.Tx) error {
		r.peers = r.peers[:0]
		if err := fn(tx); err != nil || also == nil {
			return err
		}
		return also(tx)
	})
	r.wake(err)
	return err
}

// wake lets what was queued for other nodes go, once it is on the disk.
func (r *room) wake(err error) {
	if err == nil && len(r.peers) > 0 {
		r.n.cfg.Network.Wake(r.peers...)
	}
	r.peers = r.peers[:0]
}

// post queues p for another node, in the transaction of what it tells of. A newer one
// with the same key replaces it while it waits.
func (r *room) post(tx store.Tx, to protocol.Node, key string, p *s2s.Post) error {
	r.peers = append(r.peers, to)
	return r.n.cfg.Network.Post(tx, to, key, p)
}

// sortedMembers gives the members in a stable order: oldest subscription first.
func (r *room) sortedMembers() []*member {
	return slices.SortedFunc(maps.Values(r.members), func(a, b *member) int {
		if c := a.sub.Created.Compare(b.sub.Created); c != 0 {
			return c
		}
		if a.sub.User < b.sub.User {
			return -1
		}
		return 1
	})
}

// newSub is a subscription as of now.
func newSub(t protocol.TopicID, u protocol.UserID, want, given protocol.Mode, now time.Time) store.Sub {
	return store.Sub{Topic: t, User: u, Want: want, Given: given, Created: now, Updated: now}
}
