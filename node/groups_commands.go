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
	commandLife   = 24 * time.Hour
	commandTime   = 4 * time.Second // for the whole way of a client's request
)

func commandName(from protocol.Node, key []byte) string {
	return commandPrefix + string(from) + "\x00" + string(key)
}

// storedResult is what is kept of a command.
type storedResult struct {
	At   time.Time
	Void bool `json:",omitempty"`
	Code int  `json:",omitempty"`
	Seq  int  `json:",omitempty"`
	Rev  uint64
}

// withdraw makes a command void unless it has had its effect.
func (g *group) withdraw(from federation.Peer, key []byte) error {
	name := commandName(from.Name, key)
	return g.update(func(tx store.Tx) error {
		if _, err := tx.Value(name); !errors.Is(err, store.ErrNotFound) {
			return err
		}
		v, err := json.Marshal(storedResult{At: time.Now(), Void: true})
		if err != nil {
			return err
		}
		return tx.PutValue(name, v)
	})
}

// answerCommand carries out a command of a remote user, through the very verbs that
// serve our own clients.
func (n *Node) answerCommand(ctx context.Context, from federation.Peer, c *s2s.Command) *s2s.Answer {
	if c.User.Node() != from.Name || c.Group.Kind() != protocol.KindGroup || c.Group.Home() != n.name || len(c.Key) != commandKeyLen {
		return failed(protocol.Malformed)
	}
	in, err := protocol.Decode(c.Request)
	if err != nil {
		return failed(protocol.Malformed)
	}
	q := n.remoteRequest(c.User, in)
	if v := q.verb; v == nil || v.apply == nil || in.Get != nil || in.Note != nil || q.name != string(c.Group) && q.name != c.Group.ChannelName() {
		return failed(protocol.Unsupported)
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
	r := &s2s.Result{Code: e.q.s.answered.Code, Text: e.q.s.answered.Text, Rev: e.rev}
	if len(e.q.s.answered.Params) > 0 {
		if r.Params, err = json.Marshal(e.q.s.answered.Params); err != nil {
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

func (e *commandEvent) absent(err error) {
	e.err = err
	close(e.done)
}

func (e *commandEvent) apply(t *topic) {
	defer close(e.done)
	g, ok := t.kind.(*group)
	if !ok {
		e.err = protocol.NotFound
		return
	}
	name := commandName(e.from.Name, e.c.Key)
	known, err := g.knownResult(name)
	switch {
	case err != nil:
		e.err = err
		return
	case known != nil && known.Void:
		e.err = protocol.Gone
		return
	case known != nil:
		*e.q.s.answered = protocol.Ctrl{Code: known.Code, Text: okText(known.Code)}
		if known.Seq > 0 {
			e.q.s.answered.Params = map[string]any{"seq": known.Seq}
		}
		e.rev = known.Rev
		return
	}
	if e.c.Card != nil && e.c.Card.User == e.c.User {
		err := g.n.store.Update(func(tx store.Tx) error {
			_, err := putCard(tx, e.c.Card, time.Now())
			return err
		})
		if err != nil {
			e.err = err
			return
		}
	}
	g.also = func(tx store.Tx) error { return g.keepResult(tx, name, e.q.in.Pub != nil) }
	g.remote = e.c
	e.q.apply(t)
	g.also, g.remote = nil, nil
	e.rev = g.head.Rev
}

func (g *group) knownResult(name string) (*storedResult, error) {
	var r *storedResult
	err := g.n.store.View(func(tx store.Tx) error {
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
	return r, err
}

// keepResult notes what a command has done, as far as that is needed to say it again.
func (g *group) keepResult(tx store.Tx, name string, pub bool) error {
	head, err := tx.Head(g.t.id)
	if err != nil {
		return err
	}
	r := storedResult{At: time.Now(), Code: 200, Rev: head.Rev}
	if pub {
		r.Code, r.Seq = 202, head.Seq
	}
	v, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return tx.PutValue(name, v)
}

// forgetCommands drops results that nobody will ask for again.
func (n *Node) forgetCommands(now time.Time) error {
	return n.store.Update(func(tx store.Tx) error {
		var old []string
		for name, err := range tx.Values(commandPrefix) {
			if err != nil {
				return err
			}
			raw, err := tx.Value(name)
			if err != nil {
				return err
			}
			var r storedResult
			if json.Unmarshal(raw, &r) != nil || now.Sub(r.At) > commandLife {
				old = append(old, name)
			}
		}
		for _, name := range old {
			if err := tx.DeleteValue(name); err != nil {
				return err
			}
		}
		return nil
	})
}
