package node

import (
	"maps"
	"slices"
	"time"

	"parley/federation"
	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
)

// What the parts of a group on several nodes tell each other, beside its log: who is in
// the room, who types, how far members have read. A follower tells the home of its users,
// the home tells each follower of all others.

const (
	// maxReadMarks is up to how many members a group's read marks are passed on to
	// followers.
	maxReadMarks = 100
	// readsDelay is for how long read marks are gathered, hereDelay comings and goings.
	readsDelay = time.Second
	hereDelay  = 50 * time.Millisecond
	// maxEarly bounds those of whom it is remembered that they are there before the log
	// says that they are members.
	maxEarly = 512
)

// parts is a group as one of several that are its parts. It is most of a [teller].
type parts struct {
	r      *room
	moved  map[protocol.UserID]bool // came or left, and is to be told
	moving bool                     // that will be told
	read   map[protocol.UserID]bool // likewise for marks
	due    bool
	told   map[protocol.Node]*told
	early  map[protocol.UserID]bool // there, but not known as a member yet
}

// told are the marks in the last post to a node, and its number: while that has not been
// sent, the next one replaces it.
type told struct {
	users map[protocol.UserID]bool
	n     uint64
}

func newParts(r *room) parts {
	return parts{r: r, moved: map[protocol.UserID]bool{}, read: map[protocol.UserID]bool{}, told: map[protocol.Node]*told{},
		early: map[protocol.UserID]bool{}}
}

func (p *parts) home() protocol.Node { return p.r.t.id.Home() }

// nodes are those with other parts to which this one talks.
func (p *parts) nodes() []protocol.Node {
	if p.home() != p.r.n.name {
		return []protocol.Node{p.home()}
	}
	of := map[protocol.Node]bool{}
	for u, m := range p.r.members {
		if m.live() && !m.sub.Reader && p.r.n.remote(u) {
			of[u.Node()] = true
		}
	}
	return slices.Sorted(maps.Keys(of))
}

// tellsOf reports whether another node is told of a member by this one.
func (p *parts) tellsOf(to protocol.Node, u protocol.UserID) bool {
	if p.home() != p.r.n.name {
		return !p.r.n.remote(u)
	}
	return u.Node() != to
}

// of is the member of whom another node may tell; nil if it may not.
func (p *parts) of(from protocol.Node, u protocol.UserID) *member {
	speaks := u.Node() == from
	if p.home() != p.r.n.name {
		speaks = from == p.home() && p.r.n.remote(u)
	}
	m := p.r.member(u)
	if !speaks || m == nil || m.sub.Reader {
		return nil
	}
	return m
}

// noted implements teller.
func (p *parts) noted(m *member, what string) {
	p.pass(m, &s2s.Note{Topic: p.r.t.id, From: m.sub.User, What: what})
}

// replied implements teller.
func (p *parts) replied(m *member, in *protocol.Note) {
	if p.r.n.cfg.Network == nil {
		return
	}
	if note := p.r.dataNote(m, in); note != nil {
		p.pass(m, note)
	}
}

// pass tells a member's note to the nodes that hear of the member from this one.
func (p *parts) pass(m *member, note *s2s.Note) {
	if p.r.n.cfg.Network == nil {
		return
	}
	for _, to := range p.nodes() {
		if p.tellsOf(to, m.sub.User) {
			p.r.n.cfg.Network.Cast(to, &s2s.Cast{Note: note})
		}
	}
}

// hearNote takes what noted and replied tell.
func (p *parts) hearNote(from protocol.Node, note *s2s.Note) {
	m := p.of(from, note.From)
	if m == nil || !m.mode().Has(protocol.Write) {
		return
	}
	var info *protocol.Info
	switch note.What {
	case "kp", "kpa", "kpv":
		info, note = &protocol.Info{What: note.What}, &s2s.Note{Topic: note.Topic, From: note.From, What: note.What}
	case "data":
		if len(note.Data) > 0 {
			info = p.r.dataInfo(note)
		}
	}
	if info != nil {
		p.r.relay(p.r.n.remoteRequest(note.From, &protocol.Request{Note: &protocol.Note{}}), m, info)
		p.pass(m, note)
	}
}

