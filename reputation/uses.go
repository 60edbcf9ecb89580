package reputation

import (
	"time"
)

// Use is something that a peer does at our cost, besides first contacts: counted before
// the work is done. What belongs to a conversation that a local user answered is none.
type Use uint8

// Uses.
const (
	Posts   Use = iota // to whom nobody has answered
	Bytes              // of these
	Joins              // of groups here
	Lookups            // of users and handles
	uses    = 4
)

// useLimit is how fast a use may go: that of a stranger of full quality, and what it grows
// to with what is known of a peer. Burst is at once.
type useLimit struct {
	name         string
	rate, full   float64 // a day
	burst, fully float64
}

const (
	perSecond = 24 * 3600.0 // a day
	perHour   = 24.0
)

// The limits of spec/reputation.md#other-limits.
var useLimits = [uses]useLimit{
	Posts:   {"posts", 1 * perSecond, 50 * perSecond, 30, 500},
	Bytes:   {"bytes", 16 << 10 * perSecond, 1 << 20 * perSecond, 256 << 10, 8 << 20},
	Joins:   {"joins", 20 * perHour, 600 * perHour, 40, 200},
	Lookups: {"look-ups", 0.5 * perSecond, 5 * perSecond, 30, 300},
}

func (u Use) String() string { return useLimits[u].name }

const (
	useHalf  = 4    // M at which a peer has half of what is above a stranger's
	useFloor = 0.25 // of a stranger's, for the closed: they are slow, not cut off
	useGroup = 4    // strangers' worth for those of one parent domain or network
	useWide  = 16   // for those of one provider's network
	useCrowd = 32   // and for all strangers
)

// of returns what a peer of that standing may do, a day and at once.
func (l *useLimit) of(s *standing, closed bool) (rate, burst float64) {
	base, more := max(useFloor, s.Phi), 0.0
	if closed {
		base = useFloor
	} else if s.Known {
		more = s.Phi * s.Positive / (s.Positive + useHalf)
	}
	return l.rate*base + (l.full-l.rate)*more, max(1, l.burst*base+(l.fully-l.burst)*more)
}

// Use decides whether a peer may do something n times now, and takes the tokens for it;
// what is more than the most that there can be costs that. The wait is after which a try
// can succeed.
func (e *Engine) Use(now time.Time, s Sender, u Use, n float64) Verdict {
	at := e.clock.now(now)
	p := e.meet(at, &s)
	if v, said := p.word(); said {
		return v
	}
	st := e.judge(at, p)
	l := &useLimits[u]
	rate, burst := l.of(&st, p.Closed)
	own := min(n, burst)
	if has := p.Uses[u].refill(at, rate, burst); has < own {
		return Verdict{Wait, ReasonRate, later((own - has) / rate), 0}
	}
	v := Verdict{Action: Admit, Reason: ReasonKnown}
	if !st.Known {
		if why, wait, ok := e.useShared(at, &s, u, n); !ok {
			return Verdict{Wait, why, later(wait), 0}
		}
		v.Reason = ReasonStranger
	}
	p.Uses[u].add(-own)
	return v
}

// useShared takes what strangers share: a flood of cheap identities gets no more than a
// few of them do.
func (e *Engine) useShared(now Time, s *Sender, u Use, n float64) (why Reason, wait float64, ok bool) {
	l := &useLimits[u]
	rate, burst := l.rate*useCrowd, l.burst*useCrowd
	if has := e.uses[u].refill(now, rate, burst); has < min(n, burst) {
		return ReasonPool, (min(n, burst) - has) / rate, false
	}
	cups := s.cups()
	for _, c := range cups {
		if c.of.none() {
			continue
		}
		rate, burst := l.rate*c.crowd, l.burst*c.crowd
		if has := e.group(now, c.of).Uses[u].refill(now, rate, burst); has < min(n, burst) {
			return ReasonGroup, (min(n, burst) - has) / rate, false
		}
	}
	for _, c := range cups {
		if !c.of.none() {
			e.group(now, c.of).Uses[u].add(-n)
		}
	}
	e.uses[u].add(-n)
	return 0, 0, true
}
