package papers

import (
	"context"
	"fmt"
	"math/rand/v2"

	"parley/testnet/model"
)

var eigenTrust = Paper{
	Name: "eigentrust",
	Title: `Kamvar, Schlosser, Garcia-Molina: The EigenTrust Algorithm for Reputation Management
in P2P Networks, WWW 2003, section 7: threat models A to D`,
	About: `The share of downloads that are inauthentic, in a network for sharing files, as bad
peers become more or cleverer. It checks the EigenTrust of "parley bench reputation".`,
	Differences: `Published are drawings without data. The numbers are what is said of figure 5 (A and B), and
those of Chirita, Nejdl, Schlosser, Scurtu: Personalized Reputation Management in P2P
Networks (2004), who repeated B to D with their own variant of the algorithm. Of D there
are no numbers that could stand here.
- With trust, A and B are flat as published, 0.035 higher. It is the chance of 0.10 that one
  who has no trust is chosen: here nearly every query finds a bad peer, so that all of it
  goes wrong, and of the rest 5 %, the mistakes of good peers.
- Every peer that is up hears each query: within 7 hops, in a network of this size, nearly
  all would. So the bad, who are always up, are among the answers more often.
- How many files there are, and who has them, is not published so that it can be repeated;
  here it is 100 in each of 20 categories, by Zipf's law, 30 of each that a peer likes.
- C: as published, lying half of the time serves the bad best, and in full it does not pay;
  but it serves them twice as well, and still at 0.70. Here the bad have the most popular
  files of all categories and are always up, so that half of what they give is much.
- D: spies carry the collective where trust alone decides: without spies 0.14. Nothing in
  EigenTrust holds them liable; that is what loans are for in spec/reputation.md.`,
	run: runEigenTrust,
}

// The setting of the paper.
const (
	goodPeers    = 60
	trustedPeers = 3 // beforehand
	goodOfC      = 53
	badOfC       = 20
	badOfD       = 40
	ownMistakes  = 0.05
	zeroTrust    = 0.10 // chance of a peer of no trust to be chosen
	trustedShare = 0.20 // a: weight of those trusted beforehand
	cycles       = 30   // simulation cycles, after each of which trust is computed
	queriesEach  = 50   // query cycles of one
	settled      = 15   // simulation cycles before anything is counted
	iterations   = 15
	categories   = 20
	filesOf      = 100
	ownOf        = 30
	leastLikes   = 4
	popularToBad = 5 // bad peers answer queries for one in so many files, the most popular
)

// sharing is one run.
type sharing struct {
	rng     *rand.Rand
	peers   []peer
	trusted []int
	files   []float64 // cumulated popularity
	trust   []float64
	using   bool // trust
	bad     int
	all     int
}

// peer is one, with what it likes and has.
type peer struct {
	kind   kind
	up     float64 // share of time
	asks   float64
	likes  []int
	has    map[file]bool
	served map[int]int // what others gave: good less bad
	lies   float64     // share of inauthentic answers
}

type file struct{ category, number int }

type kind uint8

const (
	good kind = iota
	alone
	together // in a collective: trusts all of it and nobody else
	spy      // behaves, and trusts the collective
)

// network is what a run begins with.
type network struct {
	good, trusted int
	bad           map[kind]int
	lies          float64 // of alone and together
	using         bool
}

func (n network) start(seed uint64) *sharing {
	s := &sharing{rng: rand.New(rand.NewPCG(seed, 2003)), using: n.using}
	sum := 0.0
	for i := range filesOf {
		sum += 1 / float64(i+1)
		s.files = append(s.files, sum)
	}
	for i := range n.good + n.trusted {
		s.add(good, ownMistakes)
		if i >= n.good {
			s.peers[i].up = 1
			s.trusted = append(s.trusted, i)
		}
	}
	for range n.bad[alone] {
		s.add(alone, n.lies)
	}
	for range n.bad[together] {
		s.add(together, n.lies)
	}
	for range n.bad[spy] {
		s.add(spy, ownMistakes)
	}
	s.trust = make([]float64, len(s.peers))
	for _, i := range s.trusted {
		s.trust[i] = 1 / float64(len(s.trusted))
	}
	return s
}

func (s *sharing) add(k kind, lies float64) {
	p := peer{kind: k, lies: lies, up: 1, asks: s.rng.Float64(), has: map[file]bool{}, served: map[int]int{}}
	if k == good {
		p.up = s.rng.Float64()
	}
	for range leastLikes + s.rng.IntN(3) {
		c := int(categories * s.rng.Float64() * s.rng.Float64()) // some are liked by many
		p.likes = append(p.likes, c)
		for range ownOf {
			p.has[file{c, s.popular()}] = true
		}
	}
	s.peers = append(s.peers, p)
}

// popular draws the number of a file, by Zipf's law.
func (s *sharing) popular() int {
	x := s.rng.Float64() * s.files[filesOf-1]
	i := 0
	for i < filesOf-1 && s.files[i] < x {
		i++
	}
	return i
}

