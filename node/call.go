package node

import (
	"encoding/json"
	"strconv"
	"time"

	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
)

// A call is set up between two sessions in a conversation of two
// (spec/client.md#calls). The message that began it is its name; each turn of its
// fate is a new message that replaces that one.
type call struct {
	seq      int
	name     s2s.Name // of that message
	caller   protocol.UserID
	from     *session // the caller's; nil in an image of another node's call
	to       *session // the callee's, once accepted; nil if at another node
	taken    bool     // accepted
	acted    bool     // of an image: our user has accepted or hung up
	refused  bool     // the callee's node knows nothing of it
	mime     json.RawMessage
	content  []byte
	accepted time.Time
	cancel   func()
}

// exchanged are the notes that both parties of an accepted call send.
var exchanged = []string{"offer", "answer", "ice-candidate"}

// ringOut is the event of a call that nobody took in time.
type ringOut struct{ seq int }

// callCheck decides whether a {pub} may begin a call. Only "started" is a client's to
// say; other states are those of the node whose call it is.
func (r *room) callCheck(q *request, in *protocol.Pub) error {
	state := headString(in.Head, "webrtc")
	switch {
	case in.Head["webrtc"] == nil:
		return nil
	case r.t.id.Kind() != protocol.KindP2P:
		return protocol.Denied
	case q.s.answered != nil && state != "started":
		return r.turnCheck(q, in)
	case len(r.n.cfg.Calls.ICE) == 0:
		return protocol.NotOffered
	case r.call != nil:
		return protocol.BusyHere
	case state != "started":
		return protocol.Denied
	}
	return nil
}

func headString(head map[string]json.RawMessage, name string) string {
	var s string
	if json.Unmarshal(head[name], &s) != nil {
		return ""
	}
	return s
}

// callPublished begins the call whose message has been stored.
func (r *room) callPublished(q *request, in *protocol.Pub, m *store.Message) {
	if in.Head["webrtc"] == nil {
		return
	}
	c := &call{seq: m.Seq, name: *nameOf(m), caller: q.who.User, from: q.s, mime: in.Head["mime"], content: m.Content}
	c.cancel = r.t.after(r.n.cfg.Calls.Timeout, ringOut{m.Seq})
	r.call = c
	r.keepLink(true)
}

// apply: the call is missed.
func (e ringOut) apply(t *topic) {
	p, ok := t.kind.(*p2p)
	if ok && p.call != nil && p.call.seq == e.seq && !p.call.taken {
		p.hangUp("missed", "")
	}
}

// callNote handles what parties to a call tell each other.
func (r *room) callNote(q *request, m *member, in *protocol.Note) {
	c := r.call
	if c == nil || in.Seq != c.seq {
		return
	}
	callee := q.who.User != c.caller
	switch in.Event {
	case "ringing":
		if callee && !c.taken {
			r.callInfo(c.from, q.who.User, in)
		}
	case "accept":
		switch {
		case !callee || c.taken:
		case c.image():
			r.acceptHere(q, in)
			r.taken(q.s)
		case r.accept(q.who.User, q.s, in):
			r.acceptedElsewhere(q)
			r.taken(q.s)
		}
	case "offer", "answer", "ice-candidate":
		switch {
		case q.s == c.from && c.taken:
			r.callInfo(c.to, q.who.User, in)
		case q.s == c.to:
			r.callInfo(c.from, q.who.User, in)
		}
	case "hang-up":
		r.hangUpBy(q.s, q.who.User)
	}
}

// callInfo passes a note on to one session, or if there is none, to the other's node.
func (r *room) callInfo(to *session, from protocol.UserID, in *protocol.Note) {
	if to == nil {
		r.castCall(from, in.Event, in.Payload)
		return
	}
	to.send(&protocol.Response{Info: &protocol.Info{Topic: r.policy.name(to.who.User, false), From: string(from),
		What: "call", Seq: in.Seq, Event: in.Event, Payload: in.Payload}})
}

