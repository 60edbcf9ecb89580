package scenario

import (
	"fmt"
	"time"
)

// Apart is for a run whose nodes are processes of their own, in real time.
func Apart() Change { return func(s *Scenario) { s.apart = true } }

// maxApart is how many nodes may be processes of one machine: each has a socket for every
// other.
const maxApart = 50

// apart checks that nodes in processes of their own can do what is asked.
func (r *reader) apart() {
	if !r.p.Scenario.apart {
		return
	}
	const inside = "only nodes inside of one process can be made to"
	if len(r.p.Net) > maxApart {
		r.wrong("nodes", "%d nodes are too many for processes of their own; at most %d", len(r.p.Net), maxApart)
	}
	for key, used := range map[string]bool{"dns": len(r.p.DNS.Nodes) > 0, "dht": len(r.p.DHT.Nodes) > 0} {
		if used {
			r.wrong(key, "nodes in processes of their own are found by settings")
		}
	}
	for i, n := range r.p.Scenario.Nodes {
		if n.IPv6 {
			r.wrong(fmt.Sprintf("nodes[%d].ipv6", i), "nodes in processes of their own have addresses of IPv4")
		}
		if n.Ahead.Duration+n.Behind.Duration > 0 {
			r.wrong(fmt.Sprintf("nodes[%d]", i), "%s have a clock of their own", inside)
		}
	}
	if r.p.Age.Duration > 0 {
		r.wrong("age", "%s be older than they are", inside)
	}
	if len(r.p.Attackers) > 0 {
		r.wrong("attackers[0]", "%s attack", inside)
	}
	if r.p.Model {
		r.wrong("model", "the model is of nodes in virtual time")
	}
	for i, j := range r.p.Jobs {
		if j.Kind == "meet" {
			r.wrong(fmt.Sprintf("work[%d]", i), "%s judge strangers again and again", inside)
		}
	}
	for i, e := range r.p.Events {
		switch e.Do {
		case "partition", "cut", "link", "kill", "stop", "start", "churn", "sign-off", "slow-disk", "full-disk":
		default:
			r.wrong(fmt.Sprintf("event[%d].do", i), "%q is not possible with nodes in processes of their own", e.Do)
		}
	}
	if r.p.Duration.Duration > maxReal {
		r.wrong("duration", "nodes in processes of their own live in real time: %v is too long, at most %v", r.p.Duration.Duration, maxReal)
	}
}

const maxReal = 24 * time.Hour
