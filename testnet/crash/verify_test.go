package crash

import (
	"errors"
	"io"
	"strings"
	"testing"

	"parley/protocol"
	"parley/protocol/client"
)

var errRefused = &client.Error{Code: 503}

// tale is a journal of a short life and what two users see after a crash.
type tale struct {
	j      *Journal
	a, b   *View
	values map[string]string
}

// honest tells of a node that kept all its promises: messages 1, 2, 4, 6 were
// acknowledged, 3 was only shown, 5 arrived without anybody knowing, one was
// refused and one got lost before it arrived; b deleted 2 softly, a deleted 4 for
// all, and both deletions in flight (1, by b; 6, for all) were not carried out.
func honest() *tale {
	j := NewJournal()
	publish := func(from, text string, seq int, err error) *message {
		m := j.Sending("t", from, text)
		j.Sent("t", m, seq, err)
		return m
	}
	publish("a", "one", 1, nil)
	publish("b", "two", 2, nil)
	publish("a", "three", 0, io.EOF)
	j.Shown("t", "a", "three", 3)
	publish("b", "four", 4, nil)
	publish("a", "no", 0, errRefused)
	publish("a", "five", 0, io.EOF)
	publish("a", "six", 6, nil)
	publish("b", "lost on the way", 0, io.EOF)
	for _, d := range []struct {
		by   string
		hard bool
		seq  int
		err  error
	}{{"b", false, 2, nil}, {"a", true, 4, nil}, {"b", false, 1, io.EOF}, {"a", true, 6, io.EOF}, {"b", true, 5, errRefused}} {
		j.Deleted(j.Deleting("t", d.by, d.hard, protocol.Range{Low: d.seq, Hi: d.seq + 1}), d.err)
	}
	j.Marking("t", "b", "read", 3)
	j.Marked("t", "b", "read", 3)
	j.Marking("t", "b", "recv", 5)
	j.Marking("t", "b", "read", 6)
	j.Begin(map[string]string{"mode": "N", "name": "old"})
	j.Written(j.Writing("name", "new"), io.EOF) // its first change got lost
	j.Written(j.Writing("mode", "JR"), nil)
	j.Written(j.Writing("mode", "JRW"), nil)
	j.Written(j.Writing("mode", "J"), errRefused)
	j.Written(j.Writing("mode", "JRWP"), io.EOF)
	all := []Line{{6, "a", "six"}, {5, "a", "five"}, {3, "a", "three"}, {1, "a", "one"}}
	return &tale{
		j: j,
		a: &View{Topic: "t", User: "a", Seq: 6, Read: 6, Recv: 6, Low: 1, Deleted: protocol.Ranges{{Low: 4, Hi: 5}},
			Lines: append([]Line{{2, "b", "two"}}, all...)},
		b: &View{Topic: "t", User: "b", Seq: 6, Read: 4, Recv: 5, Low: 1,
			Deleted: protocol.Ranges{{Low: 2, Hi: 3}, {Low: 4, Hi: 5}}, Lines: all},
		values: map[string]string{"mode": "JRW", "name": "old"},
	}
}

func (s *tale) verify() []string { return s.j.Verify([]*View{s.a, s.b}, s.values) }

func TestHonestNodePasses(t *testing.T) {
	s := honest()
	for round := range 2 { // the second time with what the first has settled
		if found := s.verify(); len(found) > 0 {
			t.Fatalf("round %d: %q", round, found)
		}
	}
	if v, ok := s.j.Value("mode"); v != "JRW" || !ok {
		t.Errorf("value not settled: %q", v)
	}
}

