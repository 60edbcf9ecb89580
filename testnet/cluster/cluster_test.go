package cluster_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"parley/federation/vnet"
	"parley/testnet/checks"
	"parley/testnet/cluster"
	"parley/testnet/cluster/clustertest"
)

// pair is alice and bob at two nodes, who have met.
func pair(s *clustertest.Script) (alice, bob *cluster.User) {
	alice, bob = s.User("alice", 0), s.User("bob", 1)
	s.Meet(alice, bob)
	return alice, bob
}

func TestHello(t *testing.T) {
	clustertest.Run(t, 2, func(s *clustertest.Script) {
		alice, bob := pair(s)
		for range 10 {
			s.Says(alice, bob)
			s.Says(bob, alice)
		}
		s.Pass(2 * clustertest.Latency)
		s.Hears(alice, 10)
		s.Hears(bob, 10)
	})
}

func TestPartition(t *testing.T) {
	clustertest.Run(t, 2, func(s *clustertest.Script) {
		alice, bob := pair(s)
		s.Cut(0, 1)
		for range 100 {
			s.Says(alice, bob)
			s.Says(bob, alice)
			s.Pass(time.Second)
		}
		s.Nothing(alice)
		s.Nothing(bob)
		s.Heal()
		s.Pass(5 * time.Minute)
		s.Hears(alice, 100)
		s.Hears(bob, 100)
	})
}

func TestOneWay(t *testing.T) {
	clustertest.Run(t, 2, func(s *clustertest.Script) {
		alice, bob := pair(s)
		s.Link(1, 0, vnet.Link{Cut: true})
		for range 10 {
			s.Says(alice, bob)
		}
		s.Pass(clustertest.Latency)
		s.Hears(bob, 10) // alice's node does not know
		s.Says(bob, alice)
		s.Pass(2 * time.Minute)
		s.Nothing(alice)
		s.Heal()
		s.Pass(5 * time.Minute)
		s.Hears(alice, 1)
		s.Nothing(bob) // again
	})
}

func TestKill(t *testing.T) {
	clustertest.Run(t, 2, func(s *clustertest.Script) {
		alice, bob := pair(s)
		for range 5 {
			for range 20 {
				s.Says(alice, bob)
				s.Says(bob, alice)
			}
			s.Kill(1)
			s.Says(alice, bob)
			s.Pass(10 * time.Second)
			s.Start(1)
		}
		if n := s.Cluster.Machines[1].Starts(); n != 6 {
			t.Errorf("%d starts", n)
		}
	})
}

func TestSlowAndFullDisk(t *testing.T) {
	clustertest.Run(t, 2, func(s *clustertest.Script) {
		alice, bob := pair(s)
		disk := s.Cluster.Machines[1].Disk
		disk(func(d *cluster.Disk) { d.Delay = 300 * time.Millisecond })
		begin := time.Now()
		s.Says(bob, alice)
		if d := time.Since(begin); d < 300*time.Millisecond {
			t.Errorf("on a slow disk a message took %v", d)
		}
		disk(func(d *cluster.Disk) { d.Full = true })
		if m := s.Tries(bob, s.Cluster.Room(alice, bob)); m.State != checks.Refused {
			t.Errorf("on a full disk %+v", m)
		}
		s.Says(alice, bob)
		s.Pass(time.Minute)
		s.Nothing(bob)
	})
}

func TestPresence(t *testing.T) {
	clustertest.Run(t, 2, func(s *clustertest.Script) {
		alice, bob := pair(s)
		s.Pass(5 * time.Second)
		if !alice.Sees(bob) || !bob.Sees(alice) {
			t.Error("they do not see each other")
		}
		bob.SignOff()
		s.Pass(10 * time.Second)
		if alice.Sees(bob) {
			t.Error("who has left is seen")
		}
		s.Says(alice, bob)
	})
}

func TestGroup(t *testing.T) {
	clustertest.Run(t, 3, func(s *clustertest.Script) {
		alice, bob, carol, dave := s.User("alice", 0), s.User("bob", 1), s.User("carol", 1), s.User("dave", 2)
		g := s.Group("all", alice, bob, carol, dave)
		for _, u := range g.Members {
			s.SaysIn(u, g)
		}
		s.Pass(time.Second)
		for _, u := range g.Members {
			s.Hears(u, 3)
		}
	})
}

// A follower that does not have the last message of a group in full is waited for.
func TestFollowerBehindIsWaitedFor(t *testing.T) {
	clustertest.Run(t, 2, func(s *clustertest.Script) {
		alice, bob := s.User("alice", 0), s.User("bob", 1)
		g := s.Group("both", alice, bob)
		s.Pass(time.Second)
		s.Cut(0, 1)
		s.SaysIn(alice, g)
		if n, err := s.Cluster.Waiting(); n != 1 || err != nil {
			t.Errorf("%d wait, %v", n, err)
		}
	})
}

// So is a request that the own node has not answered.
func TestRequestIsWaitedFor(t *testing.T) {
	clustertest.Run(t, 2, func(s *clustertest.Script) {
		alice, bob := pair(s)
		s.Cluster.Machines[0].Disk(func(d *cluster.Disk) { d.Delay = time.Second })
		var said atomic.Pointer[checks.Message]
		var wg sync.WaitGroup
		wg.Go(func() { said.Store(s.Tries(alice, s.Cluster.Room(alice, bob))) })
		s.Pass(time.Millisecond)
		settled, err := s.Cluster.Settle(context.Background(), time.Minute)
		if m := said.Load(); !settled || err != nil || m == nil || m.State != checks.Accepted {
			t.Errorf("settled %v, %v, message %+v", settled, err, m)
		}
		wg.Wait()
	})
}
