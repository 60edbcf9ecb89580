package federation

import (
	"parley/protocol"
	"parley/protocol/s2s"
)

// watch tells whoever watches of a frame to or from a peer. topic names what it is about
// and may be empty.
func (p *remote) watch(out bool, what string, t protocol.TopicID, bytes int) {
	if p.m.cfg.Watch == nil {
		return
	}
	f := Traffic{From: p.name, To: p.m.self, What: what, Topic: t, Bytes: bytes}
	if out {
		f.From, f.To = f.To, f.From
	}
	p.m.cfg.Watch(f)
}

func (p *remote) watchPost(out bool, post *s2s.Post, bytes int) {
	if p.m.cfg.Watch != nil {
		p.watch(out, "post "+postKind(post), post.TopicID(), bytes)
	}
}

func postKind(p *s2s.Post) string {
	switch {
	case p == nil:
		return "void"
	case p.Message != nil:
		return "message"
	case p.Delete != nil:
		return "delete"
	case p.Marks != nil:
		return "marks"
	case p.Mode != nil:
		return "mode"
	case p.Card != nil:
		return "card"
	case p.Aux != nil:
		return "aux"
	case p.Tombstone != nil:
		return "tombstone"
	case p.Invite != nil:
		return "invite"
	case p.Command != nil:
		return "command"
	case p.Withdraw != nil:
		return "withdraw"
	case p.Report != nil:
		return "report"
	case p.Follow != nil:
		return "follow"
	}
	return "other"
}

func (p *remote) watchCast(out bool, c *s2s.Cast, bytes int) {
	switch {
	case p.m.cfg.Watch == nil:
	case c.Presence != nil:
		p.watch(out, "cast presence", "", bytes)
	case c.Note != nil:
		p.watch(out, "cast note", c.Note.Topic, bytes)
	case c.Here != nil:
		p.watch(out, "cast here", c.Here.Group, bytes)
	case c.Call != nil:
		p.watch(out, "cast call", c.Call.Topic, bytes)
	}
}

func (p *remote) watchAsk(out bool, a *s2s.Ask, bytes int) {
	if p.m.cfg.Watch == nil {
		return
	}
	what, t := "other", protocol.TopicID("")
	switch {
	case a.Ping != nil:
		what = "ping"
	case a.Card != "":
		what = "card"
	case a.Handle != "":
		what = "handle"
	case a.History != nil:
		what, t = "history", a.History.Topic
	case a.File != nil:
		what = "file"
	case a.Opinion != nil:
		what = "opinion"
	case a.Command != nil:
		what, t = "command", a.Command.Group
	case a.Snapshot != "":
		what, t = "snapshot", a.Snapshot
	case a.Keys:
		what = "keys"
	case a.Resume != nil:
		what = "resume"
	case a.Group != "":
		what, t = "group", a.Group
	}
	p.watch(out, "ask "+what, t, bytes)
}
