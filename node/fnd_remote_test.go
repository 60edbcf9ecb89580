package node_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"parley/federation"
	"parley/node"
	"parley/protocol"
	"parley/protocol/s2s"
)

const (
	nodeA protocol.Node = "a.localhost"
	nodeB protocol.Node = "b.localhost"
	nodeC protocol.Node = "c.localhost"
)

var twoNodes = []protocol.Node{nodeA, nodeB}

// look searches as clients do and returns what comes.
func (s *site) look(name, query string) []string {
	s.t.Helper()
	got(s.t, s.say(name, fmt.Sprintf(`{"set":{"id":"q","topic":"fnd","desc":{"public":%q}}}`, query)), `"code":200`)
	return s.say(name, `{"get":{"id":"f","topic":"fnd","what":"sub"}}`)
}

func attachFnd(s *site, names ...string) {
	s.t.Helper()
	for _, n := range names {
		got(s.t, s.say(n, `{"sub":{"id":"s","topic":"fnd"}}`), `"code":200`)
	}
}

// One handle of another node is found in all the forms that clients write, and what
// comes is what a stranger there would see.
func TestFindAtAnotherNode(t *testing.T) {
	inFederation(t, nil, twoNodes, func(r *fed) {
		a, b := r.sites[nodeA], r.sites[nodeB]
		a.user("alice")
		bob := b.user("bob")
		got(t, b.say("bob", `{"set":{"id":"d","topic":"me","desc":{"private":{"comment":"secret"}}}}`), `"code":200`)
		group := find(b.say("bob", `{"sub":{"id":"g","topic":"newx","set":{"desc":{"public":{"fn":"Club"}},"tags":["alias:theclub","open"]}}}`), `"code":200`)
		attachFnd(a, "alice")
		for _, q := range []string{"bob-user@b.localhost", "alias:bob-user@b.localhost,bob-user@b.localhost",
			"email:bob-user@b.localhost", "@Bob-User@B.localhost"} {
			p := a.look("alice", q)
			got(t, p, `"topic":"`+bob+`"`, `"fn":"bob"`, `"mode":"JRWPAD"`, `"private":["alias:bob-user@b.localhost"]`)
			if find(p, "secret") != "" || find(p, "basic:") != "" {
				t.Errorf("%s: too much is shown: %s", q, p)
			}
		}
		p := a.look("alice", "theclub@b.localhost")
		got(t, p, `"fn":"Club"`, `"topic":"grp`, `"mode":"JRWPS"`)
		id := ctrlOf(group).Topic
		got(t, p, id)
		if find(p, "open") != "" {
			t.Errorf("tags of the group are shown: %s", p)
		}
		for _, q := range []string{"nobody@b.localhost", "basic:bob-user@b.localhost", "bob-user@b.localhost travel",
			"bob-user@b.localhost,al@b.localhost", "tel:bob-user@b.localhost", "bob-user@c.localhost"} {
			got(t, a.look("alice", q), `"code":204`)
		}
	})
}

// Whoever hides is not there: by a tag less, by access, by suspension, by the
// operator. Private queries, guests and queries of other kinds ask nobody.
func TestFindHidden(t *testing.T) {
	inFederation(t, nil, twoNodes, func(r *fed) {
		a, b := r.sites[nodeA], r.sites[nodeB]
		a.user("alice")
		for _, u := range []string{"bob", "carl", "dora"} {
			b.user(u)
		}
		attachFnd(a, "alice")
		got(t, b.say("bob", `{"set":{"id":"t","topic":"me","tags":["basic:bob-user"]}}`), `"code":200`)
		got(t, b.say("carl", `{"set":{"id":"t","topic":"me","desc":{"defacs":{"auth":"N"}}}}`), `"code":200`)
		absent := a.look("alice", "nobody@b.localhost")
		for _, q := range []string{"bob-user@b.localhost", "carl-user@b.localhost"} {
			if p := a.look("alice", q); len(p) != len(absent) || find(p, `"code":204`) == "" {
				t.Errorf("%s is not absent: %s", q, p)
			}
		}
		got(t, a.look("alice", "dora-user@b.localhost"), `"fn":"dora"`)
		got(t, a.say("alice", `{"set":{"id":"q","topic":"fnd","desc":{"public":"␡","private":"dora-user@b.localhost"}}}`), `"code":200`)
		got(t, a.say("alice", `{"get":{"id":"f","topic":"fnd","what":"sub"}}`), `"code":204`)

		a.open("guest")
		got(t, a.say("guest", `{"acc":{"id":"a","user":"new","scheme":"anonymous","login":true}}`), `"code":200`)
		attachFnd(a, "guest")
		got(t, a.look("guest", "dora-user@b.localhost"), `"code":204`)
	})
	inFederation(t, func(c *node.Config) { c.Federation.Hidden = c.Store.Meta().Node == nodeB }, twoNodes, func(r *fed) {
		r.sites[nodeA].user("alice")
		r.sites[nodeB].user("bob")
		attachFnd(r.sites[nodeA], "alice")
		got(t, r.sites[nodeA].look("alice", "bob-user@b.localhost"), `"code":204`)
	})
}

