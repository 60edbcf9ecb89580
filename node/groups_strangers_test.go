package node_test

import (
	"context"
	"fmt"
	"io"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"parley/federation"
	"parley/node"
	"parley/protocol"
	"parley/protocol/s2s"
	"parley/reputation"
)

// hall is a node that answers for groups as told, and counts.
type hall struct {
	mute
	asked  atomic.Int32
	answer func(protocol.TopicID) *s2s.Answer
}

func (h *hall) Answer(_ context.Context, _ federation.Peer, a *s2s.Ask) (*s2s.Answer, io.ReadCloser) {
	if a.Group == "" {
		return &s2s.Answer{Failed: true, Fault: protocol.NotFound}, nil
	}
	h.asked.Add(1)
	return h.answer(a.Group), nil
}

func descOf(id protocol.TopicID) string {
	return fmt.Sprintf(`{"get":{"id":"d","topic":%q,"what":"desc"}}`, id)
}

// A home that does not know the question, or the group, or says what it may not, has no
// such group; one that will not say now may have.
func TestGroupOfStrangeNode(t *testing.T) {
	inFederation(t, nil, []protocol.Node{nodeA}, func(r *fed) {
		a := r.sites[nodeA]
		h := &hall{}
		r.strange(nodeC, h)
		a.user("alice")
		face := func(id protocol.TopicID) s2s.Group {
			return s2s.Group{ID: id, Created: 1, Updated: 1, Auth: protocol.ModeGroupAuth, Public: []byte(`{"fn":"x"}`), SubCount: 2}
		}
		with := func(change func(*s2s.Group)) func(protocol.TopicID) *s2s.Answer {
			return func(id protocol.TopicID) *s2s.Answer {
				g := face(id)
				change(&g)
				return &s2s.Answer{Group: &g}
			}
		}
		fails := func(f protocol.Fault) func(protocol.TopicID) *s2s.Answer {
			return func(protocol.TopicID) *s2s.Answer { return &s2s.Answer{Failed: true, Fault: f, Wait: 5} }
		}
		for i, c := range []struct {
			what   string
			answer func(protocol.TopicID) *s2s.Answer
			want   string
		}{
			{"as it is", with(func(*s2s.Group) {}), `"mode":"JRWPS"},"subcnt":2,"public":{"fn":"x"}`},
			{"owner given to all", with(func(g *s2s.Group) { g.Auth |= protocol.Owner }), `"mode":"JRWPS"}`},
			{"before 1970", with(func(g *s2s.Group) { g.Updated = -1 }), `"public":{"fn":"x"}`},
			{"an older node", fails(protocol.Unsupported), `"code":404`},
			{"absent", fails(protocol.NotFound), `"code":404`},
			{"closed", fails(protocol.Denied), `"code":404`},
			{"rationed", fails(protocol.TooMany), `"code":503`},
			{"broken", fails(protocol.Internal), `"code":503`},
			{"nothing", func(protocol.TopicID) *s2s.Answer { return &s2s.Answer{} }, `"code":404`},
			{"another", with(func(g *s2s.Group) { g.ID = protocol.NewGroupID(99, nodeC) }), `"code":404`},
			{"no JSON", with(func(g *s2s.Group) { g.Public = []byte(`{"fn":`) }), `"code":404`},
			{"too large", with(func(g *s2s.Group) { g.Public = []byte(`"` + strings.Repeat("x", 70<<10) + `"`) }), `"code":404`},
		} {
			h.answer = c.answer
			if p := a.say("alice", descOf(protocol.NewGroupID(uint64(i), nodeC))); len(p) != 1 || find(p, c.want) == "" {
				t.Errorf("%s: %.300s", c.what, p)
			}
		}
	})
}

// Groups that one user asks about are rationed; what was said is remembered for others. Who
// may not have to do with other nodes asks nobody.
func TestGroupRation(t *testing.T) {
	inFederation(t, nil, []protocol.Node{nodeA}, func(r *fed) {
		a := r.sites[nodeA]
		h := &hall{answer: func(id protocol.TopicID) *s2s.Answer {
			return &s2s.Answer{Group: &s2s.Group{ID: id, Public: []byte(`{"fn":"x"}`)}}
		}}
		r.strange(nodeC, h)
		a.user("alice")
		a.user("anna")
		a.open("guest")
		got(t, a.say("guest", `{"acc":{"id":"a","user":"new","scheme":"anonymous","login":true}}`), `"code":200`)
		got(t, a.say("guest", descOf(protocol.NewGroupID(1, nodeC))), `"code":403`)
		for i := range 50 {
			a.pipes["alice"].send(descOf(protocol.NewGroupID(uint64(i), nodeC)))
			pass(100 * time.Millisecond)
		}
		got(t, a.say("alice", descOf(protocol.NewGroupID(100, nodeC))), `"code":429`)
		if n := h.asked.Load(); n < 30 || n > 33 {
			t.Errorf("%d of 51 questions were asked", n)
		}
		before := h.asked.Load()
		got(t, a.say("anna", descOf(protocol.NewGroupID(1, nodeC))), `"fn":"x"`)
		got(t, a.say("anna", descOf(protocol.NewGroupID(1000, nodeC))), `"fn":"x"`)
		if n := h.asked.Load(); n != before+1 {
			t.Errorf("%d more questions", n-before)
		}
	})
}

