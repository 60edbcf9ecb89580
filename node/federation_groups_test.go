package node_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"parley/federation"
	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
)

// trio is a group on a with owner al, and members bo of b and ca of c.
type trio struct {
	*fed
	a, b, c *site
	bo, ca  protocol.UserID
	group   protocol.TopicID
}

func withTrio(t *testing.T, f func(*trio)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		net := newFederation(t, nil, "a.localhost", "b.localhost", "c.localhost")
		defer net.end()
		r := &trio{fed: net, a: net.sites["a.localhost"], b: net.sites["b.localhost"], c: net.sites["c.localhost"]}
		r.a.user("al")
		r.bo = protocol.UserID(r.b.user("bo"))
		r.ca = protocol.UserID(r.c.user("ca"))
		r.a.pipes["al"].take()
		r.a.pipes["al"].send(`{"sub":{"id":"g","topic":"new"}}`)
		r.a.wait()
		for _, p := range r.a.pipes["al"].take() {
			if c := ctrlOf(p); c != nil {
				r.group = protocol.TopicID(c.Topic)
			}
		}
		r.join(r.b, "bo")
		r.join(r.c, "ca")
		pass(time.Second)
		f(r)
	})
}

func (r *trio) join(s *site, name string) {
	r.t.Helper()
	s.ask(name, fmt.Sprintf(`{"sub":{"id":"s","topic":%q}}`, r.group), 200)
}

func (r *trio) pub(content string) string {
	return fmt.Sprintf(`{"pub":{"id":%q,"topic":%q,"content":%q}}`, content, r.group, content)
}

// contents are the messages of the group on a node, oldest first, and who wrote them.
func (r *trio) contents(s *site) (all []string) {
	s.view(func(tx store.Tx) error {
		all = nil
		for m, err := range tx.History(r.group, 1, 1<<30) {
			if err != nil {
				return err
			}
			all = append([]string{fmt.Sprintf("%d %s", m.Seq, m.Content)}, all...)
		}
		return nil
	})
	return all
}

// same fails if the nodes have different messages, or not these.
func (r *trio) same(want ...string) {
	r.t.Helper()
	for _, s := range []*site{r.a, r.b, r.c} {
		if got := r.contents(s); fmt.Sprint(got) != fmt.Sprint(want) {
			r.t.Errorf("%s has %.200v, want %.200v", s.name, fmt.Sprint(got), fmt.Sprint(want))
		}
	}
}

// codes waits for answers and returns their codes.
func codes(s *site, name string, d time.Duration) (all []int) {
	pass(d)
	for _, p := range s.pipes[name].take() {
		if c := ctrlOf(p); c != nil {
			all = append(all, c.Code)
		}
	}
	return all
}

// The home has taken a message, but its answer does not come in time: when the client
// sends it again it is the same message.
func TestGroupAnswerLost(t *testing.T) {
	for _, again := range []string{"before", "after"} { // the log tells
		t.Run(again, func(t *testing.T) {
			withTrio(t, func(r *trio) {
				r.b.ask("bo", r.pub("first"), 202)
				r.net.Block(r.a.at, r.b.at)
				r.b.pipes["bo"].send(r.pub("once"))
				if got := codes(r.b, "bo", 5*time.Second); fmt.Sprint(got) != "[503]" {
					t.Fatalf("answers %v, want 503", got)
				}
				if again == "after" {
					r.net.Unblock(r.a.at, r.b.at)
					pass(time.Second)
				}
				r.b.pipes["bo"].send(strings.Replace(r.pub("once"), `"id":"once"`, `"id":"again"`, 1))
				pass(time.Second)
				r.net.Unblock(r.a.at, r.b.at)
				if got := codes(r.b, "bo", 3*time.Second); fmt.Sprint(got) != "[202]" {
					t.Errorf("answers %v, want 202", got)
				}
				r.same(`1 "first"`, `2 "once"`)
			})
		})
	}
}

