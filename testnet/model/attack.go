package model

import (
	"fmt"
	"time"

	"parley/protocol"
	"parley/reputation"
)

// Attack is what happens to the federation, from Config.Warm on. In every one, sixteen
// honest nodes join at that time.
type Attack struct {
	Name, About string
	plan        func(*world)
}

// Attacks are all.
func Attacks() []Attack {
	return []Attack{
		{"honest", "nobody attacks; newcomers join", func(*world) {}},
		{"spammer", "5 nodes at bought domains spam as much as they can", plain},
		{"whitewash-keys", "5 fresh free keys an hour, all in one /24", rotating(reputation.ProofKey, false, 1)},
		{"whitewash-parent", "5 fresh names an hour under one parent domain, each in its own /24", rotating(reputation.ProofDomain, true, 0)},
		{"whitewash-botnet", "5 fresh free keys an hour, each in its own /24", rotating(reputation.ProofKey, false, 0)},
		{"whitewash-domains", "5 bought domains an hour, each in its own /24", rotating(reputation.ProofDomain, false, 0)},
		{"sybil", "5 % of nodes behave well for weeks and vouch for as many that spam", sybil},
		{"spies", "5 % of established nodes, the third-largest too, vouch for 5 bought domains an hour", spies},
		{"slander", "10 % of established nodes slander three others and eight newcomers", slander},
		{"traitor", "1 % of established nodes spam for 3 days, then behave", traitor},
		{"mixed", "5 % of the users of the largest node spam; its operator runs the same policy", mixed},
		{"query-flood", "2 % of established nodes ask everybody 1,200 questions a day; 20 bought domains an hour knock", flood},
		{"eclipse", "20 new nodes can ask only 20 attackers, who vouch for 10 that spam", eclipse},
		{"partition", "half of the federation cannot reach the other from day 1 to day 4", partition},
	}
}

// Numbers of the attacks.
const (
	attackers    = 5
	sizeOfBad    = 10 // users of a node that is made to spam
	theTeam      = 1
	rotateEvery  = time.Hour
	ownNetworks  = 1000 // number of the first /24 of attackers
	theParent    = 1
	theNetwork   = 1
	betrayal     = 3 * day
	cutFrom      = day
	cutUpto      = 4 * day
	floodAsks    = 50 // an hour and node
	eclipsedEach = 20
)

// spawn makes a node that spams.
func (w *world) spawn(proof reputation.Proof, shared bool, network, team int) *node {
	parent := 0
	if shared {
		parent = theParent
	}
	if network == 0 {
		network = ownNetworks + len(w.nodes)
	}
	n := w.join(&node{users: sizeOfBad, role: spammer, spams: true, team: team}, w.identity(proof, parent, network))
	w.after(w.random(time.Minute), func() { w.spam(n) })
	return n
}

func plain(w *world) {
	w.at(w.start, func() {
		for range attackers {
			w.spawn(reputation.ProofDomain, false, 0, 0)
		}
	})
}

// rotating returns an attack in which identities are thrown away after an hour.
func rotating(proof reputation.Proof, shared bool, network int) func(*world) {
	return func(w *world) { w.rotate(attackers, func() *node { return w.spawn(proof, shared, network, 0) }) }
}

// rotate replaces n identities by fresh ones every hour.
func (w *world) rotate(n int, fresh func() *node) {
	var now []*node
	var again func()
	again = func() {
		for _, x := range now {
			x.gone = true
			x.gate = gone{}
		}
		now = now[:0]
		for range n {
			now = append(now, fresh())
		}
		w.after(rotateEvery, again)
	}
	w.at(w.start, again)
}

func sybil(w *world) {
	n := max(2, w.cfg.Nodes/20)
	w.at(w.start/4, func() {
		for i := range n {
			w.join(&node{users: 20, role: camouflaged, team: theTeam, circle: i % len(w.circle)},
				w.identity(reputation.ProofDomain, 0, ownNetworks+len(w.nodes)))
		}
	})
	w.at(w.start, func() {
		for range n {
			w.spawn(reputation.ProofDomain, false, 0, theTeam)
		}
	})
}

// some are nodes from a rank on, one in every few.
func (w *world) some(from, every int) (all []*node) {
	for i := from; i < w.cfg.Nodes; i += every {
		all = append(all, w.nodes[i])
	}
	return all
}

func spies(w *world) {
	w.at(w.start, func() {
		for _, n := range append(w.some(7, 20), w.nodes[min(2, len(w.nodes)-1)]) {
			n.team, n.fallen = theTeam, true
		}
	})
	w.rotate(attackers, func() *node { return w.spawn(reputation.ProofDomain, false, 0, theTeam) })
}

