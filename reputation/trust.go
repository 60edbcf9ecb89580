package reputation

import (
	"cmp"
	"iter"
	"math"
	"slices"
	"time"

	"parley/protocol"
)

// Credit is how a peer fares as a recommender.
type Credit struct {
	Right, Wrong    float64 // outcomes of those it vouched for
	Lent            float64 // what of its word is out, half-life 2 days
	NewGood, NewBad float64 // outcomes of fresh identities, half-life 14 days
	CreditAt        Time    // when the masses above were right
	Introductions   Bucket  // of fresh identities
	Answers         Bucket  // what it may ask us
	Anchor          bool    // the operator's choice, for a young node
	Reach           uint8   // class of how many it trusts, as it says: see Engine.Reach
}

func (c *Credit) decay(now Time) {
	d := now.since(c.CreditAt)
	c.Lent = decay(c.Lent, d, halfLent)
	c.NewGood, c.NewBad = decay(c.NewGood, d, halfSlow), decay(c.NewBad, d, halfSlow)
	c.CreditAt = now
}

// Constants of recommenders.
const (
	trustHalf    = 4.0 // own evidence at which trust is one half
	trustLeast   = 0.5 // below this nobody is a recommender
	anchorMass   = 4.0
	halfLent     = 2.0
	maxRecords   = 40.0 // outcomes after which the older count less
	maxTop       = 24   // recommenders that are considered
	perOwner     = 3    // of them of one parent domain, and of one network
	topLife      = time.Hour
	maxReach     = 11 // class of reach above which more is no matter: 1024 peers
	witnesses    = 5  // are asked about a given peer
	askRandom    = 1  // besides, whoever it is
	maxAsked     = witnesses + askRandom
	maxCarried   = 8
	askRate      = 1000.0 // peers a day that we ask about
	askBurst     = 100.0
	answerRate   = 240.0 // questions a day that one peer may ask us
	answerBurst  = 40.0
	witnessLife  = 28 * 24 * 3600 // s, until another may take a witness's place
	askAfterBad  = 1.0 / 24       // days
	askSoon      = 0.25           // days, below askSoonMass
	askLater     = 3.0            // below askLaterMass
	askSeldom    = 14.0
	askSoonMass  = 4
	askLaterMass = 20
)

// trustOf is T = P*/(P*+4) · P*/(P*+N) · q², for own evidence P* (with its long memory).
func trustOf(own, bad, right, wrong float64) float64 {
	if own < trustLeast {
		return 0
	}
	q := accuracy(right, wrong)
	return own / (own + trustHalf) * own / (own + bad) * q * q
}

// own is P* of a recommender.
func (e *Engine) own(now Time, p *Peer) float64 {
	p.decay(now)
	own := max(p.P, p.Long)
	if p.Anchor {
		own = max(own, anchorMass*e.youth(now))
	}
	return own
}

// trust in a peer as a recommender, 0…1. Strangers and the closed have none.
func (e *Engine) trust(now Time, name protocol.Node) (float64, *Peer) {
	p, ok := e.peers.peek(name)
	if !ok || p.Closed || p.Pin == Deny {
		return 0, nil
	}
	own := e.own(now, p)
	return trustOf(own, p.N, p.Right, p.Wrong), p
}

// trusted are the peers whose word counts as recommenders, and how much.
func (e *Engine) trusted(now Time) iter.Seq2[*Peer, float64] {
	return func(yield func(*Peer, float64) bool) {
		for name := range e.peers.oldest {
			if t, p := e.trust(now, name); t > 0 && !yield(p, t) {
				return
			}
		}
	}
}

// Anchor tells that the operator trusts a peer to speak of others while the node is
// young: fully at first, no more after 14 days.
func (e *Engine) Anchor(now time.Time, s Sender, on bool) {
	at := e.clock.now(now)
	p := e.meet(at, &s)
	if p.Anchor != on {
		e.note(p.Name, map[bool]string{true: "vouched for by operator", false: "vouched for no more"}[on])
	}
	p.Anchor = on
	e.befriend(at, p)
	e.topAt = 0
}

// Patrons are up to n peers whose word about us is worth most to others, the best first:
// those of the widest reach, then those of whom the most is known.
func (e *Engine) Patrons(now time.Time, n int) []protocol.Node {
	at := e.clock.now(now)
	var all []*Peer
	for p := range e.trusted(at) {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *Peer) int {
		return cmp.Or(cmp.Compare(b.Reach, a.Reach), cmp.Compare(b.P, a.P), cmp.Compare(a.Name, b.Name))
	})
	var names []protocol.Node
	for _, p := range all[:min(len(all), n)] {
		names = append(names, p.Name)
	}
	return names
}

// Reach is the class of how many peers are trusted here as recommenders: of how many this
// node can tell others.
func (e *Engine) Reach(now time.Time) uint8 {
	at := e.clock.now(now)
	n := 0
	for range e.trusted(at) {
		n++
	}
	return class(float64(n), maxReach)
}

// Reaches takes what a peer says of its own reach.
func (e *Engine) Reaches(now time.Time, s Sender, class uint8) {
	p := e.meet(e.clock.now(now), &s)
	p.Reach = min(class, maxReach)
}

// A recommender is a peer worth asking: the weight is its trust times the cube of its reach.
// Those who know more are known to more, and there what one node files another finds.
type recommender struct {
	name   protocol.Node
	weight float64
}

// recommenders are the peers worth asking, the best first: at most 24, and 3 of one
// owner. The list is made anew every hour.
func (e *Engine) recommenders(now Time) []recommender {
	if e.topAt != 0 && now < e.topAt+Time(topLife) {
		return e.top
	}
	type candidate struct {
		p     *Peer
		score float64
	}
	var all []candidate
	for p, t := range e.trusted(now) {
		all = append(all, candidate{p, t * math.Pow(max(1, least(p.Reach)), 3)})
	}
	slices.SortFunc(all, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.p.Name, b.p.Name))
	})
	owners := map[groupKey]int{}
	e.top, e.topAt = nil, now
	for _, c := range all {
		if len(e.top) < maxTop && fewOf(owners, &c.p.Sender) {
			e.top = append(e.top, recommender{c.p.Name, c.score})
		}
	}
	return e.top
}

// fewOf counts a sender for its owners, if none of them has had its share.
func fewOf(owners map[groupKey]int, s *Sender) bool {
	keys := s.groups()
	for _, k := range keys {
		if !k.none() && owners[k] >= perOwner {
			return false
		}
	}
	for _, k := range keys {
		owners[k]++
	}
	return true
}

// MayAnswer reports whether a peer may ask us now, and takes a token for it. Only peers
// of whom there is evidence may.
func (e *Engine) MayAnswer(now time.Time, asker protocol.Node) bool {
	at := e.clock.now(now)
	if t, p := e.trust(at, asker); t > 0 && p.Answers.refill(at, answerRate, answerBurst) >= 1 {
		p.Answers.add(-1)
		return true
	}
	return false
}
