package model

import (
	"time"

	"parley/reputation"
)

// contact is one first contact on its way.
type contact struct {
	from, to *node
	sender   int // user of from
	user     int // of to
	spam     bool
	made     time.Duration // when it was written
	waits    time.Duration // since when it could have arrived: later than made if the network was cut
}

// nextContact plans the next first contact of an honest node's users.
func (w *world) nextContact(n *node) {
	rate := w.rate * float64(n.users)
	w.after(w.random(time.Duration(float64(day)/rate)), func() {
		if n.gone {
			return
		}
		w.nextContact(n)
		if w.now < w.quietUntil {
			return
		}
		if to := w.pick(n); to != nil {
			c := &contact{from: n, to: to, sender: w.rng.IntN(n.users), user: w.rng.IntN(to.users), made: w.now, waits: w.now}
			w.meter.begin(w, c)
			w.try(c)
		}
	})
}

// pick chooses whom a user of a node writes to.
func (w *world) pick(n *node) *node {
	for range 20 {
		from := &w.all
		if w.rng.Float64() < inCircle && len(w.circle[n.circle].nodes) > 1 {
			from = &w.circle[n.circle]
		}
		if to := from.pick(w.rng); to != n {
			return to
		}
	}
	return nil
}

// strict reports whether policies decide. Before, the honest make acquaintance.
func (w *world) strict() bool { return w.strictAlways || w.now >= w.start-strictBefore }

// try is one attempt to deliver a first contact of an honest node. What is refused waits
// at its sender for as long as it was told.
func (w *world) try(c *contact) {
	switch {
	case c.from.gone || c.to.gone:
		w.meter.drop(c)
		return
	case w.now-c.made > expiry:
		w.meter.giveUp(c)
		return
	case !w.reach(c.from, c.to):
		w.after(10*time.Minute+w.random(10*time.Minute), func() {
			c.waits = w.now
			w.try(c)
		})
		return
	}
	ok, after := c.to.gate.contact(c.from, c.from.user(c.sender))
	if ok || !w.strict() {
		w.deliver(c)
		return
	}
	after += time.Duration(w.rng.Float64() * 0.1 * float64(after))
	w.after(after+time.Second, func() { w.try(c) })
}

// deliver gives a first contact to its receiver, who will react.
func (w *world) deliver(c *contact) {
	w.meter.deliver(w, c)
	h := &w.habits
	reply, report, block := h.Reply, h.Report, h.Block
	switch {
	case c.spam:
		reply, report, block = h.SpamReply, h.SpamReport, h.SpamBlock
	case c.from.role == camouflaged:
		reply, report, block = 0.3, 0.01, 0.03
	}
	switch r := w.rng.Float64(); {
	case r < reply:
		w.after(w.random(h.ReplyAfter), func() { w.reply(c) })
	case r < reply+report:
		w.after(w.random(h.ReportAfter), func() { w.report(c) })
	case r < reply+report+block:
		w.after(w.random(h.ReportAfter), func() { w.react(c, reputation.Block) })
	default:
		w.after(ignoredAfter, func() { w.react(c, reputation.Ignored) })
	}
}

// react lets the receiver's node take down what its user did.
func (w *world) react(c *contact, ev reputation.Event) {
	if !c.to.gone {
		c.to.gate.observe(c.from, ev, w.reporter(c.to, c.user))
	}
}

func (w *world) report(c *contact) {
	w.react(c, reputation.Report)
	if !c.from.gone {
		c.from.gate.complain(c.to, c.from.user(c.sender))
	}
}

func (w *world) reply(c *contact) {
	w.react(c, reputation.Reply)
	if c.from.gone || c.to.gone {
		return
	}
	c.from.gate.observe(c.to, reputation.Answered, w.reporter(c.from, c.sender))
	if c.spam {
		return
	}
	w.converse(c, 1+int(w.rng.ExpFloat64()*moreBursts))
}

// converse plans the next day of a conversation. No policy delays what was answered.
func (w *world) converse(c *contact, left int) {
	w.after(w.random(day), func() {
		if c.from.gone || c.to.gone {
			return
		}
		if w.reach(c.from, c.to) {
			w.meter.talk(w)
			c.to.gate.observe(c.from, reputation.Burst, w.reporter(c.to, c.user))
			c.from.gate.observe(c.to, reputation.Burst, w.reporter(c.from, c.sender))
		}
		if left > 1 {
			w.converse(c, left-1)
		}
	})
}

// Bounds of what a spamming node does in an hour.
const (
	spamTargets = 2000 // nodes
	spamEach    = 20   // messages to each, if it lets them in
	spamMost    = 2000
)

// spam is one hour of a node that spams: it writes to whom it can, until refused.
func (w *world) spam(x *node) {
	if x.gone || !x.spams {
		return
	}
	sent, start := 0, w.rng.IntN(len(w.all.nodes))
	for i := 0; i < min(spamTargets, len(w.all.nodes)) && sent < spamMost; i++ {
		to := w.all.nodes[(start+i*7919)%len(w.all.nodes)]
		if to != x && !to.gone && (to.team == 0 || to.team != x.team) && w.reach(x, to) {
			sent += w.spamTo(x, to, true)
		}
	}
	w.after(time.Duration((0.9+0.2*w.rng.Float64())*float64(time.Hour)), func() { w.spam(x) })
}

// spamAgain comes back to a node that has told a spammer to wait for no more than a minute.
func (w *world) spamAgain(x, to *node, after time.Duration) {
	if after > time.Minute {
		return
	}
	w.after(after+time.Second, func() {
		if !x.gone && x.spams && !to.gone {
			w.spamTo(x, to, false)
		}
	})
}

// spamTo writes to users of one node and returns how many messages got through. back: if it is
// told to wait, it may come back.
func (w *world) spamTo(x, to *node, back bool) int {
	sent := 0
	for range min(spamEach, to.users) {
		c := &contact{from: x, to: to, sender: 1_000_000 + w.rng.IntN(1<<20), user: w.rng.IntN(to.users), spam: true,
			made: w.now, waits: w.now}
		if x.bad > 0 { // its operator limits its users
			c.sender = w.rng.IntN(x.bad)
			if !x.gate.outbound(x.user(c.sender), ripeAge) {
				continue
			}
		}
		ok, after := to.gate.contact(x, x.user(c.sender))
		if !ok {
			if back {
				w.spamAgain(x, to, after)
			}
			break
		}
		w.deliver(c)
		sent++
	}
	return sent
}
