package reputation

import (
	"cmp"
	"slices"
	"time"

	"parley/protocol"
)

// Loan is what one recommender's word adds to a peer.
type Loan struct {
	By     protocol.Node
	Amount float64
}

// Constants of loans and blame.
const (
	loanEach    = 1.0
	loanPraise  = 2.0 // mass in a statement that counts
	loanPeer    = 3.0 // to one peer from all
	loanCredit  = 4.0 // from one recommender, times its own evidence
	introRate   = 0.5 // fresh identities a day that one recommender may introduce
	introBurst  = 1.0
	freshDays   = 3.0 // an outcome within is one of a fresh identity
	liable      = 2.0 // of a bad outcome, that falls back on the recommender
	liableUntil = 4.0 // own evidence
	carriedAge  = 0.3 // trust from which a carried statement may attest age
	blameEach   = 4.0
	blameLeast  = 0.5 // weight of blame by somebody trusted less
	blameMost   = 24.0
)

// Learn takes what is said of a peer: what it carries and what those who were asked
// answered, opened. It replaces what was learnt before, unless there is nothing: silence may
// be our own link's fault, and neither forgives nor takes a loan away.
func (e *Engine) Learn(now time.Time, s Sender, carried []Statement, answers ...Answer) {
	at := e.clock.now(now)
	p := e.meet(at, &s)
	p.decay(at)
	carried = about(p.Name, Carried, carried[:min(len(carried), maxCarried)])
	var told []Statement
	for _, a := range answers {
		if a.Told.By == a.By {
			told = append(told, a.Told)
		}
	}
	told = about(p.Name, Told, told)
	if len(carried)+len(answers) == 0 {
		return
	}
	e.learnAge(at, p, carried, told)
	if len(answers) > 0 {
		e.learnBlame(at, p, told)
		e.learnFan(at, p, answers, told)
		e.learnNear(at, p, answers)
	}
	e.borrow(at, p, append(told, carried...))
	p.Doubt = false
	if s := e.judge(at, p); s.Phi > 0 {
		e.count(at, p)
	}
}

// about returns those statements of a kind about a peer that are the first of their
// authors.
func about(name protocol.Node, kind Kind, all []Statement) (out []Statement) {
	for _, s := range all {
		same := func(o Statement) bool { return o.By == s.By }
		if s.About == name && s.Kind == kind && !slices.ContainsFunc(out, same) {
			out = append(out, s)
		}
	}
	return out
}

// topTwo are the two highest of what several say. The second is believed: one liar cannot
// raise it above what somebody else says.
type topTwo struct{ most, second float64 }

func (b *topTwo) add(v float64) {
	b.most, b.second = max(b.most, v), max(b.second, min(b.most, v))
}

// learnAge believes the second-oldest sighting, at most one of them carried: one liar
// cannot age an identity.
func (e *Engine) learnAge(now Time, p *Peer, carried, told []Statement) {
	var oldest topTwo
	for _, s := range told {
		if t, _ := e.trust(now, s.By); t > 0 {
			oldest.add(least(s.Days))
		}
	}
	best := 0.0
	for _, s := range carried {
		asked := slices.ContainsFunc(told, func(o Statement) bool { return o.By == s.By })
		if t, _ := e.trust(now, s.By); t > carriedAge && !asked {
			best = max(best, least(s.Days))
		}
	}
	oldest.add(best)
	p.Aged = min(p.Aged, now-Time(oldest.second*24*float64(time.Hour)))
}

// butMost is the sum of what several say. The largest is left out: one liar counts nothing.
type butMost struct{ sum, most float64 }

func (b *butMost) add(v float64) { b.sum, b.most = b.sum+v, max(b.most, v) }

func (b *butMost) total() float64 { return b.sum - b.most }

// blames are what several hold against a peer, weighed.
type blames struct {
	all        []protocol.Node // who
	slow, fast butMost
}

// add takes what one has said, in classes, old days ago.
func (b *blames) add(by protocol.Node, weight float64, bad, lately uint8, old float64) {
	slow := weight * decay(min(blameEach, least(bad)), old, halfSlow)
	b.slow.add(slow)
	b.fast.add(weight * decay(min(blameEach, least(lately)), old, halfFast))
	if slow > 0 {
		b.all = append(b.all, by)
	}
}

func (b *blames) total() (slow, fast float64) { return b.slow.total(), b.fast.total() }

