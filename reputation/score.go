package reputation

import "math"

// The formulas of spec/reputation.md#quality and #rate, as functions of numbers.

// Half-lives, in days.
const (
	halfSlow  = 14
	halfFast  = 2
	halfLong  = 90
	halfGroup = 30
	halfPool  = 7
	halfNear  = 7
	halfHeard = 1
)

// Constants of the formulas.
const (
	priorDomain = 0.5
	priorKey    = 0.4
	priorLow    = 0.10 // no neighbourhood is worse than this
	priorMass   = 2    // that the prior counts for in E_slow
	fastMass    = 4    // that E_slow counts for in E_fast

	lowBase, highBase, strictness = 0.25, 0.50, 0.30
	sure                          = 6    // mass at which half of the strictness applies
	reopenBy                      = 0.10 // above the closing threshold
	strangerClose                 = 0.35

	knownMass = 0.5
	knownOwn  = 1 // own positive evidence at which age does not matter
	agedDays  = 2

	rateUsers    = 500 // local users for each further first contact a day
	growth       = 0.7
	growthLinear = 0.3
	burstKnown   = 1.5

	longCap      = 8
	loanFades    = 6 // own positive evidence at which loans count nothing
	establishedP = 2
	hearsayFree  = 1 // blame against an established peer that needs no own evidence
	hearsayTimes = 3
)

// Mass is the evidence about a peer as the formulas take it: own (P, N slow, Ps, Ns
// fast), lent by recommenders (Loan), and blame of others, slow and fast.
type Mass struct{ P, N, Ps, Ns, Loan, Blame, FastBlame float64 }

// loan is what is left of loans beside own evidence: π′ = π·max(0, 1 − P/6).
func (m Mass) loan() float64 { return m.Loan * max(0, 1-m.P/loanFades) }

// Positive is M = P + π′.
func (m Mass) Positive() float64 { return m.P + m.loan() }

// blame is what hearsay counts: where a peer is established it only amplifies what we
// saw ourselves.
func (m Mass) blame() (slow, fast float64) {
	if m.P < establishedP {
		return m.Blame, m.FastBlame
	}
	return min(m.Blame, hearsayFree+hearsayTimes*m.N), min(m.FastBlame, hearsayFree+hearsayTimes*m.Ns)
}

// Quality is E = min(E_slow, E_fast), in 0…1.
func (m Mass) Quality(prior float64) float64 {
	good := m.Positive()
	nu, nus := m.blame()
	slow := (good + priorMass*prior) / (good + m.N + nu + priorMass)
	fast := (m.Ps + fastMass*slow) / (m.Ps + m.Ns + nus + fastMass)
	return min(slow, fast)
}

// Thresholds are lo, where a peer is closed, and hi, from where it has its full rate.
// The more is known, the more is asked.
func (m Mass) Thresholds() (lo, hi float64) {
	nu, _ := m.blame()
	all := m.Positive() + m.N + nu
	c := all / (all + sure)
	return lowBase + strictness*c, highBase + strictness*c
}

// Factor is φ, the share of its full rate that a peer of quality q gets.
func (m Mass) Factor(q float64) float64 {
	lo, hi := m.Thresholds()
	return max(0, min(1, (q-lo)/(hi-lo)))
}

// baseRate is r₀, in first contacts a day.
func baseRate(users int) float64 { return 1 + float64(users)/rateUsers }

// rateOf is first contacts a day: φ·(r₀ + max(M^0.7, 0.3·M)).
func rateOf(phi, positive, base float64) float64 {
	return phi * (base + max(math.Pow(positive, growth), growthLinear*positive))
}

// burstOf is how many first contacts may come at once.
func burstOf(phi, own, base, rate float64, known bool) float64 {
	b := max(1, phi*base)
	if known {
		b = max(b, burstKnown+min(2, own/2), rate/6)
	}
	return b
}
