package s2s

import (
	"bytes"

	"parley/protocol"
)

// Bounds of what Check lets pass.
const (
	MaxReason   = 200 // bytes of texts for people
	MaxText     = 512 // bytes of other texts
	MaxRefs     = 16  // messages that heads name
	MaxVouchers = 8
	MaxVoucher  = 1 << 10
	KeySize     = 16      // of a command
	sigSize     = 64      // Ed25519
	maxTime     = 1 << 53 // ms since 1970
)

// Check reports what is wrong with a post that a node has sent; nil: it may be looked at.
// Its errors have a fault for the verdict: Malformed; Denied for what is not the node's to
// say; TooLarge; Unsupported for a kind that is not known here.
func (p *Post) Check(from protocol.Node) error {
	k := checker{from: from}
	if p.bad != nil {
		return protocol.Errorf(protocol.Malformed, "%w", p.bad)
	}
	if n := p.kinds(); n == 0 {
		return protocol.Errorf(protocol.Unsupported, "unknown kind of post")
	} else if n > 1 {
		return protocol.Errorf(protocol.Malformed, "post of %d kinds", n)
	}
	k.own(p.From, p.Message == nil && p.Delete == nil && p.Marks == nil && p.Mode == nil && p.Aux == nil)
	if p.To != "" {
		k.user(p.To)
	}
	switch {
	case p.Topic != "" && p.Topic != p.ends():
		k.group(p.Topic)
		k.is(p.Message == nil && p.Mode == nil && p.Delete == nil && p.Aux == nil, "conversation of two expected")
	case p.Message != nil || p.Delete != nil || p.Marks != nil || p.Mode != nil || p.Aux != nil:
		k.is(p.To != "" && p.To.Node() != from, "To")
	}
	k.body(p)
	return k.err
}

// kinds counts what is set after At.
func (p *Post) kinds() (n int) {
	for _, set := range [...]bool{p.Message != nil, p.Delete != nil, p.Marks != nil, p.Mode != nil, p.Card != nil, p.Aux != nil,
		p.Tombstone != nil, p.Invite != nil, p.Command != nil, p.Withdraw != nil, p.Report != nil, p.Follow != nil,
		len(p.Reads) > 0} {
		if set {
			n++
		}
	}
	return n
}

// body checks what a post says.
func (k *checker) body(p *Post) {
	switch {
	case p.Message != nil:
		k.message(p.Message, p.From)
	case p.Delete != nil:
		k.is(len(p.Delete.Of) > 0, "empty deletion")
		for _, e := range p.Delete.Of {
			k.user(e.From)
			k.spans(e.Ranges)
		}
	case p.Marks != nil:
		k.is(p.Marks.Recv != nil || p.Marks.Read != nil, "empty marks")
		k.name(p.Marks.Recv)
		k.name(p.Marks.Read)
	case p.Mode != nil:
		k.mode(p.Mode, p.From)
	case p.Card != nil:
		k.own(p.Card.User, false)
		k.card(p.Card, p.Card.User)
	case p.Aux != nil:
		k.object(p.Aux.JSON)
		k.names(p.Aux.Refs)
	case p.Tombstone != nil:
		k.own(p.Tombstone.User, false)
		k.time(p.Tombstone.At)
		k.sig(p.Tombstone.Sig, true)
	case p.Invite != nil:
		k.invite(p.Invite)
	case p.Command != nil:
		k.command(p.Command)
	case p.Withdraw != nil:
		k.is(len(p.Withdraw.Key) == KeySize, "key of a command")
		k.group(p.Withdraw.Group)
		k.time(p.Withdraw.At)
	case p.Report != nil:
		k.user(p.Report.User)
		k.is(p.Report.Count > 0, "empty report")
	case p.Follow != nil:
		k.group(p.Topic)
	case len(p.Reads) > 0:
		k.group(p.Topic)
		for _, r := range p.Reads {
			k.user(r.User)
			k.is(r.Recv >= 0 && r.Read >= 0, "number")
		}
	}
}

// Check reports what is wrong with a piece of a group's log that a node has sent. An event
// of a kind that is not known here is Unsupported: who follows cannot pass over it.
func (l *Log) Check(from protocol.Node) error {
	k := checker{from: from}
	k.home(l.Group)
	k.is(len(l.Events) > 0, "empty log")
	for i := range l.Events {
		k.event(&l.Events[i])
	}
	return k.err
}

// Check reports what is wrong with a cast that a node has sent. One of an unknown kind is
// Unsupported, and ignored.
func (c *Cast) Check(from protocol.Node) error {
	k := checker{from: from}
	n := 0
	for _, set := range [...]bool{c.Presence != nil, c.Note != nil, c.Here != nil, c.Call != nil} {
		if set {
			n++
		}
	}
	if n == 0 {
		return protocol.Errorf(protocol.Unsupported, "unknown kind of cast")
	}
	k.is(n == 1, "cast of several kinds")
	switch {
	case c.Presence != nil:
		for _, s := range c.Presence.Users {
			k.own(s.User, false)
			k.time(s.Seen)
			k.text(s.UA)
			k.users(s.To)
		}
	case c.Note != nil:
		k.topic(c.Note.Topic)
		k.user(c.Note.From) // the home of a group passes on what is of others
		k.text(c.Note.What)
		k.text(c.Note.Event)
		k.name(c.Note.Of)
		k.json(c.Note.Data, true)
	case c.Here != nil:
		k.group(c.Here.Group)
		k.users(c.Here.On)
		k.users(c.Here.Off)
	case c.Call != nil:
		k.topic(c.Call.Topic)
		k.user(c.Call.From)
		k.name(&c.Call.Of)
		k.text(c.Call.Event)
		k.json(c.Call.Payload, true)
	}
	return k.err
}

// Check reports what is wrong with a question of a node. One of an unknown kind is
// Unsupported.
func (a *Ask) Check(from protocol.Node) error {
	k := checker{from: from}
	n := 0
	for _, set := range [...]bool{a.Ping != nil, a.Card != "", a.Handle != "", a.History != nil, a.File != nil,
		len(a.Opinion) > 0, a.Command != nil, a.Snapshot != "", a.Keys, a.Resume != nil, a.Group != ""} {
		if set {
			n++
		}
	}
	if n == 0 {
		return protocol.Errorf(protocol.Unsupported, "unknown kind of question")
	}
	k.is(n == 1, "question of several kinds")
	k.text(a.Handle)
	switch {
	case a.Card != "":
		k.user(a.Card)
	case a.History != nil:
		h := a.History
		k.topic(h.Topic)
		k.is(h.Low > 0 && h.High >= h.Low && h.Limit >= 0, "range")
		if h.Of != "" {
			k.user(h.Of)
		}
	case a.File != nil:
		k.text(a.File.ID)
		k.is(a.File.Offset >= 0 && a.File.Length >= 0, "range")
	case a.Command != nil:
		k.command(a.Command)
	case a.Snapshot != "":
		k.group(a.Snapshot)
		if a.After != "" {
			k.user(a.After)
		}
	case a.Group != "":
		k.group(a.Group)
	case a.Resume != nil:
		k.text(a.Resume.More)
		for _, t := range a.Resume.Topics {
			k.topic(t.Topic)
			k.is(t.Mine >= 0 && t.Yours >= 0, "number")
		}
	}
	return k.err
}

// isObject reports whether a JSON value is an object.
func isObject(j []byte) bool { return bytes.HasPrefix(bytes.TrimLeft(j, " \t\r\n"), []byte("{")) }
