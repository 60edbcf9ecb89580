package reputation

import "net/netip"

// A groupKey is a parent domain or a network prefix: what makes identities cheap.
type groupKey struct {
	domain string
	prefix netip.Prefix
}

// Group is how the identities of one parent domain or network turned out.
type Group struct {
	Good, Bad float64 // identities
	At        Time
	Cups      [pools]Bucket // its share of each of the strangers' pools
	Uses      [uses]Bucket  `json:"-"` // of its strangers
	// Filers are those who have filed blame of an identity here, and Heard what others say of
	// the group: see near.go.
	Filers []Asker
	Heard
}

func (s *Sender) groups() [2]groupKey {
	return [2]groupKey{{domain: s.Domain}, {prefix: s.Prefix}}
}

// A cup is what those of one group share: a part of each of the strangers' pools, and so
// many strangers' worth of the uses.
type cup struct {
	of    groupKey
	part  float64
	crowd float64
}

// wideBits is what a provider of IPv6 has at least: 65,536 networks of /48, which cost
// their users next to nothing. A /16 of IPv4 has many owners, and each /24 has its price.
const wideBits = 32

// cups are those from which a sender drinks: of its groups, and of its provider's network.
// The last is for sharing only; what its identities do says nothing of one another.
func (s *Sender) cups() [3]cup {
	g := s.groups()
	c := [3]cup{{g[0], groupShare, useGroup}, {g[1], groupShare, useGroup}, {part: wideShare, crowd: useWide}}
	if a := s.Prefix.Addr(); a.Is6() && s.Prefix.Bits() > wideBits {
		c[2].of.prefix = netip.PrefixFrom(a, wideBits).Masked()
	}
	return c
}

func (k groupKey) none() bool { return k == groupKey{} }

func (g *Group) decay(now Time) {
	d := now.since(g.At)
	if g.At = now; d == 0 || g.Good+g.Bad == 0 {
		return
	}
	g.Good, g.Bad = decay(g.Good, d, halfGroup), decay(g.Bad, d, halfGroup)
}

// groupPrior is (G + 2a₀)/(G + B + 2).
func groupPrior(good, bad, a float64) float64 {
	return (good + priorMass*a) / (good + bad + priorMass)
}

// prior is the quality expected of a peer for its proof and its neighbours.
func (e *Engine) prior(now Time, s *Sender) float64 {
	a := priorKey
	if s.Proof == ProofDomain {
		a = priorDomain
	}
	least := a
	for _, k := range s.groups() {
		if k.none() {
			continue
		}
		if g, ok := e.groups.peek(k); ok && g.Bad+g.HeardBad > 0 { // else it is no less than a
			g.decay(now)
			good, bad := g.heard(now)
			least = min(least, groupPrior(g.Good+good, g.Bad+bad, a))
		}
	}
	return max(least, priorLow)
}

// group returns a group, made if need be.
func (e *Engine) group(now Time, k groupKey) *Group {
	g, ok := e.groups.get(k)
	if ok {
		g.decay(now)
		return g
	}
	if e.groups.full() {
		old, _ := e.groups.least(func(g *Group) float64 {
			g.decay(now)
			return g.Good + g.Bad + float64(max(0, len(g.Filers)-1))
		})
		e.groups.remove(old)
	}
	g = &Group{At: now}
	e.groups.add(k, g)
	return g
}

// Identities turn good or bad once each for their groups.
const (
	turnsGood  = 4 // own positive evidence, if it is also twice the negative
	staysClear = 8 // own positive evidence from which a closed peer is no verdict on its neighbours
	turnsBad   = 0.5
)

// count lets a peer speak for its neighbourhood. Only what was seen here counts: neither
// hearsay nor the neighbourhood's own name, or one bad identity would taint the next.
func (e *Engine) count(now Time, p *Peer) {
	turn := int8(0)
	switch {
	case p.Closed && p.Counted >= 0 && p.P < staysClear && p.N >= turnsBad:
		turn = -1
	case p.Counted == 0 && p.P >= turnsGood && p.P > 2*p.N:
		turn = 1
	default:
		return
	}
	p.Counted = turn
	for _, k := range p.groups() {
		if k.none() {
			continue
		}
		if g := e.group(now, k); turn > 0 {
			g.Good++
		} else {
			g.Bad++
		}
	}
}
