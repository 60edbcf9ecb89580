package node_test

import (
	"fmt"
	"testing"
	"time"

	"parley/node"
	"parley/protocol"
	"parley/store"
)

// Reports go to the node of whom they are about, if the operator wants that, without the
// reporter; the complaints of three nodes that are known end a user's first contacts
// abroad, until the operator pardons. Strangers' complaints do not.
func TestReportsArePassedOn(t *testing.T) {
	victims := []protocol.Node{nodeA, nodeB, nodeC, "d.localhost"} // d is a stranger to x
	passOn := func(c *node.Config) { c.Federation.PassReports = true }
	inFederation(t, passOn, append([]protocol.Node{nodeX}, victims...), func(r *fed) {
		x := r.sites[nodeX]
		x.lived(past{nodeA: friend, nodeB: friend, nodeC: friend})
		xeno := x.user("xeno")
		ids := map[protocol.Node]string{}
		for _, v := range victims {
			ids[v] = r.sites[v].user("victim")
		}
		pass(13 * time.Hour) // the word of new accounts does not count
		report := func(v protocol.Node) {
			got(t, r.sites[v].say("victim", fmt.Sprintf(`{"pub":{"id":"r","topic":"sys","head":{"mime":"text/x-drafty"},"content":{"txt":" ","ent":[{"tp":"EX","data":{"mime":"application/json","val":{"action":"report","target":%q}}}]}}}`, xeno)), `"code":202`)
		}
		contact := func(n int) []string {
			return x.say("xeno", fmt.Sprintf(`{"sub":{"id":"s","topic":%q}}`, protocol.NewUserID(uint64(n), "e.localhost")))
		}
		r.host("e.localhost")
		got(t, contact(1), `"code":200`)
		for _, v := range []protocol.Node{"d.localhost", nodeA, nodeB} {
			report(v)
		}
		pass(6 * time.Minute)
		got(t, contact(2), `"code":200`)
		report(nodeC)
		pass(6 * time.Minute)
		got(t, contact(3), `"code":403`, "complaints from other nodes")
		if err := x.n.Pardon(protocol.UserID(xeno)); err != nil {
			t.Fatal(err)
		}
		got(t, contact(4), `"code":200`)
		x.view(func(tx store.Tx) error { // nothing that leads to the reporters is here
			for u, err := range tx.AllUsers() {
				if err != nil {
					return err
				}
				for _, id := range ids {
					if string(u.ID) == id {
						t.Errorf("%s is known at the reported user's node", id)
					}
				}
			}
			return nil
		})
	})
}
