package federation

import (
	"context"
	"math"
	"sync"

	"golang.org/x/time/rate"

	"parley/protocol"
	"parley/protocol/s2s"
)

// limiter makes a peer wait that says more than it may: nothing is read meanwhile, so
// that what it has queued stays where it is.
type limiter struct {
	mu    sync.Mutex
	posts *rate.Limiter // guarded by mu, as bytes; nil: no limit
	bytes *rate.Limiter
}

// limiterBurst is how many seconds' worth may come at once.
const limiterBurst = 2

func newLimiter(l s2s.Limits) *limiter {
	k := &limiter{}
	k.set(l)
	return k
}

func (k *limiter) set(l s2s.Limits) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.posts, k.bytes = bucket(float64(l.Posts), 1), bucket(float64(l.Bytes), s2s.MaxFrame)
}

// bucket is a limiter for that many a second, which lets least through at once.
func bucket(perSecond float64, least int) *rate.Limiter {
	if perSecond <= 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(perSecond), max(least, int(math.Ceil(perSecond*limiterBurst))))
}

// wait returns when a frame of that size may be dealt with.
func (k *limiter) wait(ctx context.Context, size int) error {
	k.mu.Lock()
	posts, bytes := k.posts, k.bytes
	k.mu.Unlock()
	if posts != nil {
		if err := posts.Wait(ctx); err != nil {
			return err
		}
	}
	if bytes != nil {
		return bytes.WaitN(ctx, min(size, bytes.Burst()))
	}
	return nil
}

// Limit sets what a peer may post in a second, for as long as this process knows it, and
// tells it. Zero fields of l leave no limit; Frame, Content and Window stay as they are.
func (m *Mesh) Limit(n protocol.Node, l s2s.Limits) {
	p := m.peer(n)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.limits = &l
	if p.link != nil {
		p.link.limit.set(l)
		p.link.control.setLimits(p.limited())
	}
}

// limited are the limits that the peer is told. p.mu is held.
func (p *remote) limited() s2s.Limits {
	l := p.m.cfg.Limits
	if p.limits != nil {
		l.Posts, l.Bytes = p.limits.Posts, p.limits.Bytes
	}
	return l
}
