package reputation

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func near(t testing.TB, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-9 {
		t.Errorf("%s = %.12f, want %.12f", what, got, want)
	}
}

// Values worked out by hand from spec/reputation.md#quality.
func TestQuality(t *testing.T) {
	for _, c := range []struct {
		name                 string
		m                    Mass
		prior                float64
		quality, lo, hi, phi float64
	}{
		{"stranger of a domain", Mass{}, 0.5, 0.5, 0.25, 0.5, 1},
		{"stranger with a free key", Mass{}, 0.4, 0.4, 0.25, 0.5, 0.6},
		{"stranger of bad company", Mass{}, 0.1, 0.1, 0.25, 0.5, 0},
		// (6+1)/(6+2); c = 6/12
		{"six replies a while ago", Mass{P: 6}, 0.5, 0.875, 0.4, 0.65, 1},
		// slow (2+1)/(2+2+2) = 1/2, fast (0+2)/(0+2+4) = 1/3; c = 4/10, lo .37, hi .62
		{"two replies, then two blocks", Mass{P: 2, N: 2, Ns: 2}, 0.5, 1.0 / 3, 0.37, 0.62, 0},
		// the loan counts half at P = 3: 1; (3+1+1)/(3+1+2) = 5/6; c = 4/10
		{"half of a loan", Mass{P: 3, Loan: 2}, 0.5, 5.0 / 6, 0.37, 0.62, 1},
		// P >= 6: no loan
		{"no loan", Mass{P: 6, Loan: 3}, 0.5, 0.875, 0.4, 0.65, 1},
		// blame of 24 against an established peer without own complaints counts 1:
		// (4+1)/(4+1+2) = 5/7; c = 5/11
		{"slandered", Mass{P: 4, Blame: 24}, 0.5, 5.0 / 7, 0.25 + 1.5/11, 0.5 + 1.5/11, 1},
		// and in full against one who is not: (1+1)/(1+6+2) = 2/9; c = 7/13
		{"blamed newcomer", Mass{P: 1, Blame: 6}, 0.5, 2.0 / 9, 0.25 + 2.1/13, 0.5 + 2.1/13, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := c.m.Quality(c.prior)
			lo, hi := c.m.Thresholds()
			near(t, "quality", q, c.quality)
			near(t, "lo", lo, c.lo)
			near(t, "hi", hi, c.hi)
			near(t, "phi", c.m.Factor(q), c.phi)
		})
	}
}

func TestRate(t *testing.T) {
	for _, c := range []struct {
		phi, m, base, own float64
		known             bool
		rate, burst       float64
	}{
		{1, 0, 1, 0, false, 1, 1},
		{0.5, 0, 3, 0, false, 1.5, 1.5},
		{1, 1, 1, 1, true, 2, 2},                      // 1.5 + 1/2
		{1, 8, 1, 4, true, 1 + 4.28709385014517, 3.5}, // 8^0.7
		{1, 100, 2, 100, true, 32, 32.0 / 6},          // 0.3·100 > 100^0.7 = 25.1
		{0, 100, 2, 100, true, 0, 3.5},
	} {
		r := rateOf(c.phi, c.m, c.base)
		near(t, "rate", r, c.rate)
		near(t, "burst", burstOf(c.phi, c.own, c.base, r, c.known), c.burst)
	}
	near(t, "base rate of 1000 users", baseRate(1000), 3)
}

func TestDecay(t *testing.T) {
	near(t, "one half-life", decay(8, 14, halfSlow), 4)
	near(t, "three", decay(8, 6, halfFast), 1)
	near(t, "back in time", decay(8, -6, halfFast), 8)
	p := Peer{P: 8, N: 4, Ps: 8, Ns: 4, Long: 8, LightBad: 1, Blame: 2, FastBlame: 2, Voices: []Voice{{"u", 2}}}
	p.decay(Time(14 * 24 * time.Hour))
	near(t, "P", p.P, 4)
	near(t, "N", p.N, 2)
	near(t, "Ps", p.Ps, 8.0/128)
	near(t, "Ns", p.Ns, 4.0/128)
	near(t, "Long", p.Long, 8*math.Exp2(-14.0/90))
	near(t, "LightBad", p.LightBad, 0.5)
	near(t, "Blame", p.Blame, 1)
	near(t, "FastBlame", p.FastBlame, 2.0/128)
	near(t, "voice", p.Voices[0].Bad, 1)
}

