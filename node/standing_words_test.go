package node_test

import (
	"fmt"
	"testing"
	"time"

	"parley/protocol"
)

// Whose report another user bears out has been right, also after a restart; a lonely report
// is neither. Reports come as clients publish them.
func TestReportsAreBorneOut(t *testing.T) {
	inFederation(t, nil, []protocol.Node{nodeA, nodeB}, func(r *fed) {
		a, b := r.sites[nodeA], r.sites[nodeB]
		spammer, other := b.user("spammer"), b.user("other")
		users := []string{"al", "bea", "cy"}
		ids := map[string]string{}
		for _, u := range users {
			ids[u] = a.user(u)
		}
		for i := range 5 { // conversations, so that their words weigh
			friend := a.user(fmt.Sprint("friend", i))
			for _, u := range users {
				got(t, a.say(u, fmt.Sprintf(`{"sub":{"id":"s","topic":%q}}`, friend)), `"code":200`)
			}
		}
		pass(4 * 24 * time.Hour)
		report := func(by, whom string) {
			got(t, a.say(by, fmt.Sprintf(`{"pub":{"id":"r","topic":"sys","content":{"action":"report","target":%q}}}`, whom)), `"code":202`)
		}
		report("al", spammer)
		report("bea", spammer)
		report("cy", other)
		held := func() float64 {
			for _, p := range a.n.ExportStanding().Peers {
				if p.Name == nodeB {
					return p.N
				}
			}
			return 0
		}
		once := held()
		report("al", spammer) // again
		if again := held(); once == 0 || again > once {
			t.Errorf("%.2f is held against %s, and %.2f after the same report again", once, nodeB, again)
		}
		pass(6 * time.Minute)
		a.halt()
		a.up()
		s := a.n.ExportStanding()
		right := map[protocol.UserID]float64{}
		for _, rec := range s.Records {
			right[rec.User] = rec.Right
		}
		for u, want := range map[string]float64{"al": 1, "bea": 1, "cy": 0} {
			if g := right[protocol.UserID(ids[u])]; g < want-0.01 || g > want+0.01 {
				t.Errorf("%s was right %.2f times, want %.0f", u, g, want)
			}
		}
	})
}
