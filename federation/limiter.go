package federation

import (
	"context"
	"math"
	"sync"

	"golang.org/x/time/rate"

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
	k.posts, k.bytes = bucket(l.Posts, 1), bucket(l.Bytes, s2s.MaxFrame)
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
