package model

import (
	"math"
	"time"

	"parley/protocol"
	"parley/reputation"
)

// Weight is how far a peer trusts another.
type Weight struct {
	To int
	By float64 // above 0
}

// EigenTrust computes global trust: t = (1−a)·Cᵀt + a·p, by iteration (Kamvar, Schlosser,
// Garcia-Molina: The EigenTrust Algorithm, WWW 2003, algorithm 2). Row i of trust is what
// i thinks of others; it is normalized here. A row without entries stands
// for p, equal trust in those who are trusted beforehand.
func EigenTrust(trust [][]Weight, before []int, a float64, rounds int) []float64 {
	t, next := make([]float64, len(trust)), make([]float64, len(trust))
	for _, i := range before {
		t[i] = 1 / float64(len(before))
	}
	for range rounds {
		clear(next)
		blank := a
		for i, row := range trust {
			sum := 0.0
			for _, w := range row {
				sum += w.By
			}
			if sum == 0 {
				blank += (1 - a) * t[i]
				continue
			}
			for _, w := range row {
				next[w.To] += (1 - a) * t[i] * w.By / sum
			}
		}
		for _, i := range before {
			next[i] += blank / float64(len(before))
		}
		t, next = next, t
	}
	return t
}

// Constants of the EigenTrust baseline.
const (
	eigenAlpha  = 0.15
	eigenRounds = 15
	eigenBefore = 10   // nodes that all trust beforehand: the largest
	eigenRate   = 20.0 // first contacts a day for the average score
	eigenBlock  = 2.0  // bad evidence beyond the good at which a node closes another itself
	eigenBytes  = 40   // of a score that is sent
)

// eigen is what all nodes compute together twice a day.
type eigen struct {
	w      *world
	scores []float64
	gates  []*eigenGate
	at     time.Duration
}

func newEigen(w *world) *eigen { return &eigen{w: w} }

func (e *eigen) gate(n *node) gate {
	g := &eigenGate{local: local{w: e.w, n: n, of: map[int]*scored{}}, shared: e}
	e.gates = append(e.gates, g)
	return g
}

type eigenGate struct {
	local
	shared *eigen
}

// turn computes the scores, if they are old.
func (g *eigenGate) turn() {
	if e := g.shared; e.w.now-e.at >= turnPeriod {
		e.at = e.w.now
		e.compute()
	}
}

func (e *eigen) compute() {
	rows := make([][]Weight, len(e.gates))
	sent := 0
	for i, g := range e.gates {
		if g.n.gone {
			continue
		}
		rows[i] = e.row(g)
		sent += len(rows[i])
	}
	var before []int
	for i := range min(eigenBefore, len(rows)) {
		before = append(before, i)
	}
	e.scores = EigenTrust(rows, before, eigenAlpha, eigenRounds)
	if e.w.now >= e.w.start {
		e.w.meter.asks += sent * eigenRounds
		e.w.meter.bytes += sent * eigenRounds * eigenBytes
	}
}

// row is what a node says of others. Colluders trust nobody but each other.
func (e *eigen) row(g *eigenGate) (row []Weight) {
	if g.n.team != 0 {
		for _, x := range e.w.nodes {
			if x.team == g.n.team && x != g.n && !x.gone {
				row = append(row, Weight{x.id, 1})
			}
		}
		return row
	}
	for _, x := range g.all {
		if x.gone || g.n.liar && x.slandered {
			continue
		}
		s := g.of[x.id]
		s.decay(e.w.now)
		if v := s.good - s.bad; v > 0.05 {
			row = append(row, Weight{x.id, v})
		}
	}
	return row
}

func (g *eigenGate) contact(from *node, _ protocol.UserID) (bool, time.Duration) {
	s := g.about(from)
	s.decay(g.w.now)
	if s.bad > s.good+eigenBlock {
		return false, reputation.MaxWait
	}
	score := 0.0
	if from.id < len(g.shared.scores) {
		score = g.shared.scores[from.id] * float64(g.w.cfg.Nodes)
	}
	base := 1 + float64(g.n.users)/500
	rate := base + eigenRate*score
	burst := math.Max(base, rate/6)
	if score > 0.02 {
		burst = max(burst, 3)
	}
	return s.bucket.take(g.w.now, rate, burst)
}
