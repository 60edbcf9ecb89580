package storetest

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"parley/protocol"
	"parley/store"
)

// What the model plays with is little, so that things meet.
var (
	someUsers  = []protocol.UserID{alice, alia, bob}
	someTopics = []protocol.TopicID{group, group2, pair}
	someFiles  = []string{"f", "fa", "g"}
	someNodes  = []protocol.Node{home, longer, peer}
	someTags   = []string{"x", "xy", "z"}
	// What uses files: messages, and others.
	refMessages = map[store.Ref]slot{store.RefMessage(group, 1): {group, 1}, store.RefMessage(group, 2): {group, 2}, store.RefMessage(group2, 1): {group2, 1}}
	someRefs    = []store.Ref{store.RefMessage(group, 1), store.RefMessage(group, 2), store.RefMessage(group2, 1), store.RefTopic(group), store.RefUser(alice)}
)

const modelLane store.Lane = 3

// step is an operation on a store and on the model of it.
type step struct {
	name   string
	topic  protocol.TopicID // that it is about; the contract is silent on those that are gone
	store  func(store.Tx) error
	memory func(*memory) error
}

// model plays random updates, of several steps each, some of which fail, and
// compares all that can be seen after each.
func model(t *testing.T, open func(t *testing.T) store.Store) {
	draws(t)
	rapid.Check(t, func(r *rapid.T) {
		s, m := open(t), newMemory()
		r.Repeat(map[string]func(*rapid.T){
			"update": func(r *rapid.T) { m = play(r, s, m) },
			"": func(r *rapid.T) {
				if err := s.View(func(tx store.Tx) error { return compare(r, tx, m) }); err != nil {
					r.Fatalf("view: %v", err)
				}
			},
		})
	})
}

