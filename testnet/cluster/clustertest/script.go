// Package clustertest lets a test read like a script of several users, each at the own
// node, in virtual time:
//
//	clustertest.Run(t, 2, func(s *clustertest.Script) {
//		alice, bob := s.User("alice", 0), s.User("bob", 1)
//		s.Meet(alice, bob)
//		s.Cut(0, 1)
//		s.Says(alice, bob)
//		s.Pass(time.Minute)
//		s.Nothing(bob)
//		s.Heal()
//		s.Pass(time.Minute)
//		s.Hears(bob, 1)
//	})
//
// Each ends with the check of everything that must hold: the script need not say that
// nothing was lost. A fault is told with the line of the script.
package clustertest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"parley/federation/vnet"
	"parley/protocol"
	"parley/testnet/checks"
	"parley/testnet/cluster"
	"parley/testnet/vtime"
)

// Bounds of a script, in virtual time.
const (
	longest = 24 * time.Hour
	settle  = 10 * time.Minute
)

// Latency of the links, unless Link changes them: one way.
const Latency = 20 * time.Millisecond

// Script is a test that goes on.
type Script struct {
	testing.TB
	Cluster *cluster.Cluster

	ctx   context.Context
	heard map[*cluster.User]int // that Hears and Nothing have counted

	mu    sync.Mutex
	links map[[2]int]vnet.Link // guarded by mu; those that are not usual
}

// Run runs a script with so many nodes, which run, and then checks the ten invariants.
func Run(t *testing.T, nodes int, script func(s *Script)) {
	t.Helper()
	RunFound(t, make([]cluster.Finding, nodes), script)
}

// RunFound is Run with nodes that are found in such ways.
func RunFound(t *testing.T, how []cluster.Finding, script func(s *Script)) {
	t.Helper()
	vtime.Prepare()
	synctest.Test(t, func(t *testing.T) {
		s := &Script{TB: t, heard: map[*cluster.User]int{}, links: map[[2]int]vnet.Link{}}
		cfg := cluster.Config{Seed: 1, Link: s.link, Note: func(kind, text string) { t.Logf("%s: %s", kind, text) }}
		for i, find := range how {
			cfg.Hosts = append(cfg.Hosts, cluster.Host{Name: protocol.Node(fmt.Sprintf("n%d.example", i)), IPv6: i%2 == 1, Find: find})
		}
		var err error
		if s.Cluster, err = cluster.New(cfg); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := s.Cluster.Close(); err != nil {
				t.Error(err)
			}
		}()
		if err := s.Cluster.StartAll(); err != nil {
			t.Fatal(err)
		}
		var cancel context.CancelFunc
		s.ctx, cancel = context.WithTimeout(t.Context(), longest)
		defer cancel()
		if err := s.Cluster.Join(s.ctx); err != nil {
			t.Fatal(err)
		}
		script(s)
		s.finish()
	})
}

// finish ends what is wrong, waits, and judges.
func (s *Script) finish() {
	s.Heal()
	for _, m := range s.Cluster.Machines {
		m.Disk(nil)
	}
	out, err := s.Cluster.Finish(s.ctx, settle)
	if err != nil {
		s.Fatal(err)
	}
	for _, e := range out.Examples {
		s.Error(e)
	}
	tried := checks.Tried{Copies: s.Cluster.Ledger.Now().Expected, Faults: 1, Presence: out.Presence, Wrong: out.Wrong, Waiting: out.Waiting}
	for _, i := range out.Invariants(tried) {
		if i.Verdict == checks.Broken {
			s.Errorf("%s: %s", i.Rule, i.Why)
		}
	}
}

func (s *Script) link(from, to int) vnet.Link {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l, ok := s.links[[2]int{from, to}]; ok {
		return l
	}
	return vnet.Link{Latency: Latency}
}

// Link makes one direction between two nodes such.
func (s *Script) Link(from, to int, l vnet.Link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.links[[2]int{from, to}] = l
}

// Cut lets nothing pass between two nodes.
func (s *Script) Cut(a, b int) {
	s.Link(a, b, vnet.Link{Cut: true})
	s.Link(b, a, vnet.Link{Cut: true})
}

// Heal makes all links usual.
func (s *Script) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.links)
}

// Pass lets time go by.
func (s *Script) Pass(d time.Duration) {
	vtime.Sleep(s.ctx, d)
	synctest.Wait()
}

// User makes an account at a node and signs in.
func (s *Script) User(login string, node int) *cluster.User {
	s.Helper()
	u, err := s.Cluster.NewUser(s.ctx, node, login)
	if err != nil {
		s.Fatal(err)
	}
	return u
}

// Meet makes users know each other.
func (s *Script) Meet(users ...*cluster.User) {
	s.Helper()
	for i, a := range users {
		for _, b := range users[:i] {
			if err := s.Cluster.Meet(s.ctx, b, a); err != nil {
				s.Fatal(err)
			}
		}
	}
}

// Group makes a group.
func (s *Script) Group(name string, members ...*cluster.User) *cluster.Room {
	s.Helper()
	r, err := s.Cluster.NewGroup(s.ctx, name, members...)
	if err != nil {
		s.Fatal(err)
	}
	return r
}

// Says lets a user write to another, who must have been met, and waits for the answer of
// the own node, which must accept.
func (s *Script) Says(from, to *cluster.User) {
	s.Helper()
	s.SaysIn(from, s.Cluster.Room(from, to))
}

// SaysIn lets a user write to a room.
func (s *Script) SaysIn(from *cluster.User, r *cluster.Room) {
	s.Helper()
	if m := s.Tries(from, r); m.State != checks.Accepted {
		s.Fatalf("%s is not answered, or refused: code %d", from.Name, m.Code)
	}
}

// Tries is SaysIn, whatever the own node answers.
func (s *Script) Tries(from *cluster.User, r *cluster.Room) *checks.Message {
	s.Helper()
	m, err := from.Write(s.ctx, r, 100)
	if err != nil {
		s.Fatal(err)
	}
	return m
}

// Hears checks that a user has heard so many messages since it was last asked.
func (s *Script) Hears(u *cluster.User, count int) {
	s.Helper()
	synctest.Wait()
	all := u.Heard()
	if got := all - s.heard[u]; got != count {
		s.Errorf("%s has heard %d messages, not %d", u.Name, got, count)
	}
	s.heard[u] = all
}

// Nothing checks that a user has heard nothing since it was last asked.
func (s *Script) Nothing(u *cluster.User) {
	s.Helper()
	s.Hears(u, 0)
}

// Kill ends a node without a word; Start starts it again.
func (s *Script) Kill(node int) {
	s.Helper()
	if err := s.Cluster.Machines[node].Kill(); err != nil {
		s.Fatal(err)
	}
}

// Start starts a node that is down, and waits until its users are back.
func (s *Script) Start(node int) {
	s.Helper()
	if err := s.Cluster.Machines[node].Start(); err != nil {
		s.Fatal(err)
	}
	for _, u := range s.Cluster.Users() {
		if u.Machine() == node && u.Wanted() {
			if err := u.Ready(s.ctx); err != nil {
				s.Fatal(err)
			}
		}
	}
}
