package rogue

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"time"

	"parley/protocol"
	"parley/protocol/s2s"
)

// What is said in another's name, or to people who have not asked for it.
var words = []Attack{
	{"forged author", "a peer posts as a user of a third node", forgedAuthor},
	{"forged local author", "a peer posts as one of the victim's own users", forgedLocal},
	{"forged card", "a peer changes the face of a third node's user", forgedCard},
	{"forged tombstone", "a peer ends the account of a third node's user", forgedTombstone},
	{"heads that servers own", "a peer sets sender and x-parley heads", ownedHeads},
	{"invitation flood", "a stranger keeps writing before being answered", flood},
	{"forged member", "a follower posts in a group as a user of the group's own node", forgedMember},
	{"post for a non-member", "a follower posts in a group for one who is not in it", nonMember},
}

func text(from, to protocol.UserID, k int, content string) *s2s.Post {
	return &s2s.Post{From: from, To: to, At: time.Now().UnixMilli(),
		Message: &s2s.Message{Origin: k, Tag: uint32(k), Content: []byte(content)}}
}

// refuses posts what must be refused, for one of some faults.
func refuses(ctx context.Context, w *World, post *s2s.Post, faults ...protocol.Fault) (string, error) {
	p, err := w.link(ctx)
	if err != nil {
		return "", err
	}
	v, err := p.Post(ctx, post)
	switch {
	case err != nil:
		return "", err
	case v.Outcome != s2s.Refused:
		return "", through("verdict %d", v.Outcome)
	case !slices.Contains(faults, v.Fault):
		return "", fmt.Errorf("refused for %v, not %v", v.Fault, faults)
	}
	return "post refused: " + v.Reason, nil
}

func forgedAuthor(ctx context.Context, w *World) (string, error) {
	author := protocol.NewUserID(9, Third)
	if err := w.Attach(ctx, string(author)); err != nil { // nothing but the author may stand in the way
		return "", err
	}
	return refuses(ctx, w, text(author, w.Alice, 1, `"forged"`), protocol.Denied)
}

func forgedLocal(ctx context.Context, w *World) (string, error) {
	return refuses(ctx, w, text(w.Carol, w.Alice, 1, `"forged"`), protocol.Denied)
}

func forgedCard(ctx context.Context, w *World) (string, error) {
	return refuses(ctx, w, &s2s.Post{From: w.Mallory(), At: 1,
		Card: &s2s.Card{User: protocol.NewUserID(9, Third), Version: 1 << 40, Public: []byte(`{"fn":"me"}`)}}, protocol.Denied)
}

func forgedTombstone(ctx context.Context, w *World) (string, error) {
	return refuses(ctx, w, &s2s.Post{From: w.Mallory(), At: 1,
		Tombstone: &s2s.Tombstone{User: protocol.NewUserID(9, Third), At: 1, Sig: make([]byte, 64)}}, protocol.Denied)
}

func ownedHeads(ctx context.Context, w *World) (string, error) {
	p, err := w.link(ctx)
	if err != nil {
		return "", err
	}
	post := text(w.Mallory(), w.Alice, 101, `"with heads"`)
	post.Message.Head = []byte(`{"sender":"` + string(w.Alice) + `","x-parley-status":"bounced","mime":"text/plain"}`)
	v, err := p.Post(ctx, post)
	if err != nil || v.Outcome != s2s.Applied {
		return "", fmt.Errorf("the message is not taken: %+v, %w", v, err)
	}
	shown, err := w.Shown(ctx, string(w.Mallory()))
	if err != nil {
		return "", err
	}
	for _, m := range shown {
		switch {
		case !strings.Contains(m, "with heads"):
		case strings.Contains(m, "sender") || strings.Contains(m, "x-parley"):
			return "", through("shown as %s", m)
		default:
			return "heads taken off; the message is shown without", nil
		}
	}
	return "", fmt.Errorf("the message is not shown among %d", len(shown))
}

// free is more texts than a stranger has.
const free = 8

func flood(ctx context.Context, w *World) (string, error) {
	p, err := w.link(ctx)
	if err != nil {
		return "", err
	}
	open := protocol.Join | protocol.Read | protocol.Write
	if v, err := p.Post(ctx, &s2s.Post{From: w.Trudy(), To: w.Carol, At: 1, Mode: &s2s.Mode{Want: open, Given: open}}); err != nil || v.Outcome != s2s.Applied {
		return "", fmt.Errorf("the first contact is not taken: %+v, %w", v, err)
	}
	for k := range free {
		v, err := p.Post(ctx, text(w.Trudy(), w.Carol, k+1, `"buy"`))
		if err != nil {
			return "", err
		}
		if v.Outcome == s2s.Refused && v.Fault == protocol.Policy {
			return fmt.Sprintf("%d texts taken; then post refused: %s", k, v.Reason), nil
		}
	}
	return "", through("%d texts of a stranger are taken", free)
}

// order puts a command of a client to Alice's group, through a follower; card may be nil.
func (p *Peer) order(ctx context.Context, w *World, as protocol.UserID, request string, card *s2s.Card) (*s2s.Answer, error) {
	key := make([]byte, 16)
	rand.Read(key) // never fails
	return p.Ask(ctx, &s2s.Ask{Command: &s2s.Command{Key: key, Group: w.Group, User: as, At: time.Now().UnixMilli(),
		Request: []byte(request), Card: card}})
}

// pub is a client's request to post in Alice's group.
func (w *World) pub(text string) string {
	return `{"pub":{"topic":"` + string(w.Group) + `","content":"` + text + `"}}`
}

// turnedDown says how a command to post a text in Alice's group was refused; nor may it be shown.
func (w *World) turnedDown(ctx context.Context, a *s2s.Answer, text string) (string, error) {
	shown, err := w.Shown(ctx, string(w.Group))
	switch {
	case err != nil:
		return "", err
	case slices.ContainsFunc(shown, func(m string) bool { return strings.Contains(m, text) }):
		return "", through("shown; answered %+v", a.Result)
	case a.Failed:
		return "command refused: " + a.Fault.Text(), nil
	case a.Result != nil && a.Result.Code >= 400:
		return fmt.Sprintf("command answered %d %s", a.Result.Code, a.Result.Text), nil
	}
	return "", through("%+v", a.Result)
}

// command posts in Alice's group as a user.
func command(ctx context.Context, w *World, as protocol.UserID) (string, error) {
	p, err := w.link(ctx)
	if err != nil {
		return "", err
	}
	a, err := p.order(ctx, w, as, w.pub("let me in"), nil)
	if err != nil {
		return "", err
	}
	return w.turnedDown(ctx, a, "let me in")
}

func forgedMember(ctx context.Context, w *World) (string, error) { return command(ctx, w, w.Alice) }

func nonMember(ctx context.Context, w *World) (string, error) { return command(ctx, w, w.Trudy()) }
