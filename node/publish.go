package node

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
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

// slowMemory is how long the same message again is taken for a late one.
const slowMemory = time.Minute

// ownedHeads are set by nodes, never by clients.
func ownedHead(name string) bool {
	return name == "sender" || strings.HasPrefix(name, "x-parley-")
}

// pub implements verbs.
func (r *room) pub(q *request, in *protocol.Pub) {
	a := r.at(q)
	switch {
	case a == nil:
		q.refuse(protocol.NotAttached)
		return
	case !a.m.mode().Has(protocol.Write):
		q.refuse(protocol.Denied)
		return
	}
	if seq := a.repeated(in.ID); seq > 0 {
		q.ok(202, map[string]any{"seq": seq})
		return
	}
	m, err := r.compose(q, in)
	if err == nil {
		err = r.callCheck(q, in, m)
	}
	if err == nil && q.at.Add(answerBy).Before(time.Now()) {
		err = protocol.Busy // nobody waits for the answer any more
	}
	if err != nil {
		q.refuse(err)
		return
	}
	digest := pubDigest(q.who.User, m)
	if r.slow != nil && r.slow.digest == digest && q.at.Before(r.slow.until) {
		q.ok(202, map[string]any{"seq": r.slow.seq})
		r.slow = nil
		return
	}
	if err := r.store(q, m); err != nil {
		q.refuse(err)
		return
	}
	if q.at.Add(answerBy).Before(time.Now()) {
		r.slow = &slowPub{digest, m.Seq, time.Now().Add(slowMemory)}
	}
	a.remember(in.ID, m.Seq)
	q.ok(202, map[string]any{"seq": m.Seq})
	var silent *session
	if in.NoEcho {
		silent = q.s
	}
	r.deliver(m, silent)
	r.callPublished(q, in, m)
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

// store keeps a message with all that goes with it in one transaction: its seq, the
// author's marks, the event of a group, the use of files.
func (r *room) store(q *request, m *store.Message) error {
	author := r.members[m.From]
	marks := store.Marks{}
	err := r.update(func(tx store.Tx) error {
		m.Seq, m.Origin = 0, 0
		if err := tx.Append(r.t.id, m); err != nil {
			return err
		}
		if author != nil {
			marks = store.Marks{Recv: m.Seq, Read: m.Seq}
			if err := tx.PutMarks(r.t.id, m.From, marks); err != nil {
				return err
			}
		}
		if len(q.files) > 0 {
			if err := tx.SetLinks(store.RefMessage(r.t.id, m.Seq), q.files); err != nil {
				return err
			}
		}
		return r.logMessage(tx, m)
	})
	if err != nil {
		return err
	}
	r.head.Seq, r.head.Touched = m.Seq, m.TS
	if author != nil {
		author.marks = marks
	}
	r.n.metrics.published.Inc()
	return nil
}

// deliver brings a stored message to the sessions in the room, but one, and tells
// the other sessions of members.
func (r *room) deliver(m *store.Message, silent *session) {
	sent := r.fan(func(a *attachment) bool { return a.m.mode().Has(protocol.Read) }, silent,
		func(name string, reader bool) *protocol.Response { return dataOf(name, m, reader) })
	r.n.metrics.delivered.Add(float64(sent))
	for u, member := range r.members {
		if !member.live() || !member.mode().Has(protocol.Presence|protocol.Read|protocol.Join) {
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
