package node

import (
	"context"
	"errors"
	"io"
	"slices"

	"parley/federation"
	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
)

// What other nodes post comes in here, goes to its topic as what a client sends does,
// and passes the same checks. It is stored in one transaction with the note that it
// has been dealt with.

var (
	_           federation.Handler = (*Node)(nil)
	errStopping                    = errors.New("node: shutting down")
)

// receiver is a kind of topic of which other nodes have a part.
type receiver interface {
	asRoom() *room
	// prepareRemote checks a message and makes it ready to be stored; nil without an
	// error if it is there already.
	prepareRemote(from federation.Peer, p *s2s.Post) (*pending, error)
	// receive applies another post: at most one r.update, with all of its effect.
	receive(from federation.Peer, p *s2s.Post) error
}

// Deliver implements federation.Handler: messages that follow one another share a
// transaction, also of different topics.
func (n *Node) Deliver(ctx context.Context, from federation.Peer, lane store.Lane, in []federation.Incoming) ([]s2s.Verdict, error) {
	if !n.enter() {
		return nil, errStopping
	}
	defer n.wg.Done()
	var done []s2s.Verdict
	for len(in) > 0 {
		run := together(in)
		var vs []s2s.Verdict
		var err error
		if run > 0 {
			vs, err = n.deliverMessages(ctx, from, lane, in[:run])
		} else {
			vs, err = n.deliverOne(ctx, from, lane, in[0])
		}
		done = append(done, vs...)
		if err != nil || vs[len(vs)-1].Outcome == s2s.Later {
			return done, err
		}
		in = in[len(vs):]
	}
	return done, nil
}

// together is how many entries from the first on can share a transaction: messages that
// do not name one another.
func together(in []federation.Incoming) (run int) {
	before := map[s2s.Name]bool{}
	for _, e := range in {
		if e.Post != nil && (e.Post.Message == nil || slices.ContainsFunc(e.Post.Message.Named(), func(n s2s.Name) bool { return before[n] })) {
			break
		}
		if e.Post != nil {
			before[s2s.Name{From: e.Post.From, Origin: e.Post.Message.Origin, Tag: e.Post.Message.Tag}] = true
		}
		run++
	}
	return run
}

// refused is the verdict on a post that is against the rules.
func refused(n uint64, err error) s2s.Verdict {
	f := faultOf(err)
	v := s2s.Verdict{N: n, Outcome: s2s.Refused, Fault: f, Reason: f.Text()}
	if e := (*protocol.Error)(nil); errors.As(err, &e) && e.What != "" {
		v.Reason += ": " + e.What
	}
	return v
}

// ours reports whether an error is a fault of this node, after which the peer is to
// send again what it has sent.
func ours(err error) bool {
	f := faultOf(err)
	return f == protocol.Internal || f == protocol.Busy || f == protocol.Full
}

