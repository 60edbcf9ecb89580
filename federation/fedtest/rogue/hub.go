package rogue

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"slices"
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
	for {
		f, err := h.Hear(ctx)
		if err != nil {
			return nil, err
		}
		if a := f.LogAck; a != nil && a.Group == h.id && (a.Stop || a.Reset || a.Rev >= after+uint64(len(events))) {
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

func forgedInLog(ctx context.Context, w *World) (string, error) {
	h, err := w.home(ctx, 1)
	if err != nil {
		return "", err
	}
	bad := h.said(chris(), "put in the mouth of chris")
	bad.Sig = make([]byte, 64)
	unsigned := h.said(chris(), "put there without a signature")
	if _, err := h.tell(ctx, h.rev, bad, unsigned, h.said(w.Mallory(), "said by mallory")); err != nil {
		return "", err
	}
	seen, err := h.shows(ctx, w, "said by mallory")
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
	if _, err := h.tell(ctx, h.rev, will, own, h.said(w.Mallory(), "who is here")); err != nil {
		return "", err
	}
	if _, err := h.shows(ctx, w, "who is here"); err != nil {
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
	if _, err := h.tell(ctx, h.rev, h.said(w.Mallory(), "yes"), h.said(w.Mallory(), "agreed")); err != nil {
		return "", err
	}
	if _, err := h.shows(ctx, w, "agreed"); err != nil {
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
	ack, err := h.tell(ctx, h.rev+1, h.said(w.Mallory(), "the second"))
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
	type answer struct {
		code int
		err  error
		took time.Duration
	}
	done := make(chan answer, 1)
	start := time.Now()
	w.wg.Go(func() {
		code, err := w.Say(ctx, string(h.id), "is anybody there?")
		done <- answer{code, err, time.Since(start)}
	})
	if code, err := w.Say(ctx, string(w.Group), "and meanwhile here"); err != nil || code >= 300 || time.Since(start) > time.Second {
		<-done
		return "", through("another group waits %v: %d, %v", time.Since(start), code, err)
	}
	a := <-done
	switch {
	case a.err != nil:
		return "", a.err
	case a.took > patience || a.code < 500:
		return "", through("answered %d after %v", a.code, a.took)
	}
	return fmt.Sprintf("the member is answered %d after %.1f s; other groups do not wait", a.code, a.took.Seconds()), nil
}

// order puts a command of a client to Alice's group.
func (p *Peer) order(ctx context.Context, w *World, as protocol.UserID, request string) (*s2s.Answer, error) {
	key := make([]byte, 16)
	rand.Read(key) // never fails
	card := &s2s.Card{User: as, Version: 1, Public: []byte(`{"fn":"one of b"}`), Auth: usual}
	card.Sig = ed25519.Sign(w.Key.Private(), card.Signed())
	return p.Ask(ctx, &s2s.Ask{Command: &s2s.Command{Key: key, Group: w.Group, User: as, At: time.Now().UnixMilli(),
		Request: []byte(request), Card: card}})
}

func besideAMember(ctx context.Context, w *World) (string, error) {
	p, err := w.link(ctx)
	if err != nil {
		return "", err
	}
	a, err := p.order(ctx, w, w.Mallory(), `{"sub":{"topic":"`+string(w.Group)+`"}}`)
	if err != nil || a.Failed || a.Result == nil || a.Result.Code >= 300 {
		return "", fmt.Errorf("mallory may not join: %+v, %w", a, err)
	}
	pub := `{"pub":{"topic":"` + string(w.Group) + `","content":"me too"}}`
	a, err = p.order(ctx, w, w.Trudy(), pub)
	if err != nil {
		return "", err
	}
	shown, err := w.Shown(ctx, string(w.Group))
	switch {
	case err != nil:
		return "", err
	case slices.ContainsFunc(shown, func(m string) bool { return strings.Contains(m, "me too") }):
		return "", through("shown")
	case a.Failed:
		return "command refused: " + a.Fault.Text(), nil
	case a.Result.Code >= 400:
		return fmt.Sprintf("command answered %d %s", a.Result.Code, a.Result.Text), nil
	}
	return "", through("%+v", a.Result)
}
