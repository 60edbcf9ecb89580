package rogue

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"strings"
	"time"

	"parley/protocol"
	"parley/protocol/s2s"
)

// What the home of a group does, and what a follower does to one.
var hubs = []Attack{
	{"forged words in a log", "the home of a group shows words of a third node's user", forgedInLog},
	{"forged will in a log", "the home of a group lets a third node's user join", forgedWill},
	{"rewritten history", "the home of a group tells another past", rewritten},
	{"log out of order", "the home of a group leaves out a revision", skipped},
	{"slow home", "the home of a group takes what members want, and never answers", slow},
	{"post beside a member", "a follower with a member posts for one who is none", besideAMember},
}

// Chris is a user of the third node.
func chris() protocol.UserID { return protocol.NewUserID(3, Third) }

const (
	usual = protocol.Join | protocol.Read | protocol.Write | protocol.Presence | protocol.Share
	all   = usual | protocol.Approve | protocol.Delete | protocol.Owner
)

// home is a group of Mallory's, in which Alice is, at its revision.
type home struct {
	*Peer
	id  protocol.TopicID
	rev uint64
	seq int
}

// home founds the k-th group and has Alice in it.
func (w *World) home(ctx context.Context, k uint64) (*home, error) {
	p, err := w.link(ctx)
	if err != nil {
		return nil, err
	}
	h := &home{Peer: p, id: protocol.NewGroupID(k, w.Self), rev: 1}
	now := time.Now().UnixMilli()
	v, err := p.Post(ctx, &s2s.Post{Topic: h.id, At: now, Invite: &s2s.Invite{User: w.Alice, By: w.Mallory(), Given: usual,
		Group:   s2s.Group{ID: h.id, Created: now, Updated: now, Owner: w.Mallory(), Auth: usual, Public: []byte(`{"fn":"a trap"}`), Rev: h.rev},
		Members: []s2s.Membership{{User: w.Mallory(), Want: all, Given: all}, {User: w.Alice, Given: usual}, {User: chris(), Given: usual}}}})
	if err != nil || v.Outcome != s2s.Applied {
		return nil, fmt.Errorf("the invitation is not taken: %+v, %w", v, err)
	}
	return h, w.Attach(ctx, string(h.id))
}

// said is a message in the log.
func (h *home) said(by protocol.UserID, text string) s2s.Event {
	h.seq++
	now := time.Now().UnixMilli()
	return s2s.Event{At: now, By: by, Message: &s2s.GroupMessage{Seq: h.seq, Tag: uint32(h.seq), TS: now, Content: []byte(`"` + text + `"`)}}
}

// tell sends a piece of the log and returns what the follower says of it.
func (h *home) tell(ctx context.Context, after uint64, events ...s2s.Event) (*s2s.LogAck, error) {
	if err := h.log(ctx, after, events...); err != nil {
		return nil, err
	}
	return h.acked(ctx, after+uint64(len(events)))
}

// acked waits for what the follower says of a log up to a revision.
func (h *home) acked(ctx context.Context, upto uint64) (*s2s.LogAck, error) {
	for {
		f, err := h.Hear(ctx)
		if err != nil {
			return nil, err
		}
		if a := f.LogAck; a != nil && a.Group == h.id && (a.Stop || a.Reset || a.Rev >= upto) {
			return a, nil
		}
	}
}

func (h *home) log(ctx context.Context, after uint64, events ...s2s.Event) error {
	return h.line(ctx, s2s.LaneOf(h.id), &s2s.Line{Log: &s2s.Log{Group: h.id, After: after, Events: events}})
}

