package reputation

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"time"

	"parley/protocol"
)

// Plan returns whom to ask about the sender of a first contact, at most 6 peers, or
// nobody. carried are the statements that it brought, opened. What comes back goes to
// Learn. The randomness must not be foreseeable for peers.
func (e *Engine) Plan(now time.Time, s Sender, carried []Statement, rng *rand.Rand) []protocol.Node {
	at := e.clock.now(now)
	p := e.meet(at, &s)
	p.decay(at)
	if p.Pin != Auto || !p.due(at) || p.Asked == 0 && !e.worthAsking(at, p, carried) {
		return nil
	}
	if e.asks.refill(at, askRate, askBurst) < 1 {
		return nil
	}
	e.asks.add(-1)
	p.Asked = at
	top := slices.DeleteFunc(slices.Clone(e.recommenders(at)), func(n protocol.Node) bool { return n == p.Name })
	ask := witnessesFor(p.Name, e.wall(now).Unix()/weekLong, top[:min(len(top), witnessesOf)])
	add := func(n protocol.Node) {
		if !slices.Contains(ask, n) {
			ask = append(ask, n)
		}
	}
	for want := min(len(top), len(ask)+askTop); len(ask) < want; {
		add(top[0])
		top = top[1:]
	}
	if rest := slices.DeleteFunc(top, func(n protocol.Node) bool { return slices.Contains(ask, n) }); len(rest) > 0 {
		add(rest[rng.IntN(len(rest))])
	}
	return ask
}

// due reports whether a peer was not asked about for long enough.
func (p *Peer) due(now Time) bool {
	wait := askSeldom
	switch {
	case p.Asked == 0:
		return true
	case p.Doubt:
		wait = askAfterBad
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

// witnessesFor returns those of the candidates with the highest hash of (about, week,
// candidate): nodes that know the same candidates choose the same.
func witnessesFor(about protocol.Node, week int64, of []protocol.Node) []protocol.Node {
	type ranked struct {
		name protocol.Node
		hash [sha256.Size]byte
	}
	var all []ranked
	for _, n := range of {
		b := binary.BigEndian.AppendUint64([]byte("parley-reputation-witness-v1\x00"), uint64(week))
		b = append(append(append(b, about...), 0), n...)
		all = append(all, ranked{n, sha256.Sum256(b)})
	}
	slices.SortFunc(all, func(a, b ranked) int { return bytes.Compare(b.hash[:], a.hash[:]) })
	var out []protocol.Node
	for _, r := range all[:min(len(all), witnesses)] {
		out = append(out, r.name)
	}
	return out
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
