package reputation

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"parley/protocol"
)

// Plan returns whom to ask about the sender of a first contact, at most maxAsked peers, or
// nobody. carried are the statements that it brought, opened. What comes back goes to
// Learn. The randomness must not be foreseeable for peers.
func (e *Engine) Plan(now time.Time, s Sender, carried []Statement, rng *rand.Rand) []protocol.Node {
	at := e.clock.now(now)
	p := e.meet(at, &s)
	p.decay(at)
	if p.Pin != Auto || !p.due(at, e.known(at, p)) || p.Asked == 0 && !e.worthAsking(at, p, carried) {
		return nil
	}
	if e.asks.refill(at, askRate, askBurst) < 1 {
		return nil
	}
	e.asks.add(-1)
	if !p.asks(at) {
		p.Lot = rng.Float64()
	}
	ask := e.witnesses(at, e.wall(now).Unix(), p.Name)
	var rest []protocol.Node
	for _, r := range e.recommenders(at) {
		if r.name != p.Name && !slices.Contains(ask, r.name) {
			rest = append(rest, r.name)
		}
	}
	if len(rest) > 0 {
		ask = append(ask, rest[rng.IntN(len(rest))])
	}
	return ask
}

// due reports whether a peer was not asked about for long enough.
func (p *Peer) due(now Time, known bool) bool {
	wait := askSeldom
	switch {
	case p.Asked == 0:
		return true
	case p.Hold == AskedAgain:
		wait = holdDays
	case p.Doubt:
		wait = askAfterBad
	case p.hasty(known):
		wait = fanLife
	case p.P < askSoonMass:
		wait = askSoon
	case p.P < askLaterMass:
		wait = askLater
	}
	return now.since(p.Asked) >= wait
}

// worthAsking is false for a peer that no one we trust vouches for, when the answer
// would change nothing: its neighbourhood is bad, or the pool is empty.
func (e *Engine) worthAsking(now Time, p *Peer, carried []Statement) bool {
	if p.P >= knownMass {
		return true
	}
	for _, c := range carried[:min(len(carried), maxCarried)] {
		if t, _ := e.trust(now, c.By); t > 0 && c.About == p.Name && c.Good > 0 {
			return true
		}
	}
	if e.prior(now, &p.Sender) < strangerClose {
		return false
	}
	_, _, ok := e.poolHas(now, &p.Sender, poolOf(now, p, 0), 1)
	return ok
}

// witnesses are those of the recommenders whom to ask about a node, and with whom to file:
// weighted rendezvous hashing (Thaler and Ravishankar 1998; Schindelhauer and Schomaker 2005),
// so that nodes that know the same peers meet at the same ones, the more so the wider the
// reach of these. wall is the time in seconds since 1970.
func (e *Engine) witnesses(now Time, wall int64, about protocol.Node) []protocol.Node {
	type ranked struct {
		name protocol.Node
		rank float64
	}
	var all []ranked
	for _, r := range e.recommenders(now) {
		if r.name != about {
			all = append(all, ranked{r.name, math.Log(witnessLot(about, r.name, wall)) / r.weight})
		}
	}
	slices.SortFunc(all, func(a, b ranked) int { return cmp.Or(cmp.Compare(b.rank, a.rank), cmp.Compare(a.name, b.name)) })
	var out []protocol.Node
	for _, r := range all[:min(len(all), witnesses)] {
		out = append(out, r.name)
	}
	return out
}

// witnessLot is what the lot of a recommender for a node is in these weeks, 0…1, the same
// for all who draw it. Not all lots change at the same time.
func witnessLot(about, r protocol.Node, wall int64) float64 {
	base := append(append(append([]byte("parley-reputation-witness-v2\x00"), about...), 0), r...)
	shift := sha256.Sum256(base)
	turn := (wall + int64(binary.BigEndian.Uint32(shift[:])%witnessLife)) / witnessLife
	hash := sha256.Sum256(binary.BigEndian.AppendUint64(append(base, 0), uint64(turn)))
	return (float64(binary.BigEndian.Uint64(hash[:])>>11) + 0.5) / (1 << 53)
}

// Holds reports whether a first contact of a peer waits while others are asked about it:
// of one that is established here it does not.
func (e *Engine) Holds(now time.Time, name protocol.Node) bool {
	at := e.clock.now(now)
	p := e.find(name)
	if p == nil {
		return true
	}
	p.decay(at)
	return p.Pin == Auto && p.P < establishedP
}
