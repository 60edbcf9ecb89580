package node

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"parley/federation"
	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
)

// follower is a group whose home is another node: a replica, which its log keeps up to
// date. What only concerns the own members happens here, also while the home is away;
// the rest is a command to it.
type follower struct {
	*room
	parts
	rules group // what a replica decides by itself

	orders
	left map[protocol.UserID]bool // left, which the log does not say yet
	// changing are own modes that the log does not say yet, until when commands wait.
	changing   map[protocol.UserID]time.Time
	unverified []int // messages whose authors' nodes could not be asked
	holding    bool  // the link to the home is to stay
	asking     bool  // for a snapshot
	pruning    bool  // the replica will be dropped if nobody comes
	broken     bool  // the home has told two stories
}

// pruneGrace is for how long a replica stays when no user of the node is in the group.
const pruneGrace = 10 * time.Minute

// What is kept beside a replica, by the id of the group.
const (
	valueTags       = "group tags\x00"
	valueLeft       = "group left\x00" // and by user
	valueUnverified = "group unverified\x00"
	valueBroken     = "group broken\x00"
)

func leftName(t protocol.TopicID, u protocol.UserID) string {
	return valueLeft + string(t) + "\x00" + string(u)
}

func newFollower(t *topic) kind {
	f := &follower{room: newRoom(t), orders: newOrders(), left: map[protocol.UserID]bool{}, changing: map[protocol.UserID]time.Time{}}
	f.parts = newParts(f.room)
	f.rules.room = f.room
	f.room.policy, f.room.tells = &f.rules, f
	return f
}

// load implements kind. A group of which nothing is here may be joined.
func (f *follower) load(tx store.Tx) error {
	if err := f.room.load(tx); err != nil || f.rec == nil {
		return err
	}
	prefix := valueLeft + string(f.t.id) + "\x00"
	for name, err := range tx.Values(prefix) {
		if err != nil {
			return err
		}
		f.left[protocol.UserID(strings.TrimPrefix(name, prefix))] = true
	}
	_, err := tx.Value(valueBroken + string(f.t.id))
	f.broken = err == nil
	return errors.Join(
		readValue(tx, valueTags+string(f.t.id), &f.rec.Tags),
		readValue(tx, valueUnverified+string(f.t.id), &f.unverified),
		f.loadUnknown(tx))
}

// readValue reads JSON that is kept under a name, if there is any.
func readValue(tx store.Tx, name string, v any) error {
	raw, err := tx.Value(name)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, v)
}

// putList keeps v as JSON; nothing, if it is empty.
func putList[T any](tx store.Tx, name string, v []T) error {
	if len(v) == 0 {
		return tx.DeleteValue(name)
	}
	return putValue(tx, name, v)
}

// putValue keeps v as JSON.
func putValue(tx store.Tx, name string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return tx.PutValue(name, raw)
}

// putTopic stores the description. The tags are kept apart: nobody here finds a group of
// another node by them.
func (f *follower) putTopic(tx store.Tx, rec *store.Topic) error {
	bare := *rec
	bare.Tags = nil
	return errors.Join(putGroup(tx, &bare), putList(tx, valueTags+string(f.t.id), rec.Tags))
}

// putGroup stores the description of a group of another node, and names its picture.
func putGroup(tx store.Tx, rec *store.Topic) error {
	if err := tx.PutTopic(rec); err != nil {
		return err
	}
	return useFiles(tx, store.RefTopic(rec.ID), pictures(rec.ID.Home(), rec.Public), rec.Updated)
}

// idle implements kind.
func (f *follower) idle() bool {
	return f.orders.idle() && !f.moving && !f.due && !f.asking && !f.pruning && f.room.idle()
}

// follows reports whether there is a replica.
func (f *follower) follows() bool { return f.rec != nil && f.head.Rev > 0 }

// member of the group, as far as is known here.
func (f *follower) memberOf(q *request) *member {
	if !f.follows() {
		return nil
	}
	return f.room.member(q.who.User)
}

