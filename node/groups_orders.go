package node

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
)

// The commands of a follower to the home of its group: those of one user one after the
// other, each answered before its client gives up. A command of which it is not known
// what became is withdrawn; the same message again is then the same command.

type digest = [sha256.Size]byte

const (
	commandKeyLen = 16
	// maxUnknown bounds the messages of a group of which it is not known whether the home
	// has them.
	maxUnknown = 256
	// valueUnknown is where they are kept, by group and key.
	valueUnknown = "group unknown\x00"
)

// An order is a command and what it is for.
type order struct {
	q      *request
	c      *s2s.Command
	in     *protocol.Request // what is asked
	m      *store.Message    // of {pub}
	by     time.Time         // when its client must have been answered
	rev    uint64            // from which revision on the log shows what it has done
	done   bool              // answered
	answer *protocol.Ctrl    // the home's
	seq    int               // of {pub}: its number, once known
}

// orders are the commands of a follower.
type orders struct {
	lines   map[protocol.UserID]*line
	echoes  map[uint32]*order // answered {pub}s whose messages are still to come, by tag
	unknown map[digest]*doubt
	awaited []*order // carried out, to be answered when the log shows it
}

// line is the commands of one user: one is on its way, others wait.
type line struct {
	sent    *order
	waiting []*order
}

// doubt is a message of which it is not known whether the home has it.
type doubt struct {
	User   protocol.UserID
	Key    []byte
	Tag    uint32
	At     int64 // ms since 1970
	Digest []byte
	seq    int       // it has: the message's number
	until  time.Time // then this is not needed any more soon
}

func newOrders() orders {
	return orders{lines: map[protocol.UserID]*line{}, echoes: map[uint32]*order{}, unknown: map[digest]*doubt{}}
}

func (o *orders) idle() bool {
	return len(o.lines) == 0 && len(o.echoes) == 0 && len(o.awaited) == 0
}

// unanswered are those that have not been.
func (o *orders) unanswered() []*order {
	all := slices.Clone(o.awaited)
	for _, l := range o.lines {
		if l.sent != nil && !l.sent.done {
			all = append(all, l.sent)
		}
	}
	for _, l := range o.lines {
		all = append(all, l.waiting...)
	}
	return all
}

func newCommandKey() []byte {
	key := make([]byte, commandKeyLen)
	rand.Read(key) // never fails
	return key
}

func (f *follower) newCommand(u protocol.UserID, at time.Time) *s2s.Command {
	return &s2s.Command{Key: newCommandKey(), Group: f.t.id, User: u, At: at.UnixMilli()}
}

// command brings a request to the home of the group.
func (f *follower) command(q *request, in *protocol.Request) {
	u := q.who.User
	l := f.lines[u]
	switch {
	case f.n.cfg.Network == nil:
		q.refuse(protocol.NotFound)
		return
	case f.n.cfg.Network.Away(f.home()), l != nil && len(l.waiting) >= f.n.cfg.Limits.TopicQueue, len(f.unknown) >= maxUnknown:
		q.refuse(protocol.Busy)
		return
	}
	if l == nil {
		l = &line{}
		f.lines[u] = l
	}
	o := &order{q: q, in: in, by: q.came.Add(commandTime)}
	l.waiting = append(l.waiting, o)
	f.t.after(time.Until(o.by), lateEvent{f, o})
	f.proceed(u)
}

// lateEvent ends the wait of an order, for its turn, the home's answer or the replica.
type lateEvent struct {
	f *follower
	o *order
}

func (e lateEvent) apply(*topic) {
	f, o := e.f, e.o
	l := f.lines[o.q.who.User]
	switch {
	case l != nil && l.sent == o:
		l.sent = nil
		if !o.done {
			f.giveUp(o)
		}
		f.proceed(o.q.who.User)
		return
	case l != nil && slices.Contains(l.waiting, o):
		l.waiting = slices.DeleteFunc(l.waiting, func(w *order) bool { return w == o })
		f.proceed(o.q.who.User)
	case slices.Contains(f.awaited, o):
		f.awaited = slices.DeleteFunc(f.awaited, func(w *order) bool { return w == o })
		if o.in.Sub == nil { // it is done, if not here
			o.reply()
			return
		}
	default:
		return
	}
	o.q.refuse(protocol.Busy)
}

// proceed sends a user's next command, if none is on its way, and the home knows that the
// user has left if so.
func (f *follower) proceed(u protocol.UserID) {
	l := f.lines[u]
	for l != nil && l.sent == nil && len(l.waiting) > 0 && !f.left[u] && !f.isChanging(u) {
		o := l.waiting[0]
		l.waiting = l.waiting[1:]
		ready, err := f.ready(o)
		switch {
		case err != nil:
			o.q.refuse(err)
		case !ready:
		case !time.Now().Before(o.by):
			o.q.refuse(protocol.Busy)
		default:
			l.sent = o
			f.n.start(func() { f.carry(o) })
		}
	}
	if l != nil && l.sent == nil && len(l.waiting) == 0 {
		delete(f.lines, u)
	}
}

