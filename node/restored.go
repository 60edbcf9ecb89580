package node

import (
	"context"
	"errors"
	"slices"

	"parley/federation"
	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
)

// After a node was set back to a backup, it and its peers have different parts of the
// conversations between them. Each asks the other how far it is and fetches what it
// lacks; messages have names, so that none comes twice.

const (
	compareBatch = 500 // topics in one question
	historyBatch = 100 // messages in one answer
	// overlap is how many messages before the last known one are fetched again: numbers
	// that were given again after a set-back may hide others.
	overlap = 256
)

var _ federation.Restorer = (*Node)(nil)

// Restored implements federation.Restorer for conversations of two.
func (n *Node) Restored(ctx context.Context, p federation.Peer) error {
	if !n.enter() {
		return errStopping
	}
	defer n.wg.Done()
	shared, err := n.sharedTopics(p.Name)
	if err != nil {
		return err
	}
	for len(shared) > 0 {
		batch := shared[:min(len(shared), compareBatch)]
		shared = shared[len(batch):]
		a, err := n.ask(ctx, p.Name, &s2s.Ask{Resume: &s2s.Compare{Topics: batch}})
		if err != nil {
			return err
		}
		if a.Compare == nil {
			return protocol.Unsupported
		}
		for i, theirs := range a.Compare.Topics {
			if i >= len(batch) || theirs.Topic != batch[i].Topic {
				return protocol.Malformed
			}
			if err := n.catchUp(ctx, p, batch[i], theirs); err != nil {
				return err
			}
		}
	}
	return nil
}

// sharedTopics are the conversations with users of a node, and how far they are here.
func (n *Node) sharedTopics(with protocol.Node) ([]s2s.TopicState, error) {
	var all []s2s.TopicState
	err := n.store.View(func(tx store.Tx) error {
		all = nil
		for t, err := range tx.AllTopics() {
			if err != nil {
				return err
			}
			if n.other(t.ID) != with {
				continue
			}
			s, err := n.topicState(tx, t.ID)
			if err != nil {
				return err
			}
			all = append(all, s)
		}
		return nil
	})
	return all, err
}

// topicState is how far a conversation of two is here.
func (n *Node) topicState(tx store.Tx, id protocol.TopicID) (s2s.TopicState, error) {
	s := s2s.TopicState{Topic: id}
	head, err := tx.Head(id)
	if err != nil {
		return s, err
	}
	for m, err := range tx.History(id, 1, head.Seq+1) {
		if err != nil {
			return s, err
		}
		switch {
		case m.From == "":
		case n.remote(m.From):
			s.Yours = max(s.Yours, m.Origin)
		default:
			s.Mine = max(s.Mine, m.Origin)
		}
		if s.Mine > 0 && s.Yours > 0 {
			break
		}
	}
	return s, nil
}

// catchUp fetches what the other has of a conversation and we have not, of both users.
func (n *Node) catchUp(ctx context.Context, p federation.Peer, ours, theirs s2s.TopicState) error {
	a, b := ours.Topic.Peers()
	for _, u := range []protocol.UserID{a, b} {
		have, there := ours.Mine, theirs.Yours
		if n.remote(u) {
			have, there = ours.Yours, theirs.Mine
		}
		low := max(1, min(have, there)-overlap)
		for low <= there {
			next, err := n.fetch(ctx, p, &s2s.History{Topic: ours.Topic, Of: u, Low: low, High: there + 1, Limit: historyBatch})
			if err != nil {
				return err
			}
			if next <= low {
				break
			}
			low = next
		}
	}
	return nil
}

// fetch gets a piece of a conversation and keeps what is new in it. It returns the
// number to go on with.
func (n *Node) fetch(ctx context.Context, p federation.Peer, ask *s2s.History) (next int, err error) {
	a, err := n.ask(ctx, p.Name, &s2s.Ask{History: ask})
	if err != nil {
		return 0, err
	}
	held, release, err := n.hold(ctx, []protocol.TopicID{ask.Topic})
	if err != nil {
		return 0, err
	}
	defer release()
	e := held[ask.Topic]
	if e.err != nil {
		return 0, e.err
	}
	k, ok := e.t.kind.(*p2p)
	if !ok {
		return 0, protocol.Unsupported
	}
	for i := range a.Posts {
		post := &a.Posts[i]
		if post.Message == nil || post.From != ask.Of || post.TopicID() != ask.Topic {
			return 0, protocol.Malformed
		}
		if err := k.recover(post); err != nil {
			return 0, err
		}
		next = max(next, post.Message.Origin+1)
	}
	return next, nil
}