// sub implements verbs. Members come and go here; who is none asks the home, unless to
// read a channel that others here read.
func (f *follower) sub(q *request, in *protocol.Sub) {
	if f.memberOf(q) == nil && !(q.reader && f.follows()) {
		f.command(q, &protocol.Request{Sub: in})
		return
	}
	alone := *in
	alone.Get = nil
	f.room.sub(q, &alone)
	if in.Get != nil && f.at(q) != nil {
		f.get(q, in.Get)
	}
}

// leave implements verbs. Leaving works also while the home is away.
func (f *follower) leave(q *request, in *protocol.Leave) {
	f.room.leave(q, in)
	f.departed(q.who.User)
}

// departed notes that a user may have left.
func (f *follower) departed(u protocol.UserID) {
	if m := f.members[u]; m != nil && !m.live() && !m.sub.Reader {
		f.left[u] = true
	}
	f.prune()
}

// pub implements verbs.
func (f *follower) pub(q *request, in *protocol.Pub) {
	a := f.at(q)
	switch {
	case a == nil:
		q.refuse(protocol.NotAttached)
	case !a.m.mode().Has(protocol.Write):
		q.refuse(protocol.Denied)
	default:
		if seq := a.repeated(q.id); seq > 0 {
			q.ok(202, map[string]any{"seq": seq})
			return
		}
		f.command(q, &protocol.Request{Pub: in})
	}
}

// pubs handles {pub}s that wait.
func (f *follower) pubs(qs []*request) {
	for _, q := range qs {
		f.pub(q, q.in.Pub)
	}
}

// get implements verbs.
func (f *follower) get(q *request, in *protocol.GetQuery) {
	if !f.follows() {
		f.getStranger(q, in)
		return
	}
	if a := f.at(q); a != nil && whats(in)["data"] && a.m.mode().Has(protocol.Read) {
		if ask := f.lacks(in.Data); ask != nil {
			f.fetchThen(q, in, ask)
			return
		}
	}
	f.room.get(q, in)
}

// set implements verbs: one command for each part that is for the home to decide.
func (f *follower) set(q *request, in *protocol.SetQuery) {
	if in.Desc == nil && in.Sub == nil && in.Tags == nil && in.Cred == nil && in.Aux == nil {
		q.refuse(protocol.Malformed)
		return
	}
	part := func(set bool, own bool, p protocol.SetQuery) {
		switch {
		case !set:
		case own || f.memberOf(q) == nil || f.at(q) == nil:
			f.room.set(q, &p) // done, or refused
		default:
			f.command(q, &protocol.Request{Set: &protocol.Set{Topic: q.name, SetQuery: p}})
		}
	}
	if in.Desc != nil {
		f.setPublic(q, in.Desc)
	}
	part(in.Sub != nil, f.ownMode(q, in.Sub), protocol.SetQuery{Sub: in.Sub})
	part(in.Tags != nil, false, protocol.SetQuery{Tags: in.Tags})
	part(in.Cred != nil, true, protocol.SetQuery{Cred: in.Cred})
	part(in.Aux != nil, false, protocol.SetQuery{Aux: in.Aux})
}

// setPublic answers {set desc}: the private part is ours.
func (f *follower) setPublic(q *request, in *protocol.SetDesc) {
	m := f.memberOf(q)
	if m == nil || f.at(q) == nil || len(in.Public) == 0 && in.Defacs == nil || !m.mode().Has(protocol.Owner) {
		f.room.set(q, &protocol.SetQuery{Desc: in})
		return
	}
	if len(in.Private) > 0 {
		if err := f.setPrivate(q, m, in.Private); err != nil {
			q.refuse(err)
			return
		}
	}
	f.command(q, &protocol.Request{Set: &protocol.Set{Topic: q.name, SetQuery: protocol.SetQuery{
		Desc: &protocol.SetDesc{Public: in.Public, Defacs: in.Defacs}}}})
}