// seen implements teller.
func (p *parts) seen(m *member) {
	if p.r.n.cfg.Network == nil {
		return
	}
	p.moved[m.sub.User] = true
	if !p.moving {
		p.moving = true
		p.r.t.after(hereDelay, movedEvent{})
	}
}

// movedEvent says that it is time to tell who came and who left.
type movedEvent struct{}

func (movedEvent) apply(t *topic) {
	if k, ok := t.kind.(interface{ tellMoved() }); ok {
		k.tellMoved()
	}
}

func (p *parts) tellMoved() {
	p.moving = false
	users := slices.Sorted(maps.Keys(p.moved))
	clear(p.moved)
	for _, to := range p.nodes() {
		here := &s2s.Here{Group: p.r.t.id}
		for _, u := range users {
			switch m := p.r.members[u]; {
			case !p.tellsOf(to, u):
			case m != nil && m.seen:
				here.On = append(here.On, u)
			default:
				here.Off = append(here.Off, u)
			}
		}
		if len(here.On)+len(here.Off) > 0 {
			p.r.n.cfg.Network.Cast(to, &s2s.Cast{Here: here})
		}
	}
}

// tellHere tells a node, with which there is a new link, who is there.
func (p *parts) tellHere(to protocol.Node) {
	here := &s2s.Here{Group: p.r.t.id, All: true}
	for u, m := range p.r.members {
		if m.seen && p.tellsOf(to, u) {
			here.On = append(here.On, u)
		}
	}
	slices.Sort(here.On)
	p.r.n.cfg.Network.Cast(to, &s2s.Cast{Here: here})
}

// hearHere takes what another node says of who is there.
func (p *parts) hearHere(from protocol.Node, h *s2s.Here) {
	for _, u := range h.On {
		switch m := p.of(from, u); {
		case m != nil && m.mode().Has(protocol.Join):
			p.r.see(m)
		case m == nil && from == p.home() && len(p.early) < maxEarly: // the log will tell
			p.early[u] = true
		}
	}
	for _, u := range h.Off {
		delete(p.early, u)
		if m := p.of(from, u); m != nil {
			p.r.unsee(m)
		}
	}
	if h.All {
		p.vanish(from, h.On)
	}
}

// vanish takes those of whom another node tells for gone, but some.
func (p *parts) vanish(from protocol.Node, but []protocol.UserID) {
	for _, m := range p.r.sortedMembers() {
		if u := m.sub.User; m.seen && p.of(from, u) != nil && !slices.Contains(but, u) {
			p.r.unsee(m)
		}
	}
}

// marked implements teller. Marks are gathered, and told when they are on the disk.
func (p *parts) marked(_ store.Tx, m *member, _, _ store.Marks) error {
	p.gather(m.sub.User)
	return nil
}

func (p *parts) gather(u protocol.UserID) {
	m := p.r.members[u]
	if p.r.n.cfg.Network == nil || m == nil || m.sub.Reader || p.home() == p.r.n.name && len(p.r.members) > maxReadMarks {
		return
	}
	p.read[u] = true
	if !p.due {
		p.due = true
		p.r.t.after(readsDelay, readEvent{})
	}
}

// readEvent says that it is time to tell how far members have read.
type readEvent struct{}

func (readEvent) apply(t *topic) {
	if k, ok := t.kind.(interface{ tellReads() }); ok {
		k.tellReads()
	}
}

