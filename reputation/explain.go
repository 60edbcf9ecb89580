package reputation

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"parley/protocol"
)

// Explain says on one screen what is known of a peer and what follows. It changes
// nothing that is known.
func (e *Engine) Explain(now time.Time, name protocol.Node) string {
	at := e.clock.now(now)
	found := e.find(name)
	if found == nil {
		return fmt.Sprintf("%s: never seen, or forgotten. It would be a stranger.\n", name)
	}
	p := found.clone()
	st := e.standing(at, &p)
	var b strings.Builder
	line := func(what, format string, args ...any) {
		fmt.Fprintf(&b, "%-14s %s\n", what, fmt.Sprintf(format, args...))
	}
	line("peer", "%s (%s)", p.Name, p.class(&st))
	switch p.Pin {
	case Deny:
		line("your word", "deny: whatever follows, nothing that is new is taken from it")
	case Allow:
		line("your word", "allow: whatever follows, none of its limits hold")
	}
	line("proof", "%s, prior %.2f", [...]string{"free key", "domain"}[p.Proof], st.Prior)
	for _, k := range p.groups() {
		if g, ok := e.groups.peek(k); ok && !k.none() {
			g.decay(at)
			good, bad := g.heard(at)
			line("neighbours", "%s: %.1f turned good, %.1f bad; others say %.1f and %.1f", groupName(k), g.Good, g.Bad, good, bad)
		}
	}
	line("seen", "first %.1f days ago, believed to exist for %.1f", at.since(p.First), at.since(p.Aged))
	line("own evidence", "good %.2f, bad %.2f (last days: %.2f, %.2f); remembered %.2f", p.P, p.N, p.Ps, p.Ns, p.Long)
	line("", "of it from users of little standing: good %.2f, bad %.2f", p.LightGood, p.LightBad)
	for _, v := range p.Voices {
		right, wrong := e.record(at, v.User)
		line("  against it", "%.2f from %s%s", v.Bad, cmp.Or(string(v.User), "this node"), track(right, wrong))
	}
	if p.Anchor {
		line("vouched for", "by you: its word about others counts while this node is young, %.0f%% of it now", 100*e.youth(at))
	}
	e.explainHearsay(line, &p, &st)
	line("quality", "%.3f; closes below %.3f, reopens at %.3f, full rate from %.3f", st.Quality, st.closesAt(), st.Lo+reopenBy, st.Hi)
	line("rate", "%.0f%% of full: %.1f first contacts a day, %.1f at once, %.1f left now", 100*st.Phi, st.Rate, st.Burst,
		p.Bucket.refill(at, st.Rate, st.Burst))
	e.explainUses(line, &p, &st)
	if !st.Known {
		part := poolOf(at, &p, st.Positive)
		rate := e.poolRate(at, part)
		pool := e.pools[part].Bucket
		line("pool", "each takes %.2f from the pool of %s: %.2f a day for all, %.2f left", poolCost(st.Positive, st.Aged),
			[...]string{"free keys", "fresh domains", "aged domains", "the vouched but young"}[part], rate,
			pool.refill(at, rate, max(1, rate*poolBurst)))
	}
	return b.String()
}

// track is a local user's record, if there is one.
func track(right, wrong float64) string {
	if right+wrong == 0 {
		return ""
	}
	return fmt.Sprintf(" (reports: %.1f right, %.1f wrong)", right, wrong)
}

func (e *Engine) explainHearsay(line func(string, string, ...any), p *Peer, st *standing) {
	if p.Reach > 0 {
		line("its word", "it says that it can tell of %.0f nodes or more", least(p.Reach))
	}
	if p.Loan+p.Blame+p.FastBlame+p.Fans == 0 {
		line("others", "nothing")
		return
	}
	slow, fast := st.Mass.blame()
	line("others", "lent %.2f, of which %.2f counts; blame %.2f (lately %.2f), of which %.2f (%.2f) counts",
		p.Loan, st.Mass.loan(), p.Blame, p.FastBlame, slow, fast)
	if len(p.Accusers) > 0 {
		names := make([]string, len(p.Accusers))
		for i, n := range p.Accusers {
			names[i] = string(n)
		}
		line("  blamed by", "%s", strings.Join(names, ", "))
	}
	if wait := p.settles(e.clock.at); wait > 0 && !st.Known {
		line("  asked", "they are asked again in %.0f s: who writes to all at once shows by then", wait*86400)
	}
	if p.hasty(st.Known) {
		line("  in a hurry", "it comes to %.0f nodes or more at once: this one has its turn later", p.Fans)
	}
	for _, l := range p.Loans[:min(len(p.Loans), maxVoices)] {
		t, _ := e.trust(e.clock.at, l.By)
		line("  vouches", "%.2f from %s, trusted %.2f", l.Amount, l.By, t)
	}
}

func (e *Engine) explainUses(line func(string, string, ...any), p *Peer, st *standing) {
	var all [uses]string
	for u := range all {
		l := &useLimits[u]
		rate, burst := l.of(st, p.Closed)
		per, unit := rate/perSecond, "s"
		if per < 0.1 {
			per, unit = rate/perHour, "h"
		}
		all[u] = fmt.Sprintf("%.3g %s/%s (%.3g at once)", per, l.name, unit, burst)
	}
	line("besides", "%s", strings.Join(all[:], ", "))
}

func groupName(k groupKey) string {
	if k.domain != "" {
		return k.domain
	}
	return k.prefix.String()
}