// setPrivate keeps a member's own part of the description.
func (f *follower) setPrivate(q *request, m *member, change []byte) error {
	private, changed, err := merge(m.sub.Private, change)
	if err != nil || !changed {
		return err
	}
	sub := m.sub
	sub.Private, sub.Updated = private, q.at
	err = f.update(func(tx store.Tx) error { return tx.PutSub(&sub) })
	if err == nil {
		m.sub = sub
	}
	return err
}

// ownMode reports whether a change of access is the requester's own affair: that is all
// but ownership.
func (f *follower) ownMode(q *request, in *protocol.SetSub) bool {
	m := f.memberOf(q)
	if in == nil || m == nil {
		return false
	}
	if in.User != "" {
		if u, err := protocol.ParseUserID(in.User, f.n.name); err != nil || u != q.who.User {
			return err != nil
		}
	}
	want, err := m.sub.Want.Change(in.Mode)
	return err != nil || !want.Has(protocol.Owner) || m.sub.Want.Has(protocol.Owner) || !m.sub.Given.Has(protocol.Owner)
}

// del implements verbs: what one deletes for oneself is ours.
func (f *follower) del(q *request, in *protocol.Del) {
	m := f.memberOf(q)
	command := false
	switch in.What {
	case "", "msg":
		command = m != nil && in.Hard && m.mode().Has(protocol.Delete)
	case "sub":
		command = m != nil
	case "topic":
		command = m != nil && m.mode().Has(protocol.Owner)
	}
	if !command || f.at(q) == nil && in.What != "topic" {
		f.room.del(q, in)
		f.departed(q.who.User)
		return
	}
	known := *in
	for i, r := range known.DelSeq { // what is not here yet is not meant
		known.DelSeq[i].Hi = min(r.End(), f.head.Seq+1)
	}
	f.command(q, &protocol.Request{Del: &known})
}

// note implements verbs.
func (f *follower) note(q *request, in *protocol.Note) {
	if f.follows() {
		f.room.note(q, in)
	}
}

// changed implements teller: the own mode, and to leave, are told to the home when it is
// there.
func (f *follower) changed(tx store.Tx, q *request, old, now *store.Sub) error {
	switch {
	case now.Reader || f.n.remote(now.User):
		return nil
	case !now.Live():
		if err := tx.PutValue(leftName(f.t.id, now.User), []byte{1}); err != nil {
			return err
		}
		return f.wish(tx, now.User, q.at, "", &protocol.Request{Leave: &protocol.Leave{Topic: string(f.t.id), Unsub: true}})
	case old != nil && old.Want == now.Want:
		return nil
	}
	f.changing[now.User] = time.Now().Add(wishTime)
	f.t.after(wishTime, changedEvent{f, now.User})
	return f.wish(tx, now.User, q.at, "want\x00"+string(f.t.id)+"\x00"+string(now.User), &protocol.Request{
		Set: &protocol.Set{Topic: string(f.t.id), SetQuery: protocol.SetQuery{Sub: &protocol.SetSub{Mode: now.Want.String()}}}})
}

// wishTime is how long a command waits for the home to know the mode that its user has
// chosen just before: it might be refused for the old one.
const wishTime = time.Second

// changedEvent ends that wait.
type changedEvent struct {
	f *follower
	u protocol.UserID
}

func (e changedEvent) apply(*topic) { e.f.proceed(e.u) }

// isChanging reports whether the home may not know yet which mode a user has chosen.
func (f *follower) isChanging(u protocol.UserID) bool {
	until, ok := f.changing[u]
	if ok && !time.Now().Before(until) {
		delete(f.changing, u)
		ok = false
	}
	return ok
}

// wish queues for the home what a user has decided for oneself.
func (f *follower) wish(tx store.Tx, u protocol.UserID, at time.Time, key string, in *protocol.Request) error {
	c := f.newCommand(u, at)
	var err error
	if c.Request, err = json.Marshal(in); err != nil {
		return err
	}
	if want, ended, ok := wished(in); ok {
		c.Sig = f.n.cfg.Network.Sign(signedWant(f.t.id, u, c.At, want, ended))
	}
	return f.post(tx, f.home(), key, &s2s.Post{Topic: f.t.id, From: u, At: c.At, Command: c})
}