// recover keeps a message that is in the other replica of the conversation, unless it
// is in this one.
func (p *p2p) recover(post *s2s.Post) error {
	if len(post.Message.Head)+len(post.Message.Content) > p.n.cfg.Limits.MaxMessage {
		return nil
	}
	m := &store.Message{From: post.From, TS: sentAt(post.At, p.n.wall()), Tag: post.Message.Tag}
	err := p.n.store.View(func(tx store.Tx) error {
		seq, err := tx.Named(p.t.id, post.From, post.Message.Origin, post.Message.Tag)
		if err != nil {
			return err
		}
		if seq > 0 {
			return protocol.Exists
		}
		in, err := p.inward(tx, post)
		if err != nil {
			return err
		}
		m.Content = in.Content
		if len(in.Head) > 0 {
			m.Head, err = outsideHead(jsonObject(in.Head), false)
		}
		return err
	})
	if f := faultOf(err); err != nil && (f == protocol.Exists || f == protocol.Malformed || f == protocol.NotFound || f == protocol.Denied) {
		return nil
	}
	if err != nil {
		return err
	}
	l := &pending{r: p.room, q: p.n.remoteRequest(post.From, &protocol.Request{}), m: m, origin: post.Message.Origin, told: true}
	if err := p.update(func(tx store.Tx) error { return p.append(tx, l) }); err != nil {
		return err
	}
	p.stored(l)
	p.deliver(m, nil)
	return nil
}

// answerCompare tells a peer how far its conversations with our users are here.
func (n *Node) answerCompare(from protocol.Node, in *s2s.Compare) *s2s.Answer {
	if len(in.Topics) > compareBatch {
		return failed(protocol.TooLarge)
	}
	out := &s2s.Compare{Topics: make([]s2s.TopicState, len(in.Topics))}
	err := n.store.View(func(tx store.Tx) error {
		for i, t := range in.Topics {
			if n.other(t.Topic) != from {
				return protocol.Denied
			}
			s, err := n.topicState(tx, t.Topic)
			if err != nil {
				return err
			}
			out.Topics[i] = s
		}
		return nil
	})
	if err != nil {
		return failed(err)
	}
	return &s2s.Answer{Compare: out}
}

// answerHistory gives a peer messages of a conversation between its user and ours.
func (n *Node) answerHistory(from protocol.Node, in *s2s.History) *s2s.Answer {
	if n.other(in.Topic) != from {
		return failed(protocol.Denied)
	}
	a, b := in.Topic.Peers()
	if in.Of != a && in.Of != b {
		return failed(protocol.Malformed)
	}
	to := in.Topic.Peer(in.Of)
	out := &s2s.Answer{}
	limit := min(max(in.Limit, 1), historyBatch)
	err := n.store.View(func(tx store.Tx) error {
		out.Posts = nil
		head, err := tx.Head(in.Topic)
		if err != nil {
			return err
		}
		r := &room{t: &topic{n: n, id: in.Topic}, n: n}
		for m, err := range tx.History(in.Topic, 1, head.Seq+1) {
			if err != nil {
				return err
			}
			if m.From != in.Of || m.Origin >= in.High {
				continue
			}
			if m.Origin < in.Low {
				break
			}
			message, err := r.outward(tx, m)
			if err != nil {
				return err
			}
			out.Posts = append(out.Posts, s2s.Post{From: m.From, To: to, At: m.TS.UnixMilli(), Message: message})
		}
		return nil
	})
	if errors.Is(err, store.ErrNotFound) {
		err = protocol.NotFound
	}
	if err != nil {
		return failed(err)
	}
	slices.Reverse(out.Posts) // found newest first; wanted are the oldest
	out.Posts = out.Posts[:min(len(out.Posts), limit)]
	return out
}
