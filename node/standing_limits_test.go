package node_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"parley/federation"
	"parley/protocol"
	"parley/protocol/s2s"
	"parley/reputation"
	"parley/store"
)

// queue posts to node a as a strange node does, at once.
func (s *site) queue(p *s2s.Post) {
	s.t.Helper()
	p.At = time.Now().UnixMilli()
	if err := s.st.Update(func(tx store.Tx) error { return s.mesh.Post(tx, nodeA, "", p) }); err != nil {
		s.t.Fatal(err)
	}
	s.mesh.Wake(nodeA)
}

// A stranger who asks too much is told why and for how long it has to wait, and then is
// answered; users of others are found meanwhile.
func TestLookupsAreLimited(t *testing.T) {
	inFederation(t, nil, twoNodes, func(r *fed) {
		a, b := r.sites[nodeA], r.sites[nodeB]
		alice := protocol.UserID(a.user("alice"))
		c := r.strange(nodeC, mute{})
		pass(time.Second)
		passed, refused := 0, 0
		var last error
		ask := func(s *site) error {
			_, _, err := s.mesh.Ask(context.Background(), nodeA, &s2s.Ask{Card: alice})
			return err
		}
		for range 100 {
			if err := ask(c); err == nil {
				passed++
			} else {
				refused++
				last = err
			}
		}
		if passed < 30 || passed > 33 {
			t.Errorf("%d of 100 questions were answered", passed)
		}
		if protocol.FaultOf(last) != protocol.TooMany || !strings.Contains(last.Error(), "look-ups: rate limit of this node; again in 2s") {
			t.Errorf("refused: %v", last)
		}
		if err := ask(b); err != nil {
			t.Errorf("another node: %v", err)
		}
		pass(2 * time.Second)
		if err := ask(c); err != nil {
			t.Errorf("after the wait: %v", err)
		}
	})
}

// Users of a stranger join groups up to its limit; the next is told to wait, and gets in
// after that. Whom a local user has invited is not counted.
func TestJoinsAreLimited(t *testing.T) {
	withTrio(t, func(r *trio) {
		for i := range 39 {
			r.b.user(fmt.Sprint("m", i))
			r.join(r.b, fmt.Sprint("m", i))
		}
		late := r.b.user("late")
		join := fmt.Sprintf(`{"sub":{"id":"s","topic":%q}}`, r.group)
		said := r.b.say("late", join)
		got(t, said, `"code":429`, `joins: rate limit of this node; again in `)
		guest := r.b.user("guest")
		r.a.ask("al", fmt.Sprintf(`{"set":{"id":"i","topic":%q,"sub":{"user":%q,"mode":"JRWP"}}}`, r.group, guest), 200)
		pass(time.Second)
		r.join(r.b, "guest")
		pass(4 * time.Minute) // 20 an hour
		got(t, r.b.say("late", join), `"code":200`, late[:0])
		r.c.ask("ca", join, 304) // already in
	})
}

// host is a strange node all of whose users there are.
type host struct {
	mute
	st store.Store
}

func (f *fed) host(name protocol.Node) *site {
	h := &host{}
	s := f.strange(name, h)
	h.st = s.st
	pass(time.Second)
	return s
}

func (h *host) Returned(_ context.Context, _ protocol.Node, _ []federation.Ending, settle func(store.Tx) error) error {
	return h.st.Update(settle)
}

func (h *host) Answer(_ context.Context, _ federation.Peer, a *s2s.Ask) (*s2s.Answer, io.ReadCloser) {
	if a.Card == "" {
		return &s2s.Answer{Failed: true, Fault: protocol.NotFound}, nil
	}
	return &s2s.Answer{Card: &s2s.Card{User: a.Card, Public: []byte(`{"fn":"x"}`), Auth: protocol.ModeP2P}}, nil
}

// What nobody has asked for is slowed; a conversation with the same node that a local user
// has begun is not, and nothing is lost.
func TestAnsweredAreNotSlowed(t *testing.T) {
	inFederation(t, nil, []protocol.Node{nodeA}, func(r *fed) {
		a := r.sites[nodeA]
		alice := protocol.UserID(a.user("alice"))
		c := r.host(nodeC)
		carl := protocol.NewUserID(1, nodeC)
		got(t, a.say("alice", fmt.Sprintf(`{"sub":{"id":"s","topic":%q}}`, carl)), `"code":200`)
		const unasked, texts = 90, 60
		for i := range unasked {
			c.queue(&s2s.Post{From: protocol.NewUserID(uint64(i+2), nodeC), To: alice, Marks: &s2s.Marks{Read: &s2s.Name{From: alice, Origin: 1}}})
		}
		for i := range texts {
			c.queue(&s2s.Post{From: carl, To: alice, Message: &s2s.Message{Origin: i + 1, Tag: uint32(i + 1), Content: []byte(`"hi"`)}})
		}
		pass(3 * time.Second)
		texted := 0
		for _, p := range a.pipes["alice"].take() {
			if strings.Contains(p, `"content":"hi"`) {
				texted++
			}
		}
		if texted != texts {
			t.Errorf("%d of %d messages of an answered conversation came in 3 s", texted, texts)
		}
		before := c.linkTo(a)
		if n := before.Refused; n < 30 || n > 30+5 {
			t.Errorf("%d of %d posts that nobody asked for were looked at in 3 s", n, unasked)
		}
		pass(5 * time.Minute)
		if after := c.linkTo(a); after.Queued != 0 || after.Refused != unasked {
			t.Errorf("%d posts have been dealt with, %d wait; want all %d", after.Refused, after.Queued, unasked)
		}
	})
}

// A link is read as fast as fits its node: slowly while nobody here knows it.
func TestPaces(t *testing.T) {
	inFederation(t, nil, []protocol.Node{nodeA}, func(r *fed) {
		a := r.sites[nodeA]
		alice := protocol.UserID(a.user("alice"))
		c := r.host(nodeC)
		ping := func() time.Duration { // 400 of them, 32 at a time
			start := time.Now()
			var wg sync.WaitGroup
			for range 20 {
				wg.Go(func() {
					for range 20 {
						if _, _, err := c.mesh.Ask(context.Background(), nodeA, &s2s.Ask{Ping: &s2s.Ping{Data: []byte("x")}}); err != nil {
							t.Error(err)
						}
					}
				})
			}
			wg.Wait()
			return time.Since(start)
		}
		ping()
		pass(time.Minute)
		if d := ping(); d < 7*time.Second || d > 9*time.Second { // 2 s at once
			t.Errorf("400 questions of a stranger take %v", d)
		}
		if err := a.n.SetStanding(nodeC, reputation.Deny); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		if d := ping(); d < 37*time.Second || d > 40*time.Second {
			t.Errorf("400 questions of one that is denied take %v", d)
		}
		if err := a.n.SetStanding(nodeC, reputation.Auto); err != nil {
			t.Fatal(err)
		}
		carl := protocol.NewUserID(1, nodeC)
		got(t, a.say("alice", fmt.Sprintf(`{"sub":{"id":"s","topic":%q}}`, carl)), `"code":200`)
		c.queue(&s2s.Post{From: carl, To: alice, Message: &s2s.Message{Origin: 1, Tag: 1, Content: []byte(`"hi"`)}})
		pass(time.Minute)
		if d := ping(); d > 2*time.Second {
			t.Errorf("400 questions of a partner take %v", d)
		}
	})
}