// What was answered with 503 is not in the group later, and is if sent again, once.
func TestGroupCommandWithdrawn(t *testing.T) {
	withTrio(t, func(r *trio) {
		r.cut("a.localhost", "b.localhost")
		r.b.pipes["bo"].send(r.pub("withdrawn"))
		if got := codes(r.b, "bo", 5*time.Second); fmt.Sprint(got) != "[503]" {
			t.Fatalf("answers %v, want 503", got)
		}
		pass(2 * time.Minute)
		r.heal("a.localhost", "b.localhost")
		pass(2 * time.Minute)
		r.same()
		r.b.ask("bo", strings.Replace(r.pub("withdrawn"), `"id":"withdrawn"`, `"id":"again"`, 1), 202)
		r.same(`1 "withdrawn"`)
	})
}

// Messages that come at once keep their order.
func TestGroupOrder(t *testing.T) {
	withTrio(t, func(r *trio) {
		var want []string
		for i := range 40 {
			r.b.pipes["bo"].send(r.pub(fmt.Sprint("m", i)))
			want = append(want, fmt.Sprintf("%d %q", i+1, fmt.Sprint("m", i)))
		}
		pass(3 * time.Second)
		next, echoes := 0, 0
		for _, p := range r.b.pipes["bo"].take() {
			if c := ctrlOf(p); c != nil {
				if c.ID != fmt.Sprint("m", next) || c.Code != 202 || int(c.Params["seq"].(float64)) != next+1 {
					t.Errorf("answer %d is %s", next, p)
				}
				next++
			} else if strings.HasPrefix(p, `{"data"`) {
				echoes++
			}
		}
		if next != 40 || echoes != 40 {
			t.Errorf("%d answers and %d echoes, want 40 each", next, echoes)
		}
		r.same(want...)
	})
}

// A follower that is away for good costs the home nothing, and the others neither. When
// it is back after all, it has everything.
func TestGroupDeadFollower(t *testing.T) {
	withTrio(t, func(r *trio) {
		r.c.halt()
		var want []string
		for i := range 300 {
			r.a.ask("al", r.pub(fmt.Sprint("m", i)), 202)
			want = append(want, fmt.Sprintf("%d %q", i+1, fmt.Sprint("m", i)))
		}
		var queued uint64
		r.a.view(func(tx store.Tx) error {
			for l := range store.Lane(s2s.Lanes) {
				q, err := tx.Queue(r.c.name, l)
				if err != nil {
					return err
				}
				queued += q.Last - q.Settled
			}
			return nil
		})
		if queued > 1 {
			t.Errorf("%d posts wait for the dead follower", queued)
		}
		if got := r.contents(r.b); len(got) != 300 {
			t.Errorf("the other has %d of 300 messages", len(got))
		}
		r.c.up()
		pass(time.Minute)
		r.same(want...)
	})
}

// log is a piece of the group's log as its home could tell it.
func (r *trio) log(after uint64, events ...s2s.Event) *s2s.LogAck {
	r.t.Helper()
	ack, err := r.b.n.Follow(context.Background(), federation.Peer{Name: "a.localhost"}, &s2s.Log{Group: r.group, After: after, Events: events})
	if err != nil {
		r.t.Fatal(err)
	}
	pass(time.Second)
	return ack
}

func (r *trio) rev(s *site) (rev uint64) {
	s.view(func(tx store.Tx) error {
		h, err := tx.Head(r.group)
		rev = h.Rev
		return err
	})
	return rev
}

