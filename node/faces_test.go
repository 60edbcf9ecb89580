package node_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"parley/node"
	"parley/protocol"
)

// open reports whether the node has not closed the connection.
func (p *pipe) open() bool {
	select {
	case <-p.closed:
		return false
	default:
		return true
	}
}

// hold makes the client stop reading, until release.
func (p *pipe) hold() (release func()) {
	stall := make(chan struct{})
	p.mu.Lock()
	p.stall = stall
	p.mu.Unlock()
	return func() {
		p.mu.Lock()
		p.stall = nil
		p.mu.Unlock()
		close(stall)
	}
}

// answer is what tests look at in a response.
type answer struct {
	Ctrl *ctrl
	Data *struct{ Seq int }
	Meta *struct {
		ID, Topic string
		Sub       []protocol.SubDesc
	}
}

func (w *world) got(name string) (all []answer) {
	w.t.Helper()
	for _, g := range w.pipes[name].take() {
		var a answer
		if err := json.Unmarshal([]byte(g), &a); err != nil {
			w.t.Fatal(err)
		}
		all = append(all, a)
	}
	return all
}

// lines asks for a list of subscriptions.
func (w *world) lines(name, topic string) []protocol.SubDesc {
	w.t.Helper()
	w.settle()
	w.pipes[name].send(fmt.Sprintf(`{"get":{"id":"g","topic":%q,"what":"sub"}}`, topic))
	synctest.Wait()
	for _, a := range w.got(name) {
		if a.Meta != nil && a.Meta.Sub != nil {
			return a.Meta.Sub
		}
	}
	w.t.Fatalf("%s gets no list of %s; connection open: %v", name, topic, w.pipes[name].open())
	return nil
}

func face(name string, size int) string {
	return fmt.Sprintf(`{"fn":%q,"photo":%q}`, name, strings.Repeat("x", size))
}

func withFace(lines []protocol.SubDesc) (names []string) {
	for _, l := range lines {
		if l.Public != nil {
			names = append(names, l.Topic+l.User)
		}
	}
	return names
}

// A stranger who puts somebody into many groups with large faces does not lock that
// one out: small faces are told, the largest are left out.
func TestLargeFacesDoNotLockOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _, bo := moodyWorld(t, nil)
		defer w.end()
		victim := w.lines("bo", "me")[0].Topic
		for i := range 70 {
			g := w.group("bo", face("x", 62_000), i)
			w.ask("bo", fmt.Sprintf(`{"set":{"id":"i","topic":%q,"sub":{"user":%q}}}`, g, victim), 200)
		}
		lines := w.lines("al", "me")
		if len(lines) != 71 {
			t.Errorf("%d lines, want 71", len(lines))
		}
		if names := withFace(lines); len(names) != 1 || names[0] != bo {
			t.Errorf("faces of %q, want that of %s", names, bo)
		}
	})
}

// group makes a group with a public part; its name.
func (w *world) group(owner, public string, i int) string {
	w.t.Helper()
	w.settle()
	w.pipes[owner].send(fmt.Sprintf(`{"sub":{"id":"s","topic":"new%d","set":{"desc":{"public":%s}}}}`, i, public))
	synctest.Wait()
	for _, a := range w.got(owner) {
		if a.Ctrl != nil && a.Ctrl.Code == 200 {
			return a.Ctrl.Topic
		}
	}
	w.t.Fatal("no group")
	return ""
}

func TestLargeFacesOfMembersAndFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(c *node.Config) { c.Limits.SendQueue = 1 << 20 })
		defer w.end()
		w.user("al")
		g := w.group("al", `{"fn":"group"}`, 0)
		for i := range 20 {
			name := fmt.Sprint("u", i)
			w.user(name)
			w.ask(name, fmt.Sprintf(`{"set":{"id":"d","topic":"me","desc":{"public":%s},"tags":["many","basic:%s-user"]}}`, face(name, 62_000), name), 200)
			w.ask(name, fmt.Sprintf(`{"sub":{"id":"s","topic":%q}}`, g), 200)
		}
		if n := len(w.lines("al", g)); n != 21 {
			t.Errorf("%d members, want 21", n)
		}
		w.ask("al", `{"sub":{"id":"f","topic":"fnd","set":{"desc":{"public":"many"}}}}`, 200)
		found := w.lines("al", "fnd")
		if len(found) != 20 {
			t.Errorf("%d found, want 20", len(found))
		}
		for _, l := range found {
			if string(l.Private) != `["many"]` {
				t.Errorf("%s: matched %s", l.Topic, l.Private)
			}
		}
	})
}

// A page of large messages is shorter than asked for; going on where it ends, the
// client gets all.
func TestHistoryOfLargeMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _, bo := moodyWorld(t, nil)
		defer w.end()
		const count = 60
		for i := range count {
			w.ask("al", pub(fmt.Sprint(i), bo, strings.Repeat("x", 120_000)), 202)
		}
		seen, before, pages := map[int]bool{}, 0, 0
		for before != 1 {
			w.settle()
			release := w.pipes["al"].hold()
			w.pipes["al"].send(fmt.Sprintf(`{"get":{"id":"g","topic":%q,"what":"data","data":{"limit":100,"before":%d}}}`, bo, before))
			synctest.Wait()
			release()
			synctest.Wait()
			got, told := 0, 0
			for _, a := range w.got("al") {
				switch {
				case a.Data != nil:
					got, before = got+1, a.Data.Seq
					seen[a.Data.Seq] = true
				case a.Ctrl != nil && a.Ctrl.Code == 208:
					told = int(a.Ctrl.Params["count"].(float64))
				}
			}
			if got == 0 || got != told {
				t.Fatalf("%d messages before %d, told of %d; connection open: %v", got, before, told, w.pipes["al"].open())
			}
			pages++
		}
		if len(seen) != count || pages == 1 {
			t.Errorf("%d messages on %d pages, want %d on several", len(seen), pages, count)
		}
	})
}

// A client may ask for many long answers at once, and read them at its pace.
func TestManyLongAnswersAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _, bo := moodyWorld(t, nil)
		defer w.end()
		for i := range 30 {
			w.ask("al", pub(fmt.Sprint(i), bo, strings.Repeat("x", 120_000)), 202)
		}
		w.settle()
		release := w.pipes["al"].hold()
		const asked = 40
		w.wg.Go(func() {
			for i := range asked {
				w.pipes["al"].send(fmt.Sprintf(`{"get":{"id":"%d","topic":%q,"what":"data desc"}}`, i, bo))
			}
		})
		pass(10 * time.Second)
		release()
		synctest.Wait()
		answered := 0
		for _, a := range w.got("al") {
			if a.Ctrl != nil && a.Ctrl.Code == 208 {
				answered++
			}
		}
		if answered != asked || !w.pipes["al"].open() {
			t.Errorf("%d of %d answered; connection open: %v", answered, asked, w.pipes["al"].open())
		}
	})
}
