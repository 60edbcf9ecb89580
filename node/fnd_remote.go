package node

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"parley/federation"
	"parley/protocol"
	"parley/protocol/s2s"
	"parley/reputation"
	"parley/store"
)

// Who is looked for by the handle "bob@node.example" is asked of that node: for public
// queries that name one handle and nothing else, and as little of it as possible.

const (
	findRate     = 0.2 // handles a second that one user may look for abroad, and ids
	findBurst    = 30
	findsAtOnce  = 64
	maxFinds     = 1024 // answers that are remembered
	foundMemory  = time.Minute
	absentMemory = 15 * time.Second
	failedMemory = 2 * time.Second // of a node that does not answer
)

// finds are the searches on other nodes.
type finds struct {
	users *quota // who looks

	mu     sync.Mutex
	asked  map[string]*find // by handle, "bob@node.example", or "group " and id
	asking int
}

// find is a search on another node, under way or remembered: many who look for the
// same make one.
type find struct {
	done    chan struct{}
	finding           // set before done is closed
	err     error     // why this cannot be known now
	until   time.Time // zero: under way
}

// finding is what came of a search; empty: nothing.
type finding struct {
	line  *protocol.SubDesc // of a handle
	card  *s2s.Card         // of whom has it, if it is a user
	group *s2s.Group        // of a group's id
}

func newFinds() *finds {
	return &finds{users: newQuota(findRate, findBurst), asked: map[string]*find{}}
}

// handleAbroad reports whether a query is the exact handle of somebody at another
// node. Clients write it as it was typed, and as "alias:" or "email:" of it.
func handleAbroad(text string, home protocol.Node) (alias string, at protocol.Node, ok bool) {
	and, or := parseQuery(text)
	handle := ""
	for _, term := range append(and, or...) {
		switch prefix := tagPrefix(term); prefix {
		case "":
		case aliasPrefix, "email":
			term = term[len(prefix)+1:]
		default:
			return "", "", false
		}
		term = strings.TrimPrefix(term, "@")
		if handle != "" && term != handle {
			return "", "", false
		}
		handle = term
	}
	alias, name, qualified := strings.Cut(handle, "@")
	at, err := protocol.ParseNode(name)
	return alias, at, qualified && err == nil && at != home && isAlias(alias)
}

// searchAbroad reports whether the answer to a search has to wait for another node, in
// which case it will be given.
func (k *fnd) searchAbroad(q *request, text string, opts *protocol.GetOpts) bool {
	if k.n.cfg.Network == nil || !k.n.ventures(q.who) {
		return false
	}
	alias, at, ok := handleAbroad(text, k.n.name)
	if !ok {
		return false
	}
	k.n.start(func() {
		found, err := k.n.find(k.user, alias, at)
		k.answer(q, text, opts, found, err)
	})
	return true
}

// ventures reports whether a user of ours may have to do with other nodes.
func (n *Node) ventures(who Identity) bool {
	return who.Level > store.LevelAnon || n.cfg.Federation.Guests
}

// find looks for a handle on another node; nil if there is none. Errors say why this
// cannot be known now: Busy, Timeout, TooMany (by this user).
func (n *Node) find(by protocol.UserID, alias string, at protocol.Node) (*protocol.SubDesc, error) {
	f, mine, err := n.finds.begin(by, alias+"@"+string(at))
	if err != nil {
		return nil, err
	}
	if mine {
		line, card, err := n.askHandle(alias, at)
		n.finds.end(f, finding{line: line, card: card}, err)
	}
	<-f.done // within askTime
	return f.line, f.err
}

// begin finds an answer or a search under way, or makes one that the caller has to
// end.
func (l *finds) begin(by protocol.UserID, name string) (f *find, mine bool, err error) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if f := l.asked[name]; f != nil && (f.until.IsZero() || now.Before(f.until)) {
		return f, false, nil
	}
	if l.asking >= findsAtOnce {
		return nil, false, protocol.Busy
	}
	if !l.users.allow(now, string(by)) {
		return nil, false, protocol.TooMany
	}
	l.forget(now)
	f = &find{done: make(chan struct{})}
	l.asked[name] = f
	l.asking++
	return f, true, nil
}

func (l *finds) end(f *find, found finding, err error) {
	memory := foundMemory
	switch {
	case err != nil:
		memory = failedMemory
	case found == finding{}:
		memory = absentMemory
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asking--
	f.finding, f.err, f.until = found, err, time.Now().Add(memory)
	close(f.done)
}

// card is that of a user who has just been found; nil if none was.
func (l *finds) card(u protocol.UserID) *s2s.Card {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.asked {
		if f.card != nil && f.card.User == u && now.Before(f.until) {
			return f.card
		}
	}
	return nil
}

// forget makes room for one more answer.
func (l *finds) forget(now time.Time) {
	if len(l.asked) < maxFinds {
		return
	}
	for h, f := range l.asked {
		if !f.until.IsZero() && now.After(f.until) {
			delete(l.asked, h)
		}
	}
	for h, f := range l.asked {
		if len(l.asked) < maxFinds {
			return
		}
		if !f.until.IsZero() {
			delete(l.asked, h)
		}
	}
}

// isNode reports whether there is, or has been, a node of that name.
func (n *Node) isNode(name protocol.Node) bool {
	if n.cfg.Network.Linked(name) {
		return true
	}
	p, err := n.standing.peer(name)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		n.log.Error("what is known of a node cannot be read", "peer", name, "err", err)
	}
	return err == nil && (!p.Seen.IsZero() || len(p.Pin) > 0) || slices.Contains(n.cfg.Trusted, name)
}

