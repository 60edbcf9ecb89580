package model

import (
	"math"
	"time"

	"parley/protocol"
	"parley/reputation"
)

// A gate is how one node treats others. Its methods are called at the world's time.
type gate interface {
	// contact decides about a first contact of a remote user; after is when to try again.
	contact(from *node, user protocol.UserID) (ok bool, after time.Duration)
	// observe takes evidence about another node.
	observe(about *node, ev reputation.Event, by reputation.Reporter)
	// outbound decides whether an own user may begin one more conversation.
	outbound(user protocol.UserID, age time.Duration) bool
	// complain tells that another node's user reported an own user.
	complain(from *node, about protocol.UserID)
	// turn is called twice a day.
	turn()
}

// Policy is one way to treat others.
type Policy struct {
	Name, About string
	gates       func(*world) func(*node) gate
}

// Policies are all, the baselines first.
func Policies() []Policy {
	return []Policy{
		{"none", "a fixed rate for each node: 200 a day, 50 at once", func(w *world) func(*node) gate {
			return func(*node) gate { return &fixed{w: w, of: map[int]*meted{}} }
		}},
		{"local", "each node scores others by its own evidence alone", func(w *world) func(*node) gate {
			return func(n *node) gate { return &local{w: w, n: n, of: map[int]*scored{}} }
		}},
		{"eigentrust", "rates by a global score that all compute together, and own evidence", func(w *world) func(*node) gate {
			return newEigen(w).gate
		}},
		{"unasked", "the engine of package reputation without opinions of others", func(w *world) func(*node) gate {
			return func(n *node) gate { return newEngineGate(w, n, false) }
		}},
		{"parley", "the engine of package reputation, as nodes use it", func(w *world) func(*node) gate {
			return func(n *node) gate { return newEngineGate(w, n, true) }
		}},
	}
}

// meted is a token bucket of the baselines.
type meted struct {
	tokens float64
	at     time.Duration
	used   bool
}

// take takes a token, or says how long until there is one.
func (m *meted) take(now time.Duration, perDay, burst float64) (bool, time.Duration) {
	if !m.used {
		m.used, m.tokens = true, burst
	}
	m.tokens = min(burst, m.tokens+(now-m.at).Hours()/24*perDay)
	m.at = now
	if m.tokens >= 1 {
		m.tokens--
		return true, 0
	}
	wait := (1 - m.tokens) / perDay * float64(day)
	if !(wait < float64(reputation.MaxWait)) {
		return false, reputation.MaxWait
	}
	return false, time.Duration(wait)
}

// careless is what gates have in common that limit nobody of their own.
type careless struct{}

func (careless) outbound(protocol.UserID, time.Duration) bool { return true }
func (careless) complain(*node, protocol.UserID)              {}
func (careless) turn()                                        {}

// fixed knows nobody.
type fixed struct {
	careless
	w  *world
	of map[int]*meted
}

func (g *fixed) contact(from *node, _ protocol.UserID) (bool, time.Duration) {
	m, ok := g.of[from.id]
	if !ok {
		m = new(meted)
		g.of[from.id] = m
	}
	return m.take(g.w.now, 200, 50)
}

func (g *fixed) observe(*node, reputation.Event, reputation.Reporter) {}

// scored is own evidence of a baseline: as package reputation has it, all users of equal
// weight, and a half-life of 14 days.
type scored struct {
	good, bad float64
	at        time.Duration
	bucket    meted
}

func (s *scored) decay(now time.Duration) {
	f := math.Exp2(-(now - s.at).Hours() / 24 / 14)
	s.good, s.bad, s.at = s.good*f, s.bad*f, now
}

func (s *scored) observe(now time.Duration, ev reputation.Event) {
	s.decay(now)
	switch ev {
	case reputation.Reply, reputation.Answered:
		s.good++
	case reputation.Burst:
		s.good += 0.1
	case reputation.Report:
		s.bad += 3
	case reputation.Block:
		s.bad++
	case reputation.Ignored:
		s.bad += 0.05
	}
}

// local scores by its own evidence: the formulas of quality and rate of package
// reputation, without windows, weights of reporters, neighbourhood, pool and opinions.
type local struct {
	careless
	w   *world
	n   *node
	of  map[int]*scored
	all []*node // the keys of of
}

func (g *local) about(x *node) *scored {
	s, ok := g.of[x.id]
	if !ok {
		s = &scored{at: g.w.now}
		g.of[x.id] = s
		g.all = append(g.all, x)
	}
	return s
}

func (g *local) contact(from *node, _ protocol.UserID) (bool, time.Duration) {
	s := g.about(from)
	s.decay(g.w.now)
	prior := 0.5
	if from.sender.Proof == reputation.ProofKey {
		prior = 0.4
	}
	m := reputation.Mass{P: s.good, N: s.bad, Ps: s.good, Ns: s.bad}
	phi := m.Factor(m.Quality(prior))
	if phi == 0 {
		return false, reputation.MaxWait
	}
	base := 1 + float64(g.n.users)/500
	rate := phi * (base + max(math.Pow(s.good, 0.7), 0.3*s.good))
	return s.bucket.take(g.w.now, rate, max(1, phi*base, min(3, 1.5+s.good/2), rate/6))
}

func (g *local) observe(about *node, ev reputation.Event, _ reputation.Reporter) {
	g.about(about).observe(g.w.now, ev)
}