// shows waits until the group has a text among what Alice sees, and returns all of that.
func (h *home) shows(ctx context.Context, w *World, text string) (string, error) {
	for {
		shown, err := w.Shown(ctx, string(h.id))
		if all := strings.Join(shown, "\n"); err != nil || strings.Contains(all, text) {
			return all, err
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("%q is not shown: %w", text, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// shown tells events and, behind them, something of Mallory's, and returns what Alice sees
// once she sees that.
func (h *home) shown(ctx context.Context, w *World, last string, events ...s2s.Event) (string, error) {
	if _, err := h.tell(ctx, h.rev, append(events, h.said(w.Mallory(), last))...); err != nil {
		return "", err
	}
	return h.shows(ctx, w, last)
}

// meanwhile does something that takes long while Alice says something in another group,
// which must not wait for it. It returns how long that took.
func (w *World) meanwhile(ctx context.Context, do func()) (took time.Duration, err error) {
	done := make(chan time.Duration, 1)
	start := time.Now()
	w.wg.Go(func() {
		do()
		done <- time.Since(start)
	})
	code, err := w.Say(ctx, string(w.Group), "and meanwhile here")
	waited := time.Since(start)
	took = <-done
	if err != nil || code >= 300 || waited > time.Second {
		return took, through("another group waits %v: %d, %v", waited, code, err)
	}
	return took, nil
}

func forgedInLog(ctx context.Context, w *World) (string, error) {
	h, err := w.home(ctx, 1)
	if err != nil {
		return "", err
	}
	bad := h.said(chris(), "put in the mouth of chris")
	bad.Sig = make([]byte, 64)
	unsigned := h.said(chris(), "put there without a signature")
	seen, err := h.shown(ctx, w, "said by mallory", bad, unsigned)
	switch {
	case err != nil:
		return "", err
	case strings.Contains(seen, "put "):
		return "", through("shown: %s", seen)
	}
	return "not shown; what the home's own user says is", nil
}

func forgedWill(ctx context.Context, w *World) (string, error) {
	h, err := w.home(ctx, 2)
	if err != nil {
		return "", err
	}
	now := time.Now().UnixMilli()
	will := s2s.Event{At: now, By: chris(), Sub: &s2s.Membership{User: chris(), Want: usual, Given: usual}, Sig: make([]byte, 64)}
	own := s2s.Event{At: now, By: w.Alice, Sub: &s2s.Membership{User: w.Alice, Want: all, Given: usual}, Sig: make([]byte, 64)}
	if _, err := h.shown(ctx, w, "who is here", will, own); err != nil {
		return "", err
	}
	modes, err := w.Wants(ctx, string(h.id))
	if err != nil {
		return "", err
	}
	if m := modes[string(chris())]; m.Has(protocol.Write) {
		return "", through("chris wants %v", m)
	}
	if m := modes[string(w.Alice)]; m.Has(protocol.Owner) {
		return "", through("alice wants %v", m)
	}
	return "what a user wants stays as that user's node has said", nil
}

func rewritten(ctx context.Context, w *World) (string, error) {
	h, err := w.home(ctx, 3)
	if err != nil {
		return "", err
	}
	if _, err := h.shown(ctx, w, "agreed", h.said(w.Mallory(), "yes")); err != nil {
		return "", err
	}
	h.seq = 0
	again := h.said(w.Mallory(), "no, never")
	again.Message.Tag = 77
	ack, err := h.tell(ctx, h.rev, again)
	if err != nil {
		return "", err
	}
	seen, err := h.shows(ctx, w, "yes")
	switch {
	case err != nil:
		return "", err
	case strings.Contains(seen, "never") || !ack.Stop:
		return "", through("answered %+v, shown: %s", ack, seen)
	}
	return "the follower keeps what it has, and follows no longer", nil
}

func skipped(ctx context.Context, w *World) (string, error) {
	h, err := w.home(ctx, 4)
	if err != nil {
		return "", err
	}
	if err := h.log(ctx, h.rev+1, h.said(w.Mallory(), "the second")); err != nil {
		return "", err
	}
	ack, err := h.acked(ctx, h.rev) // whatever it is
	switch {
	case err != nil:
		return "", err
	case !ack.Reset || ack.Rev != h.rev:
		return "", through("answered %+v", ack)
	}
	first := h.said(w.Mallory(), "the first")
	if _, err := h.tell(ctx, h.rev, first); err != nil {
		return "", err
	}
	seen, err := h.shows(ctx, w, "the first")
	if err != nil || strings.Contains(seen, "the second") {
		return "", through("shown: %s, %v", seen, err)
	}
	return fmt.Sprintf("asked for again from revision %d", ack.Rev), nil
}

// patience is for how long a client may wait at most: then the SDK gives up by itself.
const patience = 5 * time.Second

func slow(ctx context.Context, w *World) (string, error) {
	h, err := w.home(ctx, 5)
	if err != nil {
		return "", err
	}
	var code int
	var failed error
	took, err := w.meanwhile(ctx, func() { code, failed = w.Say(ctx, string(h.id), "is anybody there?") })
	switch {
	case err != nil:
		return "", err
	case failed != nil:
		return "", failed
	case took > patience || code < 500:
		return "", through("answered %d after %v", code, took)
	}
	return fmt.Sprintf("the member is answered %d after %.1f s; other groups do not wait", code, took.Seconds()), nil
}

// face is the card of a user of the rogue's, who joins.
func (w *World) face(u protocol.UserID) *s2s.Card {
	card := &s2s.Card{User: u, Version: 1, Public: []byte(`{"fn":"one of b"}`), Auth: usual}
	card.Sig = ed25519.Sign(w.Key.Private(), card.Signed())
	return card
}

func besideAMember(ctx context.Context, w *World) (string, error) {
	p, err := w.link(ctx)
	if err != nil {
		return "", err
	}
	a, err := p.order(ctx, w, w.Mallory(), `{"sub":{"topic":"`+string(w.Group)+`"}}`, w.face(w.Mallory()))
	if err != nil || a.Failed || a.Result == nil || a.Result.Code >= 300 {
		return "", fmt.Errorf("mallory may not join: %+v, %w", a, err)
	}
	a, err = p.order(ctx, w, w.Trudy(), w.pub("me too"), w.face(w.Trudy()))
	if err != nil {
		return "", err
	}
	return w.turnedDown(ctx, a, "me too")
}
