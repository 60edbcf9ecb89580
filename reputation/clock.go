package reputation

import (
	"math"
	"time"
)

// Time is the engine's own clock in nanoseconds since 1970. It never goes back, and it
// goes ahead no further than the bounds below: a clock that jumps neither forgives nor
// condemns (spec/reputation.md#time).
type Time int64

// Bounds of what one call, or one restart, can let pass.
const (
	MaxStep = 24 * time.Hour     // between two calls; callers make one an hour at least
	MaxAway = 7 * 24 * time.Hour // between an export and its import
	maxSkew = time.Minute        // calls may come out of order by this
)

type clock struct {
	at   Time
	last time.Time // the caller's time that at stands for
}

func newClock(now time.Time) clock { return clock{Time(now.UnixNano()), now} }

// now returns the engine's time for the caller's. The difference of two time.Now() is
// that of the monotonic clock, so that setting the clock of a running node has no effect.
func (c *clock) now(t time.Time) Time {
	d := t.Sub(c.last)
	if d > 0 {
		c.at += Time(min(d, MaxStep))
	}
	if d > 0 || d < -maxSkew {
		c.last = t
	}
	return c.at
}

// since returns the days between two times, at least 0.
func (t Time) since(u Time) float64 { return days(max(0, time.Duration(t-u))) }

func days(d time.Duration) float64 { return float64(d) / float64(24*time.Hour) }

// later turns days into a waiting time of at most MaxWait.
func later(days float64) time.Duration {
	if !(days < MaxWait.Hours()/24) {
		return MaxWait
	}
	return max(0, time.Duration(math.Ceil(days*float64(24*time.Hour))))
}

// decay is what is left of v after some days.
func decay(v, days, half float64) float64 {
	if v == 0 || days <= 0 {
		return v
	}
	return v * math.Exp2(-days/half)
}
