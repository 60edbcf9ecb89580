package node_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"parley/node"
	"parley/protocol"
	"parley/protocol/s2s"
	"parley/reputation"
	"parley/store"
)

// past is what a node has gone through with others: how often, by name.
type past map[protocol.Node]map[reputation.Event]int

// lived gives a node a past of two months, of which its own users are the witnesses.
func (s *site) lived(with past) {
	s.t.Helper()
	start := time.Now()
	e := reputation.New(reputation.Config{Users: 100}, start)
	at := start
	who := func(name protocol.Node) reputation.Sender {
		return reputation.Sender{Name: name, Domain: string(name), Proof: reputation.ProofDomain,
			Prefix: reputation.PrefixOf(s.f.sites[name].at.Addr())}
	}
	for name := range with {
		e.Set(at, who(name), reputation.Auto) // seen first
	}
	for range 60 {
		at = at.Add(24 * time.Hour)
		e.Class(at, s.name)
	}
	for name, events := range with {
		n := 0
		for ev, times := range events {
			for range times {
				n++
				u := protocol.NewUserID(uint64(n), s.name)
				e.Observe(at, who(name), ev, reputation.Reporter{User: u, Age: 60 * 24 * time.Hour, Partners: 9})
			}
		}
		s.know(name)
	}
	state := e.Export(at)
	state.Wall = start
	if err := s.n.ImportStanding(state); err != nil {
		s.t.Fatal(err)
	}
}