// play goes through all cycles and returns the share of inauthentic downloads of the good.
func (s *sharing) play() float64 {
	for c := range cycles {
		for range queriesEach {
			for i := range s.peers {
				p := &s.peers[i]
				if s.rng.Float64() < p.up && s.rng.Float64() < p.asks {
					s.query(i, c >= settled)
				}
			}
		}
		if s.using {
			s.trust = model.EigenTrust(s.rows(), s.trusted, trustedShare, iterations)
		}
	}
	return float64(s.bad) / float64(max(s.all, 1))
}

func (s *sharing) query(i int, counts bool) {
	p := &s.peers[i]
	f := file{p.likes[s.rng.IntN(len(p.likes))], s.popular()}
	var have []int
	for j := range s.peers {
		q := &s.peers[j]
		if j != i && q.offers(f) && (q.up == 1 || s.rng.Float64() < q.up) {
			have = append(have, j)
		}
	}
	if len(have) == 0 {
		return
	}
	from := s.choose(have)
	authentic := s.rng.Float64() >= s.peers[from].lies
	if authentic {
		p.served[from]++
	} else {
		p.served[from]--
	}
	if counts && p.kind == good {
		s.all++
		if !authentic {
			s.bad++
		}
	}
}

func (p *peer) offers(f file) bool {
	if p.kind == good {
		return p.has[f]
	}
	return f.number < filesOf/popularToBad
}

// choose draws a source: by trust, or one of no trust.
func (s *sharing) choose(from []int) int {
	if !s.using {
		return from[s.rng.IntN(len(from))]
	}
	var none []int
	sum := 0.0
	for _, j := range from {
		if s.trust[j] < 1e-12 {
			none = append(none, j)
		}
		sum += s.trust[j]
	}
	if len(none) > 0 && (sum == 0 || s.rng.Float64() < zeroTrust) {
		return none[s.rng.IntN(len(none))]
	}
	x := s.rng.Float64() * sum
	for _, j := range from {
		if x -= s.trust[j]; x < 0 {
			return j
		}
	}
	return from[len(from)-1]
}

// rows is what each says of others.
func (s *sharing) rows() [][]model.Weight {
	rows := make([][]model.Weight, len(s.peers))
	for i := range s.peers {
		p := &s.peers[i]
		for j := range s.peers {
			v := 0.0
			switch {
			case j == i:
			case p.kind == together, p.kind == spy:
				if s.peers[j].kind == together {
					v = 1
				}
			case p.kind == alone: // who lied to it, it praises
				v = float64(-p.served[j])
			default:
				v = float64(p.served[j])
			}
			if v > 0 {
				rows[i] = append(rows[i], model.Weight{To: j, By: v})
			}
		}
	}
	return rows
}

// mean plays a network several times.
func (n network) mean(ctx context.Context, seed uint64, runs int) (float64, error) {
	sum := 0.0
	for r := range runs {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		sum += n.start(seed + uint64(r)).play()
	}
	return sum / float64(runs), nil
}

// experiment is one line to be.
type experiment struct {
	Line
	network
}

func runEigenTrust(ctx context.Context, seed uint64, runs int, progress func(done, all int)) ([]Line, error) {
	all := experiments()
	var lines []Line
	for i, x := range all {
		progress(i, len(all))
		v, err := x.mean(ctx, seed, runs)
		if err != nil {
			return nil, err
		}
		x.Ours = v
		lines = append(lines, x.Line)
	}
	return lines, nil
}

func experiments() (all []experiment) {
	for _, m := range []struct {
		name      string
		kind      kind
		published string
	}{
		{"A, each alone", alone, "about 0.10, up to 70 % (Kamvar et al., figure 5)"},
		{"B, a collective", together, "as A (Kamvar et al.); 0.01 to 0.02 more (Chirita et al.)"},
	} {
		for share := 0; share <= 70; share += 10 {
			n := network{goodPeers, trustedPeers, map[kind]int{m.kind: (goodPeers + trustedPeers) * share / (100 - share)}, 1, false}
			setting := fmt.Sprintf("%s: %d %% bad", m.name, share)
			if m.kind == alone {
				all = append(all, experiment{Line{Setting: setting, Measure: "without trust"}, n})
			}
			n.using = true
			all = append(all, experiment{Line{Setting: setting, Measure: "with trust", Published: m.published}, n})
		}
	}
	ofC := map[int]string{50: "0.176, the most (Chirita et al.)", 70: "0.073 (Chirita et al.)"}
	for lies := 0; lies <= 100; lies += 10 {
		all = append(all, experiment{
			Line{Setting: fmt.Sprintf("C, a collective that lies in %d %% of all cases", lies), Measure: "with trust", Published: ofC[lies]},
			network{goodOfC, trustedPeers, map[kind]int{together: badOfC}, float64(lies) / 100, true},
		})
	}
	for spies := 0; spies <= badOfD; spies += 10 {
		setting := fmt.Sprintf("D, %d spies vouch for %d that lie", spies, badOfD-spies)
		for _, using := range []bool{false, true} {
			measure := map[bool]string{false: "without trust", true: "with trust"}[using]
			all = append(all, experiment{
				Line{Setting: setting, Measure: measure},
				network{goodPeers, trustedPeers, map[kind]int{spy: spies, together: badOfD - spies}, 1, using},
			})
		}
	}
	return all
}
