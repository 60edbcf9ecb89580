package node

import (
	"encoding/json"
	"slices"
	"time"

	"parley/federation"
	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
)

// A call between users of two nodes is the caller's node's: that decides what becomes of
// it, and posts each turn as a message. The callee's node has an image of it, by which
// it knows between whom notes go; it ends with the turn that says so, or with the link.

// imageTime is how much longer than a call rings its image waits to be told.
const imageTime = 10 * time.Second

// eventGone is what a node says for a party whose session has ended.
const eventGone = "gone"

// turns are the states of a call that replace "started"; true if the call is over.
var turns = map[string]bool{"accepted": false, "finished": true, "declined": true, "missed": true, "disconnected": true, "busy": true}

// turnCheck decides whether another node may say what has become of a call: it must be
// a call of its user.
func (r *room) turnCheck(q *request, in *protocol.Pub) error {
	_, known := turns[headString(in.Head, "webrtc")]
	_, seq, named := parseRef(in.Head["replace"])
	if !known || !named {
		return protocol.Denied
	}
	var first *store.Message
	err := r.n.store.View(func(tx store.Tx) (err error) {
		first, err = tx.Message(r.t.id, seq)
		return err
	})
	if err != nil {
		return err
	}
	var head map[string]json.RawMessage
	if first.From != q.who.User || json.Unmarshal(first.Head, &head) != nil || head["webrtc"] == nil {
		return protocol.Denied
	}
	return nil
}

// callSender lets stand who has caused a turn, if that is our user and has done so: it
// is the one thing of the kind that the caller's node knows.
func (r *room) callSender(m *store.Message, in *protocol.Pub, sender string, to protocol.UserID) error {
	_, seq, _ := parseRef(in.Head["replace"])
	if c := r.call; c == nil || !c.image() || !c.acted || seq != c.seq || sender != string(to) {
		return nil
	}
	in.Head["sender"] = jsonString(sender)
	var err error
	m.Head, err = json.Marshal(in.Head)
	return err
}

// image reports whether the call is another node's.
func (c *call) image() bool { return c.from == nil }

// callArrived takes a message of another node about a call into account.
func (r *room) callArrived(in *protocol.Pub, m *store.Message) {
	state := headString(in.Head, "webrtc")
	if state == "started" && r.call == nil {
		c := &call{seq: m.Seq, caller: m.From, name: *nameOf(m)}
		c.cancel = r.t.after(r.n.cfg.Calls.Timeout+imageTime, imageOut{m.Seq})
		r.call = c
		r.keepLink(true)
		return
	}
	_, seq, _ := parseRef(in.Head["replace"])
	c := r.call
	if c == nil || !c.image() || seq != c.seq {
		return
	}
	if turns[state] {
		r.callOver("")
	}
}

// imageOut is the event of an image that was not told how its call has ended.
type imageOut struct{ seq int }

func (e imageOut) apply(t *topic) {
	if p, ok := t.kind.(*p2p); ok && p.call != nil && p.call.image() && p.call.seq == e.seq {
		p.callOver("")
	}
}

// acceptHere makes a session of ours the other party of another node's call.
func (r *room) acceptHere(q *request, in *protocol.Note) {
	c := r.call
	c.to, c.taken, c.acted = q.s, true, true
	c.cancel()
	r.castCall(q.who.User, in.Event, in.Payload)
	r.acceptedElsewhere(q)
}

// leaveImage tells the caller's node that our user hangs up or is gone.
func (r *room) leaveImage(u protocol.UserID, event string) {
	c := r.call
	c.acted = true
	r.castCall(u, event, nil)
	c.cancel()
	if event == eventGone {
		r.callOver("")
		return
	}
	c.cancel = r.t.after(imageTime, imageOut{c.seq})
}

