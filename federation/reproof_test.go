package federation_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"parley/federation"
	"parley/federation/fedtest"
	"parley/protocol"
)

// registry proves what the world says, unless it cannot be asked.
type registry struct {
	w    *world
	down atomic.Bool
}

func (r *registry) Prove(ctx context.Context, n protocol.Node, k ed25519.PublicKey) (federation.Proof, error) {
	if r.down.Load() {
		return federation.NoProof, errors.New("no route")
	}
	return r.w.Prove(ctx, n, k)
}

// A link with a key that its owner has replaced ends, however much is said on it. One whose
// proof could not be looked for stays.
func TestLinkOfAReplacedKeyEnds(t *testing.T) {
	var r registry
	bubbleWith(t, two, func(c *federation.Config) { c.Prover = &r }, func(w *world) {
		r.w = w
		a, b := w.ab()
		a.mesh.Keep(b.name, true)
		no, began := 0, time.Now()
		says := func(long time.Duration) {
			for end := time.Now().Add(long); time.Now().Before(end); w.pass(10 * time.Minute) {
				no++
				b.write(a, 1, no)
			}
		}
		says(26 * time.Hour)
		r.down.Store(true)
		says(26 * time.Hour)
		if since := a.stats(b).Since; !a.mesh.Linked(b.name) || since.Sub(began) > time.Minute {
			t.Errorf("up %v, since %v", a.mesh.Linked(b.name), since)
		}
		a.has(b, 1, no, time.Minute)
		r.down.Store(false)
		old := b.key
		b.key = fedtest.NewKey(t) // it is published, and the old one runs on
		says(2 * time.Hour)
		if a.mesh.Linked(b.name) {
			t.Error("the link stays")
		}
		b.key = old
		a.has(b, 1, no, time.Hour)
	})
}