// deliverMessages stores messages, and takes the places of voids.
func (n *Node) deliverMessages(ctx context.Context, from federation.Peer, lane store.Lane, in []federation.Incoming) ([]s2s.Verdict, error) {
	var ids []protocol.TopicID
	for _, e := range in {
		if e.Post != nil {
			ids = append(ids, e.Post.TopicID())
		}
	}
	held, release, err := n.hold(ctx, ids)
	if err != nil {
		return nil, err
	}
	defer release()
	verdicts := make([]s2s.Verdict, len(in))
	ready := make([]*pending, len(in))
	for i, e := range in {
		verdicts[i].N = e.N
		if e.Post == nil {
			continue
		}
		p, err := held.prepare(from, e.Post)
		switch {
		case err != nil && ours(err):
			return nil, err
		case err != nil:
			verdicts[i] = refused(e.N, err)
		}
		ready[i] = p
	}
	err = n.store.Update(func(tx store.Tx) error {
		for i, p := range ready {
			if p != nil {
				if err := p.r.append(tx, p); err != nil {
					return err
				}
			}
			if err := federation.Record(tx, from.Name, lane, verdicts[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, p := range ready {
		if p != nil {
			p.r.stored(p)
			p.r.deliver(p.m, nil)
			p.r.callArrived(p.q.in.Pub, p.m)
		}
	}
	return verdicts, nil
}

// deliverOne applies a post that is no message.
func (n *Node) deliverOne(ctx context.Context, from federation.Peer, lane store.Lane, in federation.Incoming) ([]s2s.Verdict, error) {
	id := in.Post.TopicID()
	var err error
	recorded := false
	record := func(tx store.Tx) error {
		recorded = true
		return federation.Record(tx, from.Name, lane, s2s.Verdict{N: in.N})
	}
	if id == "" {
		err = n.receiveUser(from, in.Post, record)
	} else {
		held, release, holdErr := n.hold(ctx, []protocol.TopicID{id})
		if holdErr != nil {
			return nil, holdErr
		}
		err = held.receive(from, in.Post, record)
		release()
	}
	v := s2s.Verdict{N: in.N}
	w := (*waiting)(nil)
	switch {
	case errors.As(err, &w):
		v, recorded = w.verdict(in.N), false
	case err != nil && ours(err):
		return nil, err
	case err != nil:
		v, recorded = refused(in.N, err), false
	}
	if !recorded {
		err = n.store.Update(func(tx store.Tx) error { return federation.Record(tx, from.Name, lane, v) })
		if err != nil {
			return nil, err
		}
	}
	return []s2s.Verdict{v}, nil
}

// held are topics that stand still while somebody else works on them.
type held map[protocol.TopicID]*holdEvent

// holdEvent lends a topic out: it waits until it is released.
type holdEvent struct {
	t        *topic
	err      error
	ready    chan struct{}
	released <-chan struct{}
}

func (e *holdEvent) apply(t *topic) {
	e.t = t
	close(e.ready)
	<-e.released
}

func (e *holdEvent) absent(err error) {
	if e.t == nil {
		e.err = err
		close(e.ready)
	}
}

// hold borrows topics until release is called. Whoever borrows several takes them in
// the order of their ids, so that two cannot wait for each other.
func (n *Node) hold(ctx context.Context, ids []protocol.TopicID) (h held, release func(), err error) {
	slices.Sort(ids)
	released := make(chan struct{})
	h, release = held{}, func() { close(released) }
	for _, id := range slices.Compact(ids) {
		if k := id.Kind(); k != protocol.KindP2P && k != protocol.KindGroup {
			h[id] = &holdEvent{err: protocol.NotFound}
			continue
		}
		e := &holdEvent{ready: make(chan struct{}), released: released}
		n.sendAlways(id, e)
		h[id] = e
		select {
		case <-e.ready:
		case <-ctx.Done():
			release()
			return nil, nil, ctx.Err()
		}
	}
	return h, release, nil
}

// prepare makes a message ready for its topic.
func (h held) prepare(from federation.Peer, p *s2s.Post) (*pending, error) {
	k, err := h.receiver(p)
	if err != nil {
		return nil, err
	}
	return k.prepareRemote(from, p)
}

// receive gives a post to its topic; record runs in the transaction of its effect.
func (h held) receive(from federation.Peer, p *s2s.Post, record func(store.Tx) error) error {
	k, err := h.receiver(p)
	if err != nil {
		return err
	}
	r := k.asRoom()
	r.also = record
	defer func() { r.also = nil }()
	return k.receive(from, p)
}

func (h held) receiver(p *s2s.Post) (receiver, error) {
	e := h[p.TopicID()]
	if e.err != nil {
		return nil, e.err
	}
	k, ok := e.t.kind.(receiver)
	if !ok {
		return nil, protocol.Unsupported
	}
	return k, nil
}

// Hear implements federation.Handler.
func (n *Node) Hear(from federation.Peer, c *s2s.Cast) {
	if !n.enter() {
		return
	}
	defer n.wg.Done()
	switch {
	case c.Presence != nil:
		n.hearPresence(from.Name, c.Presence)
	case c.Here != nil && c.Here.Group.Kind() == protocol.KindGroup:
		n.sendAlways(c.Here.Group, &hereEvent{from.Name, c.Here})
	case c.Note != nil:
		n.tellRemote(from, c.Note.Topic, &noteEvent{from, c.Note})
	case c.Call != nil:
		n.tellRemote(from, c.Call.Topic, &callEvent{from, c.Call})
	}
}

// tellRemote gives e to a topic if that is live: nobody looks at others.
func (n *Node) tellRemote(_ federation.Peer, id protocol.TopicID, e event) { n.tell(id, e) }

// Answer implements federation.Handler.
func (n *Node) Answer(ctx context.Context, from federation.Peer, a *s2s.Ask) (*s2s.Answer, io.ReadCloser) {
	if !n.enter() {
		return failed(protocol.Busy), nil
	}
	defer n.wg.Done()
	switch {
	case a.Ping != nil:
		return &s2s.Answer{Ping: a.Ping}, nil
	case a.Card != "":
		return n.answerCard(from, a.Card), nil
	case a.Handle != "":
		return n.answerHandle(from, a.Handle), nil
	case a.Group != "":
		return n.answerGroup(ctx, from, a.Group), nil
	case a.File != nil:
		return n.answerFile(from, a.File)
	case a.Opinion != nil:
		return n.standing.answer(from, a.Opinion), nil
	case a.Snapshot != "":
		return n.answerSnapshot(from.Name, a), nil
	case a.Command != nil:
		return n.answerCommand(ctx, from, a.Command), nil
	case a.History != nil && a.History.Topic.Kind() == protocol.KindGroup:
		return n.answerGroupHistory(from.Name, a.History), nil
	case a.Resume != nil:
		return n.answerCompare(from.Name, a.Resume), nil
	case a.History != nil && a.History.Topic.Kind() == protocol.KindP2P:
		return n.answerHistory(from.Name, a.History), nil
	}
	return failed(protocol.Unsupported), nil
}

// Linked implements federation.Handler.
func (n *Node) Linked(p federation.Peer, s federation.LinkState) {
	if !n.enter() {
		return
	}
	n.start(func() { n.linked(p.Name, s) })
	n.wg.Done()
}