func TestHonestAlternatives(t *testing.T) {
	for name, change := range map[string]func(*tale){
		"the value in flight arrived": func(s *tale) { s.values["mode"] = "JRWP" },
		"a first value arrived":       func(s *tale) { s.values["name"] = "new" },
		"the last mark arrived":       func(s *tale) { s.b.Read, s.b.Recv = 6, 6 },
		"the soft deletion arrived": func(s *tale) {
			s.b.Deleted = protocol.Ranges{{Low: 1, Hi: 3}, {Low: 4, Hi: 5}}
			s.b.Lines = s.b.Lines[:3]
		},
		"the message in flight arrived": func(s *tale) {
			for _, v := range []*View{s.a, s.b} {
				v.Seq = 7
				v.Lines = append(v.Lines[:len(v.Lines):len(v.Lines)], Line{7, "b", "lost on the way"})
			}
			s.b.Read, s.b.Recv = 7, 7
		},
	} {
		s := honest()
		change(s)
		if found := s.verify(); len(found) > 0 {
			t.Errorf("%s: %q", name, found)
		}
	}
}

func TestDoctoredHistoryIsFound(t *testing.T) {
	drop := func(v *View, i int) { v.Lines = append(v.Lines[:i:i], v.Lines[i+1:]...) }
	replace := func(v *View, i int, l Line) { v.Lines = append(append(v.Lines[:i:i], l), v.Lines[i+1:]...) }
	both := func(s *tale, f func(*View)) { f(s.a); f(s.b) }
	tests := []struct {
		name   string
		doctor func(*tale)
		want   string
	}{
		{"last message gone", func(s *tale) {
			both(s, func(v *View) { v.Seq = 5 })
			drop(s.a, 1)
			drop(s.b, 0)
			s.a.Read, s.a.Recv = 5, 5
		}, "acknowledged message lost: seq 6, the last is 5"},
		{"message in the middle gone", func(s *tale) { drop(s.b, 2) }, "gap at seq 3"},
		{"shown message replaced", func(s *tale) { replace(s.b, 2, Line{3, "b", "lost on the way"}) }, "acknowledged message lost: seq 3"},
		{"message doubled", func(s *tale) {
			both(s, func(v *View) { v.Seq = 7; v.Lines = append(v.Lines[:len(v.Lines):len(v.Lines)], Line{7, "a", "five"}) })
			s.a.Read, s.a.Recv = 7, 7
		}, "message doubled at seq 5 and 7"},
		{"acknowledged under another seq", func(s *tale) {
			replace(s.b, 0, Line{6, "a", "five"})
			replace(s.b, 1, Line{5, "a", "six"})
		}, "a message known as seq 6 is at seq 5"},
		{"order of a sender turned", func(s *tale) {
			s.j.Sending("t", "a", "eight")
			s.j.Sending("t", "a", "seven")
			both(s, func(v *View) {
				v.Seq = 8
				v.Lines = append(v.Lines[:len(v.Lines):len(v.Lines)], Line{7, "a", "seven"}, Line{8, "a", "eight"})
			})
			s.a.Read, s.a.Recv = 8, 8
		}, "was sent after the one at seq"},
		{"refused message appears", func(s *tale) { replace(s.a, 2, Line{5, "a", "no"}) }, "a message that was refused"},
		{"invented message", func(s *tale) { replace(s.a, 2, Line{5, "a", "boo"}) }, "nobody sent"},
		{"torn message", func(s *tale) { replace(s.a, 2, Line{5, "a", "fi"}) }, "nobody sent"},
		{"wrong author", func(s *tale) { replace(s.a, 2, Line{5, "b", "five"}) }, "is shown as from b"},
		{"seq twice", func(s *tale) { s.a.Lines = append(s.a.Lines[:5:5], s.a.Lines[0]) }, "is shown twice"},
		{"seq above the last", func(s *tale) { s.a.Seq = 5 }, "the last is 5"},
		{"other users see other numbers", func(s *tale) { s.a.Seq, s.a.Lines = 7, append(s.a.Lines[:5:5], Line{7, "b", "lost on the way"}) },
			"for another user"},
		{"soft deletion forgotten", func(s *tale) {
			s.b.Deleted = protocol.Ranges{{Low: 4, Hi: 5}}
			s.b.Lines = s.a.Lines
		}, "acknowledged deletion lost"},
		{"hard deletion forgotten", func(s *tale) {
			s.a.Deleted = nil
			s.a.Lines = append(s.a.Lines[:5:5], Line{4, "b", "four"})
		}, "acknowledged deletion lost"},
		{"deleted message still shown", func(s *tale) { s.b.Lines = append(s.b.Lines[:4:4], Line{2, "b", "two"}) }, "shown and deleted"},
		{"refused deletion holds", func(s *tale) {
			s.a.Deleted = protocol.Ranges{{Low: 4, Hi: 6}}
			drop(s.a, 2)
		}, "a refused deletion holds"},
		{"deleted without a request", func(s *tale) {
			s.a.Deleted = protocol.Ranges{{Low: 3, Hi: 5}}
			drop(s.a, 3)
		}, "nobody deleted"},
		{"somebody else's soft deletion", func(s *tale) {
			s.a.Deleted = protocol.Ranges{{Low: 2, Hi: 3}, {Low: 4, Hi: 5}}
			drop(s.a, 0)
		}, "nobody deleted"},
		{"half a deletion", func(s *tale) {
			s.j.Deleting("t", "b", false, protocol.Range{Low: 5, Hi: 7})
			s.b.Deleted = append(s.b.Deleted[:2:2], protocol.Range{Low: 5, Hi: 6})
			drop(s.b, 1)
		}, "half a deletion"},
		{"read mark lost", func(s *tale) { s.b.Read = 2 }, "mark lost: read is 2"},
		{"author's mark lost", func(s *tale) { s.a.Recv, s.a.Read = 5, 5 }, "mark lost"},
		{"mark that nobody set", func(s *tale) { s.b.Read = 5 }, "which nobody set"},
		{"recv below read", func(s *tale) { s.b.Read, s.b.Recv = 6, 5 }, "below read"},
		{"acknowledged value lost", func(s *tale) { s.values["mode"] = "JR" }, "mode: is \"JR\""},
		{"refused value holds", func(s *tale) { s.values["mode"] = "J" }, "mode: is \"J\""},
		{"value gone", func(s *tale) { delete(s.values, "mode") }, "not read"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			s := honest()
			tc.doctor(s)
			found := s.verify()
			if !strings.Contains(strings.Join(found, "\n"), tc.want) {
				t.Errorf("found %q, want %q", found, tc.want)
			}
		})
	}
}

