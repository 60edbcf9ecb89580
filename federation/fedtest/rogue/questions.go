package rogue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"parley/protocol"
	"parley/protocol/s2s"
)

// What is asked by those who have no business to know.
var questions = []Attack{
	{"file-id guessing", "a peer asks for files by ids that it makes up", guessing},
	{"history of others", "a peer asks for the conversation of two others", history},
	{"group of others", "a peer without members asks for a group's state", snapshot},
	{"group probing", "a stranger guesses groups, and asks what is in one", groups},
	{"presence probing", "a stranger asks who is online", probing},
}

// tries is how often something is guessed.
const tries = 50

// unanswered puts a question that must fail.
func unanswered(ctx context.Context, w *World, a *s2s.Ask) (string, error) {
	p, err := w.link(ctx)
	if err != nil {
		return "", err
	}
	answer, err := p.Ask(ctx, a)
	switch {
	case err != nil:
		return "", err
	case !answer.Failed:
		return "", through("%+v", answer)
	}
	return "question refused: " + answer.Fault.Text(), nil
}

func guessing(ctx context.Context, w *World) (string, error) {
	for i := range tries {
		if _, err := unanswered(ctx, w, &s2s.Ask{File: &s2s.File{ID: fmt.Sprintf("%024d", i)}}); err != nil {
			return "", err
		}
	}
	return unanswered(ctx, w, &s2s.Ask{File: &s2s.File{ID: "../node.key"}})
}

func history(ctx context.Context, w *World) (string, error) {
	return unanswered(ctx, w, &s2s.Ask{History: &s2s.History{Topic: protocol.P2P(w.Alice, w.Carol), Low: 1, High: 100, Of: w.Alice}})
}

func snapshot(ctx context.Context, w *World) (string, error) {
	return unanswered(ctx, w, &s2s.Ask{Snapshot: w.Group})
}

func groups(ctx context.Context, w *World) (string, error) {
	p, err := w.link(ctx)
	if err != nil {
		return "", err
	}
	a, err := p.Ask(ctx, &s2s.Ask{Group: w.Group})
	if err != nil {
		return "", err
	}
	g := a.Group
	switch {
	case g == nil:
		return "", fmt.Errorf("strangers do not see %s: %+v", w.Group, a)
	case g.Owner != "" || len(g.Tags)+len(g.Aux)+g.Seq > 0 || g.Rev > 0:
		return "", through("told %+v", g)
	}
	for i := range tries {
		if _, err := unanswered(ctx, w, &s2s.Ask{Group: protocol.NewGroupID(uint64(i), w.Victim)}); err != nil {
			return "", err
		}
	}
	return "no more told than strangers there see; the guesses refused", nil
}

// silence is how long nothing must come; the answer of one who tells comes at once.
const silence = 300 * time.Millisecond

func probing(ctx context.Context, w *World) (string, error) {
	p, err := w.link(ctx)
	if err != nil {
		return "", err
	}
	watch := &s2s.Cast{Presence: &s2s.Presence{Watch: true, Users: []s2s.Status{{User: w.Trudy(), Online: true, To: []protocol.UserID{w.Carol}}}}}
	if _, err := p.Stream(ctx, castStream, watch); err != nil {
		return "", err
	}
	wait, stop := context.WithTimeout(ctx, silence)
	defer stop()
	for {
		b, err := p.conn.ReceiveDatagram(wait)
		if errors.Is(err, context.DeadlineExceeded) {
			return "no answer", nil
		}
		if err != nil {
			return "", err
		}
		var c s2s.Cast
		if err := p.codec.Decode(b, &c); err != nil || c.Presence == nil {
			continue
		}
		for _, u := range c.Presence.Users {
			if u.User == w.Carol {
				return "", through("the status of %s is told", u.User)
			}
		}
	}
}
