package reputation

// Hold is where a stranger is with the questions about it.
type Hold uint8

// Holds.
const (
	Settled    Hold = iota
	AskedOnce       // others are asked for the first time in hours
	AskedAgain      // they will be asked again once the peer has waited
)

// Fan is to how many nodes a peer comes at once, as its witnesses see it, and what follows
// while little is known of it: spec/reputation.md#fan-out.
type Fan struct {
	Fans   float64 // nodes that have asked about it lately
	Lot    float64 // drawn when others are asked, 0…1: this node's place in its queue
	Hold   Hold
	Praise float64 // what those who were asked have praised, weighed
}

// Constants of fan-out.
const (
	fanStranger = 5.0
	fanKnown    = 10.0
	fanPraised  = 1.0   // more by each mass of praise
	fanMost     = 2.0   // times these nobody's turn comes
	fanFloor    = 0.005 // of the nodes are not held by it, whatever the witnesses say

	holdDays = 45.0 / 86400  // a stranger waits before others are asked again
	holdLate = 600.0 / 86400 // until when it has to come back, or it waits anew
)

// learnFan believes the second-highest count: one liar cannot stop a newcomer.
func (e *Engine) learnFan(now Time, p *Peer, answers []Answer, told []Statement) {
	var fans topTwo
	for _, a := range answers {
		if t, _ := e.trust(now, a.By); t > 0 {
			fans.add(least(a.Asked))
		}
	}
	p.Fans, p.Praise = fans.second, 0
	for _, s := range told {
		t, _ := e.trust(now, s.By)
		p.Praise += t * least(s.Good)
	}
	if p.Hold == AskedOnce {
		p.Hold = Settled
		if !e.known(now, p) && !p.hasty(false) {
			p.Hold = AskedAgain
		}
	}
}

// asks takes down that others are asked about a peer. again: for the second time, and it has
// waited in between.
func (p *Peer) asks(now Time) (again bool) {
	waited, since := p.Hold == AskedAgain, now.since(p.Asked)
	again = waited && since <= holdLate
	p.Hold = Settled
	if p.Asked == 0 || since >= askSoon || waited && !again {
		p.Hold = AskedOnce
	}
	p.Asked = now
	return again
}

// settles is for how long, in days, a stranger still waits before others are asked again: who
// writes to all nodes in the same minute is among the first at each of them.
func (p *Peer) settles(now Time) float64 {
	if p.Hold != AskedAgain {
		return 0
	}
	return max(0, holdDays-now.since(p.Asked))
}

// hasty reports whether a peer comes to more nodes at once than its standing allows, and it is
// not this node's turn: of those to which it comes, about as many let it in as are allowed.
func (p *Peer) hasty(known bool) bool {
	if p.P >= establishedP || p.Lot <= fanFloor {
		return false
	}
	limit := fanStranger
	if known {
		limit = fanKnown + fanPraised*p.Praise
	}
	return p.Lot*p.Fans > limit || p.Fans > fanMost*limit
}