// What was open when the node died must not change its mind at the next crash.
func TestSettledStaysSettled(t *testing.T) {
	s := honest()
	if found := s.verify(); len(found) > 0 {
		t.Fatal(found)
	}
	for _, v := range []*View{s.a, s.b} {
		v.Seq = 7
		v.Lines = append(v.Lines[:len(v.Lines):len(v.Lines)], Line{7, "b", "lost on the way"})
	}
	s.b.Read, s.b.Recv = 7, 7
	if found := s.verify(); len(found) == 0 {
		t.Error("a message that was absent after one crash is there after the next")
	}
	s = honest()
	s.verify()
	s.b.Read = 3
	if found := s.verify(); len(found) == 0 {
		t.Error("a mark that was there after one crash is gone after the next")
	}
}

func TestContradictionsWhileRunning(t *testing.T) {
	s := honest()
	for _, tc := range []struct {
		from, text string
		seq        int
	}{{"a", "nobody", 8}, {"b", "six", 6}, {"a", "six", 7}, {"a", "five", 6}} {
		if s.j.Shown("t", tc.from, tc.text, tc.seq) {
			t.Errorf("%+v was believed", tc)
		}
	}
	if !s.j.Shown("t", "a", "six", 6) {
		t.Error("the truth was not believed")
	}
}

func TestOutcomes(t *testing.T) {
	for err, want := range map[error]outcome{nil: done, errRefused: refused, io.EOF: unknown, errors.New("timeout"): unknown} {
		if got := outcomeOf(err); got != want {
			t.Errorf("%v: %v, want %v", err, got, want)
		}
	}
}
