package node

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"parley/federation"
	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
)

// Commands of remote members. What came of one is kept under its key, in the transaction
// of its effect, so that asking again repeats it.

const (
	commandPrefix = "command\x00"
	commandLife   = 6 * 24 * time.Hour // longer than a Withdraw may be on its way
	commandTime   = 4 * time.Second    // for the whole way of a client's request
	commandSkew   = time.Hour          // ahead of which the day of a command is not believed
	commandDay    = 24 * time.Hour
)

// commandName is where the result of a command is kept: by its day, so that old ones are
// found.
func commandName(from protocol.Node, day time.Time, key []byte) string {
	return commandPrefix + dayOf(day) + "\x00" + string(from) + "\x00" + string(key)
}

// commandPlace finds where the result of a command is kept, or is to be: by the day that its
// node has given it. If the clock of one of both is wrong by more than a result is kept, by
// the day on which it came: else it would be forgotten too soon, or never.
func commandPlace(tx store.Tx, now time.Time, from protocol.Node, at int64, key []byte) (string, error) {
	day := time.UnixMilli(at)
	name := commandName(from, day, key)
	if _, err := tx.Value(name); !errors.Is(err, store.ErrNotFound) {
		return name, err
	}
	if !day.After(now.Add(commandSkew)) && !day.Before(now.Add(-commandLife)) {
		return name, nil
	}
	for ago := time.Duration(0); ago <= commandLife; ago += commandDay {
		name := commandName(from, now.Add(-ago), key)
		if _, err := tx.Value(name); !errors.Is(err, store.ErrNotFound) {
			return name, err
		}
	}
	return commandName(from, now, key), nil
}

func dayOf(at time.Time) string { return at.UTC().Format(time.DateOnly) }

// storedResult is what is kept of a command.
type storedResult struct {
	Void bool          `json:",omitempty"`
	Code int           `json:",omitempty"`
	Seq  int           `json:",omitempty"`
	Acs  *protocol.Acs `json:",omitempty"` // of the user
	Rev  uint64        `json:",omitempty"`
}

// withdraw makes a command void unless it has had its effect.
func (g *group) withdraw(from federation.Peer, w *s2s.Withdraw) error {
	return g.update(func(tx store.Tx) error {
		name, err := commandPlace(tx, g.n.wall(), from.Name, w.At, w.Key)
		if err != nil {
			return err
		}
		if _, err := tx.Value(name); !errors.Is(err, store.ErrNotFound) {
			return err
		}
		return putValue(tx, name, storedResult{Void: true})
	})
}

// commandRequest is what a command asks, as a request of its user. Only what changes the
// group makes a command.
func (n *Node) commandRequest(from federation.Peer, c *s2s.Command) (*request, error) {
	switch {
	case c.User.Node() != from.Name || c.Group.Kind() != protocol.KindGroup || c.Group.Home() != n.name:
		return nil, protocol.Denied
	case len(c.Key) != commandKeyLen:
		return nil, protocol.Malformed
	case len(c.Request) > n.cfg.Limits.MaxMessage:
		return nil, protocol.TooLarge
	}
	in, err := protocol.Decode(c.Request)
	if err != nil {
		return nil, protocol.Malformed
	}
	in.Extra = nil
	q := n.remoteRequest(c.User, in)
	if q.verb == nil || q.verb.apply == nil || in.Get != nil || in.Note != nil || in.Sub != nil && in.Sub.Get != nil {
		return nil, protocol.Unsupported
	}
	id, reader, err := protocol.ParseGroupID(q.name, n.name)
	if err != nil || id != c.Group {
		return nil, protocol.Denied
	}
	q.reader = reader
	return q, nil
}

// answerCommand carries out a command of a remote user, through the very verbs that
// serve our own clients.
func (n *Node) answerCommand(ctx context.Context, from federation.Peer, c *s2s.Command) *s2s.Answer {
	q, err := n.commandRequest(from, c)
	if err == nil {
		if w := n.joins(from, q, c.Group); w != nil {
			return w.answer()
		}
		err = q.meetInvited()
	}
	if err != nil {
		return failed(err)
	}
	e := &commandEvent{q: q, c: c, from: from, done: make(chan struct{})}
	n.sendAlways(c.Group, e)
	select {
	case <-e.done:
	case <-ctx.Done():
		return failed(protocol.Busy) // the command goes on; asking again tells
	}
	if e.err != nil {
		return failed(e.err)
	}
	r := &s2s.Result{Code: q.s.answered.Code, Text: q.s.answered.Text, Rev: e.rev}
	if len(q.s.answered.Params) > 0 {
		if r.Params, err = json.Marshal(q.s.answered.Params); err != nil {
			return failed(err)
		}
	}
	return &s2s.Answer{Result: r}
}

// commandEvent is a command on its way to its group.
type commandEvent struct {
	q    *request
	c    *s2s.Command
	from federation.Peer
	rev  uint64
	err  error
	done chan struct{}
}

// absent answers as a client of this node would be answered.
func (e *commandEvent) absent(err error) {
	select {
	case <-e.done: // it has failed underway
	default:
		e.q.absent(err)
		close(e.done)
	}
}

func (e *commandEvent) apply(t *topic) {
	if g, ok := t.kind.(*group); !ok {
		e.q.absent(protocol.NotFound)
	} else {
		e.err = g.carryOut(e)
		e.rev = g.head.Rev
	}
	close(e.done)
}