// A home cannot say what users of third nodes have not said.
func TestGroupForgedByHome(t *testing.T) {
	withTrio(t, func(r *trio) {
		now := time.Now().UnixMilli()
		say := func(seq int, content string, sign func([]byte) []byte) s2s.Event {
			m := &s2s.GroupMessage{Seq: seq, Tag: uint32(seq), TS: now, Content: []byte(content)}
			e := s2s.Event{At: now, By: r.ca, Message: m}
			if sign != nil {
				e.Sig = sign(m.Signed(r.group, r.ca))
			}
			return e
		}
		rev := r.rev(r.b)
		r.b.pipes["bo"].take()
		r.log(rev, say(1, `"forged"`, nil), say(2, `"signed by another"`, r.a.mesh.Sign), say(3, `"true"`, r.c.mesh.Sign))
		if got := r.contents(r.b); fmt.Sprint(got) != `[3 "true"]` {
			t.Errorf("b shows %v", got)
		}
		for _, p := range r.b.pipes["bo"].take() {
			if strings.Contains(p, "forged") || strings.Contains(p, "another") {
				t.Errorf("bo got %s", p)
			}
		}
		// What ca wants cannot be said for ca, either; what is given to ca is the home's.
		r.log(rev+3, s2s.Event{At: now, By: r.ca, Sub: &s2s.Membership{User: r.ca, Want: protocol.Join, Given: protocol.Join | protocol.Read}})
		r.b.view(func(tx store.Tx) error {
			sub, err := tx.Sub(r.group, r.ca)
			if err == nil && (sub.Want != protocol.ModeGroupAuth || sub.Given != protocol.Join|protocol.Read) {
				t.Errorf("ca wants %v, given %v", sub.Want, sub.Given)
			}
			return err
		})
		// Nor do our users want what the home says.
		r.log(rev+4, s2s.Event{At: now, By: r.bo, Sub: &s2s.Membership{User: r.bo, Want: protocol.ModeOwner, Given: protocol.ModeGroupAuth}})
		r.b.view(func(tx store.Tx) error {
			sub, err := tx.Sub(r.group, r.bo)
			if err == nil && sub.Want != protocol.ModeGroupAuth {
				t.Errorf("bo wants %v", sub.Want)
			}
			return err
		})
	})
}

// A log comes in order and without gaps; what comes again is passed over; what comes
// again otherwise ends the following.
func TestGroupLogRewritten(t *testing.T) {
	withTrio(t, func(r *trio) {
		al := protocol.NewUserID(1, r.a.name)
		say := func(seq int, tag uint32) s2s.Event {
			return s2s.Event{At: 1e12, By: al, Message: &s2s.GroupMessage{Seq: seq, Tag: tag, TS: 1e12, Content: []byte(fmt.Sprint(tag))}}
		}
		rev := r.rev(r.b)
		if ack := r.log(rev+1, say(1, 1)); !ack.Reset || ack.Rev != rev {
			t.Errorf("after a gap: %+v", ack)
		}
		if ack := r.log(rev, say(1, 1), say(2, 2)); ack.Rev != rev+2 || ack.Reset || ack.Stop {
			t.Errorf("in order: %+v", ack)
		}
		if ack := r.log(rev, say(1, 1), say(2, 2), say(3, 3)); ack.Rev != rev+3 || ack.Stop {
			t.Errorf("again, and more: %+v", ack)
		}
		erased := s2s.Event{At: 1e12, By: al, Message: &s2s.GroupMessage{Seq: 2}}
		if ack := r.log(rev, say(1, 1), erased); ack.Rev != rev+3 || ack.Stop {
			t.Errorf("again, with what was erased since: %+v", ack)
		}
		if ack := r.log(rev+1, say(2, 9), say(3, 3)); !ack.Stop {
			t.Errorf("another history: %+v", ack)
		}
		if ack := r.log(rev+3, say(4, 4)); !ack.Stop {
			t.Errorf("after that: %+v", ack)
		}
		if got := r.contents(r.b); fmt.Sprint(got) != "[1 1 2 2 3 3]" {
			t.Errorf("b shows %v", got)
		}
	})
}