// learnBlame adds up what trusted peers hold against a peer.
func (e *Engine) learnBlame(now Time, p *Peer, told []Statement) {
	var sum blames
	for _, s := range told {
		if t, _ := e.trust(now, s.By); t > 0 {
			sum.add(s.By, max(t, blameLeast), s.Bad, s.Lately, 0)
		}
	}
	p.Accusers = sum.all[:min(len(sum.all), maxAccusers)]
	slow, fast := sum.total()
	p.Blame, p.FastBlame = min(blameMost, slow), min(blameMost, fast)
}

// borrow gives back a peer's loans and takes new ones from those who praise it, the most
// trusted first.
func (e *Engine) borrow(now Time, p *Peer, praise []Statement) {
	before := p.Loans
	e.giveBack(now, p)
	p.Loans, p.Loan, p.Repaid = nil, 0, false
	type lender struct {
		Statement
		trust float64
		peer  *Peer
	}
	var all []lender
	for _, s := range praise {
		if t, r := e.trust(now, s.By); t > 0 && s.Good > 0 && s.By != p.Name {
			all = append(all, lender{s, t, r})
		}
	}
	slices.SortStableFunc(all, func(a, b lender) int {
		return cmp.Or(cmp.Compare(b.trust, a.trust), cmp.Compare(a.By, b.By))
	})
	fresh := p.P < knownOwn && !e.aged(now, p)
	owners := map[groupKey]int{}
	for _, l := range all {
		asked := func(o Loan) bool { return o.By == l.By }
		if slices.ContainsFunc(p.Loans, asked) || !fewOf(owners, &l.peer.Sender) {
			continue
		}
		l.peer.Credit.decay(now)
		lend := min(l.trust*min(least(l.Good), loanPraise), loanEach, loanCredit*e.own(now, l.peer)-l.peer.Lent, loanPeer-p.Loan)
		if lend <= 0 || fresh && !slices.ContainsFunc(before, asked) && !l.peer.introduces(now) {
			continue
		}
		l.peer.Lent += lend
		p.Loan += lend
		p.Loans = append(p.Loans, Loan{l.By, lend})
	}
}

// introduces takes a token for a fresh identity from a recommender whose earlier ones
// turned out well.
func (p *Peer) introduces(now Time) bool {
	if 3*p.NewBad > p.NewGood+1 || p.Introductions.refill(now, introRate, introBurst) < 1 {
		return false
	}
	p.Introductions.add(-1)
	return true
}

func (e *Engine) giveBack(now Time, p *Peer) {
	if p.Repaid {
		return
	}
	p.Repaid = true
	for _, l := range p.Loans {
		if r, ok := e.peers.peek(l.By); ok {
			r.Credit.decay(now)
			r.Lent = max(0, r.Lent-l.Amount)
		}
	}
}

// settle lets those who vouched for a peer share its early outcomes, in proportion to
// what they lent: good ones make them trusted, bad ones also cost them their own standing.
func (e *Engine) settle(now Time, p *Peer, good, bad float64) {
	if len(p.Loans) == 0 || p.Loan == 0 {
		return
	}
	if p.P < liableUntil && max(good, bad) >= 0.5 {
		for _, l := range p.Loans {
			if r, ok := e.peers.peek(l.By); ok {
				r.decay(now)
				r.answers(now, l.Amount/p.Loan, good, bad, now.since(p.Aged) < freshDays)
			}
		}
		if bad > 0 {
			e.topAt = 0
		}
	}
	if good >= 0.5 && p.P+good >= knownOwn && p.P+good > 2*p.N { // own evidence replaces the loan
		e.giveBack(now, p)
	}
}

// record takes down how right a recommender was.
func (c *Credit) record(right, wrong float64) {
	c.Right += right
	c.Wrong += wrong
	if c.Right+c.Wrong > maxRecords {
		c.Right *= 0.9
		c.Wrong *= 0.9
	}
}

// answers for a share of an outcome.
func (p *Peer) answers(now Time, share, good, bad float64, fresh bool) {
	p.Credit.decay(now)
	p.record(good*share, bad*share)
	if fresh {
		p.NewGood += good * share
		p.NewBad += bad * share
	}
	p.P = max(0, p.P-liable*bad*share)
	p.Long = max(0, p.Long-liable*bad*share)
}