// draws sets how much rapid does, and that it is the same each time, so that what is said
// of a commit holds the next time too; unless the caller of the tests has set it.
// PARLEY_LONG=all draws other updates.
func draws(t *testing.T) {
	told := map[string]bool{}
	flag.Visit(func(f *flag.Flag) { told[f.Name] = true })
	set := map[string]string{"rapid.nofailfile": "true"}
	if !Long() && !told["rapid.checks"] && !told["rapid.steps"] {
		set["rapid.checks"], set["rapid.steps"] = "12", "20"
	}
	if os.Getenv("PARLEY_LONG") != "all" {
		set["rapid.seed"] = "1"
	}
	for name, value := range set {
		if told[name] {
			continue
		}
		if err := flag.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
}

// play does one update on both and returns what the model has then.
func play(r *rapid.T, s store.Store, m *memory) *memory {
	steps := rapid.SliceOfN(rapid.Custom(drawStep), 1, 12).Draw(r, "steps")
	next, fails := m.clone(), rapid.IntRange(0, 5).Draw(r, "fails") == 0
	var want error
	done := steps[:0]
	for _, st := range steps {
		if next.gone[st.topic] {
			continue
		}
		done = append(done, st)
		if want = st.memory(next); want != nil {
			break
		}
	}
	steps = done
	if want == nil && fails {
		want = errOurs
	}
	err := s.Update(func(tx store.Tx) error {
		for _, st := range steps {
			if err := st.store(tx); err != nil {
				return fmt.Errorf("%s: %w", st.name, err)
			}
		}
		if fails {
			return errOurs
		}
		return nil
	})
	if (err == nil) != (want == nil) || want != errAny && !errors.Is(err, want) {
		r.Fatalf("the update ended with %v, want %v", err, want)
	}
	if err != nil {
		return m
	}
	return next
}

func drawStep(r *rapid.T) step {
	draw := []func(*rapid.T) step{stepUser, stepLogin, stepTopic, stepTopic, stepMessage, stepMessage, stepMessage, stepDelete, stepDelete,
		stepSub, stepSub, stepFile, stepFile, stepPost, stepPost, stepPost, stepLane, stepInbox}
	st := draw[rapid.IntRange(0, len(draw)-1).Draw(r, "kind")](r)
	r.Log(st.name)
	return st
}

func one[T any](r *rapid.T, of []T) T { return rapid.SampledFrom(of).Draw(r, "one") }

func some[T comparable](r *rapid.T, of []T) []T {
	return rapid.SliceOfNDistinct(rapid.SampledFrom(of), 0, 2, rapid.ID[T]).Draw(r, "some")
}

func body(r *rapid.T) []byte {
	return []byte(rapid.SampledFrom([]string{"a", "bb", "a longer one"}).Draw(r, "body"))
}

func stepUser(r *rapid.T) step {
	u := store.User{ID: one(r, someUsers), State: store.State(rapid.IntRange(0, 2).Draw(r, "state")), Tags: some(r, someTags), Created: day}
	return step{fmt.Sprintf("PutUser %+v", u), "",
		func(tx store.Tx) error { return tx.PutUser(&u) },
		func(m *memory) error { m.users[u.ID] = u; return nil }}
}

func stepLogin(r *rapid.T) step {
	u, name := one(r, someUsers), one(r, []string{"n", "nn", "n2"})
	if rapid.IntRange(0, 3).Draw(r, "delete") == 0 {
		return step{"DeleteLogins " + string(u), "",
			func(tx store.Tx) error { return tx.DeleteLogins(u) },
			func(m *memory) error { m.deleteLogins(u); return nil }}
	}
	return step{fmt.Sprintf("PutLogin %s %s", u, name), "",
		func(tx store.Tx) error { return tx.PutLogin(&store.Login{Scheme: "basic", Name: name, User: u}) },
		func(m *memory) error { return m.putLogin(u, name) }}
}

func stepTopic(r *rapid.T) step {
	t := store.Topic{ID: one(r, someTopics), Tags: some(r, someTags), Public: body(r)}
	switch rapid.IntRange(0, 9).Draw(r, "what") {
	case 0:
		return step{"DeleteTopic " + string(t.ID), t.ID,
			func(tx store.Tx) error { // what has no description is no topic
				_, err := tx.Topic(t.ID)
				if err == nil {
					err = tx.DeleteTopic(t.ID)
				}
				return err
			},
			func(m *memory) error { return m.deleteTopic(t.ID) }}
	case 1, 2, 3:
		e := store.Event{TS: day, Kind: 3, By: alice, Seq: 9, Body: t.Public}
		return step{"AppendEvent " + string(t.ID), t.ID,
			func(tx store.Tx) error { e := e; return tx.AppendEvent(t.ID, &e) },
			func(m *memory) error { m.appendEvent(t.ID, e); return nil }}
	}
	return step{fmt.Sprintf("PutTopic %+v", t), "",
		func(tx store.Tx) error { return tx.PutTopic(&t) },
		func(m *memory) error { return m.putTopic(t) }}
}

// stepMessage appends one, or many so that pages fill.
func stepMessage(r *rapid.T) step {
	t, from := one(r, someTopics), one(r, someUsers)
	n := rapid.SampledFrom([]int{1, 1, 3, 40, 150}).Draw(r, "many")
	msg := store.Message{From: from, TS: day.Add(time.Duration(n) * time.Hour), Content: body(r)}
	name := func(i int) store.Message { return msg }
	if n == 1 && rapid.Bool().Draw(r, "named") { // a number of its own, the tag is always another
		origin := rapid.IntRange(1, 6).Draw(r, "origin")
		name = func(seq int) store.Message {
			m := msg
			m.Origin, m.Tag = origin, uint32(seq)
			return m
		}
	}
	return step{fmt.Sprintf("Append %d of %s to %s", n, from, t), t,
		func(tx store.Tx) error {
			for range n {
				h, err := tx.Head(t)
				m := name(h.Seq + 1)
				if err = errors.Join(err, tx.Append(t, &m)); err != nil {
					return err
				}
			}
			return nil
		},
		func(m *memory) error {
			for range n {
				m.append(t, name(m.heads[t].Seq+1))
			}
			return nil
		}}
}

func stepDelete(r *rapid.T) step {
	t, low := one(r, someTopics), rapid.IntRange(1, 400).Draw(r, "low")
	d := store.Deletion{User: rapid.SampledFrom([]protocol.UserID{"", "", alice, alia}).Draw(r, "for"), TS: day,
		Ranges: ranges(low, low+rapid.SampledFrom([]int{1, 2, 50, 300}).Draw(r, "length"))}
	return step{fmt.Sprintf("Delete %s %+v", t, d), t,
		func(tx store.Tx) error { d := d; return tx.Delete(t, &d) },
		func(m *memory) error { m.delete(t, d); return nil }}
}

func stepSub(r *rapid.T) step {
	t, u := one(r, someTopics), one(r, someUsers)
	s := store.Sub{Topic: t, User: u, Given: one(r, []protocol.Mode{protocol.Read, protocol.Join, protocol.Join | protocol.Read}),
		Private: body(r), Ended: one(r, []time.Time{{}, {}, day}), Created: day}
	marks := store.Marks{Recv: rapid.IntRange(0, 999).Draw(r, "recv"), Read: 7}
	switch rapid.IntRange(0, 4).Draw(r, "what") {
	case 0:
		return step{fmt.Sprintf("DeleteSub %s %s", t, u), t,
			func(tx store.Tx) error { return tx.DeleteSub(t, u) },
			func(m *memory) error { m.deleteSub(t, u); return nil }}
	case 1:
		return step{fmt.Sprintf("PutMarks %s %s", t, u), t,
			func(tx store.Tx) error { return tx.PutMarks(t, u, marks) },
			func(m *memory) error { m.marks[seat{t, u}] = marks; return nil }}
	}
	return step{fmt.Sprintf("PutSub %+v", s), t,
		func(tx store.Tx) error { return tx.PutSub(&s) },
		func(m *memory) error { m.subs[seat{t, u}] = s; return nil }}
}

func stepFile(r *rapid.T) step {
	f := store.File{ID: one(r, someFiles), User: one(r, someUsers), Created: day, Size: 5}
	ref, ids := one(r, someRefs), some(r, someFiles)
	switch rapid.IntRange(0, 5).Draw(r, "what") {
	case 0:
		return step{"DeleteFile " + f.ID, "",
			func(tx store.Tx) error { return tx.DeleteFile(f.ID) },
			func(m *memory) error { return m.deleteFile(f.ID) }}
	case 1, 2:
		return step{fmt.Sprintf("PutFile %+v", f), "",
			func(tx store.Tx) error { return tx.PutFile(&f) },
			func(m *memory) error { m.files[f.ID] = f; return nil }}
	}
	return step{fmt.Sprintf("SetLinks %q %v", ref, ids), "",
		func(tx store.Tx) error {
			if k, ok := refMessages[ref]; ok { // only a message that is there links to files
				if _, err := tx.Message(k.t, k.n); err != nil {
					return err
				}
			}
			return tx.SetLinks(ref, ids)
		},
		func(m *memory) error {
			if k, ok := refMessages[ref]; ok {
				if _, ok := m.messages[k]; !ok {
					return store.ErrNotFound
				}
			}
			m.setLinks(ref, ids)
			return nil
		}}
}

func stepPost(r *rapid.T) step {
	to, n := one(r, someNodes), rapid.Uint64Range(0, 12).Draw(r, "n")
	p := store.Post{Key: one(r, []string{"", "k", "kk"}), Body: body(r), At: day}
	switch rapid.IntRange(0, 9).Draw(r, "what") {
	case 0, 1:
		return step{fmt.Sprintf("Offer %s %d", to, n), "",
			func(tx store.Tx) error { return tx.Offer(to, modelLane, n) },
			func(m *memory) error { return m.offer(to, n) }}
	case 2:
		return step{fmt.Sprintf("Void %s %d", to, n), "",
			func(tx store.Tx) error { return tx.Void(to, modelLane, n) },
			func(m *memory) error { return m.void(to, n) }}
	case 3:
		return step{fmt.Sprintf("Settle %s %d", to, n), "",
			func(tx store.Tx) error { return tx.Settle(to, modelLane, n) },
			func(m *memory) error { return m.settle(to, n) }}
	}
	return step{fmt.Sprintf("Enqueue %s %+v", to, p), "",
		func(tx store.Tx) error { p := p; return tx.Enqueue(to, modelLane, &p) },
		func(m *memory) error { m.enqueue(to, p); return nil }}
}

func stepInbox(r *rapid.T) step {
	from, n := one(r, someNodes), rapid.Uint64Range(1, 5).Draw(r, "n")
	text := one(r, []string{"", "refused"})
	if rapid.IntRange(0, 3).Draw(r, "forget") == 0 {
		return step{fmt.Sprintf("Forget %s %d", from, n), "",
			func(tx store.Tx) error { return tx.Forget(from, modelLane, n) },
			func(m *memory) error {
				drop(m.verdicts, func(p place) bool { return p.to == from && p.n <= n })
				return nil
			}}
	}
	return step{fmt.Sprintf("Advance %s %d", from, n), "",
		func(tx store.Tx) error { return tx.Advance(from, modelLane, store.Verdict{N: n, Body: []byte(text)}) },
		func(m *memory) error { return m.advance(from, n, text) }}
}

// compare looks at everything.
func compare(r *rapid.T, tx store.Tx, m *memory) error {
	got := &look{tx: tx, seen: map[string]any{}}
	for _, u := range someUsers {
		got.user(u)
	}
	for _, t := range someTopics {
		got.topic(t)
	}
	got.rest()
	want := m.look()
	for _, what := range slices.Sorted(maps.Keys(want)) {
		if !same(reflect.ValueOf(got.seen[what]), reflect.ValueOf(want[what])) {
			r.Errorf("%s: got %s, want %s", what, show(got.seen[what]), show(want[what]))
		}
	}
	return errors.Join(got.errs...)
}
