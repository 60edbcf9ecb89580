package node

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
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
	policy group // of what a replica decides by itself

	busy    bool       // a command is on its way
	waiting []*request // for their turn
	joining []*request // subscribed, and waiting for the replica
	sent    *order     // the command on its way
	unknown map[digest]*order
}

// An order is a command and what it is for.
type order struct {
	q       *request
	c       *s2s.Command
	m       *store.Message // of {pub}
	by      time.Time      // when its client gives up
	arrived int            // number of the message, if the log was faster than the answer
}

type digest [32]byte

const commandKeyLen = 16

func newFollower(t *topic) kind {
	f := &follower{room: newRoom(t), unknown: map[digest]*order{}}
	f.policy.room = f.room
	f.room.policy = &f.policy
	return f
}

// idle implements kind.
func (f *follower) idle() bool { return !f.busy && len(f.joining) == 0 && f.room.idle() }

// member reports whether the requester is subscribed here.
func (f *follower) memberOf(q *request) *member {
	if f.rec == nil {
		return nil
	}
	return f.room.member(q.who.User)
}

// sub implements verbs.
func (f *follower) sub(q *request, in *protocol.Sub) {
	m := f.memberOf(q)
	asks := in.Set != nil && in.Set.Sub != nil && in.Set.Sub.Mode != ""
	if m != nil && m.sub.Given.Has(protocol.Join) && m.sub.Want.Has(protocol.Join) && !asks {
		alone := *in
		alone.Get = nil
		f.room.sub(q, &alone)
		if in.Get != nil && f.at(q) != nil {
			f.get(q, in.Get)
		}
		return
	}
	f.command(q)
}

// leave implements verbs. Leaving works also while the home is away.
func (f *follower) leave(q *request, in *protocol.Leave) {
	m := f.memberOf(q)
	if !in.Unsub || m == nil || f.at(q) == nil {
		f.room.leave(q, in)
		return
	}
	if m.mode().Has(protocol.Owner) {
		q.refuse(protocol.Denied)
		return
	}
	f.depart(q, m)
}

// depart ends a subscription here, and tells the home.
func (f *follower) depart(q *request, m *member) {
	ended := m.sub
	ended.Ended, ended.Updated = q.at, q.at
	err := f.update(func(tx store.Tx) error {
		if err := tx.PutSub(&ended); err != nil {
			return err
		}
		return f.post(tx, f.t.id.Home(), "", &s2s.Post{Topic: f.t.id, From: m.sub.User, At: q.at.UnixMilli(),
			Command: &s2s.Command{Key: newCommandKey(), Group: f.t.id, User: m.sub.User, At: q.at.UnixMilli(), Request: []byte(`{"leave":{"unsub":true}}`)}})
	})
	if err != nil {
		q.refuse(err)
		return
	}
	m.sub = ended
	f.putOut(q, m, func() { q.ok(200, nil) })
}

// pub implements verbs.
func (f *follower) pub(q *request, _ *protocol.Pub) {
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
		f.command(q)
	}
}

// get implements verbs.
func (f *follower) get(q *request, in *protocol.GetQuery) {
	if f.rec == nil {
		q.refuse(protocol.NotFound)
		return
	}
	if a := f.at(q); a != nil && whats(in)["data"] && a.m.mode().Has(protocol.Read) && f.lacks(in.Data) {
		f.fetchThen(q, in)
		return
	}
	f.room.get(q, in)
}

// set implements verbs: the private part is ours.
func (f *follower) set(q *request, in *protocol.SetQuery) {
	m := f.memberOf(q)
	if m == nil {
		q.refuse(protocol.NotFound)
		return
	}
	d := in.Desc
	if in.Sub == nil && in.Tags == nil && in.Aux == nil && d != nil && len(d.Public) == 0 && d.Defacs == nil {
		f.room.set(q, in)
		return
	}
	if d != nil && len(d.Private) > 0 {
		own := *in
		own.Desc = &protocol.SetDesc{Private: d.Private}
		if err := f.room.setDesc(q, own.Desc); err != nil {
			q.refuse(err)
			return
		}
		d.Private = nil
	}
	f.command(q)
}

// del implements verbs: what one deletes for oneself is ours.
func (f *follower) del(q *request, in *protocol.Del) {
	m := f.memberOf(q)
	switch {
	case m == nil:
		f.room.del(q, in)
	case (in.What == "" || in.What == "msg") && !(in.Hard && m.mode().Has(protocol.Delete)):
		f.room.del(q, in)
	case in.What == "topic" && !m.mode().Has(protocol.Owner):
		f.depart(q, m)
	default:
		f.command(q)
	}
}

