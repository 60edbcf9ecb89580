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
				if m := bounce(e); m != nil {
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
	return nil
}

// bounce is the line that says how a post has ended; nil if nobody needs to know.
func bounce(e federation.Ending) *store.Message {
	p := e.Post
	head := map[string]any{"auto": true, "x-parley-status": e.How.String()}
	switch {
	case p.Message != nil:
		head["reply"] = strconv.Itoa(p.Message.Origin)
	case p.Mode == nil || p.Mode.Card == nil || e.How != federation.Refused: // only that a conversation could not begin
		return nil
	}
	h, err := json.Marshal(head)
	if err != nil {
		return nil
	}
	return &store.Message{TS: time.Now().Truncate(time.Millisecond), Tag: uint32(random()), Head: h, Content: jsonString(bounceText(e))}
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
	}
	return "Not delivered yet: " + to + " cannot be reached. It will be tried again."
}
