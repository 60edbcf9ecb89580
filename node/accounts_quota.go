package node

import (
	"container/list"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxQuotas bounds how many keys a quota remembers; the least recently used is
// forgotten first.
const maxQuotas = 1 << 16

// quota limits how often something may happen, for each of many keys.
type quota struct {
	limit rate.Limit
	burst int

	mu      sync.Mutex
	entries map[string]*list.Element
	order   *list.List // of *allowance, most recently used first
}

// allowance is what one key has left.
type allowance struct {
	key     string
	limiter *rate.Limiter
	pending int // begun and not ended
}

func newQuota(perSecond float64, burst int) *quota {
	return &quota{limit: rate.Limit(perSecond), burst: burst, entries: map[string]*list.Element{}, order: list.New()}
}

// begin asks whether an attempt may be made under all keys; empty keys do not
// count. Attempts under way count as failed until end tells, so that many at once
// do not slip through.
func (q *quota) begin(now time.Time, keys ...string) (end func(failed bool), ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var held []*allowance
	for _, k := range keys {
		if k == "" {
			continue
		}
		e := q.entry(k)
		if e.limiter.TokensAt(now)-float64(e.pending) < 1 {
			return nil, false
		}
		held = append(held, e)
	}
	for _, e := range held {
		e.pending++
	}
	return func(failed bool) { q.end(held, failed) }, true
}

func (q *quota) end(held []*allowance, failed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, e := range held {
		e.pending--
		if failed {
			e.limiter.AllowN(time.Now(), 1)
		}
	}
}

// allow takes one from every key, or reports that one of them has none left.
func (q *quota) allow(now time.Time, keys ...string) bool {
	end, ok := q.begin(now, keys...)
	if ok {
		end(true)
	}
	return ok
}

// limiter is what one key has left, for those who take it without asking here.
func (q *quota) limiter(key string) *rate.Limiter {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.entry(key).limiter
}

// entry finds or makes what is known of a key; q.mu is held.
func (q *quota) entry(key string) *allowance {
	if el := q.entries[key]; el != nil {
		q.order.MoveToFront(el)
		return el.Value.(*allowance)
	}
	if q.order.Len() >= maxQuotas {
		oldest := q.order.Back()
		delete(q.entries, q.order.Remove(oldest).(*allowance).key)
	}
	e := &allowance{key: key, limiter: rate.NewLimiter(q.limit, q.burst)}
	q.entries[key] = q.order.PushFront(e)
	return e
}

// addressKey is the quota key of where somebody comes from; empty if unknown, and
// for a node that is there for its own machine only, where all come from one.
func (a *accounts) addressKey(o Origin) string {
	own := a.home == "localhost" || strings.HasSuffix(string(a.home), ".localhost")
	if !o.Addr.IsValid() || own && o.Addr.Unmap().IsLoopback() {
		return ""
	}
	return "addr " + prefix(o.Addr).String()
}