// note implements verbs.
func (f *follower) note(q *request, in *protocol.Note) {
	if f.rec == nil {
		return
	}
	f.room.note(q, in)
}

func newCommandKey() []byte {
	key := make([]byte, commandKeyLen)
	rand.Read(key) // never fails
	return key
}

// command brings a request to the home of the group, one after the other.
func (f *follower) command(q *request) {
	if f.n.cfg.Network == nil || f.n.cfg.Network.Away(f.t.id.Home()) {
		q.refuse(protocol.Busy)
		return
	}
	if len(f.waiting) >= f.n.cfg.Limits.TopicQueue {
		q.refuse(protocol.Busy)
		return
	}
	f.waiting = append(f.waiting, q)
	f.proceed()
}

// proceed sends the next command, if none is on its way.
func (f *follower) proceed() {
	for !f.busy && len(f.waiting) > 0 {
		q := f.waiting[0]
		f.waiting = f.waiting[1:]
		o, err := f.order(q)
		switch {
		case err != nil:
			q.refuse(err)
		case o.arrived > 0: // sent before, and it has come back meanwhile
			q.ok(202, map[string]any{"seq": o.arrived})
		case !time.Now().Before(o.by):
			q.refuse(protocol.Busy)
		default:
			f.busy, f.sent = true, o
			f.n.start(func() { f.carry(o) })
		}
	}
}

// order makes the command of a request. The same message again, of which it is not
// known what became, is the same command.
func (f *follower) order(q *request) (*order, error) {
	o := &order{q: q, by: q.at.Add(commandTime), c: &s2s.Command{Key: newCommandKey(), Group: f.t.id, User: q.who.User, At: q.at.UnixMilli()}}
	in := *q.in
	in.Extra = nil
	switch {
	case in.Sub != nil:
		sub := *in.Sub
		sub.Get = nil
		if sub.Set != nil && sub.Set.Desc != nil {
			set := *sub.Set
			set.Desc = nil // what is private stays here
			sub.Set = &set
		}
		in.Sub = &sub
		u, err := f.n.lookUp(q.who.User)
		if err != nil {
			return nil, err
		}
		o.c.Card = f.n.cardOf(u)
	case in.Pub != nil:
		m, err := f.compose(q, in.Pub)
		if err != nil {
			return nil, err
		}
		if old := f.unknown[pubDigest(q.who.User, m)]; old != nil {
			old.q, old.by = q, o.by
			return old, nil
		}
		o.m = m
		o.c.Tag, o.c.At = m.Tag, m.TS.UnixMilli()
		o.c.Sig = f.n.cfg.Network.Sign(signedMessage(f.t.id, m))
	}
	var err error
	o.c.Request, err = json.Marshal(in)
	return o, err
}

// carry asks the home, and waits no longer than the client does.
func (f *follower) carry(o *order) {
	ctx, stop := context.WithDeadline(f.n.ctx, o.by)
	defer stop()
	a, body, err := f.n.cfg.Network.Ask(ctx, f.t.id.Home(), &s2s.Ask{Command: o.c})
	if body != nil {
		body.Close()
	}
	var r *s2s.Result
	if err == nil {
		if r = a.Result; r == nil {
			err = protocol.Unsupported
		}
	}
	f.t.push(&resultEvent{f, o, r, err}, 0)
}

// resultEvent is the answer to a command.
type resultEvent struct {
	f   *follower
	o   *order
	r   *s2s.Result
	err error
}

func (e *resultEvent) apply(*topic) {
	f, o := e.f, e.o
	f.busy, f.sent = false, nil
	defer f.proceed()
	switch {
	case e.err != nil && e.unsure():
		f.giveUp(o)
	case e.err != nil:
		if o.m != nil {
			delete(f.unknown, pubDigest(o.q.who.User, o.m))
		}
		if errors.Is(e.err, protocol.Gone) { // withdrawn before it came: once more, anew
			f.waiting = append([]*request{o.q}, f.waiting...)
			return
		}
		o.q.refuse(e.err)
	default:
		f.answered(o, e.r)
	}
}

// unsure reports whether the command may have been carried out all the same.
func (e *resultEvent) unsure() bool {
	refused := (*protocol.Error)(nil)
	if errors.As(e.err, &refused) {
		return refused.Fault == protocol.Busy || refused.Fault == protocol.Internal || refused.Fault == protocol.Timeout
	}
	return true
}

