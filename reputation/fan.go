package reputation

// Fan is to how many nodes a peer comes at once, as its witnesses see it, and what follows
// while little is known of it: spec/reputation.md#fan-out.
type Fan struct {
	Fans   float64 // nodes that have asked about it lately
	Lot    float64 // drawn when others are asked, 0…1: this node's place in its queue
	Praise float64 // what those who were asked have praised, weighed
}

// Constants of fan-out.
const (
	fanStranger = 5.0
	fanKnown    = 10.0
	fanPraised  = 1.0  // more by each mass of praise
	fanMost     = 2.0  // times these nobody's turn comes
	fanFloor    = 0.02 // of the nodes are not held by it, whatever the witnesses say
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