// ready makes the command of an order. It reports false if the order has been answered:
// the same message was sent before, and is known to have arrived.
func (f *follower) ready(o *order) (bool, error) {
	o.c = f.newCommand(o.q.who.User, o.q.at)
	switch {
	case o.in.Sub != nil:
		return true, f.readySub(o)
	case o.in.Pub != nil:
		return f.readyPub(o)
	case o.in.Del != nil && o.in.Del.What != "topic" && o.in.Del.What != "sub":
		if rs, err := protocol.NewRanges(o.in.Del.DelSeq); err == nil {
			o.c.Sig = f.n.cfg.Network.Sign(signedErase(f.t.id, o.c.User, o.c.At, rs))
		}
	}
	if want, ended, ok := wished(o.in); ok {
		o.c.Sig = f.n.cfg.Network.Sign(signedWant(f.t.id, o.c.User, o.c.At, want, ended))
	}
	return true, o.encode()
}

// encode writes the request. What is opaque stays as it was.
func (o *order) encode() error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(o.in)
	o.c.Request = bytes.TrimSpace(b.Bytes())
	return err
}

// readySub leaves out what stays here. The home knows the user's face by it.
func (f *follower) readySub(o *order) error {
	sub := &protocol.Sub{Topic: o.q.name}
	var want protocol.Mode // what the group gives
	if s := o.in.Sub.Set; s != nil && s.Sub != nil {
		sub.Set = &protocol.SetQuery{Sub: s.Sub}
		if asked, err := protocol.ParseMode(s.Sub.Mode); err == nil && s.Sub.Mode != "" {
			want = asked | protocol.Join
		}
	}
	o.c.Sig = f.n.cfg.Network.Sign(signedWant(f.t.id, o.c.User, o.c.At, want, false))
	u, err := f.n.lookUp(o.q.who.User)
	if err != nil {
		return err
	}
	if !o.q.reader {
		o.c.Card = f.n.cardOf(u)
	}
	o.c.Request, err = json.Marshal(&protocol.Request{Sub: sub})
	return err
}

// readyPub makes the message as the home will make it.
func (f *follower) readyPub(o *order) (bool, error) {
	if err := o.encode(); err != nil {
		return false, err
	}
	sent, err := protocol.Decode(o.c.Request)
	if err != nil {
		return false, err
	}
	if o.m, err = f.compose(o.q, sent.Pub); err != nil {
		return false, err
	}
	if d := f.unknown[pubDigest(o.c.User, o.m)]; d != nil {
		if d.seq > 0 {
			f.resolved(o)
			f.published(o, d.seq)
			return false, nil
		}
		o.c.Key, o.m.Tag, o.m.TS = d.Key, d.Tag, time.UnixMilli(d.At)
	}
	o.c.Tag, o.c.At = o.m.Tag, o.m.TS.UnixMilli()
	o.c.Sig = f.n.cfg.Network.Sign(messageOf(o.m).Signed(f.t.id, o.c.User))
	return true, nil
}

// carry asks the home, and waits no longer than the client does.
func (f *follower) carry(o *order) {
	ctx, stop := context.WithDeadline(f.n.outside, o.by)
	defer stop()
	a, err := f.n.ask(ctx, f.home(), &s2s.Ask{Command: o.c})
	e := &resultEvent{f: f, o: o, err: err}
	if err == nil {
		if e.r = a.Result; e.r == nil {
			e.err = protocol.Unsupported
		}
	}
	f.t.push(e, 0)
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
	u := o.q.who.User
	l := f.lines[u]
	if l == nil || l.sent != o { // it was given up, or the group is no more
		return
	}
	l.sent = nil
	defer f.proceed(u)
	switch {
	case o.done:
	case e.err == nil:
		f.answered(o, e.r)
	case errors.Is(e.err, protocol.Gone): // withdrawn before it came there: once more, anew
		f.resolved(o)
		l.waiting = append([]*order{o}, l.waiting...)
	case unsure(e.err):
		f.giveUp(o)
	default:
		f.resolved(o)
		o.q.refuse(e.err)
	}
}

// unsure reports whether a command that has failed may have been carried out all the same.
func unsure(err error) bool {
	switch protocol.FaultOf(err) {
	case protocol.Busy, protocol.Internal, protocol.Timeout, protocol.Full:
		return true
	}
	return false
}