// giveUp withdraws a command whose client waits no longer.
func (f *follower) giveUp(o *order) {
	if o.arrived > 0 {
		f.answered(o, &s2s.Result{Code: 202})
		return
	}
	err := f.update(func(tx store.Tx) error {
		return f.post(tx, f.t.id.Home(), "", &s2s.Post{Topic: f.t.id, At: time.Now().UnixMilli(),
			Withdraw: &s2s.Withdraw{Key: o.c.Key, Group: f.t.id}})
	})
	if err != nil {
		f.n.log.Error("command to another node not withdrawn", "group", f.t.id, "err", err)
	}
	if o.m != nil {
		f.unknown[pubDigest(o.q.who.User, o.m)] = o
		f.t.after(slowMemory, forgetOrder{f, o})
	}
	o.q.refuse(protocol.Busy)
}

// forgetOrder ends the memory of a command of which nothing was heard.
type forgetOrder struct {
	f *follower
	o *order
}

func (e forgetOrder) apply(*topic) {
	d := pubDigest(e.o.c.User, e.o.m)
	if e.f.unknown[d] == e.o {
		delete(e.f.unknown, d)
	}
}

// answered gives the client what the home has answered.
func (f *follower) answered(o *order, r *s2s.Result) {
	q := o.q
	params := map[string]any{}
	if len(r.Params) > 0 && json.Unmarshal(r.Params, &params) != nil {
		params = map[string]any{}
	}
	switch {
	case o.m != nil && r.Code < 300:
		seq := o.arrived
		if n, ok := params["seq"].(float64); ok {
			seq = int(n)
		}
		f.published(o, seq)
	case q.in.Sub != nil && r.Code < 400:
		q.params = params
		if f.rec == nil || f.room.member(q.who.User) == nil {
			f.joining = append(f.joining, q)
			f.t.after(time.Until(q.at.Add(commandTime)), joinLate{f, q})
			return
		}
		f.join(q)
	default:
		if len(params) == 0 {
			params = nil
		}
		q.s.reply(&protocol.Ctrl{ID: q.id, Topic: q.name, Code: r.Code, Text: r.Text, Params: params})
	}
}

// published answers a {pub}, and then brings the message to the session that sent it.
func (f *follower) published(o *order, seq int) {
	q := o.q
	delete(f.unknown, pubDigest(q.who.User, o.m))
	q.ok(202, map[string]any{"seq": seq})
	a := f.attached[q.s]
	if a != nil {
		a.remember(q.id, seq)
	}
	if len(q.files) > 0 {
		err := f.update(func(tx store.Tx) error { return tx.SetLinks(store.RefMessage(f.t.id, seq), q.files) })
		if err != nil {
			f.n.log.Error("use of files not stored", "group", f.t.id, "err", err)
		}
	}
	if o.arrived > 0 && a != nil && !q.in.Pub.NoEcho {
		o.m.Seq = seq
		q.s.send(dataOf(f.room.policy.name(q.who.User, a.reader), o.m, a.reader))
	}
}

// join attaches a session whose user has just been subscribed.
func (f *follower) join(q *request) {
	m := f.room.member(q.who.User)
	in := q.in.Sub
	if in.Set != nil && in.Set.Desc != nil && len(in.Set.Desc.Private) > 0 {
		if err := f.setDescQuietly(q, m, in.Set.Desc.Private); err != nil {
			q.refuse(err)
			return
		}
	}
	if len(q.params) == 0 {
		q.params = map[string]any{"acs": protocol.NewAcs(m.sub.Want, m.sub.Given)}
	}
	f.attach(q, m)
	q.ok(200, q.params)
	f.announce(q, m, false)
	if in.Get != nil {
		f.get(q, in.Get)
	}
}

// setDescQuietly keeps the private part that a {sub} brings along.
func (f *follower) setDescQuietly(q *request, m *member, change []byte) error {
	private, changed, err := merge(m.sub.Private, change)
	if err != nil || !changed {
		return err
	}
	sub := m.sub
	sub.Private, sub.Updated = private, q.at
	if err := f.update(func(tx store.Tx) error { return tx.PutSub(&sub) }); err != nil {
		return err
	}
	m.sub = sub
	return nil
}

// joinLate ends the wait for a replica that does not come.
type joinLate struct {
	f *follower
	q *request
}

func (e joinLate) apply(*topic) {
	for i, q := range e.f.joining {
		if q == e.q {
			e.f.joining = append(e.f.joining[:i], e.f.joining[i+1:]...)
			q.refuse(protocol.Busy)
			return
		}
	}
}

// prepareRemote implements receiver: messages come by the log.
func (f *follower) prepareRemote(federation.Peer, *s2s.Post) (*pending, error) {
	return nil, protocol.Unsupported
}
