package node

import (
	"parley/protocol"
	"parley/store"
)

// What commands have done is answered when the log shows it: then the replica shows it,
// too.

// echo finds the session that shall not get a message that it has sent, and answers it if
// the log was faster than the answer.
func (f *follower) echo(m *store.Message) (silent *session) {
	o := f.echoes[m.Tag]
	delete(f.echoes, m.Tag)
	if l := f.lines[m.From]; o == nil && l != nil && l.sent != nil && l.sent.m != nil && l.sent.m.Tag == m.Tag {
		o = l.sent
		f.resolved(o)
		f.published(o, m.Seq)
	}
	if o == nil || o.c.User != m.From {
		f.arrived(m)
		return nil
	}
	if o.in.Pub.NoEcho {
		return o.q.s
	}
	return nil
}

// show answers the orders of which the replica shows what they have done.
func (f *follower) show() {
	var wait []*order
	for _, o := range f.awaited {
		switch {
		case !f.follows() || f.head.Rev < o.rev:
			wait = append(wait, o)
		case o.in.Sub == nil:
			if _, ok := o.answer.Params["del"]; ok {
				o.answer.Params["del"] = f.hardDel
			}
			o.reply()
		case o.q.reader:
			o.done = true
			f.sub(o.q, o.in.Sub)
		case f.room.member(o.q.who.User) == nil:
			wait = append(wait, o)
		default:
			o.done = true
			f.join(o)
		}
	}
	f.awaited = wait
}

// join attaches a session whose user has just been subscribed.
func (f *follower) join(o *order) {
	q, in := o.q, o.in.Sub
	m := f.room.member(q.who.User)
	if in.Set != nil && in.Set.Desc != nil && len(in.Set.Desc.Private) > 0 {
		if err := f.setPrivate(q, m, in.Set.Desc.Private); err != nil {
			q.refuse(err)
			return
		}
	}
	q.params = map[string]any{"acs": protocol.NewAcs(m.sub.Want, m.sub.Given)}
	f.attach(q, m)
	q.ok(200, q.params)
	f.announce(q, m, true)
	if in.Get != nil {
		f.get(q, in.Get)
	}
}
