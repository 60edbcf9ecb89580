package reputation

import (
	"slices"
	"time"

	"parley/protocol"
)

// Pin is an operator's word about a peer. It outranks everything seen.
type Pin uint8

// Pins.
const (
	Auto  Pin = iota // as seen
	Allow            // every first contact is admitted
	Deny             // none is
)

// Peer is what is known of another node: plain data.
type Peer struct {
	Sender
	First Time // when we saw it first
	Aged  Time // when it was seen first, as far as we believe it
	At    Time // when the masses below were right

	P, N, Ps, Ns           float64 // own evidence, slow and fast
	Long                   float64 // P with a long memory: whom I know, not how much they may send
	LightGood, LightBad    float64 // part of P and N from users of little standing
	Loan, Blame, FastBlame float64 // what others say
	Voices                 []Voice // local users who spoke against it

	Loans  []Loan
	Repaid bool // own evidence took the place of the loans
	Asked  Time // when others were asked about it
	Filed  Time // when blame of it was filed
	// Accusers are those of whose blame FastBlame and Blame are made.
	Accusers []protocol.Node
	Doubt    bool // something bad happened since
	Fan
	Credit

	Bucket  Bucket
	Uses    [uses]Bucket `json:"-"` // full again within an hour
	Closed  bool
	Pin     Pin
	Counted int8 // for its groups: +1 good, -1 bad
	Pool    int8 // 1 + the part of the strangers' pool that let it in last
}

// Voice is how much of N one local user gave, so that one voice is never more than
// that: see maxVoice.
type Voice struct {
	User protocol.UserID
	Bad  float64
}

func (p *Peer) mass() Mass {
	return Mass{P: p.P, N: p.N, Ps: p.Ps, Ns: p.Ns, Loan: p.Loan, Blame: p.Blame, FastBlame: p.FastBlame}
}

// decay brings the masses to now.
func (p *Peer) decay(now Time) {
	d := now.since(p.At)
	if d == 0 {
		return
	}
	p.At = now
	if p.P+p.N+p.Long+p.Loan+p.Blame+p.FastBlame == 0 {
		return
	}
	slow, fast := decay(1, d, halfSlow), decay(1, d, halfFast)
	p.P *= slow
	p.N *= slow
	p.LightGood *= slow
	p.LightBad *= slow
	p.Blame *= slow
	for i := range p.Voices {
		p.Voices[i].Bad *= slow
	}
	p.Ps *= fast
	p.Ns *= fast
	p.FastBlame *= fast
	p.Long *= decay(1, d, halfLong)
}

// worth is what would be lost with a record. An operator's word never is.
func (p *Peer) worth(now Time) float64 {
	if p.Pin != Auto {
		return 1e9
	}
	p.decay(now)
	return max(p.P, p.Long) + p.N
}

// find returns the record of a peer, or nil.
func (e *Engine) find(name protocol.Node) *Peer {
	if p, ok := e.peers.get(name); ok {
		return p
	}
	p, _ := e.strangers.get(name)
	return p
}

// maxCrowd is how many strangers of one parent domain or network are remembered: the flood of
// one owner pushes out its own, and nobody else.
const maxCrowd = 64

// meet returns the record of a sender, made if need be.
func (e *Engine) meet(now Time, s *Sender) *Peer {
	p := e.find(s.Name)
	if p == nil {
		p = &Peer{Sender: *s, First: now, Aged: now, At: now}
		e.addStranger(p)
		return p
	}
	if p.Sender != *s {
		e.leaveCrowd(p)
		p.Proof = max(p.Proof, s.Proof) // never weaker than once seen
		p.Domain, p.Prefix = s.Domain, s.Prefix
		e.joinCrowd(p)
	}
	return p
}

func (e *Engine) addStranger(p *Peer) {
	for _, k := range p.groups() {
		if c := e.crowds[k]; len(c) >= maxCrowd {
			e.dropStranger(c[0])
		}
	}
	if e.strangers.full() {
		e.dropStranger(e.strangers.ends.prev.val)
	}
	e.strangers.add(p.Name, p)
	e.joinCrowd(p)
}

func (e *Engine) dropStranger(p *Peer) {
	e.leaveCrowd(p)
	e.strangers.remove(p.Name)
}

// joinCrowd counts a stranger with its groups, leaveCrowd no longer. They do nothing for other peers.
func (e *Engine) joinCrowd(p *Peer) {
	if _, ok := e.strangers.peek(p.Name); !ok {
		return
	}
	for _, k := range p.groups() {
		if !k.none() {
			e.crowds[k] = append(e.crowds[k], p)
		}
	}
}

func (e *Engine) leaveCrowd(p *Peer) {
	for _, k := range p.groups() {
		c := slices.DeleteFunc(e.crowds[k], func(o *Peer) bool { return o == p })
		if e.crowds[k] = c; len(c) == 0 {
			delete(e.crowds, k)
		}
	}
}

// befriend moves a peer to those of whom there is evidence.
func (e *Engine) befriend(now Time, p *Peer) {
	if _, ok := e.peers.peek(p.Name); ok {
		return
	}
	e.dropStranger(p)
	if e.peers.full() {
		if old, ok := e.peers.least(func(p *Peer) float64 { return p.worth(now) }); ok {
			e.peers.remove(old)
		}
	}
	e.peers.add(p.Name, p)
}

// Set gives the operator's word about a peer.
func (e *Engine) Set(now time.Time, s Sender, pin Pin) {
	at := e.clock.now(now)
	p := e.meet(at, &s)
	p.Pin = pin
	if pin == Deny {
		e.denied(at, p.Name)
	}
	e.befriend(at, p)
	e.note(p.Name, [...]string{"left to what is seen", "allowed by operator", "denied by operator"}[pin])
}

// Forget drops everything about a peer but what it meant for its groups.
func (e *Engine) Forget(now time.Time, name protocol.Node) {
	e.clock.now(now)
	if p, ok := e.strangers.peek(name); ok {
		e.dropStranger(p)
	}
	e.peers.remove(name)
	e.topAt = 0
	e.note(name, "forgotten by operator")
}
