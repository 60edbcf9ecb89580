package node

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"parley/federation"
	"parley/protocol"
	"parley/store"
)

// Returned implements federation.Handler: what became of a message is said in its
// conversation, in a line that the author's node writes and that stays there.
func (n *Node) Returned(ctx context.Context, _ protocol.Node, ends []federation.Ending, settle func(store.Tx) error) error {
	if !n.enter() {
		return errStopping
	}
	defer n.wg.Done()
	var ids []protocol.TopicID
	for _, e := range ends {
		if e.Post.Message != nil || e.Post.Mode != nil {
			ids = append(ids, e.Post.TopicID())
		}
	}
	held, release, err := n.hold(ctx, ids)
	if err != nil {
		return err
	}
	defer release()
	var lines []*pending
	for _, e := range ends {
		if h := held[e.Post.TopicID()]; h != nil && h.err == nil {
			if p, ok := h.t.kind.(*p2p); ok && p.rec != nil {
				m, err := p.bounce(e)
				if err != nil {
					return err
				}
				if m != nil {
					lines = append(lines, &pending{r: p.room, m: m, q: n.remoteRequest("", &protocol.Request{})})
				}
			}
		}
	}
	err = n.store.Update(func(tx store.Tx) error {
		for _, l := range lines {
			if err := l.r.append(tx, l); err != nil {
				return err
			}
		}
		return settle(tx)
	})
	if err != nil {
		return err
	}
	for _, l := range lines {
		l.r.stored(l)
		l.r.deliver(l.m, nil)
	}
	for _, e := range ends { // a member whose node does not want the group
		if in := e.Post.Invite; in != nil && (e.How == federation.Refused || e.How == federation.Expired) {
			n.sendAlways(e.Post.Topic, newDeparture(in.User, false))
		}
		if e.Post.Follow != nil && e.How == federation.Refused {
			n.sendAlways(e.Post.Topic, unwantedEvent{})
		}
	}
	return nil
}

// bounce is the line that says how a post has ended; nil if nobody needs to know.
func (p *p2p) bounce(e federation.Ending) (*store.Message, error) {
	head := map[string]any{"auto": true, "x-parley-status": e.How.String()}
	switch sent := e.Post.Message; {
	case sent != nil && p.callRefused(e):
		return nil, nil // that the call is over says it
	case sent != nil:
		err := p.n.store.View(func(tx store.Tx) error {
			seq, err := tx.Named(p.t.id, e.Post.From, sent.Origin, sent.Tag)
			if seq > 0 {
				head["reply"] = strconv.Itoa(seq)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	case e.Post.Mode == nil || e.Post.Mode.Card == nil || e.How != federation.Refused: // only that a conversation could not begin
		return nil, nil
	}
	h, err := json.Marshal(head)
	if err != nil {
		return nil, err
	}
	return &store.Message{TS: p.n.wall().Truncate(time.Millisecond), Tag: uint32(random()), Head: h, Content: jsonString(bounceText(e))}, nil
}

func bounceText(e federation.Ending) string {
	to := string(e.Post.To.Node())
	switch e.How {
	case federation.Refused:
		return "Not delivered: " + to + " refused it (" + e.Verdict.Reason + ")."
	case federation.Expired:
		return "Not delivered: " + to + " could not be reached."
	case federation.Unconfirmed:
		return "Perhaps not delivered: " + to + " has not confirmed it and cannot be reached."
	case federation.Confirmed:
		return "Delivered after all."
	case federation.Held:
		return "Not delivered yet: " + to + " takes no more of this at the moment. It will be tried again."
	}
	return "Not delivered yet: " + to + " cannot be reached. It will be tried again."
}