func slander(w *world) {
	w.at(w.start+time.Second, func() {
		for _, n := range w.some(7, 10) {
			n.liar = true
		}
		targets := []*node{w.nodes[w.cfg.Nodes/50], w.nodes[w.cfg.Nodes/5], w.nodes[w.cfg.Nodes/2]}
		for _, n := range w.nodes {
			if n.newcomer && (n.users == 30 || n.users == 100) {
				targets = append(targets, n)
			}
		}
		for _, n := range targets {
			n.slandered, n.liar, n.watched, n.since = true, false, true, w.now
		}
	})
	for t := w.start + time.Minute; t < w.end; t += day { // and they file it, day by day
		w.at(t, func() { w.denounce() })
	}
	w.notes = append(w.notes, func() string {
		of := w.meter.target
		return fmt.Sprintf("of first contacts of slandered nodes, delayed: established %.1f %% of %d, newcomers %.1f %% of %d",
			100*share(of[0].late, float64(of[0].all)), of[0].all, 100*share(of[1].late, float64(of[1].all)), of[1].all)
	})
}

func (w *world) denounce() {
	for _, n := range w.nodes {
		g, ok := n.gate.(*engineGate)
		if !n.liar || n.gone || !ok || !g.asks {
			continue
		}
		for _, about := range w.nodes {
			if about.slandered && !about.gone {
				g.denounce(about)
			}
		}
	}
}

func traitor(w *world) {
	var turned []*node
	w.at(w.start, func() {
		turned = w.some(w.cfg.Nodes/50, 100)
		turned = turned[:max(1, min(len(turned), w.cfg.Nodes/100))]
		for _, n := range turned {
			n.spams, n.fallen = true, true
			w.after(w.random(time.Minute), func() { w.spam(n) })
		}
	})
	w.at(w.start+betrayal, func() {
		for _, n := range turned {
			n.spams, n.watched, n.since = false, true, w.now
		}
	})
}

func mixed(w *world) {
	w.at(w.start, func() {
		n := w.nodes[0]
		n.bad, n.spams, n.watched, n.since = max(1, n.users/20), true, true, w.now
		w.spam(n)
	})
}

func flood(w *world) {
	w.at(w.start, func() {
		for _, n := range w.some(7, 50) {
			n.fallen = true
			w.floodHour(n)
		}
	})
	w.rotate(4*attackers, func() *node { return w.spawn(reputation.ProofDomain, false, 0, 0) })
	w.notes = append(w.notes, func() string {
		days := (w.end - w.start).Hours() / 24
		return fmt.Sprintf("a node answered %.0f questions a day; %d of the honest were refused", float64(w.meter.answers)/days/float64(w.cfg.Nodes), w.meter.refused)
	})
}

// floodHour asks everybody.
func (w *world) floodHour(n *node) {
	for _, r := range w.nodes {
		g, ok := r.gate.(*engineGate)
		if !ok || r == n || r.role != honest {
			continue
		}
		for range floodAsks {
			if g.e.MayAnswer(w.wall(), n.name) && w.now >= w.start {
				w.meter.answers++
			}
		}
	}
	w.after(time.Hour, func() { w.floodHour(n) })
}

func eclipse(w *world) {
	w.at(w.start-3*day, func() {
		var victims, team []*node
		for i := range eclipsedEach {
			victims = append(victims, w.join(&node{users: 50, circle: i % len(w.circle), eclipsed: true},
				w.identity(reputation.ProofDomain, 0, 0)))
		}
		for i := range eclipsedEach {
			team = append(team, w.join(&node{users: 20, role: camouflaged, team: theTeam, circle: i % len(w.circle)},
				w.identity(reputation.ProofDomain, 0, ownNetworks+len(w.nodes))))
		}
		w.court(victims, team)
		w.notes = append(w.notes, func() string {
			spam := 0
			for _, v := range victims {
				spam += w.meter.onto[v]
			}
			return fmt.Sprintf("spam per user-day at the eclipsed: %.4f", share(spam, 50*eclipsedEach*(w.end-w.start).Hours()/24))
		})
	})
	w.at(w.start, func() {
		for range 2 * attackers {
			w.spawn(reputation.ProofDomain, false, 0, theTeam)
		}
	})
}

// court lets attackers make friends with users of those they eclipse, every day.
func (w *world) court(victims, team []*node) {
	for _, v := range victims {
		for range 5 {
			x := team[w.rng.IntN(len(team))]
			c := &contact{from: x, to: v, sender: w.rng.IntN(x.users), user: w.rng.IntN(v.users), made: w.now, waits: w.now}
			w.try(c)
		}
	}
	w.after(day, func() { w.court(victims, team) })
}

func partition(w *world) {
	w.at(w.start+cutFrom, func() {
		w.parted = true
		for _, n := range w.nodes {
			n.half = n.circle % 2
		}
	})
	w.at(w.start+cutUpto, func() {
		w.parted = false
		for _, n := range w.nodes[:min(100, len(w.nodes))] {
			n.watched, n.since = true, w.now
		}
	})
}

// gone is the gate of a node that is no more.
type gone struct{ careless }

func (gone) contact(*node, protocol.UserID) (bool, time.Duration) { return false, 0 }

func (gone) observe(*node, reputation.Event, reputation.Reporter) {}
