package rogue

import (
	"context"
	"fmt"
	"time"

	"parley/federation"
	"parley/protocol/s2s"
)

// What was right once.
var replays = []Attack{
	{"older version", "the handshake offers a version from before proofs", downgrade},
	{"fewer lanes", "a Hello of one who claims to know nothing of lanes", fewerLanes},
	{"old statements", "the key of long ago, and the statement that made it the next", replay},
}

// spoken is what the protocol of nodes is called in the handshake.
const spoken = "parley/1"

func downgrade(ctx context.Context, w *World) (string, error) {
	for _, alpn := range []string{"parley/0", "h3", ""} {
		if err := w.Offer(ctx, alpn); err == nil {
			return "", through("%q is spoken", alpn)
		}
	}
	// It must have been for the version.
	if err := w.Offer(ctx, spoken); err != nil {
		return "", fmt.Errorf("what is spoken is refused, too: %w", err)
	}
	return "no handshake: there is no version but " + spoken, nil
}

func fewerLanes(ctx context.Context, w *World) (string, error) {
	ctx, stop := context.WithTimeout(ctx, timeout)
	defer stop()
	p, err := w.Dial(ctx, w.Self, w.Key)
	if err != nil {
		return "", err
	}
	defer p.Close()
	h := &s2s.Hello{Name: w.Self, To: w.Victim, Boot: boots.Add(1), Incarnation: 7}
	if p.out, err = p.Stream(ctx, controlStream, &s2s.Control{Hello: h}); err != nil {
		return "", err
	}
	return p.Closed(ctx, federation.CloseProtocol)
}

// overlapped is longer than the key before is taken besides.
const overlapped = 100 * time.Hour

// replay changes the rogue's key twice, as an honest node does, and then comes with what
// was right before.
func replay(ctx context.Context, w *World) (string, error) {
	old, first := w.Key, strange()
	var steps []*s2s.Statement
	for i, next := range []*federation.Key{first, strange()} {
		now := time.Now()
		s, err := w.Key.State(federation.KindSuccession, &federation.Succession{Name: w.Self, Next: next.Public(), Seq: uint64(i + 1),
			From: now.Add(-overlapped).UnixMilli(), Until: now.Add(time.Hour).UnixMilli()})
		if err != nil {
			return "", err
		}
		steps = append(steps, s)
		w.Key, w.Succession = next, s
		p, err := w.Dial(ctx, w.Self, w.Key)
		if err != nil {
			return "", err
		}
		if err := p.Greet(ctx, State{}); err != nil {
			return "", fmt.Errorf("key %d is not taken: %w", i+1, err)
		}
		if err := p.Close(); err != nil {
			return "", err
		}
	}
	defer func(s *s2s.Statement) { w.Succession = s }(w.Succession)
	w.Succession = steps[0]
	how, err := turnedAway(ctx, w, w.Self, w.Self, first)
	if err != nil {
		return "", err
	}
	w.Succession = nil
	_, err = turnedAway(ctx, w, w.Self, w.Self, old)
	return how, err
}