func (p *parts) tellReads() {
	p.due = false
	next := map[protocol.Node]*told{}
	err := p.r.update(func(tx store.Tx) error {
		clear(next)
		for _, to := range p.nodes() {
			if err := p.postReads(tx, to, next); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		p.r.n.log.Error("read marks not told to other nodes", "group", p.r.t.id, "err", err)
		return
	}
	maps.Copy(p.told, next)
	clear(p.read)
}

// postReads queues the marks that have changed since the last post was sent. After a
// start it is not known which, so it is all.
func (p *parts) postReads(tx store.Tx, to protocol.Node, next map[protocol.Node]*told) error {
	lane := federation.LaneOf(p.r.t.id)
	q, err := tx.Queue(to, lane)
	if err != nil {
		return err
	}
	users := maps.Clone(p.read)
	switch last := p.told[to]; {
	case last == nil:
		for u := range p.r.members {
			users[u] = true
		}
	case q.Offered < last.n:
		maps.Copy(users, last.users)
	}
	post := &s2s.Post{Topic: p.r.t.id, At: p.r.n.wall().UnixMilli()}
	for _, u := range slices.Sorted(maps.Keys(users)) {
		m := p.r.members[u]
		if m.live() && !m.sub.Reader && m.marks.Recv > 0 && p.tellsOf(to, u) {
			post.Reads = append(post.Reads, s2s.Reader{User: u, Recv: m.marks.Recv, Read: m.marks.Read})
		}
	}
	if len(post.Reads) == 0 {
		return nil
	}
	if err := p.r.post(tx, to, "reads\x00"+string(p.r.t.id), post); err != nil {
		return err
	}
	q, err = tx.Queue(to, lane)
	next[to] = &told{users, q.Last}
	return err
}

// takeReads takes what tellReads tells.
func (p *parts) takeReads(from protocol.Node, list []s2s.Reader) error {
	changed := map[*member]store.Marks{}
	for _, l := range list {
		m := p.of(from, l.User)
		if m == nil {
			continue
		}
		marks := store.Marks{Recv: max(m.marks.Recv, l.Recv, l.Read), Read: max(m.marks.Read, l.Read)}
		if p.home() == p.r.n.name {
			marks.Recv, marks.Read = min(marks.Recv, p.r.head.Seq), min(marks.Read, p.r.head.Seq)
		}
		if marks != m.marks {
			changed[m] = marks
		}
	}
	if len(changed) == 0 {
		return nil
	}
	err := p.r.update(func(tx store.Tx) error {
		for m, marks := range changed {
			if err := tx.PutMarks(p.r.t.id, m.sub.User, marks); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for m, marks := range changed {
		info := &protocol.Info{What: "recv", Seq: marks.Recv}
		if marks.Read > m.marks.Read {
			info.What, info.Seq = "read", marks.Read
		}
		m.marks = marks
		p.r.relay(p.r.n.remoteRequest(m.sub.User, &protocol.Request{Note: &protocol.Note{}}), m, info)
		p.gather(m.sub.User)
	}
	return nil
}

// hereEvent is what another node says of who is in a group's room.
type hereEvent struct {
	from protocol.Node
	here *s2s.Here
}

func (e *hereEvent) apply(t *topic) {
	if k, ok := t.kind.(interface {
		hearHere(protocol.Node, *s2s.Here)
	}); ok {
		k.hearHere(e.from, e.here)
	}
}

// partedEvent tells groups of a link to another node that has come or gone.
type partedEvent struct {
	node protocol.Node
	up   bool
}

func (e partedEvent) apply(t *topic) {
	k, ok := t.kind.(interface {
		nodes() []protocol.Node
		tellHere(protocol.Node)
		vanish(protocol.Node, []protocol.UserID)
	})
	switch {
	case !ok:
	case !e.up:
		k.vanish(e.node, nil)
	case slices.Contains(k.nodes(), e.node):
		k.tellHere(e.node)
	}
}

// tellGroups gives e to the groups that are live.
func (n *Node) tellGroups(e event) {
	n.mu.Lock()
	var all []*topic
	for id, t := range n.topics {
		if id.Kind() == protocol.KindGroup {
			all = append(all, t)
		}
	}
	n.mu.Unlock()
	for _, t := range all {
		t.push(e, 0)
	}
}
