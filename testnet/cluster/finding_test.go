package cluster_test

import (
	"testing"
	"time"

	"parley/testnet/cluster"
	"parley/testnet/cluster/clustertest"
	"parley/testnet/names"
)

// Nodes that nobody's settings name are found and proven by the DNS, with DNSSEC or by
// their web sites.
func TestFoundByDNS(t *testing.T) {
	how := []cluster.Finding{cluster.ByDNS, cluster.ByWeb, cluster.BySettings}
	clustertest.RunFound(t, how, func(s *clustertest.Script) {
		alice, bob, carol := s.User("alice", 0), s.User("bob", 1), s.User("carol", 2)
		s.Meet(alice, bob, carol)
		if s.Cluster.Asked() == 0 {
			t.Error("nobody has asked the DNS")
		}
		s.Says(alice, bob)
		s.Says(carol, alice)
		s.Pass(time.Second)
		s.Hears(bob, 1)
		s.Hears(alice, 1)
	})
}

// A zone that fails keeps its node apart only until it is well again.
func TestZoneFails(t *testing.T) {
	for _, how := range names.Failures {
		t.Run(string(how), func(t *testing.T) {
			clustertest.RunFound(t, []cluster.Finding{cluster.ByDNS, cluster.ByDNS}, func(s *clustertest.Script) {
				alice, bob := pair(s)
				s.Pass(20 * time.Minute) // links without a reason end, what was found is forgotten
				s.Cluster.FailDNS(0, how)
				s.Cluster.FailDNS(1, how)
				s.Kill(0)
				s.Kill(1)
				s.Start(0)
				s.Start(1)
				s.Says(alice, bob)
				s.Pass(time.Minute)
				s.Nothing(bob)
				s.Cluster.FailDNS(0, "")
				s.Cluster.FailDNS(1, "")
				s.Pass(40 * time.Minute)
				s.Hears(bob, 1)
			})
		})
	}
}

// Nodes whose names are made from their keys find one another by the DHT: real libp2p
// over the emulated network.
func TestFoundByKey(t *testing.T) {
	how := make([]cluster.Finding, 8)
	for i := range how {
		how[i] = cluster.ByKey
	}
	clustertest.RunFound(t, how, func(s *clustertest.Script) {
		alice, bob := s.User("alice", 6), s.User("bob", 7)
		s.Meet(alice, bob)
		s.Says(alice, bob)
		s.Pass(time.Second)
		s.Hears(bob, 1)
		s.Kill(0) // who was known to all from the beginning
		s.Kill(1)
		s.Kill(6)
		s.Pass(time.Minute)
		s.Start(6)
		s.Says(alice, bob)
		s.Pass(5 * time.Minute)
		s.Hears(bob, 1)
	})
}
