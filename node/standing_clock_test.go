package node_test

import (
	"sync/atomic"
	"testing"
	"time"

	"parley/node"
	"parley/protocol"
)

// TestStandingAndClocks: what a node thinks of others does not change when its clock is
// set, by days at once, nor does a restart with a clock that is wrong let years pass.
func TestStandingAndClocks(t *testing.T) {
	var ahead atomic.Int64
	change := func(c *node.Config) {
		c.Clock = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	}
	inFederation(t, change, []protocol.Node{nodeA, nodeB, nodeX}, func(r *fed) {
		a := r.sites[nodeA]
		a.lived(past{nodeB: friend, nodeX: spammer})
		thinks := func() string { return a.n.ExplainStanding(nodeB) + a.n.ExplainStanding(nodeX) }
		before := thinks()
		got(t, []string{before}, "(known)", "(closed)")
		for _, off := range []time.Duration{20 * 24 * time.Hour, -40 * 24 * time.Hour, 0} {
			ahead.Store(int64(off))
			pass(time.Second)
			if now := thinks(); now != before {
				t.Errorf("after the clock was set %v ahead:\n%s\nbefore:\n%s", off, now, before)
			}
		}
		a.halt()
		ahead.Store(int64(10 * 365 * 24 * time.Hour))
		a.up()
		got(t, []string{thinks()}, "(known)", "(closed)")
	})
}