// seen implements teller: as long as somebody is here, the link to the home stays.
func (f *follower) seen(m *member) {
	f.parts.seen(m)
	f.hold()
}

func (f *follower) hold() {
	here := false
	for u, m := range f.members {
		here = here || m.seen && !f.n.remote(u)
	}
	if here == f.holding {
		return
	}
	f.holding = here
	by := 1
	if !here {
		by = -1
	}
	if f.n.learnt.hold(f.home(), by) {
		f.n.cfg.Network.Keep(f.home(), here)
	}
}

// empty reports whether no user of ours is in the group, nor wants to be.
func (f *follower) empty() bool {
	for u, m := range f.members {
		if m.live() && !f.n.remote(u) {
			return false
		}
	}
	return f.orders.idle()
}

// prune has the replica dropped in a while, if nobody is left.
func (f *follower) prune() {
	if f.rec != nil && !f.pruning && f.empty() {
		f.pruning = true
		f.t.after(pruneGrace, pruneEvent{})
	}
}

// pruneEvent is the end of the grace of a replica.
type pruneEvent struct{}

func (pruneEvent) apply(t *topic) {
	f, ok := t.kind.(*follower)
	if !ok || !f.pruning {
		return
	}
	f.pruning = false
	if f.rec == nil || !f.empty() {
		return
	}
	err := f.update(func(tx store.Tx) error {
		if err := f.drop(tx, false); err != nil {
			return err
		}
		return f.post(tx, f.home(), "", &s2s.Post{Topic: f.t.id, At: f.n.wall().UnixMilli(), Follow: &s2s.Follow{Stop: true}})
	})
	if err != nil {
		f.n.log.Error("replica of a group not dropped", "group", f.t.id, "err", err)
		return
	}
	f.t.giveUp(protocol.Busy)
}

// drop removes the replica; ended: for good.
func (f *follower) drop(tx store.Tx, ended bool) error {
	for _, prefix := range []string{valueTags, valueUnverified, valueSaid, valueBroken, valueUnknown, valueLeft} {
		var names []string
		for name, err := range tx.Values(prefix + string(f.t.id)) {
			if err != nil {
				return err
			}
			if prefix != valueLeft || ended { // the home may still invite one who has left
				names = append(names, name)
			}
		}
		for _, name := range names {
			if err := tx.DeleteValue(name); err != nil {
				return err
			}
		}
	}
	if ended {
		return tx.DeleteTopic(f.t.id)
	}
	return tx.Prune(f.t.id)
}

// closed ends a group that is no more at its home.
func (f *follower) closed() {
	for _, o := range f.unanswered() {
		switch {
		case o.answer != nil && o.in.Sub == nil:
			o.reply()
		case o.in.Del != nil && o.in.Del.What == "topic":
			o.q.ok(200, nil) // so it is
		default:
			o.q.refuse(protocol.NotFound)
		}
	}
	f.orders = newOrders()
	f.end()
	for _, m := range f.members {
		m.seen = false
	}
	f.hold()
}

// unwantedEvent tells a replica that the home does not know it.
type unwantedEvent struct{}

func (unwantedEvent) apply(t *topic) {
	f, ok := t.kind.(*follower)
	if !ok || f.rec == nil {
		return
	}
	if err := f.update(func(tx store.Tx) error { return f.drop(tx, false) }); err != nil {
		f.n.log.Error("replica of a group not dropped", "group", f.t.id, "err", err)
		return
	}
	f.closed()
}

// prepareRemote implements receiver: messages come by the log.
func (f *follower) prepareRemote(federation.Peer, *s2s.Post) (*pending, error) {
	return nil, protocol.Unsupported
}