// Guests of another node are told what the group gives to guests.
func TestGroupForGuests(t *testing.T) {
	inFederation(t, func(c *node.Config) { c.Federation.Guests = true }, twoNodes, func(r *fed) {
		a, b := r.sites[nodeA], r.sites[nodeB]
		a.user("alice")
		group := protocol.TopicID(ctrlOf(find(a.say("alice", `{"sub":{"id":"g","topic":"newx","set":{"desc":{"defacs":{"anon":"JR"}}}}}`), `"code":200`)).Topic)
		b.user("bob")
		b.open("guest")
		got(t, b.say("guest", `{"acc":{"id":"a","user":"new","scheme":"anonymous","login":true}}`), `"code":200`)
		got(t, b.say("bob", descOf(group)), `"mode":"JRWPS"`)
		got(t, b.say("guest", descOf(group)), `"mode":"JR"`)
	})
}

// The picture of a group that a stranger was shown can be fetched.
func TestPictureOfGroup(t *testing.T) {
	inFederation(t, nil, twoNodes, func(r *fed) {
		a, b := r.sites[nodeA], r.sites[nodeB]
		alice, bob := a.user("alice"), b.user("bob")
		face, id, _ := a.upload(alice, 1000, "image/png")
		group := protocol.TopicID(ctrlOf(find(a.say("alice", fmt.Sprintf(
			`{"sub":{"id":"g","topic":"newx","set":{"desc":{"public":{"fn":"Club","photo":{"ref":%q}}}}},"extra":{"attachments":[%q]}}`, face, face)), `"code":200`)).Topic)
		if _, _, err := b.fetch(bob, nodeA, id); err == nil {
			t.Error("the picture of a group that nobody has seen is fetched")
		}
		got(t, b.say("bob", descOf(group)), face)
		if _, _, err := b.fetch(bob, nodeA, id); err != nil {
			t.Errorf("the picture: %v", err)
		}
	})
}

// The home of a group says no more than strangers there see, as often as it answers other
// look-ups, and nothing to a node that its operator has barred.
func TestGroupForStrangers(t *testing.T) {
	inFederation(t, nil, []protocol.Node{nodeA}, func(r *fed) {
		a := r.sites[nodeA]
		a.user("alice")
		group := protocol.TopicID(ctrlOf(find(a.say("alice", `{"sub":{"id":"g","topic":"newx","set":{"desc":{"public":{"fn":"Club"}},"tags":["alias:theclub"]}}}`), `"code":200`)).Topic)
		a.say("alice", fmt.Sprintf(`{"set":{"id":"x","topic":%q,"aux":{"pins":[1]}}}`, group))
		a.say("alice", fmt.Sprintf(`{"pub":{"id":"p","topic":%q,"content":"hello"}}`, group))
		c := r.strange(nodeC, mute{})
		pass(time.Second)
		ask := func(id protocol.TopicID) (*s2s.Answer, protocol.Fault) {
			answer, _, err := c.mesh.Ask(context.Background(), nodeA, &s2s.Ask{Group: id})
			return answer, protocol.FaultOf(err)
		}
		answer, _ := ask(group)
		if answer == nil || answer.Group == nil {
			t.Fatalf("answer %+v", answer)
		}
		g := answer.Group
		want := &s2s.Group{ID: group, Created: g.Created, Updated: g.Updated, Auth: protocol.ModeGroupAuth, Public: []byte(`{"fn":"Club"}`), SubCount: 1}
		if g.Created == 0 || g.Updated == 0 || !reflect.DeepEqual(g, want) {
			t.Errorf("told %+v", g)
		}
		for _, id := range []protocol.TopicID{protocol.NewGroupID(3, nodeA), protocol.NewGroupID(3, nodeC), protocol.NewGroupID(3, nodeB)} {
			if _, f := ask(id); f != protocol.NotFound {
				t.Errorf("%s: %v", id, f)
			}
		}
		if _, f := ask("grpAAAAAAAAAAB@a.localhost"); f != protocol.Malformed { // spare bits
			t.Errorf("an id that is none: %v", f)
		}
		passed := 0
		for range 100 {
			if answer, _ := ask(group); answer != nil {
				passed++
			}
		}
		if passed < 20 || passed > 33 {
			t.Errorf("%d of 100 questions were answered", passed)
		}
		pass(time.Hour)
		if err := a.n.SetStanding(nodeC, reputation.Deny); err != nil {
			t.Fatal(err)
		}
		if answer, _ := ask(group); answer != nil {
			t.Errorf("a barred node is told %+v", answer)
		}
	})
}
