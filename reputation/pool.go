package reputation

// The strangers' pool of spec/reputation.md#the-strangers-pool: what all unknown nodes
// together may send, in four parts.
const (
	poolKey   = iota // free keys
	poolFresh        // proven domains
	poolAged         // proven domains that have been around for a week
	poolYoung        // vouched for, but too new to be known
	pools     = 4
)

var poolShare = [pools]float64{poolKey: 0.2, poolFresh: 0.4, poolAged: 0.4, poolYoung: 0.5}

const (
	poolPerUser = 0.02 // first contacts a day
	poolLeast   = 1.0
	poolBurst   = 3 // days
	poolFloor   = 0.25
	poolLift    = 1.25
	groupShare  = 0.25 // of a parent domain or network
	wideShare   = 0.5  // of a provider's network
	agedPool    = 7.0  // days
	youngDays   = 14.0 // for which the receiver is young
	youngTimes  = 9.0  // by which a newborn's pool is larger
	youngRate   = 3.0  // that a newborn adds to everybody's rate
)

// Pool is one part: its bucket, and how what it let in turned out lately.
type Pool struct {
	Bucket    Bucket
	Good, Bad float64
	At        Time
}

func (p *Pool) decay(now Time) {
	d := now.since(p.At)
	p.Good, p.Bad, p.At = decay(p.Good, d, halfPool), decay(p.Bad, d, halfPool), now
}

// poolAdapts is the factor by which a pool shrinks when what it lets in turns out bad.
func poolAdapts(good, bad float64) float64 {
	return max(poolFloor, min(1, (good+1)/(good+bad+1)*poolLift))
}

// youth is 1 for a node that knows nobody yet and falls to 0 within two weeks.
func (e *Engine) youth(now Time) float64 { return max(0, 1-now.since(e.born)/youngDays) }

// poolRate is first contacts a day from one part of the pool.
func (e *Engine) poolRate(now Time, part int) float64 {
	p := &e.pools[part]
	p.decay(now)
	all := max(poolPerUser*float64(e.cfg.Users), poolLeast)
	return all * poolShare[part] * poolAdapts(p.Good, p.Bad) * (1 + youngTimes*e.youth(now))
}

// poolOf says from which part a peer that is not known drinks.
func poolOf(now Time, p *Peer, positive float64) int {
	switch {
	case positive >= knownMass:
		return poolYoung
	case p.Proof != ProofDomain:
		return poolKey
	case now.since(p.Aged) >= agedPool:
		return poolAged
	}
	return poolFresh
}

// poolCost is how much of a token a first contact of a peer that is not known takes.
func poolCost(positive float64, aged bool) float64 {
	if positive >= knownMass {
		return 1
	}
	c := 1 - positive/knownMass
	if !aged {
		c = max(c, 0.5)
	}
	return c
}

// poolHas checks the pool and the shares of the peer's groups. If a token is missing,
// wait is when it will be there, in days.
func (e *Engine) poolHas(now Time, s *Sender, part int, cost float64) (r Reason, wait float64, ok bool) {
	rate := e.poolRate(now, part)
	burst := max(1, rate*poolBurst)
	if has := e.pools[part].Bucket.refill(now, rate, burst); has < cost {
		return ReasonPool, (cost - has) / rate, false
	}
	for _, c := range s.cups() {
		if c.of.none() {
			continue
		}
		rate, burst := rate*c.part, max(1, burst*c.part)
		if has := e.group(now, c.of).Cups[part].refill(now, rate, burst); has < cost {
			return ReasonGroup, (cost - has) / rate, false
		}
	}
	return 0, 0, true
}

// poolMove gives tokens back, or takes them if n is negative.
func (e *Engine) poolMove(now Time, s *Sender, part int, n float64) {
	e.pools[part].Bucket.add(n)
	for _, c := range s.cups() {
		if !c.of.none() {
			e.group(now, c.of).Cups[part].add(n)
		}
	}
}

// poolLearns from how a peer that the pool let in turns out.
func (e *Engine) poolLearns(now Time, p *Peer, good, bad float64) {
	if p.Pool == 0 || p.P >= turnsGood {
		return
	}
	pool := &e.pools[p.Pool-1]
	pool.decay(now)
	if good >= 0.5 {
		pool.Good++
	}
	if bad >= 0.5 {
		pool.Bad++
	}
}
