package reputation

import (
	"fmt"
	"time"

	"parley/protocol"
)

// MaxWait is the longest wait that a verdict names.
const MaxWait = 6 * time.Hour

// Each remote user has its own share, whatever the rate of its node.
const (
	userRate  = 10 // first contacts a day
	userBurst = 5
)

// standing is everything that a verdict follows from.
type standing struct {
	Mass     Mass
	Prior    float64
	Quality  float64
	Lo, Hi   float64
	Phi      float64
	Aged     bool // seen long enough ago
	Known    bool
	Rate     float64 // a day
	Burst    float64
	Positive float64
}

// standing computes where a peer stands. The peer is brought to now.
func (e *Engine) standing(now Time, p *Peer) standing {
	p.decay(now)
	s := standing{Mass: p.mass(), Prior: e.prior(now, &p.Sender)}
	s.Positive = s.Mass.Positive()
	s.Quality = s.Mass.Quality(s.Prior)
	s.Lo, s.Hi = s.Mass.Thresholds()
	s.Phi = s.Mass.Factor(s.Quality)
	s.Aged = e.aged(now, p)
	s.Known = e.known(now, p)
	if !s.Known && s.Quality < strangerClose {
		s.Phi = 0
	}
	base := baseRate(e.cfg.Users)
	s.Rate = rateOf(s.Phi, s.Positive, base) + s.Phi*youngRate*e.youth(now)
	s.Burst = burstOf(s.Phi, p.P, base, s.Rate, s.Known)
	return s
}

// aged reports whether a peer was seen long enough ago; on a young node less is enough.
func (e *Engine) aged(now Time, p *Peer) bool {
	return now.since(p.Aged) >= min(agedDays, now.since(e.born)/7)
}

// known reports whether a peer is no stranger. The peer is brought to now before.
func (e *Engine) known(now Time, p *Peer) bool {
	return p.mass().Positive() >= knownMass && (p.P >= knownOwn || e.aged(now, p))
}

// judge closes and reopens a peer, with hysteresis.
func (e *Engine) judge(now Time, p *Peer) standing {
	s := e.standing(now, p)
	switch {
	case !p.Closed && s.Phi <= 0:
		p.Closed = true
		e.note(p.Name, fmt.Sprintf("closed: quality %.2f, closes at %.2f", s.Quality, s.closesAt()))
	case p.Closed && s.Phi > 0 && s.Quality >= s.Lo+reopenBy:
		p.Closed = false
		e.note(p.Name, fmt.Sprintf("reopened: quality %.2f, reopens at %.2f", s.Quality, s.Lo+reopenBy))
	}
	return s
}

func (s *standing) closesAt() float64 {
	if s.Known {
		return s.Lo
	}
	return max(s.Lo, strangerClose)
}

// word is what the operator has said of a peer, if anything.
func (p *Peer) word() (v Verdict, said bool) {
	switch p.Pin {
	case Allow:
		return Verdict{Action: Admit, Reason: ReasonAllowed}, true
	case Deny:
		return Verdict{Wait, ReasonDenied, MaxWait, 0}, true
	}
	return Verdict{}, false
}

// FirstContact decides about one first contact of a remote user, and if it admits it,
// takes the tokens for it.
func (e *Engine) FirstContact(now time.Time, s Sender, user protocol.UserID) Verdict {
	at := e.clock.now(now)
	p := e.meet(at, &s)
	if v, said := p.word(); said {
		return v
	}
	st := e.judge(at, p)
	e.count(at, p)
	if p.Closed {
		return Verdict{Wait, ReasonClosed, MaxWait, 0}
	}
	if has := p.Bucket.refill(at, st.Rate, st.Burst); has < 1 {
		return Verdict{Wait, ReasonRate, later((1 - has) / st.Rate), 0}
	}
	if wait := p.settles(at); wait > 0 && !st.Known {
		return Verdict{Wait, ReasonAsking, later(wait), 0}
	}
	if p.hasty(st.Known) {
		return Verdict{Wait, ReasonFan, later(fanLife), 0}
	}
	if has := e.userHas(at, user); has < 1 {
		return Verdict{Wait, ReasonUser, later((1 - has) / userRate), 0}
	}
	v := Verdict{Action: Admit, Reason: ReasonKnown}
	if !st.Known {
		v.Reason, v.Cost = ReasonStranger, poolCost(st.Positive, st.Aged)
		part := poolOf(at, p, st.Positive)
		if why, wait, ok := e.poolHas(at, &p.Sender, part, v.Cost); !ok {
			return Verdict{Wait, why, later(wait), 0}
		}
		e.poolMove(at, &p.Sender, part, -v.Cost)
		p.Pool = int8(part) + 1
	}
	p.Bucket.add(-1)
	e.userTake(at, user)
	return v
}

// Refund takes an admission back: we could not deliver it, and that was not the peer's
// fault.
func (e *Engine) Refund(now time.Time, s Sender, user protocol.UserID, v Verdict) {
	p := e.find(s.Name)
	at := e.clock.now(now)
	if v.Action != Admit || p == nil || v.Reason == ReasonAllowed {
		return
	}
	p.Bucket.add(1)
	if v.Cost > 0 && p.Pool > 0 {
		e.poolMove(at, &p.Sender, int(p.Pool)-1, v.Cost)
	}
	if b, ok := e.users.get(user); ok {
		b.add(1)
	}
}

// userHas returns how many more conversations a remote user may begin now.
func (e *Engine) userHas(now Time, user protocol.UserID) float64 {
	if b, ok := e.users.get(user); ok {
		return b.refill(now, userRate, userBurst)
	}
	return userBurst
}

// userTake takes a token of a remote user. Only those who were admitted are remembered:
// names cost their node nothing.
func (e *Engine) userTake(now Time, user protocol.UserID) {
	b, ok := e.users.get(user)
	if !ok {
		b = new(Bucket)
		put(e.users, user, b)
	}
	b.refill(now, userRate, userBurst)
	b.add(-1)
}

// Class is what a peer is at the moment, in a word.
type Class uint8

// Classes.
const (
	Stranger Class = iota
	Known
	Closed
	Allowed // by the operator
	Denied  // by the operator
)

var classes = [...]string{"stranger", "known", "closed", ReasonAllowed.String(), ReasonDenied.String()}

func (c Class) String() string { return classes[c] }

// Class of a peer; one that is not known at all is a stranger.
func (e *Engine) Class(now time.Time, name protocol.Node) Class {
	at := e.clock.now(now)
	p := e.find(name)
	if p == nil {
		return Stranger
	}
	st := e.standing(at, p)
	return p.class(&st)
}

func (p *Peer) class(st *standing) Class {
	switch {
	case p.Pin == Allow:
		return Allowed
	case p.Pin == Deny:
		return Denied
	case p.Closed:
		return Closed
	case st.Known:
		return Known
	}
	return Stranger
}
