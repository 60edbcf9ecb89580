package reputation

import (
	"slices"

	"parley/protocol"
)

// What nodes tell each other of a neighbourhood, so that an owner of many names or addresses is
// found out by all of them together: spec/reputation.md#neighbourhood.

// Near is what is said of the parent domain of a node and of its network, in classes.
type Near [2]struct {
	Good uint8 // identities there that turned good
	Bad  uint8 // nodes that hold something against identities there, but one
}

// Heard is what those who were asked about an identity have said of its group, weighed.
type Heard struct {
	HeardGood, HeardBad float64
	HeardAt             Time
}

const maxFilers = 16 // in one group

// heard is what still counts of it.
func (h *Heard) heard(now Time) (good, bad float64) {
	f := decay(1, now.since(h.HeardAt), halfHeard)
	return h.HeardGood * f, h.HeardBad * f
}

// accused notes that a peer has filed blame of somebody of these groups.
func (e *Engine) accused(now Time, about *Sender, by protocol.Node) {
	for _, k := range about.groups() {
		if k.none() {
			continue
		}
		g := e.group(now, k)
		g.Filers = slices.DeleteFunc(g.Filers, func(f Asker) bool { return f.Node == by })
		if len(g.Filers) >= maxFilers {
			g.Filers = g.Filers[1:]
		}
		g.Filers = append(g.Filers, Asker{by, now})
	}
}

// near says what is known here of the neighbourhood of a node: who filed blame, and this node if
// it has closed somebody itself, without the one of most weight, so that it is never one's word.
func (e *Engine) near(now Time, about *Sender) (n Near) {
	for i, k := range about.groups() {
		g, ok := e.groups.peek(k)
		if !ok || k.none() {
			continue
		}
		g.decay(now)
		var bad butMost
		bad.add(min(1, g.Bad))
		for _, f := range g.Filers {
			if t, _ := e.trust(now, f.Node); t > 0 {
				bad.add(max(t, blameLeast) * decay(1, now.since(f.At), halfNear))
			}
		}
		n[i].Good, n[i].Bad = class(g.Good, maxMassClass), class(max(g.Bad-1, bad.total()), maxMassClass)
	}
	return n
}

// learnNear adds up what trusted peers say of a peer's neighbourhood, without the loudest. It
// counts for a day or so, and is not told to others.
func (e *Engine) learnNear(now Time, p *Peer, answers []Answer) {
	for i, k := range p.groups() {
		if k.none() {
			continue
		}
		good, bad := 0.0, butMost{}
		for _, a := range answers {
			if t, _ := e.trust(now, a.By); t > 0 {
				good += t * min(blameEach, least(a.Near[i].Good))
				bad.add(max(t, blameLeast) * min(blameEach, least(a.Near[i].Bad)))
			}
		}
		g, ok := e.groups.peek(k)
		if !ok && bad.total() > 0 {
			g, ok = e.group(now, k), true
		}
		if ok {
			g.Heard = Heard{good, bad.total(), now}
		}
	}
}
