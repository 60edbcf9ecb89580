package node

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"parley/protocol"
	"parley/store"
)

// recentPubs is how many answers to {pub} a session's attachment remembers, so that
// a repeated packet is one message.
const recentPubs = 8

type recentPub struct {
	id  string
	seq int
}

// answerBy is when a {pub} must have been answered: the SDK gives up after 5 s and
// sends the message again under a new id.
const answerBy = 4 * time.Second

// slowPub is a message whose answer came so late that its client may have given it
// up: the same message again is that one.
type slowPub struct {
	digest [sha256.Size]byte
	seq    int
	until  time.Time
}

const (
	// slowMemory is how long the same message again is taken for a late one.
	slowMemory = time.Minute
	// maxSlowPubs bounds how many a room remembers: no fewer than can be late at once.
	maxSlowPubs = 4 * maxPublications
)

// recall finds the late message that p is again, and forgets it; 0 if there is none.
func (r *room) recall(digest [sha256.Size]byte, now time.Time) (seq int) {
	r.slow = slices.DeleteFunc(r.slow, func(s slowPub) bool { return !now.Before(s.until) })
	i := slices.IndexFunc(r.slow, func(s slowPub) bool { return s.digest == digest })
	if i < 0 {
		return 0
	}
	seq = r.slow[i].seq
	r.slow = slices.Delete(r.slow, i, i+1)
	return seq
}

// unsure notes a message of whose answer it is not certain that it comes in time.
func (r *room) unsure(p *pending) {
	if len(r.slow) == maxSlowPubs {
		r.slow = slices.Delete(r.slow, 0, 1)
	}
	r.slow = append(r.slow, slowPub{pubDigest(p.q.who.User, p.m), p.m.Seq, time.Now().Add(slowMemory)})
}

// ownedHeads are set by nodes, never by clients.
func ownedHead(name string) bool {
	return name == "sender" || strings.HasPrefix(name, "x-parley-")
}

// pending is a {pub} on its way to the disk.
type pending struct {
	q      *request
	r      *room
	a      *attachment
	m      *store.Message
	origin int  // of a message from another node: its number there
	told   bool // the other node has it
}

// pub implements verbs.
func (r *room) pub(q *request, _ *protocol.Pub) { r.pubs([]*request{q}) }

// pubs handles the {pub}s that wait: those that are good are stored in one
// transaction, then answered and delivered in order.
func (r *room) pubs(qs []*request) {
	var ready []*pending
	flush := func() {
		r.publish(ready)
		ready = nil
	}
	for _, q := range qs {
		if q.in.Pub.Head["webrtc"] != nil || slices.ContainsFunc(ready, q.repeats) {
			flush() // what follows depends on what came of those before
		}
		p, err := r.prepare(q)
		switch {
		case err != nil:
			q.refuse(err)
		case p != nil:
			ready = append(ready, p)
		}
	}
	flush()
}

// repeats reports whether q is p said again.
func (q *request) repeats(p *pending) bool { return q.s == p.q.s && q.id != "" && q.id == p.q.id }

// prepare checks a {pub} and makes its message; nil if it has been answered.
func (r *room) prepare(q *request) (*pending, error) {
	in, a := q.in.Pub, r.at(q)
	switch {
	case a == nil:
		return nil, protocol.NotAttached
	case !a.m.mode().Has(protocol.Write):
		return nil, protocol.Denied
	}
	if seq := a.repeated(in.ID); seq > 0 {
		q.ok(202, map[string]any{"seq": seq})
		return nil, nil
	}
	m, err := r.compose(q, in)
	if err != nil {
		return nil, err
	}
	if err := r.callCheck(q, in); err != nil {
		return nil, err
	}
	if q.late() {
		return nil, protocol.Busy
	}
	if len(r.slow) > 0 {
		if seq := r.recall(pubDigest(q.who.User, m), q.came); seq > 0 {
			q.ok(202, map[string]any{"seq": seq})
			return nil, nil
		}
	}
	return &pending{q: q, r: r, a: a, m: m}, nil
}

// late reports whether nobody waits for the answer any more.
func (q *request) late() bool { return q.came.Add(answerBy).Before(time.Now()) }

// publish stores messages, answers and delivers them.
func (r *room) publish(ps []*pending) {
	if len(ps) == 0 {
		return
	}
	if err := r.store(ps); err != nil {
		for _, p := range ps {
			p.q.refuse(err)
		}
		return
	}
	for _, p := range ps {
		in := p.q.in.Pub
		if p.q.late() || p.q.s.behind() {
			r.unsure(p)
		}
		p.a.remember(in.ID, p.m.Seq)
		p.q.ok(202, map[string]any{"seq": p.m.Seq})
		var silent *session
		if in.NoEcho {
			silent = p.q.s
		}
		r.deliver(p.m, silent)
		r.callPublished(p.q, in, p.m)
	}
}