// castCall passes a note on a call on to the other's node.
func (r *room) castCall(from protocol.UserID, event string, payload json.RawMessage) {
	_, other := r.ends()
	r.n.cfg.Network.Cast(other.Node(), &s2s.Cast{Call: &s2s.Call{Topic: r.t.id, From: from, Of: r.call.name, Event: event, Payload: payload}})
}

// keepLink keeps the link with the other's node while there is a call.
func (r *room) keepLink(keep bool) {
	other := r.n.other(r.t.id)
	if other == "" {
		return
	}
	var nodes []protocol.Node
	if keep {
		nodes = append(nodes, other)
	}
	more, less := r.n.learnt.want(protocol.UserID("call "+r.t.id), nodes)
	for _, to := range more {
		r.n.cfg.Network.Keep(to, true)
	}
	for _, to := range less {
		r.n.cfg.Network.Keep(to, false)
	}
}

// callEvent is a note on a call from another node.
type callEvent struct {
	from federation.Peer
	call *s2s.Call
}

func (e *callEvent) apply(t *topic) {
	p, ok := t.kind.(*p2p)
	in := e.call
	if !ok || p.call == nil || in.From.Node() != e.from.Name || in.Of != p.call.name ||
		len(in.Payload) > 0 && (len(in.Payload) > p.n.cfg.Limits.MaxMessage || !isJSON(in.Payload)) {
		return
	}
	if m := p.member(in.From); m == nil || !m.mode().Has(protocol.Write) {
		return
	}
	note := &protocol.Note{What: "call", Seq: p.call.seq, Event: in.Event, Payload: in.Payload}
	if p.call.image() {
		p.callHeard(note, in.From)
	} else {
		p.calleeSays(note, in.From)
	}
}

// callHeard is what the caller says; that it hangs up is said by the turn.
func (p *p2p) callHeard(in *protocol.Note, from protocol.UserID) {
	if c := p.call; from == c.caller && c.to != nil && slices.Contains(exchanged, in.Event) {
		p.callInfo(c.to, from, in)
	}
}

// calleeSays is what the other party of our user's call says.
func (p *p2p) calleeSays(in *protocol.Note, from protocol.UserID) {
	c := p.call
	switch {
	case from == c.caller:
	case in.Event == "ringing" && !c.taken:
		p.callInfo(c.from, from, in)
	case in.Event == "accept" && !c.taken:
		p.accept(from, nil, in)
	case slices.Contains(exchanged, in.Event) && c.taken:
		p.callInfo(c.from, from, in)
	case in.Event == "hang-up" && c.taken:
		p.hangUp("finished", from)
	case in.Event == "hang-up":
		p.hangUp("declined", from)
	case in.Event == eventGone && c.taken:
		p.hangUp("disconnected", "")
	}
}

// callRefused ends a call whose first message the callee's node has refused.
func (p *p2p) callRefused(e federation.Ending) bool {
	c := p.call
	if c == nil || c.image() || e.How != federation.Refused || e.Post.Message.Origin != c.name.Origin || e.Post.Message.Tag != c.name.Tag {
		return false
	}
	c.refused = true
	state := "disconnected"
	if e.Verdict.Fault == protocol.BusyHere {
		state = "busy"
	}
	p.hangUp(state, "")
	return true
}

// unlinked is the event of a conversation with users of a node to which the link was
// lost.
type unlinked struct{}

func (unlinked) apply(t *topic) {
	p, ok := t.kind.(*p2p)
	switch {
	case !ok || p.call == nil || !p.call.taken:
	case p.call.image():
		p.callOver("")
	default:
		p.hangUp("disconnected", "")
	}
}

// cutCalls ends calls with users of a node.
func (n *Node) cutCalls(with protocol.Node) {
	var cut []*topic
	n.mu.Lock()
	for id, t := range n.topics {
		if n.other(id) == with {
			cut = append(cut, t)
		}
	}
	n.mu.Unlock()
	for _, t := range cut {
		t.push(unlinked{}, 0)
	}
}
