package node_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"parley/protocol"
	"parley/store"
)

// replicas is a conversation of alice at a and bob at b, of which each node has a replica
// with numbers of its own.
type replicas struct {
	*fed
	t          *testing.T
	a, b       *site
	alice, bob string
	n          int
}

func withReplicas(t *testing.T, f func(r *replicas)) {
	t.Helper()
	inFederation(t, nil, twoNodes, func(net *fed) {
		r := &replicas{fed: net, t: t, a: net.sites[nodeA], b: net.sites[nodeB]}
		r.alice, r.bob = r.a.user("alice"), r.b.user("bob")
		befriend(r.a, "alice", r.alice, r.b, "bob", r.bob)
		f(r)
	})
}

// says has one of the two write a text, and returns its number at the own node.
func (r *replicas) says(who, text, head string) int {
	r.t.Helper()
	s, to := r.side(who)
	r.n++
	got := s.say(who, fmt.Sprintf(`{"pub":{"id":"p%d","topic":%q,"head":{%s},"content":%q}}`, r.n, to, head, text))
	if c := ctrlOf(find(got, `"code":202`)); c != nil {
		return int(c.Params["seq"].(float64))
	}
	r.t.Fatalf("%s says %q: %v", who, text, got)
	return 0
}

func (r *replicas) side(who string) (at *site, other string) {
	if who == "alice" {
		return r.a, r.bob
	}
	return r.b, r.alice
}

// edits replaces a message of the own replica by a newer text.
func (r *replicas) edits(who string, seq int, text string) {
	r.t.Helper()
	r.says(who, text, fmt.Sprintf(`"replace":":%d"`, seq))
}

// erases deletes messages from low up to high, which is not included, for all.
func (r *replicas) erases(who string, low, high int) {
	r.t.Helper()
	s, to := r.side(who)
	got(r.t, s.say(who, fmt.Sprintf(`{"del":{"id":"d","topic":%q,"what":"msg","hard":true,"delseq":[{"low":%d,"hi":%d}]}}`, to, low, high)), `"code":200`)
}

// find is the number of a text at a node; 0 if it is not there.
func (r *replicas) find(s *site, text string) (seq int) {
	for m := range maps.Values(r.lines(s)) {
		if string(m.Content) == fmt.Sprintf("%q", text) {
			seq = m.Seq
		}
	}
	return seq
}

// lines are the messages of a replica, by their names.
func (r *replicas) lines(s *site) map[string]*store.Message {
	all := map[string]*store.Message{}
	s.view(func(tx store.Tx) error {
		for m, err := range tx.History(protocol.P2P(protocol.UserID(r.alice), protocol.UserID(r.bob)), 1, 1<<30) {
			if err != nil {
				return err
			}
			all[fmt.Sprint(m.From, " ", m.Origin, " ", m.Tag)] = m
		}
		return nil
	})
	return all
}

var replaces = regexp.MustCompile(`"replace":":(\d+)"`)

// texts are what a replica holds, sorted: who wrote it, and of an edit the text that it
// replaces instead of its number.
func (r *replicas) texts(s *site) (all []string) {
	lines, bySeq := r.lines(s), map[string]string{}
	for _, m := range lines {
		bySeq[fmt.Sprint(m.Seq)] = string(m.Content)
	}
	for _, m := range lines {
		t := strings.Split(string(m.From), "@")[1] + " " + string(m.Content)
		if ref := replaces.FindStringSubmatch(string(m.Head)); ref != nil {
			t += " for " + bySeq[ref[1]]
		}
		all = append(all, t)
	}
	slices.Sort(all)
	return all
}

