package scenario

import (
	"fmt"
	"slices"
	"time"
)

// Assault is one of the attackers.
type Assault struct {
	Attackers
	Nodes   []int // that attack, in order
	Who     []int // users who attack
	To      []int // users who get it
	Targets []int // nodes that are slandered or praised
}

// Spam reports whether it consists of messages.
func (a *Attackers) Spam() bool { return !a.Lies() && a.Kind != "flood" }

// Lies reports whether nodes tell untrue things of others.
func (a *Attackers) Lies() bool { return a.Kind == "slander" || a.Kind == "praise" }

// parent is what stands behind a node's own name in its domain.
func (n *Nodes) parent() string {
	if n.Parent == "" {
		return ""
	}
	return "." + n.Parent
}

// maxAge bounds how old a federation can be made.
const maxAge = 366 * 24 * time.Hour

// usual is what people do who were not told: see spec/reputation.md.
var usual = Strangers{Reply: 0.6, Report: 0.003, Block: 0.01, SpamReply: 0.005, SpamReport: 0.1, SpamBlock: 0.2, After: Duration{time.Hour}}

// strangers checks how people are.
func (r *reader) strangers() {
	s := &r.p.Strangers
	for name, part := range map[string]float64{"reply": s.Reply, "report": s.Report, "block": s.Block,
		"spam-reply": s.SpamReply, "spam-report": s.SpamReport, "spam-block": s.SpamBlock} {
		if part < 0 || part > 1 {
			r.wrong("strangers."+name, "%s is a chance: 0 to 1", name)
		}
	}
	if s.Reply+s.Report+s.Block > 1 || s.SpamReply+s.SpamReport+s.SpamBlock > 1 {
		r.wrong("strangers", "the chances add up to more than 1")
	}
	if r.p.Age.Duration < 0 || r.p.Age.Duration > maxAge {
		r.wrong("age", "a federation is 0s to %v old", maxAge)
	}
}

// What attackers need, by their kind; all may have every, from and until.
var attackKinds = map[string][]string{
	"spammer":     {"nodes"},
	"whitewasher": {"nodes"},
	"traitor":     {"nodes"},
	"mixed":       {"users"},
	"slander":     {"nodes", "targets"},
	"praise":      {"nodes", "targets"},
	"flood":       {"nodes"},
}

// model checks that the model can simulate the scenario.
func (r *reader) model() {
	if !r.p.Model {
		return
	}
	for i, a := range r.p.Assaults {
		if a.Kind != "spammer" || len(a.Attackers.To) > 0 || a.Until != r.p.Duration || a.Every != r.p.Assaults[0].Every || a.From != r.p.Assaults[0].From {
			r.wrong(fmt.Sprintf("attackers[%d]", i), "the model has spammers only, all alike, who write to everybody to the end")
		}
	}
	for i, j := range r.p.Jobs {
		if j.Kind != "meet" || j.To != nil || j.From.Duration > 0 || j.Until != r.p.Duration || j.Every != r.p.Jobs[0].Every {
			r.wrong(fmt.Sprintf("work[%d]", i), "the model has \"meet\" only, the same for all, from the beginning to the end")
		}
	}
}

// attackers checks who attacks.
func (r *reader) attackers() {
	bad := map[int]bool{} // nodes of spammers
	for i := range r.p.Attackers {
		a := Assault{Attackers: r.p.Attackers[i]}
		key := fmt.Sprintf("attackers[%d]", i)
		if !r.attackNeeds(key, &a.Attackers) {
			continue
		}
		if a.Until.Duration == 0 {
			a.Until = r.p.Duration
		}
		if a.From.Duration >= a.Until.Duration || a.Until.Duration > r.p.Duration.Duration {
			r.wrong(key, "from must be before until, and that not after the scenario's end")
		}
		if a.Every.Duration < time.Millisecond {
			r.wrong(key+".every", "every must be 1ms or more")
		}
		r.whoAttacks(key, &a)
		if a.Spam() {
			for _, n := range a.Nodes {
				bad[n] = true
			}
		}
		r.p.Assaults = append(r.p.Assaults, a)
	}
	for i := range r.p.Assaults {
		a := &r.p.Assaults[i]
		if a.Spam() && len(a.Attackers.To) == 0 {
			for u, p := range r.p.People {
				if !bad[p.Node] && !slices.Contains(a.Who, u) {
					a.To = append(a.To, u)
				}
			}
		}
	}
}

// attackNeeds checks that attackers have what their kind needs, and nothing else.
func (r *reader) attackNeeds(key string, a *Attackers) bool {
	needed, known := r.kind(key+".kind", attackKinds, a.Kind, "kind of attackers")
	if !known {
		return false
	}
	good := r.fits(key, a.Kind, needed, map[string]bool{"nodes": len(a.Nodes) > 0, "users": len(a.Users) > 0, "targets": len(a.Targets) > 0})
	if !a.Spam() && len(a.To) > 0 {
		r.wrong(key+".to", "%q has no to", a.Kind)
		good = false
	}
	return good
}

func (r *reader) whoAttacks(key string, a *Assault) {
	if a.Kind == "mixed" {
		a.Who = r.chooseUsers(key+".users", a.Users)
	} else {
		a.Nodes = r.chooseNodes(key+".nodes", a.Attackers.Nodes)
	}
	if a.Lies() {
		a.Targets = r.chooseNodes(key+".targets", a.Attackers.Targets)
	}
	if !a.Spam() {
		return
	}
	if a.Kind != "mixed" {
		for u, p := range r.p.People {
			if slices.Contains(a.Nodes, p.Node) {
				a.Who = append(a.Who, u)
			}
		}
		if len(a.Who) == 0 {
			r.wrong(key+".nodes", "these nodes have no users who could write")
		}
	}
	if len(a.Attackers.To) > 0 {
		a.To = r.chooseUsers(key+".to", a.Attackers.To)
	}
}