// When nobody of a node is in a group any more, its replica goes, and may come again.
func TestGroupPruned(t *testing.T) {
	withTrio(t, func(r *trio) {
		r.a.ask("al", r.pub("one"), 202)
		r.b.ask("bo", fmt.Sprintf(`{"leave":{"id":"l","topic":%q,"unsub":true}}`, r.group), 200)
		pass(15 * time.Minute)
		gone := func(s *site, get func(tx store.Tx) error) {
			t.Helper()
			s.view(func(tx store.Tx) error {
				if err := get(tx); !errors.Is(err, store.ErrNotFound) {
					t.Errorf("%s still has it: %v", s.name, err)
				}
				return nil
			})
		}
		gone(r.b, func(tx store.Tx) error { _, err := tx.Topic(r.group); return err })
		gone(r.a, func(tx store.Tx) error { _, err := tx.Follower(r.group, r.b.name); return err })
		r.a.ask("al", r.pub("two"), 202)
		r.b.pipes["bo"].take()
		r.b.pipes["bo"].send(fmt.Sprintf(`{"sub":{"id":"s","topic":%q}}`, r.group))
		if got := codes(r.b, "bo", 5*time.Second); fmt.Sprint(got) != "[200]" {
			t.Fatalf("coming back is answered %v", got)
		}
		r.a.ask("al", r.pub("three"), 202)
		r.b.ask("bo", fmt.Sprintf(`{"get":{"id":"d","topic":%q,"what":"data"}}`, r.group), 208)
		r.same(`1 "one"`, `2 "two"`, `3 "three"`)
	})
}

// A home that was set back tells another history sooner or later: then followers keep
// what they have.
func TestGroupHomeSetBack(t *testing.T) {
	withTrio(t, func(r *trio) {
		file := filepath.Join(r.a.dir, "parley.db")
		r.a.ask("al", r.pub("kept"), 202)
		r.a.halt()
		backup, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		r.a.up()
		r.a.again("al", "al")
		r.join(r.a, "al")
		r.a.ask("al", r.pub("lost"), 202)
		pass(time.Minute)
		r.same(`1 "kept"`, `2 "lost"`)
		r.a.halt()
		if err := os.WriteFile(file, backup, 0o600); err != nil {
			t.Fatal(err)
		}
		r.a.up()
		r.a.again("al", "al")
		r.join(r.a, "al")
		r.a.ask("al", r.pub("another"), 202)
		pass(5 * time.Minute)
		for _, s := range []*site{r.b, r.c} {
			if got := r.contents(s); fmt.Sprint(got) != `[1 "kept" 2 "lost"]` {
				t.Errorf("%s has %v", s.name, got)
			}
		}
	})
}

// What a group costs on a link goes by messages, not by members.
func TestGroupIsFrugal(t *testing.T) {
	withTrio(t, func(r *trio) {
		const members, messages = 30, 10
		for i := range members {
			name := fmt.Sprint("m", i)
			r.b.user(name)
			r.join(r.b, name)
		}
		pass(5 * time.Second)
		before := r.a.linkTo(r.b)
		for i := range messages {
			r.a.ask("al", r.pub(fmt.Sprint("text ", i)), 202)
		}
		pass(time.Second)
		after := r.a.linkTo(r.b)
		if n := after.Pieces - before.Pieces; n > messages {
			t.Errorf("%d pieces of the log for %d messages", n, messages)
		}
		if n := (after.Posts.Out - before.Posts.Out) / messages; n > 400 {
			t.Errorf("%d bytes a message", n)
		}
		for i := range members { // all read it at once
			r.b.pipes[fmt.Sprint("m", i)].send(fmt.Sprintf(`{"note":{"topic":%q,"what":"read","seq":%d}}`, r.group, messages))
		}
		sent := r.b.linkTo(r.a).Sent
		pass(3 * time.Second)
		if n := r.b.linkTo(r.a).Sent - sent; n != 1 {
			t.Errorf("%d posts for read marks, want 1", n)
		}
	})
}

func (s *site) linkTo(to *site) federation.PeerStats {
	s.t.Helper()
	all, err := s.mesh.Stats()
	if err != nil {
		s.t.Fatal(err)
	}
	for _, p := range all {
		if p.Name == to.name {
			return p
		}
	}
	s.t.Fatalf("%s knows nothing of %s", s.name, to.name)
	return federation.PeerStats{}
}