// oracle is a node that answers handles as told, and counts.
type oracle struct {
	mute
	asked  atomic.Int32
	answer func(ctx context.Context, handle string) *s2s.Answer
}

func (o *oracle) Answer(ctx context.Context, _ federation.Peer, a *s2s.Ask) (*s2s.Answer, io.ReadCloser) {
	if a.Handle == "" {
		return &s2s.Answer{Failed: true, Fault: protocol.NotFound}, nil
	}
	o.asked.Add(1)
	return o.answer(ctx, a.Handle), nil
}

// A node that does not answer keeps nobody waiting but who asked it, and that one for
// 3 s; many questions about the same are one; a node may speak of its own users only.
func TestFindStrangeNode(t *testing.T) {
	inFederation(t, nil, twoNodes, func(r *fed) {
		a := r.sites[nodeA]
		o := &oracle{}
		r.strange(nodeC, o)
		a.user("alice")
		a.user("anna")
		attachFnd(a, "alice", "anna")

		wrong := []*s2s.Answer{
			{Card: &s2s.Card{User: protocol.NewUserID(1, nodeB), Public: []byte(`{"fn":"x"}`), Auth: protocol.ModeP2P}},
			{Card: &s2s.Card{User: "usrx@c.localhost", Public: []byte(`{"fn":"x"}`)}},
			{Card: &s2s.Card{User: protocol.NewUserID(1, nodeC), Public: []byte(`{"fn":`)}},
			{Card: &s2s.Card{User: protocol.NewUserID(1, nodeC), Public: []byte(`"` + strings.Repeat("x", 70<<10) + `"`)}},
			{Group: &s2s.Group{ID: protocol.NewGroupID(1, nodeB), Public: []byte(`{"fn":"x"}`)}},
			{},
		}
		for i, w := range wrong {
			o.answer = func(context.Context, string) *s2s.Answer { return w }
			got(t, a.look("alice", fmt.Sprintf("u%d@c.localhost", i)), `"code":204`)
		}

		o.asked.Store(0)
		o.answer = func(ctx context.Context, _ string) *s2s.Answer {
			<-ctx.Done()
			return &s2s.Answer{Failed: true}
		}
		start := time.Now()
		a.say("alice", `{"set":{"id":"q","topic":"fnd","desc":{"public":"slow@c.localhost"}}}`)
		a.say("anna", `{"set":{"id":"q","topic":"fnd","desc":{"public":"slow@c.localhost"}}}`)
		asked := time.Now()
		a.pipes["alice"].send(`{"get":{"id":"f","topic":"fnd","what":"sub"}}`)
		a.pipes["anna"].send(`{"get":{"id":"f","topic":"fnd","what":"sub"}}`)
		got(t, a.say("alice", `{"get":{"id":"m","topic":"me","what":"desc"}}`), `"id":"m"`)
		for find(a.pipes["alice"].take(), `"code":504`) == "" {
			if pass(100 * time.Millisecond); time.Since(asked) > 4*time.Second {
				t.Fatalf("no answer since %s", time.Since(start))
			}
		}
		if n := o.asked.Load(); n != 1 {
			t.Errorf("the node was asked %d times", n)
		}
	})
}

// Searches of one user are rationed; those of another go on.
func TestFindRation(t *testing.T) {
	inFederation(t, nil, []protocol.Node{nodeA}, func(r *fed) {
		a := r.sites[nodeA]
		o := &oracle{answer: func(_ context.Context, h string) *s2s.Answer {
			return &s2s.Answer{Card: &s2s.Card{User: protocol.NewUserID(7, nodeC), Public: []byte(`{"fn":"x"}`), Auth: protocol.ModeP2P}}
		}}
		r.strange(nodeC, o)
		a.user("alice")
		a.user("anna")
		attachFnd(a, "alice", "anna")
		for i := range 80 {
			a.pipes["alice"].send(fmt.Sprintf(`{"set":{"id":"q","topic":"fnd","desc":{"public":"u%d@c.localhost"}}}`, i))
			a.pipes["alice"].send(`{"get":{"id":"f","topic":"fnd","what":"sub"}}`)
			pass(100 * time.Millisecond)
		}
		if n := o.asked.Load(); n < 10 || n > 40 {
			t.Errorf("%d of 80 questions were asked", n)
		}
		before := o.asked.Load()
		got(t, a.look("anna", "u1@c.localhost"), `"fn":"x"`) // remembered
		got(t, a.look("anna", "other@c.localhost"), `"fn":"x"`)
		if n := o.asked.Load(); n != before+1 {
			t.Errorf("%d more questions", n-before)
		}
	})
}
