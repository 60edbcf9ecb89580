package rogue

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"parley/federation"
	"parley/protocol"
	"parley/protocol/client"
	"parley/protocol/s2s"
)

// What was true once, or is still, told as something else.
var histories = []Attack{
	{"words said before", "the home of a group tells signed words a second time, elsewhere, or with a change", saidBefore},
	{"words of a revoked key", "the home of a group tells words that a thief has signed", revokedWords},
	{"known number", "the home of a group gives new words the number of old ones", knownNumber},
	{"trickling home", "the home of a group answers who wants to join byte by byte", trickling},
	{"weaker proof", "another key under a pinned name, which the DNS has instead", weaker},
}

// author is a user of a third node, whose name is made from its key: so its signatures can
// be checked without asking anybody.
type author struct {
	key  *federation.Key
	user protocol.UserID
}

func newAuthor() *author {
	k := strange()
	return &author{key: k, user: protocol.NewUserID(3, federation.KeyName(k.Public()))}
}

// says has the author's node sign a message, and the home tell it.
func (h *home) says(a *author, text string) s2s.Event {
	e := h.said(a.user, text)
	h.sign(a, &e)
	return e
}

func (h *home) sign(a *author, e *s2s.Event) {
	e.Sig = ed25519.Sign(a.key.Private(), e.Message.Signed(h.id, a.user))
}

// renumbered is a message with the next number.
func (h *home) renumbered(e s2s.Event) s2s.Event {
	h.seq++
	m := *e.Message
	m.Seq = h.seq
	e.Message = &m
	return e
}

// distinct counts the messages with a text. One that is told while it is asked for comes twice.
func distinct(seen, text string) int {
	all := map[string]bool{}
	for line := range strings.SplitSeq(seen, "\n") {
		if strings.Contains(line, text) {
			all[line] = true
		}
	}
	return len(all)
}

func saidBefore(ctx context.Context, w *World) (string, error) {
	h, err := w.home(ctx, 6)
	if err != nil {
		return "", err
	}
	chris := newAuthor()
	first := h.says(chris, "once")
	again, changed := h.renumbered(first), h.renumbered(first)
	changed.Message.Content = []byte(`"something else"`)
	seen, err := h.shown(ctx, w, "that is all", first, again, changed)
	switch {
	case err != nil:
		return "", err
	case !strings.Contains(seen, `"once"`):
		return "", fmt.Errorf("what is signed is not shown: %s", seen)
	case distinct(seen, `"once"`) > 1 || strings.Contains(seen, "something else"):
		return "", through("shown: %s", seen)
	}
	other, err := w.home(ctx, 7)
	if err != nil {
		return "", err
	}
	switch seen, err = other.shown(ctx, w, "and here", other.renumbered(first)); {
	case err != nil:
		return "", err
	case strings.Contains(seen, `"once"`):
		return "", through("shown in another group: %s", seen)
	}
	return "shown once, where it was said", nil
}

func revokedWords(ctx context.Context, w *World) (string, error) {
	h, err := w.home(ctx, 8)
	if err != nil {
		return "", err
	}
	chris := newAuthor()
	before := h.says(chris, "before the theft")
	revocation, err := chris.key.State(federation.KindRevocation,
		&federation.Revocation{Name: chris.user.Node(), At: time.Now().UnixMilli()})
	if err != nil {
		return "", err
	}
	defer func(s *s2s.Statement) { w.Succession = s }(w.Succession)
	w.Succession = revocation
	how, err := turnedAway(ctx, w, chris.user.Node(), chris.user.Node(), chris.key)
	if err != nil {
		return "", err
	}
	stolen := h.said(chris.user, "by the thief")
	stolen.Message.TS += time.Second.Milliseconds()
	stolen.At = before.At // the home chooses it; what is signed counts
	h.sign(chris, &stolen)
	seen, err := h.shown(ctx, w, "that is all", before, stolen)
	switch {
	case err != nil:
		return "", err
	case !strings.Contains(seen, "before the theft"):
		return "", fmt.Errorf("what was signed before is not shown: %s", seen)
	case strings.Contains(seen, "thief"):
		return "", through("shown: %s", seen)
	}
	return "only what was signed before is shown; " + how, nil
}

func knownNumber(ctx context.Context, w *World) (string, error) {
	h, err := w.home(ctx, 9)
	if err != nil {
		return "", err
	}
	if _, err := h.shown(ctx, w, "I owe you"); err != nil {
		return "", err
	}
	h.seq = 0
	ack, err := h.tell(ctx, h.rev+1, h.said(w.Mallory(), "you owe me"))
	if err != nil {
		return "", err
	}
	seen, err := h.shows(ctx, w, "I owe you")
	switch {
	case err != nil:
		return "", err
	case strings.Contains(seen, "you owe me") || !ack.Stop:
		return "", through("answered %+v, shown: %s", ack, seen)
	}
	return "the follower keeps what it has, and follows no longer", nil
}

// trickle is how often a byte comes of an answer that has no end in sight.
const trickle = 100 * time.Millisecond

func trickling(ctx context.Context, w *World) (string, error) {
	p, err := w.link(ctx)
	if err != nil {
		return "", err
	}
	drip, stop := context.WithCancel(ctx)
	defer stop()
	w.wg.Go(func() { p.drip(drip) })
	var asked error
	took, err := w.meanwhile(ctx, func() { asked = w.Attach(ctx, string(protocol.NewGroupID(10, w.Self))) })
	e, ok := errors.AsType[*client.Error](asked)
	switch {
	case err != nil:
		return "", err
	case !ok || e.Code < 500:
		return "", through("who wants to join is answered %v", asked)
	case took > patience:
		return "", through("answered %d after %v", e.Code, took)
	}
	return fmt.Sprintf("who wants to join is answered %d after %.1f s; other groups do not wait", e.Code, took.Seconds()), nil
}

// drip answers each question in small pieces.
func (p *Peer) drip(ctx context.Context) {
	for {
		s, err := p.conn.Accept(ctx)
		if err != nil {
			return
		}
		var a s2s.Ask
		if _, err := p.codec.ReadFrame(bufio.NewReader(s), s2s.MaxFrame, &a); err != nil || a.Command == nil {
			s.Reset(federation.CloseGoodbye)
			continue
		}
		for b := s2s.AppendVarint(nil, s2s.MaxFrame/2); ; b = []byte{0} {
			if _, err := s.Write(b); err != nil {
				break
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(trickle):
			}
		}
	}
}

// weaker must not get in by what the DNS says where the operator has said something else.
func weaker(ctx context.Context, w *World) (string, error) {
	key := strange()
	w.Register(w.Self, netip.MustParseAddrPort("127.0.0.1:9"), key.Pin())
	before := w.Asked()
	how, err := turnedAway(ctx, w, w.Self, w.Self, key)
	if asked := w.Asked() - before; err == nil && asked > 0 {
		return "", through("%d questions are asked about a name that is pinned", asked)
	}
	return how, err
}