// carryOut does what a command says, unless that has been done, or may be no more.
func (g *group) carryOut(e *commandEvent) error {
	name, known, err := g.knownResult(e)
	switch {
	case err != nil:
		return err
	case known != nil && known.Void:
		return protocol.Gone
	case known != nil:
		known.repeat(e.q.s.answered)
		return nil
	}
	if err := g.takeCard(e.c); err != nil {
		return err
	}
	if err := g.rank(e.q); err != nil {
		return err
	}
	if e.q.reader {
		return g.takeReaders(e)
	}
	g.also = func(tx store.Tx) error { return g.keepResult(tx, name, e) }
	g.run(e.q, e.c)
	return g.refresh()
}

// run passes the request of a command to its verb.
func (g *group) run(q *request, c *s2s.Command) {
	g.remote = c
	defer func() { g.also, g.remote = nil, nil }()
	q.apply(g.t)
}

// refresh reads where the log ends.
func (g *group) refresh() error {
	return g.n.store.View(func(tx store.Tx) error {
		h, err := tx.Head(g.t.id)
		g.head.Rev = h.Rev
		return err
	})
}

// takeCard keeps the face of the user of a command.
func (g *group) takeCard(c *s2s.Command) error {
	if c.Card == nil || c.Card.User != c.User {
		return nil
	}
	return g.n.store.Update(func(tx store.Tx) error {
		_, err := putCard(tx, c.Card, g.n.wall())
		return err
	})
}

// rank gives who joins what is known of the user's level: the group gives by it.
func (g *group) rank(q *request) error {
	if q.in.Sub == nil {
		return nil
	}
	u, err := g.n.lookUp(q.who.User)
	switch {
	case err == nil:
		q.who.Level = u.Level
	case !errors.Is(err, protocol.NotFound):
		return err
	}
	return nil
}

// takeReaders lets a node follow a channel for readers, who are its own affair.
func (g *group) takeReaders(e *commandEvent) error {
	if e.q.in.Sub == nil {
		return protocol.Denied
	}
	if !g.rec.Channel {
		return protocol.NotFound
	}
	err := g.update(func(tx store.Tx) error {
		if _, err := tx.Follower(g.t.id, e.from.Name); !errors.Is(err, store.ErrNotFound) {
			return err
		}
		head, err := tx.Head(g.t.id)
		if err == nil && head.Rev == 0 { // nothing has happened yet: a replica is one of some revision
			first := g.n.remoteRequest(g.rec.Owner, &protocol.Request{Set: &protocol.Set{}})
			err = g.log(tx, first, eventDesc, descEvent{Public: g.rec.Public, Trusted: g.rec.Trusted, Defacs: g.rec.Defacs})
			head.Rev = 1
		}
		if err != nil {
			return err
		}
		return tx.PutFollower(&store.Follower{Topic: g.t.id, Node: e.from.Name, Rev: head.Rev})
	})
	if err != nil {
		return err
	}
	e.q.ok(200, nil)
	return g.refresh()
}

// repeat answers as the command was answered.
func (r *storedResult) repeat(c *protocol.Ctrl) {
	*c = protocol.Ctrl{Code: r.Code, Text: okText(r.Code)}
	switch {
	case r.Seq > 0:
		c.Params = map[string]any{"seq": r.Seq}
	case r.Acs != nil:
		c.Params = map[string]any{"acs": r.Acs}
	}
}

// knownResult is what a command has done, if it has, and where that is kept.
func (g *group) knownResult(e *commandEvent) (name string, r *storedResult, err error) {
	err = g.n.store.View(func(tx store.Tx) (err error) {
		if name, err = commandPlace(tx, g.n.wall(), e.from.Name, e.c.At, e.c.Key); err != nil {
			return err
		}
		raw, err := tx.Value(name)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		r = new(storedResult)
		return json.Unmarshal(raw, r)
	})
	return name, r, err
}

// keepResult notes what a command has done, as far as that is needed to say it again.
func (g *group) keepResult(tx store.Tx, name string, e *commandEvent) error {
	head, err := tx.Head(g.t.id)
	if err != nil {
		return err
	}
	r := storedResult{Code: 200, Rev: head.Rev}
	if e.q.in.Pub != nil {
		r.Code, r.Seq = 202, head.Seq
	} else if sub, err := tx.Sub(g.t.id, e.c.User); err == nil {
		r.Acs = protocol.NewAcs(sub.Want, sub.Given)
	}
	return putValue(tx, name, r)
}

// wish carries out what a user of another node has decided for oneself while this node
// may have been away: the own mode, to leave, or to end the own group.
func (g *group) wish(from federation.Peer, c *s2s.Command) error {
	q, err := g.n.commandRequest(from, c)
	if err != nil {
		return err
	}
	own := q.in.Leave != nil || q.in.Del != nil && q.in.Del.What == "topic" ||
		q.in.Set != nil && q.in.Set.Sub != nil && q.in.Set.Sub.User == ""
	if !own {
		return protocol.Unsupported
	}
	g.remote = c
	defer func() { g.remote = nil }()
	q.apply(g.t)
	if code := q.s.answered.Code; code >= 500 {
		return protocol.Busy
	}
	return nil
}

// forgetCommands drops results that nobody will ask for again.
func (n *Node) forgetCommands(now time.Time) error {
	last := commandPrefix + dayOf(now.Add(-commandLife-commandDay))
	return n.store.Update(func(tx store.Tx) error {
		var old []string
		for name, err := range tx.Values(commandPrefix) {
			if err != nil {
				return err
			}
			if name >= last {
				break
			}
			old = append(old, name)
		}
		for _, name := range old {
			if err := tx.DeleteValue(name); err != nil {
				return err
			}
		}
		return nil
	})
}