// askHandle asks a node who has a handle there, and returns the line to show and, of a
// user, the card; nil if nobody whom it shows. Errors: Busy, Timeout.
func (n *Node) askHandle(alias string, at protocol.Node) (*protocol.SubDesc, *s2s.Card, error) {
	ctx, stop := context.WithTimeout(n.outside, askTime)
	defer stop()
	a, err := n.ask(ctx, at, &s2s.Ask{Handle: alias})
	switch {
	case err != nil && !n.isNode(at): // it is an e-mail address, most likely
		return nil, nil, nil
	case errors.Is(err, protocol.Timeout):
		return nil, nil, &protocol.Error{Fault: protocol.Timeout, What: "sub", Err: err}
	case errors.Is(err, protocol.Busy), errors.Is(err, protocol.TooMany):
		return nil, nil, &protocol.Error{Fault: protocol.Busy, What: "sub", Err: err}
	case err != nil:
		n.log.Debug("a handle is not found", "peer", at, "err", err)
		return nil, nil, nil
	}
	d := foundAbroad(a, at)
	if d == nil {
		return nil, nil, nil
	}
	d.Private = jsonStrings([]string{aliasPrefix + ":" + alias + "@" + string(at)})
	if err := n.offerFiles(at, d.Public); err != nil {
		n.log.Error("a picture on another node cannot be fetched", "err", err)
	}
	return d, a.Card, nil
}

// foundAbroad is the line that a client shows; nil if the answer is none that a node
// may give.
func foundAbroad(a *s2s.Answer, at protocol.Node) *protocol.SubDesc {
	switch {
	case a.Card != nil:
		id, err := protocol.ParseUserID(string(a.Card.User), "")
		if err != nil || id != a.Card.User || id.Node() != at || !isFace(a.Card.Public) {
			return nil
		}
		return &protocol.SubDesc{Topic: string(id), Public: a.Card.Public, Updated: remoteTime(a.Card.Version),
			Acs: &protocol.Acs{Mode: (a.Card.Auth & protocol.ModeP2P).String()}}
	case a.Group != nil:
		g := a.Group
		id, channel, err := protocol.ParseGroupID(string(g.ID), "")
		if err != nil || channel || id != g.ID || id.Home() != at || !isFace(g.Public) {
			return nil
		}
		d := &protocol.SubDesc{Topic: string(id), Public: g.Public, Updated: remoteTime(g.Updated), IsChan: g.Channel,
			Acs: &protocol.Acs{Mode: (g.Auth &^ protocol.Owner).String()}}
		if g.Channel {
			d.Topic, d.Acs.Mode = id.ChannelName(), protocol.ModeChanReader.String()
		}
		return d
	}
	return nil
}

// isFace reports whether what another node says is the public part of somebody can be
// passed on.
func isFace(public []byte) bool {
	return len(public) <= maxField && (len(public) == 0 || isJSON(public))
}

// remoteTime is a time of another node's, if clients can read it.
func remoteTime(ms int64) *protocol.Time {
	const last = 253402300799999 // of the year 9999
	if ms <= 0 || ms > last {
		return nil
	}
	return protocol.Ptr(time.UnixMilli(ms))
}

// answerHandle tells a peer who has a handle here: what a stranger of this node would
// see. Whoever does not want to be found, or may not be, is not there.
func (n *Node) answerHandle(from federation.Peer, handle string) *s2s.Answer {
	if w := n.standing.use(from, reputation.Lookups, 1); w != nil {
		return w.answer()
	}
	if n.cfg.Federation.Hidden || !isAlias(handle) {
		return failed(protocol.NotFound)
	}
	var a *s2s.Answer
	err := n.store.View(func(tx store.Tx) error {
		a = nil
		for id, err := range tx.Tagged(aliasPrefix + ":" + handle) {
			if err != nil {
				return err
			}
			a, err = n.shown(tx, id)
			return err // a handle has one owner
		}
		return nil
	})
	if err == nil && a == nil {
		err = protocol.NotFound
	}
	if err != nil {
		return failed(err)
	}
	return a
}

// shown is what strangers of other nodes may know of a user or group; nil: nothing.
func (n *Node) shown(tx store.Tx, id string) (*s2s.Answer, error) {
	if protocol.TopicID(id).Kind() != protocol.KindGroup {
		u, err := tx.User(protocol.UserID(id))
		if err != nil || !n.approachable(u) {
			return nil, err
		}
		return &s2s.Answer{Card: n.cardOf(u)}, nil
	}
	g, err := tx.Topic(protocol.TopicID(id))
	if err != nil || g.ID.Home() != n.name {
		return nil, err
	}
	face := faceOf(g)
	face.Anon = 0 // a line of a search does not show it
	return &s2s.Answer{Group: &face}, nil
}

// approachable reports whether strangers of other nodes may know that a user is there.
func (n *Node) approachable(u *store.User) bool {
	return !n.remote(u.ID) && u.State == store.StateOK && u.Defacs.Auth.Has(protocol.Join) &&
		n.ventures(Identity{u.ID, u.Level})
}

func jsonStrings(list []string) json.RawMessage {
	b, _ := json.Marshal(list) // strings always marshal
	return b
}