func TestWeights(t *testing.T) {
	const d = 24 * time.Hour
	for _, c := range []struct {
		name string
		r    Reporter
		node float64
		want float64
	}{
		{"the node itself", Reporter{}, 100, 1},
		{"old, known to many", Reporter{User: "u", Age: 30 * d, Partners: 5}, 100, 1},
		{"fresh", Reporter{User: "u", Partners: 9}, 100, 0},
		{"half a month", Reporter{User: "u", Age: 15 * d, Partners: 5}, 100, 0.5},
		{"nobody's friend", Reporter{User: "u", Age: 300 * d}, 100, 0.1},
		{"two friends", Reporter{User: "u", Age: 30 * d, Partners: 2}, 100, 0.46},
		{"as old as a node of ten days", Reporter{User: "u", Age: 10 * d, Partners: 5}, 10, 1},
		{"a day on a node of a day", Reporter{User: "u", Age: d, Partners: 5}, 1, 1.0 / 3},
		{"wrong twice", Reporter{User: "u", Age: 30 * d, Partners: 5, wrong: 2}, 100, 0.25},
		{"right twice", Reporter{User: "u", Age: 30 * d, Partners: 5, right: 2}, 100, 1},
	} {
		t.Run(c.name, func(t *testing.T) { near(t, "weight", c.r.weight(c.node), c.want) })
	}
}

func TestPoolFormulas(t *testing.T) {
	near(t, "untried pool", poolAdapts(0, 0), 1)
	near(t, "half bad", poolAdapts(3, 4), 0.625) // 4/8·1.25
	near(t, "all bad", poolAdapts(0, 40), 0.25)
	near(t, "stranger", poolCost(0, true), 1)
	near(t, "half known", poolCost(0.25, true), 0.5)
	near(t, "almost known but new", poolCost(0.4, false), 0.5)
	near(t, "vouched but new", poolCost(0.5, false), 1)
	near(t, "group prior", groupPrior(0, 2, 0.5), 0.25)
	near(t, "good group", groupPrior(3, 1, 0.5), 4.0/6)
}

func drawMass(t *rapid.T, name string) Mass {
	f := func(s string, hi float64) float64 { return rapid.Float64Range(0, hi).Draw(t, name+s) }
	return Mass{P: f("P", 60), N: f("N", 30), Ps: f("Ps", 30), Ns: f("Ns", 30), Loan: f("Loan", 3), Blame: f("Blame", 24), FastBlame: f("FastBlame", 24)}
}

func (m Mass) rate(prior float64) float64 {
	return rateOf(m.Factor(m.Quality(prior)), m.Positive(), 1)
}

// TestMonotone: more bad evidence never raises a rate, more good evidence never lowers
// the quality, a better neighbourhood helps, and all numbers stay within their bounds.
// Good evidence can lower a low rate a little: the thresholds rise with confidence.
func TestMonotone(t *testing.T) {
	const tiny = 1e-9
	rapid.Check(t, func(t *rapid.T) {
		m := drawMass(t, "")
		prior := rapid.Float64Range(priorLow, priorDomain).Draw(t, "prior")
		more := rapid.Float64Range(0, 10).Draw(t, "more")
		r := m.rate(prior)
		q := m.Quality(prior)
		lo, hi := m.Thresholds()
		if !(q > 0 && q < 1 && lo >= 0.25 && hi <= 0.8 && hi-lo > 0.249 && r >= 0) {
			t.Fatalf("%+v: quality %v, thresholds %v %v, rate %v", m, q, lo, hi, r)
		}
		worse := m
		worse.N, worse.Ns = m.N+more, m.Ns+more
		if worse.rate(prior) > r+tiny {
			t.Fatalf("bad evidence raises %v to %v", r, worse.rate(prior))
		}
		worse = m
		worse.Blame, worse.FastBlame = m.Blame+more, m.FastBlame+more
		if worse.rate(prior) > r+tiny {
			t.Fatalf("blame raises %v to %v", r, worse.rate(prior))
		}
		better := m
		better.P, better.Ps = m.P+more, m.Ps+more
		if better.Quality(prior) < q-tiny { // not the rate: more is asked of those better known
			t.Fatalf("good evidence lowers %v to %v", q, better.Quality(prior))
		}
		if m.rate(prior+0.1) < r-tiny {
			t.Fatalf("a better prior lowers %v to %v", r, m.rate(prior+0.1))
		}
	})
}