// A command that comes after it was withdrawn has no effect.
func TestGroupWithdrawnFirst(t *testing.T) {
	withTrio(t, func(r *trio) {
		from := federation.Peer{Name: r.b.name}
		key, now := []byte("0123456789abcdef"), time.Now().UnixMilli()
		var taken uint64 // what b has sent by itself
		r.a.view(func(tx store.Tx) (err error) {
			taken, err = tx.Cursor(r.b.name, 0)
			return err
		})
		vs, err := r.a.n.Deliver(context.Background(), from, 0, []federation.Incoming{{N: taken + 1, Post: &s2s.Post{N: taken + 1, Topic: r.group, At: now,
			Withdraw: &s2s.Withdraw{Key: key, Group: r.group, At: now}}}})
		if err != nil || len(vs) != 1 || vs[0].Outcome != s2s.Applied {
			t.Fatalf("the withdrawal is answered %v, %v", vs, err)
		}
		a, _ := r.a.n.Answer(context.Background(), from, &s2s.Ask{Command: &s2s.Command{Key: key, Group: r.group, User: r.bo, At: now,
			Request: []byte(r.pub("too late"))}})
		if !a.Failed || a.Fault != protocol.Gone {
			t.Errorf("answer %+v, want Gone", a)
		}
		r.same()
	})
}

// A command is carried out once, whatever the clocks of the two nodes say, also if old
// results have been dropped meanwhile.
func TestGroupCommandOfAnotherTime(t *testing.T) {
	withTrio(t, func(r *trio) {
		from := federation.Peer{Name: r.b.name}
		for i, off := range []time.Duration{-400 * 24 * time.Hour, -7 * 24 * time.Hour, -time.Hour, 0, 2 * time.Hour, 400 * 24 * time.Hour} {
			c := &s2s.Command{Key: []byte(fmt.Sprintf("0123456789abcde%d", i)), Group: r.group, User: r.bo, At: time.Now().Add(off).UnixMilli(),
				Request: []byte(r.pub(fmt.Sprint("said once ", off)))}
			var said []string
			for range 2 {
				a, _ := r.a.n.Answer(context.Background(), from, &s2s.Ask{Command: c})
				if a.Failed || a.Result == nil || a.Result.Code != 202 {
					t.Fatalf("%v off: answered %+v", off, a)
				}
				said = append(said, string(a.Result.Params))
				time.Sleep(6 * time.Minute) // old results have been dropped
			}
			if said[1] != said[0] {
				t.Errorf("%v off: done more than once: %v", off, said)
			}
		}
		if all := r.contents(r.a); len(all) != 6 {
			t.Errorf("the group has %v", all)
		}
	})
}

// Who chooses another mode and uses it at once is not refused for the old one.
func TestModeIsKnownBeforeItIsUsed(t *testing.T) {
	inFederation(t, nil, twoNodes, func(r *fed) {
		a, b := r.sites[nodeA], r.sites[nodeB]
		a.user("alice")
		bob := b.user("bob")
		group := ctrlOf(find(a.say("alice", `{"sub":{"id":"g","topic":"newx","set":{"desc":{"defacs":{"auth":"N"}}}}}`), `"code":200`)).Topic
		got(t, a.say("alice", fmt.Sprintf(`{"set":{"id":"i","topic":%q,"sub":{"user":%q,"mode":"JRW"}}}`, group, bob)), `"code":200`)
		b.pipes["bob"].send(fmt.Sprintf(`{"sub":{"id":"s","topic":%q,"set":{"sub":{"mode":"JRW"}}}}`, group))
		got(t, b.say("bob", fmt.Sprintf(`{"pub":{"id":"p","topic":%q,"content":"I am in"}}`, group)), `"id":"p"`, `"code":202`)
	})
}