func (a *attachment) repeated(id string) int {
	if id == "" {
		return 0
	}
	for _, p := range a.recent {
		if p.id == id {
			return p.seq
		}
	}
	return 0
}

func (a *attachment) remember(id string, seq int) {
	a.recent[a.next] = recentPub{id, seq}
	a.next = (a.next + 1) % recentPubs
}

// compose makes the message of a {pub}, without the heads that only nodes set.
func (r *room) compose(q *request, in *protocol.Pub) (*store.Message, error) {
	m := &store.Message{From: q.who.User, TS: q.at.Truncate(time.Millisecond), Tag: uint32(random()), Content: in.Content}
	if r.remote != nil { // the name that its node has given it, and signed
		m.Tag, m.TS = r.remote.Tag, time.UnixMilli(r.remote.At)
	}
	if len(m.Content) == 0 {
		m.Content = json.RawMessage("null")
	}
	head := in.Head
	for name, v := range head {
		if ownedHead(name) || bytes.Equal(v, []byte("null")) {
			delete(head, name)
		}
	}
	if q.s.who.User != q.who.User { // on behalf of
		if head == nil {
			head = map[string]json.RawMessage{}
		}
		head["sender"], _ = json.Marshal(q.s.who.User) // a string always marshals
	}
	if len(head) == 0 {
		return m, nil
	}
	var err error
	m.Head, err = json.Marshal(head)
	return m, err
}

func pubDigest(u protocol.UserID, m *store.Message) [sha256.Size]byte {
	h := sha256.New()
	h.Write([]byte(u))
	h.Write([]byte{0})
	h.Write(m.Head)
	h.Write([]byte{0})
	h.Write(m.Content)
	return [sha256.Size]byte(h.Sum(nil))
}

// store keeps messages with all that goes with them in one transaction: seqs, the
// authors' marks, the events of a group, the use of files.
func (r *room) store(ps []*pending) error {
	err := r.update(func(tx store.Tx) error {
		for _, p := range ps {
			if err := r.append(tx, p); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, p := range ps {
		r.stored(p)
	}
	return nil
}

// stored takes a message that is on the disk into account.
func (r *room) stored(p *pending) {
	r.head.Seq, r.head.Touched = p.m.Seq, p.m.TS
	if author := r.members[p.m.From]; author != nil {
		author.marks = store.Marks{Recv: p.m.Seq, Read: p.m.Seq}
	}
	r.n.metrics.published.Inc()
	if !p.told {
		r.weigh(p.m)
	}
}

// append writes one message.
func (r *room) append(tx store.Tx, p *pending) error {
	m := p.m
	m.Seq, m.Origin = 0, p.origin
	if err := tx.Append(r.t.id, m); err != nil {
		return err
	}
	if r.members[m.From] != nil {
		if err := tx.PutMarks(r.t.id, m.From, store.Marks{Recv: m.Seq, Read: m.Seq}); err != nil {
			return err
		}
	}
	if files := r.filesOf(p); len(files) > 0 {
		if err := useFiles(tx, store.RefMessage(r.t.id, m.Seq), files, m.TS); err != nil {
			return err
		}
	}
	if !p.told {
		if err := r.tellMessage(tx, m); err != nil {
			return err
		}
	}
	return r.logMessage(tx, m)
}

// deliver brings a stored message to the sessions in the room, but one, and tells
// the other sessions of members.
func (r *room) deliver(m *store.Message, silent *session) {
	sent := r.fan(func(a *attachment) bool { return a.m.mode().Has(protocol.Read) }, silent,
		func(name string, reader bool) *protocol.Response { return dataOf(name, m, reader) })
	r.n.metrics.delivered.Add(float64(sent))
	for u, member := range r.members {
		if !member.live() || member.away() || !member.mode().Has(protocol.Presence|protocol.Read|protocol.Join) {
			continue
		}
		p := protocol.Pres{What: "msg", Seq: m.Seq}
		if u != m.From {
			p.Act = string(m.From)
		}
		r.presMe(u, p)
	}
}

// dataOf is a message as clients see it; readers of a channel see no author.
func dataOf(name string, m *store.Message, reader bool) *protocol.Response {
	d := &protocol.Data{Topic: name, From: string(m.From), TS: protocol.At(m.TS), Seq: m.Seq, Head: m.Head, Content: m.Content}
	if reader {
		d.From = ""
	}
	return &protocol.Response{Data: d}
}
