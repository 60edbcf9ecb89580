package cluster

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"parley/federation/vnet"
)

// scene runs a script in virtual time, with two nodes and a user at each, who know each
// other; in the end everything must be as it should.
func scene(t *testing.T, script func(t *testing.T, s *stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &stage{t: t}
		c, err := New(Config{Seed: 1, Hosts: []Host{{Name: "a.example"}, {Name: "b.example", IPv6: true}},
			Link: func(from, to int) vnet.Link { return *s.link.Load() }, Note: func(kind, text string) { t.Logf("%s: %s", kind, text) }})
		if err != nil {
			t.Fatal(err)
		}
		s.c = c
		s.link.Store(&vnet.Link{Latency: 20 * time.Millisecond})
		if err := c.StartAll(); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		s.ctx = ctx
		s.al, s.bo = s.user(0, "alice"), s.user(1, "bob")
		if err := c.Meet(ctx, s.al, s.bo); err != nil {
			t.Fatal(err)
		}
		s.room = c.Room(s.al, s.bo)
		for _, u := range c.Users() {
			if err := u.Attach(ctx); err != nil {
				t.Fatal(err)
			}
		}
		script(t, s)
		out, err := c.Finish(ctx, 10*time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%+v %+v", out, out.Found)
		if out.Lost+out.Doubled+out.Contradictions+out.Reordered+out.Forged+out.Diverged+out.Forgotten+out.Gaps+out.Waiting+out.Wrong > 0 {
			t.Errorf("%+v %+v", out, out.Found)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}

type stage struct {
	t      *testing.T
	c      *Cluster
	ctx    context.Context
	al, bo *User
	room   *Room
	link   atomic.Pointer[vnet.Link]
}

func (s *stage) user(m int, login string) *User {
	s.t.Helper()
	u, err := s.c.NewUser(s.ctx, m, login)
	if err != nil {
		s.t.Fatal(err)
	}
	return u
}

func (s *stage) writes(u *User) {
	s.t.Helper()
	if _, err := u.Write(s.ctx, s.room, 100); err != nil {
		s.t.Fatal(err)
	}
}

func TestHello(t *testing.T) {
	scene(t, func(t *testing.T, s *stage) {
		for range 10 {
			s.writes(s.al)
			s.writes(s.bo)
		}
		time.Sleep(time.Second)
		if n := s.c.Ledger.Now(); n.Accepted != 20 || n.Delivered != 20 {
			t.Errorf("%+v", n)
		}
	})
}

func TestPartition(t *testing.T) {
	scene(t, func(t *testing.T, s *stage) {
		s.writes(s.al)
		time.Sleep(time.Second)
		usual := s.link.Swap(&vnet.Link{Cut: true})
		for range 100 {
			s.writes(s.al)
			s.writes(s.bo)
			time.Sleep(time.Second)
		}
		if n := s.c.Ledger.Now(); n.Accepted != 201 || n.Delivered != 1 {
			t.Errorf("in the partition %+v", n)
		}
		s.link.Store(usual)
	})
}

func TestKill(t *testing.T) {
	scene(t, func(t *testing.T, s *stage) {
		b := s.c.Machines[1]
		for range 5 {
			for range 20 {
				s.writes(s.al)
				if b.Up() {
					s.writes(s.bo)
				}
			}
			if err := b.Kill(); err != nil {
				t.Error(err)
			}
			s.writes(s.al)
			time.Sleep(10 * time.Second)
			if err := b.Start(); err != nil {
				t.Fatal(err)
			}
			if err := s.bo.Ready(s.ctx); err != nil {
				t.Fatal(err)
			}
		}
		if b.Starts() != 6 {
			t.Errorf("%d starts", b.Starts())
		}
	})
}

func TestSlowAndFullDisk(t *testing.T) {
	scene(t, func(t *testing.T, s *stage) {
		b := s.c.Machines[1]
		b.Disk(func(d *Disk) { d.Delay = 300 * time.Millisecond })
		begin := time.Now()
		s.writes(s.bo)
		if d := time.Since(begin); d < 300*time.Millisecond {
			t.Errorf("on a slow disk a message took %v", d)
		}
		b.Disk(func(d *Disk) { d.Full = true })
		s.writes(s.bo)
		s.writes(s.al)
		if n := s.c.Ledger.Now(); n.Accepted != 2 || n.Refused != 1 {
			t.Errorf("on a full disk %+v", n)
		}
		time.Sleep(time.Minute)
		b.Disk(nil)
	})
}

func TestPresence(t *testing.T) {
	scene(t, func(t *testing.T, s *stage) {
		time.Sleep(5 * time.Second)
		if !s.al.Sees(s.bo) || !s.bo.Sees(s.al) {
			t.Error("they do not see each other")
		}
		s.bo.SignOff()
		time.Sleep(10 * time.Second)
		if s.al.Sees(s.bo) {
			t.Error("who has left is seen")
		}
		s.writes(s.al)
	})
}

func TestGroup(t *testing.T) {
	scene(t, func(t *testing.T, s *stage) {
		carol := s.user(1, "carol")
		g, err := s.c.NewGroup(s.ctx, "all", s.al, s.bo, carol)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range g.Members {
			if _, err := u.Write(s.ctx, g, 100); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		if n := s.c.Ledger.Now(); n.Accepted != 3 || n.Delivered != 6 {
			t.Errorf("%+v", n)
		}
	})
}