// giveUp withdraws a command whose client waits no longer. If it was a message it is
// remembered: the client will send it again.
func (f *follower) giveUp(o *order) {
	var d *doubt
	err := f.update(func(tx store.Tx) error {
		if o.m != nil {
			digest := pubDigest(o.c.User, o.m)
			d = &doubt{User: o.c.User, Key: o.c.Key, Tag: o.c.Tag, At: o.c.At, Digest: digest[:]}
			if err := putValue(tx, f.unknownName(d.Key), d); err != nil {
				return err
			}
		}
		return f.post(tx, f.home(), "", &s2s.Post{Topic: f.t.id, At: f.n.wall().UnixMilli(),
			Withdraw: &s2s.Withdraw{Key: o.c.Key, Group: f.t.id, At: o.c.At}})
	})
	if err != nil {
		f.n.log.Error("command to another node not withdrawn", "group", f.t.id, "err", err)
	}
	if d != nil {
		f.unknown[digest(d.Digest)] = d
	}
	o.done = true
	o.q.refuse(protocol.Busy)
}

func (f *follower) unknownName(key []byte) string {
	return valueUnknown + string(f.t.id) + "\x00" + string(key)
}

// loadUnknown reads what was remembered, and drops what is too old.
func (f *follower) loadUnknown(tx store.Tx) error {
	for name, err := range tx.Values(valueUnknown + string(f.t.id) + "\x00") {
		if err != nil {
			return err
		}
		d := new(doubt)
		if err := readValue(tx, name, d); err != nil {
			return err
		}
		if len(d.Digest) == sha256.Size && f.n.cfg.Clock.Since(time.UnixMilli(d.At)) < commandLife {
			f.unknown[digest(d.Digest)] = d
		}
	}
	return nil
}

// resolved forgets a message of which it is known now what became.
func (f *follower) resolved(o *order) {
	if o.m == nil {
		return
	}
	digest := pubDigest(o.c.User, o.m)
	d := f.unknown[digest]
	if d == nil {
		return
	}
	delete(f.unknown, digest)
	f.forgetDoubt(d)
}

func (f *follower) forgetDoubt(d *doubt) {
	err := f.n.store.Update(func(tx store.Tx) error { return tx.DeleteValue(f.unknownName(d.Key)) })
	if err != nil {
		f.n.log.Error("command to another node not forgotten", "group", f.t.id, "err", err)
	}
}

// arrived notes that the home has a message of which that was not known. For a while it
// is what its client may still send again.
func (f *follower) arrived(m *store.Message) {
	for digest, d := range f.unknown {
		if d.seq > 0 && time.Now().After(d.until) {
			delete(f.unknown, digest)
		}
		if d.User == m.From && d.Tag == m.Tag && d.seq == 0 {
			d.seq, d.until = m.Seq, time.Now().Add(slowMemory)
			f.forgetDoubt(d)
		}
	}
}

// answered gives the client what the home has answered.
func (f *follower) answered(o *order, r *s2s.Result) {
	q := o.q
	var params map[string]any
	if len(r.Params) > 0 && json.Unmarshal(r.Params, &params) != nil {
		params = nil
	}
	f.resolved(o)
	o.rev = r.Rev
	switch {
	case o.m != nil && r.Code == 202:
		seq, _ := params["seq"].(float64)
		f.published(o, int(seq))
		f.echoes[o.c.Tag] = o
	case r.Code < 300:
		o.answer = &protocol.Ctrl{ID: q.id, Topic: q.name, Code: r.Code, Text: r.Text, Params: params}
		f.awaited = append(f.awaited, o)
		f.show()
		if o.q.reader && !f.follows() {
			f.askSnapshot()
		}
	default:
		o.done = true
		q.s.reply(&protocol.Ctrl{ID: q.id, Topic: q.name, Code: r.Code, Text: r.Text, Params: params})
	}
}

func (o *order) reply() {
	o.done = true
	o.q.s.reply(o.answer)
}

// published answers a {pub}.
func (f *follower) published(o *order, seq int) {
	q := o.q
	o.done, o.seq = true, seq
	q.ok(202, map[string]any{"seq": seq})
	if a := f.attached[q.s]; a != nil {
		a.remember(q.id, seq)
	}
	if len(q.files) > 0 {
		err := f.update(func(tx store.Tx) error { return useFiles(tx, store.RefMessage(f.t.id, seq), q.files, q.at) })
		if err != nil {
			f.n.log.Error("use of files not stored", "group", f.t.id, "err", err)
		}
	}
}

// actor is the request of ours that has caused an event of the log; if there is none, one
// in the name of who did it.
func (f *follower) actor(by protocol.UserID, rev uint64) *request {
	if l := f.lines[by]; l != nil && l.sent != nil && l.sent.m == nil {
		return l.sent.q
	}
	for _, o := range f.awaited {
		if o.rev == rev && o.q.who.User == by {
			return o.q
		}
	}
	return f.n.remoteRequest(by, &protocol.Request{Set: &protocol.Set{}})
}

// orderedBy reports whether a user of ours waits to be let in.
func (f *follower) orderedBy(u protocol.UserID) bool {
	l := f.lines[u]
	return l != nil && l.sent != nil && l.sent.in.Sub != nil ||
		slices.ContainsFunc(f.awaited, func(o *order) bool { return o.in.Sub != nil && o.q.who.User == u })
}