// know makes the keys of another node known, as a link does that was proven.
func (s *site) know(name protocol.Node) {
	s.t.Helper()
	err := s.st.Update(func(tx store.Tx) error {
		return tx.PutPeer(&store.Peer{Name: name, Keys: []store.PeerKey{{Key: s.f.sites[name].key.Public(), Since: time.Now()}}})
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

var (
	friend  = map[reputation.Event]int{reputation.Reply: 20}
	spammer = map[reputation.Event]int{reputation.Report: 4}
)

const nodeX protocol.Node = "x.localhost"

// village is node a with three friends, who know one another, and x, of whom a knows
// nothing.
func village(t *testing.T, change func(*node.Config), ofX map[reputation.Event]int, f func(r *fed, a, x *site, alice, xeno string)) {
	t.Helper()
	friends := []protocol.Node{nodeB, nodeC, "d.localhost"}
	inFederation(t, change, append([]protocol.Node{nodeA, nodeX}, friends...), func(r *fed) {
		a, x := r.sites[nodeA], r.sites[nodeX]
		others := past{}
		for _, n := range friends {
			others[n] = friend
			r.sites[n].lived(past{nodeA: friend, nodeX: ofX})
		}
		a.lived(others)
		a.know(nodeX)
		f(r, a, x, a.user("alice"), x.user("xeno"))
	})
}

// arrives is when the first contact of x reaches alice, at most after a time.
func arrives(a, x *site, alice string, most time.Duration) (time.Duration, bool) {
	a.t.Helper()
	start := time.Now()
	got(a.t, x.say("xeno", fmt.Sprintf(`{"sub":{"id":"s","topic":%q}}`, alice)), `"code":200`)
	got(a.t, x.say("xeno", fmt.Sprintf(`{"pub":{"id":"p","topic":%q,"content":"hello"}}`, alice)), `"code":202`)
	for time.Since(start) < most {
		if find(a.pipes["alice"].take(), `"what":"acs"`, `"src":"usr`) != "" {
			return time.Since(start), true
		}
		pass(100 * time.Millisecond)
	}
	return most, false
}

// An unknown node waits for what three friends say of it: those they praise are admitted at
// once then, those they blame wait, and the operator sees why.
func TestKnockIsAskedAbout(t *testing.T) {
	village(t, nil, friend, func(_ *fed, a, x *site, alice, _ string) {
		if d, ok := arrives(a, x, alice, time.Minute); !ok || d > 10*time.Second {
			t.Errorf("a node that friends praise: arrived %v after %v\n%s", ok, d, a.n.ExplainStanding(nodeX))
		}
		got(t, []string{a.n.ExplainStanding(nodeX)}, "x.localhost (known)", "vouches", "from b.localhost")
	})
	village(t, nil, spammer, func(_ *fed, a, x *site, alice, _ string) {
		defer func() { // and the author has been told that it waits, once
			got(t, x.say("xeno", fmt.Sprintf(`{"pub":{"id":"q","topic":%q,"content":"are you there?"}}`, alice)), `"code":202`)
			pass(5 * time.Minute)
			told := 0
			for _, p := range x.say("xeno", fmt.Sprintf(`{"get":{"id":"g","topic":%q,"what":"data"}}`, alice)) {
				if strings.Contains(p, `"x-parley-status":"held"`) && strings.Contains(p, "It will be tried again") {
					told++
				}
			}
			if told != 1 {
				t.Errorf("told %d times that the message waits", told)
			}
		}()
		if d, ok := arrives(a, x, alice, 2*time.Hour); ok {
			t.Errorf("a node that friends blame: arrived after %v\n%s", d, a.n.ExplainStanding(nodeX))
		}
		got(t, []string{a.n.ExplainStanding(nodeX)}, "x.localhost (closed)", "own evidence   good 0.00, bad 0.00", "blame 6.64")
	})
}

// Those who do not answer hold a stranger up for 45 s at most; one who asks nobody holds
// nobody up; where the operator does not want to, nothing is told.
func TestKnockInTime(t *testing.T) {
	village(t, nil, spammer, func(r *fed, a, x *site, alice, _ string) {
		for _, n := range []protocol.Node{nodeB, nodeC, "d.localhost"} {
			r.cut(nodeA, n)
		}
		d, ok := arrives(a, x, alice, 2*time.Minute)
		if !ok || d < 10*time.Second || d > 50*time.Second {
			t.Errorf("friends are away: arrived %v after %v", ok, d)
		}
	})
	deaf := func(c *node.Config) { c.Federation.Deaf = true }
	village(t, deaf, spammer, func(_ *fed, a, x *site, alice, _ string) {
		if d, ok := arrives(a, x, alice, time.Minute); !ok || d > 5*time.Second {
			t.Errorf("deaf: arrived %v after %v", ok, d)
		}
	})
	mute := func(c *node.Config) { c.Federation.Mute = c.Store.Meta().Node != nodeA }
	village(t, mute, spammer, func(_ *fed, a, x *site, alice, _ string) {
		if d, ok := arrives(a, x, alice, time.Minute); !ok || d > 10*time.Second {
			t.Errorf("mute: arrived %v after %v", ok, d)
		}
		got(t, []string{a.n.ExplainStanding(nodeX)}, "others         nothing")
	})
}

// What is told is coarse and of up to ten minutes ago, to those who are known, and not
// oftener than they may ask; x itself and strangers learn nothing bad of x.
func TestOpinionsAreCheap(t *testing.T) {
	village(t, nil, spammer, func(r *fed, a, x *site, _, _ string) {
		b := r.sites[nodeB]
		ask := func(s *site, kind reputation.Kind, about protocol.Node) ([]byte, error) {
			answer, _, err := s.mesh.Ask(context.Background(), nodeB, &s2s.Ask{Opinion: reputation.EncodeQuestion(kind, netip.Prefix{}, []byte(about))})
			if err != nil {
				return nil, err
			}
			return answer.Opinion, nil
		}
		first, err := ask(a, reputation.Told, nodeX)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.n.SetStanding(nodeX, reputation.Allow); err != nil { // the operator's word is not told
			t.Fatal(err)
		}
		b.lived(past{nodeA: friend})
		again, err := ask(a, reputation.Told, nodeX)
		if err != nil || !bytes.Equal(first, again) {
			t.Errorf("asked again after a change: %x, %v; before %x", again, err, first)
		}
		pass(11 * time.Minute)
		if wire, err := ask(a, reputation.Told, nodeX); err != nil || len(wire) != 5 {
			t.Errorf("ten minutes later: %x %v", wire, err)
		}
		answered := 0
		for range 100 {
			if _, err = ask(a, reputation.Told, nodeX); err == nil {
				answered++
			}
		}
		if answered < 38 || answered > 41 || !strings.Contains(fmt.Sprint(err), "again in 6m0s") {
			t.Errorf("%d of 100 questions answered, then %v", answered, err)
		}
		for _, k := range []reputation.Kind{reputation.Told, reputation.Carried} {
			if wire, err := ask(x, k, nodeX); err == nil {
				t.Errorf("x is told %x of itself", wire)
			}
		}
	})
}

// What two nodes hold against x is filed with witnesses, who have never seen x, and there
// found by those to whom it comes next.
func TestFiledBlameIsFound(t *testing.T) {
	witnesses, victims := []protocol.Node{nodeB, nodeC, "d.localhost"}, []protocol.Node{"e.localhost", "f.localhost"}
	names := append(append([]protocol.Node{nodeA, nodeX}, witnesses...), victims...)
	inFederation(t, nil, names, func(r *fed) {
		a, x := r.sites[nodeA], r.sites[nodeX]
		for _, w := range witnesses {
			r.sites[w].lived(past{nodeA: friend, victims[0]: friend, victims[1]: friend})
		}
		friends := past{}
		for _, w := range witnesses {
			friends[w] = friend
		}
		a.lived(friends)
		friends[nodeX] = spammer
		for _, v := range victims {
			r.sites[v].lived(friends)
			a.know(v)
		}
		a.know(nodeX)
		alice := a.user("alice")
		x.user("xeno")
		pass(6 * time.Minute)
		if d, ok := arrives(a, x, alice, time.Hour); ok {
			t.Errorf("arrived after %v", d)
		}
		got(t, []string{a.n.ExplainStanding(nodeX)}, "x.localhost (closed)", "own evidence   good 0.00, bad 0.00", "blame 3.33", "c.localhost")
		for _, w := range witnesses {
			if s := r.sites[w].n.ExplainStanding(nodeX); !strings.Contains(s, "never seen") {
				t.Errorf("%s has seen x:\n%s", w, s)
			}
		}
	})
}

// A list that the operator follows keeps a node out or lets it in, at once and after a
// restart when it cannot be fetched; the operator's own word goes before it, and one that
// somebody else has signed is not followed.
func TestLists(t *testing.T) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	var text []byte
	change := func(c *node.Config) {
		if c.Store.Meta().Node == nodeA {
			c.Federation.Lists = []node.ListSource{{Name: "friends of a", Key: key.Public().(ed25519.PublicKey),
				Fetch: func(context.Context) ([]byte, error) {
					if text == nil {
						return nil, context.DeadlineExceeded
					}
					return text, nil
				}}}
		}
	}
	synctest.Test(t, func(t *testing.T) {
		l := reputation.List{Issued: time.Now(), Expires: time.Now().Add(48 * time.Hour), Pins: map[protocol.Node]reputation.Pin{nodeX: reputation.Deny}}
		text = l.Sign(key)
		r := newFederation(t, change, nodeA, nodeX)
		defer r.end()
		a, x := r.sites[nodeA], r.sites[nodeX]
		alice := a.user("alice")
		x.user("xeno")
		text = nil
		a.halt()
		a.up()
		pass(time.Second)
		a.again("alice", "alice")
		if d, ok := arrives(a, x, alice, 30*time.Minute); ok {
			t.Errorf("arrived after %v", d)
		}
		got(t, []string{a.n.ExplainStanding(nodeX)}, "denied by friends of a")
		l.Issued = time.Now()
		text = l.Sign(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize)))
		l.Pins[nodeX] = reputation.Allow
		pass(7 * time.Hour)
		got(t, []string{a.n.ExplainStanding(nodeX)}, "denied by friends of a")
		if err := a.n.SetStanding(nodeX, reputation.Allow); err != nil {
			t.Fatal(err)
		}
		a.pipes["alice"].take()
		pass(7 * time.Hour)
		got(t, a.pipes["alice"].take(), `"what":"acs"`)
		own, err := a.n.SignedList()
		if err != nil || !strings.Contains(string(own), "allow x.localhost") {
			t.Errorf("%s %v", own, err)
		}
	})
}
