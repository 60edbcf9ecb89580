package reputation

import (
	"math"
	"time"

	"parley/protocol"
)

// Event is something that a peer is answerable for. There is none for what may be our
// own fault: lost links, timeouts, full disks, what we refused or delayed ourselves.
type Event uint8

// Events.
const (
	Reply     Event = iota // a local user answered a first contact of the peer's user
	Burst                  // a conversation went on: at most one a day and conversation
	Answered               // the peer's user answered a first contact of ours
	Report                 // a local user reported a user of the peer
	Block                  // a local user blocked one
	Ignored                // a delivered first contact found no reaction for 3 days
	Probe                  // a first contact to a user who does not exist
	Violation              // a frame that no correct node sends
)

// events has the mass of each, positive or negative.
var events = [...]struct {
	name string
	mass float64
}{
	Reply: {"reply", 1}, Burst: {"conversation", 0.1}, Answered: {"answered us", 1}, Report: {"report", -3},
	Block: {"block", -1}, Ignored: {"ignored", -0.05}, Probe: {"unknown user", -0.05}, Violation: {"violation", -1},
}

func (v Event) String() string { return events[v].name }

// Reporter is the local user who stands behind an event: how old the account is, and with
// how many other users it has conversations. The engine adds how often its earlier reports
// were right and wrong. The zero Reporter is the node itself, for Probe and Violation.
type Reporter struct {
	User     protocol.UserID
	Whom     protocol.UserID // the remote user whom it is about, if anybody
	Age      time.Duration
	Partners int

	right, wrong float64
}

// Weights of reporters.
const (
	fullAge      = 30.0 // days
	leastAge     = 3.0  // days: full age on a newborn node
	fullPartners = 5
	lonely       = 0.1
	light        = 0.5 // below, a user's word counts only within the light caps
	lightGood    = 1.0
	lightBad     = 1.5
	maxVoice     = 4.0 // of N from one local user: a report and a block
	maxVoices    = 8
)

// accuracy discounts a record of right and wrong words: (r+2)/(r+3w+2).
func accuracy(right, wrong float64) float64 { return (right + 2) / (right + 3*wrong + 2) }

// weight is min(1, age/full)·(0.1 + 0.9·min(1, partners/5))·accuracy. No account is
// older than its node: full is 30 days or the node's own age, if that is less.
func (r Reporter) weight(nodeAge float64) float64 {
	if r.User == "" {
		return 1
	}
	full := min(fullAge, max(nodeAge, leastAge))
	age := max(0, min(1, days(r.Age)/full))
	partners := min(1, float64(max(r.Partners, 0))/fullPartners)
	return age * (lonely + (1-lonely)*partners) * accuracy(r.right, r.wrong)
}

// Observe takes evidence about a peer. It returns the mass that counted, negative for
// bad, after weighing and the caps.
func (e *Engine) Observe(now time.Time, s Sender, ev Event, by Reporter) float64 {
	at := e.clock.now(now)
	p := e.meet(at, &s)
	p.decay(at)
	solid := by.weight(at.since(e.born)) >= light
	by.right, by.wrong = e.record(at, by.User)
	w := by.weight(at.since(e.born))
	if solid { // whose word counts little is not judged, and judges nobody
		e.weighWords(at, ev, &by, w >= light)
	}
	mass := events[ev].mass * w
	good, bad := max(0, mass), max(0, -mass)
	if w < light {
		good, bad = max(0, min(good, lightGood-p.LightGood)), max(0, min(bad, lightBad-p.LightBad))
		p.LightGood += good
		p.LightBad += bad
	}
	bad = p.voice(by.User, bad)
	if good+bad == 0 {
		return 0
	}
	if by.User != "" { // what no user stands behind costs an identity nothing, and must not fill the table
		e.befriend(at, p)
	}
	e.poolLearns(at, p, good, bad)
	e.settle(at, p, good, bad)
	e.judgeAccusers(at, p, good, bad)
	p.P += good
	p.Ps += good
	p.N += bad
	p.Ns += bad
	p.Long = max(0, min(longCap, p.Long+good-bad))
	if bad >= 0.5 {
		p.Doubt = true
		if len(e.accuse) < maxAccusals {
			e.accuse[p.Name] = true
		}
		e.judge(at, p)
	}
	e.count(at, p)
	return good - bad
}

// voice returns what still counts of one more word of a user against a peer.
func (p *Peer) voice(user protocol.UserID, bad float64) float64 {
	if bad == 0 {
		return 0
	}
	least, smallest := 0, math.Inf(1)
	for i := range p.Voices {
		v := &p.Voices[i]
		if v.User == user {
			bad = max(0, min(bad, maxVoice-v.Bad))
			v.Bad += bad
			return bad
		}
		if v.Bad < smallest {
			least, smallest = i, v.Bad
		}
	}
	bad = min(bad, maxVoice)
	switch {
	case len(p.Voices) < maxVoices:
		p.Voices = append(p.Voices, Voice{user, bad})
	case smallest <= bad:
		p.Voices[least] = Voice{user, bad}
	}
	return bad
}