// alike fails unless both replicas hold these texts, each with the same name.
func (r *replicas) alike(want ...string) {
	r.t.Helper()
	slices.Sort(want)
	for _, s := range []*site{r.a, r.b} {
		if got := r.texts(s); !slices.Equal(got, want) {
			r.t.Errorf("%s has\n  %s\nwant\n  %s", s.name, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
		}
	}
	here, there := slices.Sorted(maps.Keys(r.lines(r.a))), slices.Sorted(maps.Keys(r.lines(r.b)))
	if !slices.Equal(here, there) {
		r.t.Errorf("names %v at a, %v at b", here, there)
	}
}

// While nothing passes between the nodes, both sides edit and delete: what was there
// before and what is written meanwhile. Then both have the same.
func TestEditsAndDeletesDuringACut(t *testing.T) {
	withReplicas(t, func(r *replicas) {
		a1 := r.says("alice", "a1", "")
		r.says("alice", "a2", "")
		b1 := r.says("bob", "b1", "")
		r.says("bob", "b2", "")
		r.cut(nodeA, nodeB)
		r.says("alice", "only here", "") // so that numbers differ
		a3 := r.says("alice", "a3", "")
		b3 := r.says("bob", "b3", "")
		r.edits("alice", a1, "a1 anew")
		r.edits("alice", a3, "a3 anew")
		r.edits("alice", a3, "a3 again")
		r.edits("bob", b1, "b1 anew")
		r.edits("bob", b3, "b3 anew")
		b2, a2 := r.find(r.a, "b2"), r.find(r.b, "a2")
		r.erases("alice", b2, b2+1)
		r.erases("bob", a2, a2+1)
		gone := r.find(r.a, "only here")
		r.erases("alice", gone, gone+1)
		r.heal(nodeA, nodeB)
		pass(2 * time.Minute)
		r.alike("a.localhost \"hello\"", "a.localhost \"a1\"", "a.localhost \"a3\"", "b.localhost \"b1\"", "b.localhost \"b3\"",
			`a.localhost "a1 anew" for "a1"`, `a.localhost "a3 anew" for "a3"`, `a.localhost "a3 again" for "a3"`,
			`b.localhost "b1 anew" for "b1"`, `b.localhost "b3 anew" for "b3"`)
	})
}

// What the one edits the other has deleted meanwhile: the edit is returned to its author,
// and what it was for is gone on both sides.
func TestEditOfWhatTheOtherHasDeleted(t *testing.T) {
	withReplicas(t, func(r *replicas) {
		a1 := r.says("alice", "a1", "")
		r.cut(nodeA, nodeB)
		r.edits("alice", a1, "a1 anew")
		b := r.find(r.b, "a1")
		r.erases("bob", b, b+1)
		r.a.pipes["alice"].take()
		r.heal(nodeA, nodeB)
		pass(2 * time.Minute)
		got(t, r.a.pipes["alice"].take(), `"x-parley-status":"bounced"`)
		for _, s := range []*site{r.a, r.b} {
			if r.find(s, "a1") != 0 {
				t.Errorf("%s still has it", s.name)
			}
		}
		if r.find(r.b, "a1 anew") != 0 {
			t.Error("b has an edit of nothing")
		}
	})
}

// Both write at once, so that the replicas have the same messages in other places. A
// range of one of them is erased in the other message by message, whatever stands between.
func TestRangeDeleteOverInterleavedOrigins(t *testing.T) {
	withReplicas(t, func(r *replicas) {
		for round := range 3 {
			r.cut(nodeA, nodeB)
			for i := range 3 {
				r.says("alice", fmt.Sprint("a", 3*round+i), "")
				r.says("bob", fmt.Sprint("b", 3*round+i), "")
			}
			r.heal(nodeA, nodeB)
			pass(2 * time.Minute)
		}
		low, high := r.find(r.a, "a4"), r.find(r.a, "b4")+1 // a4 a5 b3 b4 there
		var texts []string
		for _, m := range r.lines(r.a) {
			if m.Seq < low || m.Seq >= high {
				var text string
				if err := json.Unmarshal(m.Content, &text); err != nil {
					t.Fatal(err)
				}
				texts = append(texts, fmt.Sprintf("%s %q", strings.Split(string(m.From), "@")[1], text))
			}
		}
		if high-low < 4 || len(texts) != 1+18-(high-low) {
			t.Fatalf("from %d to %d, %d are left", low, high, len(texts))
		}
		if b := r.find(r.b, "b4") - r.find(r.b, "a4"); b > 0 {
			t.Fatalf("the replicas have the same order: %d", b)
		}
		r.erases("alice", low, high)
		pass(time.Minute)
		r.alike(texts...)
	})
}

// A follower is away while one of its users is banned, a message is erased, and the group
// gets another owner, of a third node. When it is back all of that holds there, before
// anything that is newer.
func TestGroupFollowerAway(t *testing.T) {
	withTrio(t, func(r *trio) {
		eve := r.b.user("eve")
		r.join(r.b, "eve")
		for _, text := range []string{"one", "two", "three"} {
			r.a.ask("al", r.pub(text), 202)
		}
		r.same(`1 "one"`, `2 "two"`, `3 "three"`)
		r.b.halt()
		r.a.ask("al", fmt.Sprintf(`{"set":{"id":"b","topic":%q,"sub":{"user":%q,"mode":"N"}}}`, r.group, eve), 200)
		r.a.ask("al", fmt.Sprintf(`{"del":{"id":"d","topic":%q,"what":"msg","hard":true,"delseq":[{"low":2}]}}`, r.group), 200)
		r.a.ask("al", fmt.Sprintf(`{"set":{"id":"o","topic":%q,"sub":{"user":%q,"mode":"+O"}}}`, r.group, r.ca), 200)
		pass(time.Second)
		r.c.ask("ca", fmt.Sprintf(`{"set":{"id":"o","topic":%q,"sub":{"mode":"+O"}}}`, r.group), 200)
		r.c.ask("ca", r.pub("four"), 202)
		pass(6 * time.Hour) // longer than anybody tries often
		r.b.up()
		r.b.again("bo", "bo")
		r.b.again("eve", "eve")
		pass(2 * time.Minute)
		r.same(`1 "one"`, `3 "three"`, `4 "four"`)
		r.b.ask("eve", fmt.Sprintf(`{"sub":{"id":"s","topic":%q}}`, r.group), 403)
		r.join(r.b, "bo")
		for _, s := range []*site{r.a, r.b, r.c} {
			s.view(func(tx store.Tx) error {
				rec, err := tx.Topic(r.group)
				if err != nil {
					return err
				}
				sub, err := tx.Sub(r.group, protocol.UserID(eve))
				if err == nil && (rec.Owner != r.ca || sub.Given != 0) {
					t.Errorf("%s: the owner is %s, eve is given %v", s.name, rec.Owner, sub.Given)
				}
				return err
			})
		}
		if a, b := r.rev(r.a), r.rev(r.b); a != b {
			t.Errorf("b is at revision %d of %d", b, a)
		}
	})
}