// accept makes the callee, in a session or at another node, the other party.
func (r *room) accept(callee protocol.UserID, s *session, in *protocol.Note) bool {
	c := r.call
	if err := r.turn("accepted", callee, 0); err != nil {
		r.n.log.Error("call not accepted", "err", err)
		return false
	}
	c.to, c.taken, c.accepted = s, true, time.Now()
	c.cancel()
	r.callInfo(c.from, callee, in)
	return true
}

// taken lets the call end with the session that has taken it.
func (r *room) taken(by *session) {
	if !by.tie(r.t) {
		r.callLeft(by)
	}
}

// acceptedElsewhere lets the callee's other sessions ring no more.
func (r *room) acceptedElsewhere(q *request) {
	info := &protocol.Info{Topic: "me", Src: r.policy.name(q.who.User, false), From: string(q.who.User),
		What: "call", Seq: r.call.seq, Event: "accept"}
	r.n.broadcast(q.who.User, "", &protocol.Response{Info: info}, q.s)
}

// turn stores and delivers a new state of the call: in the caller's name, with the
// callee as its sender if it is the callee's doing.
func (r *room) turn(state string, by protocol.UserID, lasted time.Duration) error {
	c := r.call
	head := map[string]any{"replace": ":" + strconv.Itoa(c.seq), "webrtc": state}
	if len(c.mime) > 0 {
		head["mime"] = c.mime
	}
	if by != "" && by != c.caller {
		head["sender"] = by
	}
	if lasted > 0 {
		head["webrtc-duration"] = lasted.Milliseconds()
	}
	h, err := json.Marshal(head)
	if err != nil {
		return err
	}
	q := &request{who: Identity{User: c.caller}, at: r.n.wall()}
	m := &store.Message{From: c.caller, TS: q.at.Truncate(time.Millisecond), Tag: uint32(random()), Head: h, Content: c.content}
	if err := r.store([]*pending{{q: q, r: r, m: m, told: c.refused}}); err != nil {
		return err
	}
	r.deliver(m, nil)
	return nil
}

// hangUpBy ends the call as its party, or the callee before accepting, wants.
func (r *room) hangUpBy(s *session, u protocol.UserID) {
	c := r.call
	switch {
	case c.image():
		if s == c.to || !c.taken {
			r.leaveImage(u, "hang-up")
		}
	case c.taken && (s == c.from || s == c.to):
		r.hangUp("finished", u)
	case !c.taken && u == c.caller:
		r.hangUp("missed", u)
	case !c.taken:
		r.hangUp("declined", u)
	}
}

// hangUp ends the call and tells everybody. A fault of the disk does not keep it up.
func (r *room) hangUp(state string, by protocol.UserID) {
	c := r.call
	var lasted time.Duration
	sender := by
	if state == "finished" {
		lasted = max(time.Since(c.accepted), time.Millisecond)
	}
	if state == "missed" || state == "disconnected" {
		sender = ""
	}
	if err := r.turn(state, sender, lasted); err != nil {
		r.n.log.Error("end of call not stored", "err", err)
	}
	r.callOver(by)
}

// callOver tells our users that a call is over.
func (r *room) callOver(by protocol.UserID) {
	c := r.call
	c.cancel()
	if c.to != nil {
		c.to.untie(r.t)
	}
	r.call = nil
	r.keepLink(false)
	info := protocol.Info{What: "call", Seq: c.seq, Event: "hang-up"}
	r.fan(func(*attachment) bool { return true }, nil, func(name string, _ bool) *protocol.Response {
		i := info
		i.Topic = name
		return &protocol.Response{Info: &i}
	})
	for u, m := range r.members {
		if m.live() {
			i := info
			i.Topic, i.Src, i.From = "me", r.policy.name(u, false), string(by)
			r.n.broadcast(u, r.t.id, &protocol.Response{Info: &i}, nil)
		}
	}
}

// callLeft ends the call of a session that has left the room, or ended.
func (r *room) callLeft(s *session) {
	switch c := r.call; {
	case c == nil || s != c.from && s != c.to:
	case c.image():
		r.leaveImage(s.who.User, eventGone)
	default:
		r.hangUp("disconnected", "")
	}
}
