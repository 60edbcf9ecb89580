package model

import (
	"context"
	"time"

	"parley/reputation"
)

// Twin describes a federation of real nodes, to be simulated beside it: what the model
// leaves out (links, stores, clients) should make no difference to its figures.
type Twin struct {
	Seed    uint64
	Sizes   []int    // users of the honest nodes
	Friends [][2]int // of these nodes, for each two users who have written and answered before
	Age     time.Duration
	Length  time.Duration
	Rate    float64 // first contacts a user begins in a day
	Habits  Habits

	Spammers  []int         // users of the nodes that spam
	SpamEvery time.Duration // between two first contacts of such a node, on average
	SpamFrom  time.Duration
}

// Habits are what people do with a first contact: chances, 0 to 1, and after how long.
type Habits struct {
	Reply, Report, Block             float64
	SpamReply, SpamReport, SpamBlock float64
	ReplyAfter, ReportAfter          time.Duration
}

// habits are those of the model's attacks.
func habits() Habits {
	return Habits{pReply, pReport, pBlock, pReplySpam, pReportSpam, pBlockSpam, 3 * time.Hour, 2 * time.Hour}
}

// Run simulates it.
func (t Twin) Run(ctx context.Context) (*Result, error) {
	policy := Policies()[len(Policies())-1]
	cfg := Config{Nodes: len(t.Sizes), Seed: t.Seed, Warm: t.Age, Length: t.Length}.withDefaults()
	w := emptyWorld(cfg, policy)
	w.habits, w.rate, w.newOf, w.strictAlways, w.quietUntil = t.Habits, t.Rate, 0, true, t.Age
	attack := Attack{Name: "twin", plan: func(w *world) { w.at(0, func() { t.populate(w) }) }}
	if err := w.play(ctx, attack); err != nil {
		return nil, err
	}
	return w.result(attack, policy), nil
}

// populate makes all nodes, old as they are to be, and lets them act from the start on.
func (t Twin) populate(w *world) {
	add := func(n *node) *node {
		return w.join(n, w.identity(reputation.ProofDomain, 0, len(w.nodes)+1))
	}
	for _, users := range t.Sizes {
		add(&node{users: users})
	}
	for _, f := range t.Friends { // they have seen each other when they were young
		a, b := w.nodes[f[0]], w.nodes[f[1]]
		a.gate.contact(b, b.user(0))
		b.gate.contact(a, a.user(0))
	}
	w.at(w.start, func() {
		for _, f := range t.Friends {
			a, b := w.nodes[f[0]], w.nodes[f[1]]
			a.gate.observe(b, reputation.Answered, w.reporter(a, w.rng.IntN(a.users)))
			b.gate.observe(a, reputation.Reply, w.reporter(b, w.rng.IntN(b.users)))
		}
	})
	for _, users := range t.Spammers {
		x := add(&node{users: users, role: spammer})
		w.at(w.start+t.SpamFrom, func() { w.dribble(x, t.SpamEvery) })
	}
}

// dribble lets a node write one message of spam after the other. Each waits until it is
// let in.
func (w *world) dribble(x *node, every time.Duration) {
	w.after(w.random(every), func() {
		to := w.all.pick(w.rng)
		w.try(&contact{from: x, to: to, sender: w.rng.IntN(x.users), user: w.rng.IntN(to.users), spam: true, made: w.now, waits: w.now})
		w.dribble(x, every)
	})
}
