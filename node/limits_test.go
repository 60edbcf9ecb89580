package node_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"parley/node"
	"parley/store"
)

// moody is a store whose updates do what a test wants before they go on.
type moody struct {
	store.Store
	mu   sync.Mutex
	mood func() error
}

func (m *moody) Update(fn func(store.Tx) error) error {
	m.mu.Lock()
	mood := m.mood
	m.mu.Unlock()
	if mood != nil {
		if err := mood(); err != nil {
			return err
		}
	}
	return m.Store.Update(fn)
}

func (m *moody) set(mood func() error) {
	m.mu.Lock()
	m.mood = mood
	m.mu.Unlock()
}

// moodyWorld is a world with a moody store, in which al and bo have a conversation.
func moodyWorld(t *testing.T, change func(*node.Config)) (w *world, m *moody, bo string) {
	t.Helper()
	w = newWorld(t, func(c *node.Config) {
		m = &moody{Store: c.Store}
		c.Store = m
		if change != nil {
			change(c)
		}
	})
	al := w.user("al")
	bo = w.user("bo")
	w.ask("al", fmt.Sprintf(`{"sub":{"id":"s","topic":%q}}`, bo), 200)
	w.ask("bo", fmt.Sprintf(`{"sub":{"id":"s","topic":%q}}`, al), 200)
	w.settle()
	return w, m, bo
}

func pub(id, topic, content string) string {
	return fmt.Sprintf(`{"pub":{"id":%q,"topic":%q,"content":%q,"noecho":true}}`, id, topic, content)
}

// answers are the ctrl packets a session has got, as "id code seq".
func (w *world) answers(name string) []string {
	var out []string
	for _, g := range w.pipes[name].take() {
		if c := ctrlOf(g); c != nil {
			out = append(out, strings.TrimSpace(fmt.Sprintf("%s %d %v", c.ID, c.Code, strings.Trim(fmt.Sprint(c.Params["seq"]), "<nil>"))))
		}
	}
	return out
}

func equal(t *testing.T, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "; ") != strings.Join(want, "; ") {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestRepeatedPubIsOneMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _, bo := moodyWorld(t, nil)
		defer w.end()
		for range 2 {
			w.pipes["al"].send(pub("p1", bo, "once"))
		}
		w.pipes["al"].send(pub("p2", bo, "once"))
		synctest.Wait()
		equal(t, w.answers("al"), "p1 202 1", "p1 202 1", "p2 202 2")
	})
}

// A client that got no answer in 5 s sends the message again under another id.
func TestLateAnswerIsNoSecondMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, m, bo := moodyWorld(t, nil)
		defer w.end()
		m.set(func() error { time.Sleep(6 * time.Second); return nil })
		w.pipes["al"].send(pub("p1", bo, "slow"))
		synctest.Wait()
		w.pipes["al"].send(pub("p2", bo, "behind"))
		pass(5 * time.Second)
		w.pipes["al"].send(pub("p3", bo, "slow"))
		pass(time.Second)
		m.set(nil)
		pass(time.Second)
		// p2 has waited too long to be worth storing, p3 is p1 again.
		equal(t, w.answers("al"), "p1 202 1", "p2 503", "p3 202 1")
		w.pipes["al"].send(pub("p4", bo, "slow"))
		synctest.Wait()
		equal(t, w.answers("al"), "p4 202 2")
	})
}

// All that shared a slow transaction were late, not only the last.
func TestLateAnswersAreNoSecondMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, m, bo := moodyWorld(t, nil)
		defer w.end()
		m.set(func() error { time.Sleep(4500 * time.Millisecond); return nil })
		w.pipes["al"].send(pub("p0", bo, "before"))
		pass(4400 * time.Millisecond)
		for i := range 3 {
			w.pipes["al"].send(pub(fmt.Sprint("p", i+1), bo, fmt.Sprint("slow ", i)))
		}
		pass(10 * time.Second)
		m.set(nil)
		equal(t, w.answers("al"), "p0 202 1", "p1 202 2", "p2 202 3", "p3 202 4")
		for i := range 3 {
			w.pipes["al"].send(pub(fmt.Sprint("q", i+1), bo, fmt.Sprint("slow ", i)))
		}
		synctest.Wait()
		equal(t, w.answers("al"), "q1 202 2", "q2 202 3", "q3 202 4")
	})
}

// slowPasswords takes its time to say that a password is right.
type slowPasswords struct {
	node.Passwords
	mu   sync.Mutex
	wait time.Duration
}

func (p *slowPasswords) Verify(ctx context.Context, hash []byte, password string) (bool, error) {
	good, err := p.Passwords.Verify(ctx, hash, password)
	p.mu.Lock()
	wait := p.wait
	p.mu.Unlock()
	time.Sleep(wait)
	return good, err
}

// Who was still logging in with the old password when it was changed is not let in.
func TestLoginUnderWayEndsWithThePassword(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &slowPasswords{}
		w := newWorld(t, func(c *node.Config) { slow.Passwords, c.Passwords = c.Passwords, slow })
		defer w.end()
		w.user("al")
		w.open("thief")
		slow.mu.Lock()
		slow.wait = time.Second
		slow.mu.Unlock()
		secret, _ := json.Marshal([]byte("al-user:password-al"))
		w.settle()
		w.pipes["thief"].send(fmt.Sprintf(`{"login":{"id":"l","scheme":"basic","secret":%s}}`, secret))
		synctest.Wait()
		other, _ := json.Marshal([]byte(":another-password"))
		w.ask("al", fmt.Sprintf(`{"acc":{"id":"c","user":"","scheme":"basic","secret":%s}}`, other), 200)
		pass(2 * time.Second)
		equal(t, w.answers("thief"), "l 401")
		if w.pipes["thief"].open() {
			t.Error("the session with the old password is open")
		}
	})
}

// A deleted user leaves also those topics that are too busy to be asked more.
func TestDeletedUserLeavesBusyTopics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, m, bo := moodyWorld(t, func(c *node.Config) { c.Limits.TopicQueue = 1 })
		defer w.end()
		al := w.lines("bo", "me")[0].Topic
		m.set(func() error { time.Sleep(time.Second); return nil })
		for i := range 3 {
			w.pipes["al"].send(pub(fmt.Sprint("p", i), bo, "busy"))
			synctest.Wait()
		}
		w.pipes["al"].send(`{"del":{"id":"d","what":"user"}}`)
		time.Sleep(999 * time.Millisecond)
		w.pipes["bo"].send(fmt.Sprintf(`{"pub":{"id":"b","topic":%q,"content":1}}`, al))
		pass(10 * time.Second)
		m.set(nil)
		for _, l := range w.lines("bo", al) {
			if l.User == al {
				t.Errorf("the deleted user is still there: %+v", l)
			}
		}
	})
}

// Strangers cannot use up the subscriptions that a user may have.
func TestStrangersDoNotUseUpSubscriptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(c *node.Config) { c.Limits.MaxSubs = 10 })
		defer w.end()
		al := w.user("al")
		put := 0
		for i := range 12 {
			w.user(fmt.Sprint("s", i))
			w.settle()
			s := w.pipes[fmt.Sprint("s", i)]
			if i%2 == 0 {
				s.send(fmt.Sprintf(`{"sub":{"id":"i","topic":%q}}`, al))
			} else {
				g := w.group(fmt.Sprint("s", i), `{"fn":"spam"}`, i)
				s.send(fmt.Sprintf(`{"set":{"id":"i","topic":%q,"sub":{"user":%q}}}`, g, al))
			}
			synctest.Wait()
			for _, a := range w.got(fmt.Sprint("s", i)) {
				switch {
				case a.Ctrl == nil || a.Ctrl.ID != "i":
				case a.Ctrl.Code == 200:
					put++
				case a.Ctrl.Code != 422:
					t.Errorf("stranger %d is answered %d", i, a.Ctrl.Code)
				}
			}
		}
		if put != 5 {
			t.Errorf("strangers put al into %d conversations, want 5", put)
		}
		for i := range 5 {
			w.ask("al", fmt.Sprintf(`{"sub":{"id":"s","topic":"new%d"}}`, i), 200)
		}
		w.ask("al", `{"sub":{"id":"s","topic":"new"}}`, 422)
	})
}

// Who sends too many bytes is refused for a while, also in another session.
func TestUserBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _, bo := moodyWorld(t, func(c *node.Config) { c.Limits.UserBytes = 10_000 })
		defer w.end()
		pass(time.Minute)
		for i := range 16 {
			w.ask("al", pub(fmt.Sprint("p", i), bo, strings.Repeat("x", 9_800)), 202)
		}
		if retry := w.ask("al", pub("q", bo, strings.Repeat("x", 9_800)), 429)["retry"]; retry != 1.0 {
			t.Errorf("retry %v", retry)
		}
		w.pipes["al"].Close(node.CloseNormal)
		pass(5 * time.Second / 2)
		w.open("al2")
		secret, _ := json.Marshal([]byte("al-user:password-al"))
		w.ask("al2", fmt.Sprintf(`{"login":{"id":"l","scheme":"basic","secret":%s}}`, secret), 200)
		w.ask("al2", fmt.Sprintf(`{"sub":{"id":"s","topic":%q}}`, bo), 200)
		w.ask("al2", pub("p1", bo, strings.Repeat("x", 9_800)), 202)
		w.ask("al2", pub("p2", bo, strings.Repeat("x", 9_800)), 202)
		w.ask("al2", pub("p3", bo, strings.Repeat("x", 9_800)), 429)
		w.ask("bo", `{"get":{"id":"g","topic":"me","what":"cred"}}`, 204)
		pass(time.Second)
		w.ask("al2", pub("p3", bo, strings.Repeat("x", 9_800)), 202)
	})
}

// Typing and the like do not cut off a client that reads slowly.
func TestHintsDoNotCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _, bo := moodyWorld(t, nil)
		defer w.end()
		al := w.lines("bo", "me")[0].Topic
		w.ask("bo", fmt.Sprintf(`{"leave":{"id":"l","topic":%q}}`, al), 200) // it is told on me
		release := w.pipes["bo"].hold()
		for range 100 {
			w.pipes["al"].send(fmt.Sprintf(`{"note":{"topic":%q,"what":"data","payload":%q}}`, bo, strings.Repeat("x", 100_000)))
		}
		pass(time.Second)
		w.ask("al", pub("p1", bo, "this is told"), 202)
		release()
		synctest.Wait()
		hints, told := 0, false
		for _, g := range w.pipes["bo"].take() {
			if strings.Contains(g, `"what":"data"`) {
				hints++
			}
			told = told || strings.Contains(g, `"what":"msg"`)
		}
		if !w.pipes["bo"].open() || !told || hints == 0 || hints > 10 {
			t.Errorf("open: %v, told of the message: %v, %d hints", w.pipes["bo"].open(), told, hints)
		}
	})
}

// An answer that waits for a client that does not read comes too late as well.
func TestUnreadAnswerIsNoSecondMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _, bo := moodyWorld(t, nil)
		defer w.end()
		release := w.pipes["al"].hold()
		w.pipes["al"].send(pub("p1", bo, "stalls"))
		pass(2 * time.Second)
		w.pipes["al"].send(pub("p2", bo, "again"))
		pass(6 * time.Second)
		w.pipes["al"].send(pub("p3", bo, "again"))
		release()
		synctest.Wait()
		equal(t, w.answers("al"), "p1 202 1", "p2 202 2", "p3 202 2")
	})
}

func TestFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, m, bo := moodyWorld(t, nil)
		defer w.end()
		m.set(func() error { return fmt.Errorf("%w: test", store.ErrFull) })
		w.pipes["al"].send(pub("p1", bo, "no room"))
		w.pipes["al"].send(`{"get":{"id":"g","topic":"me","what":"sub"}}`)
		synctest.Wait()
		equal(t, w.answers("al"), "p1 507")
		m.set(nil)
		w.pipes["al"].send(pub("p2", bo, "room"))
		synctest.Wait()
		equal(t, w.answers("al"), "p2 202 1")
	})
}

func TestFullTopicQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, m, bo := moodyWorld(t, func(c *node.Config) { c.Limits.TopicQueue = 2 })
		defer w.end()
		m.set(func() error { time.Sleep(time.Second); return nil })
		for i := range 4 {
			w.pipes["al"].send(pub(fmt.Sprint("p", i), bo, "x"))
			synctest.Wait()
		}
		equal(t, w.answers("al"), "p3 503")
		m.set(nil)
		pass(2 * time.Second)
		equal(t, w.answers("al"), "p0 202 1", "p1 202 2", "p2 202 3")
	})
}

func TestFaultEndsOneTopicOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, m, bo := moodyWorld(t, nil)
		defer w.end()
		m.set(func() error { panic("test") })
		w.pipes["al"].send(pub("p1", bo, "boom"))
		synctest.Wait()
		m.set(nil)
		got := w.pipes["al"].take()
		if len(got) != 3 || !strings.Contains(got[0], `"code":500`) || !strings.Contains(got[1], `"code":205`) || !strings.Contains(got[2], `"what":"term"`) {
			t.Errorf("got %q", got)
		}
		w.ask("al", fmt.Sprintf(`{"sub":{"id":"s","topic":%q}}`, bo), 200)
		w.pipes["al"].send(pub("p2", bo, "again"))
		synctest.Wait()
		equal(t, w.answers("al"), "p2 202 1")
	})
}

func TestSlowReaderIsClosedAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _, bo := moodyWorld(t, func(c *node.Config) { c.Limits.SendQueue = 1 << 20 })
		defer w.end()
		p := w.pipes["bo"]
		p.mu.Lock()
		p.stall = make(chan struct{})
		p.mu.Unlock()
		for i := range 200 {
			w.pipes["al"].send(pub(fmt.Sprint("p", i), bo, strings.Repeat("x", 8000)))
		}
		pass(time.Second)
		if got := len(w.answers("al")); got != 200 {
			t.Errorf("al got %d answers, want 200", got)
		}
		select {
		case <-p.closed:
			if p.reason != node.CloseSlow {
				t.Errorf("closed for reason %d", p.reason)
			}
		default:
			t.Error("the slow session is still open")
		}
	})
}

func TestSessionRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _, _ := moodyWorld(t, func(c *node.Config) { c.Limits.SessionRate, c.Limits.SessionBurst = 1, 5 })
		defer w.end()
		pass(time.Minute)
		for i := range 7 {
			w.pipes["al"].send(fmt.Sprintf(`{"get":{"id":"g%d","topic":"me","what":"nothing"}}`, i))
		}
		synctest.Wait()
		got := w.answers("al")
		slices.Sort(got) // refusals need not wait for a topic
		equal(t, got, "g0 400", "g1 400", "g2 400", "g3 400", "g4 400", "g5 429", "g6 429")
		for range 10 { // goes on regardless
			w.pipes["al"].send(`{"get":{"id":"g","topic":"me","what":"nothing"}}`)
		}
		synctest.Wait()
		select {
		case <-w.pipes["al"].closed:
		default:
			t.Error("a flooding session is still open")
		}
	})
}

func TestIdleTopicsLeaveMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		w, _, bo := moodyWorld(t, func(c *node.Config) { c.Metrics = reg })
		defer w.end()
		if n := gauge(t, reg, "parley_topics_live"); n != 3 { // me twice, and the conversation
			t.Errorf("%v topics are live, want 3", n)
		}
		w.ask("al", fmt.Sprintf(`{"leave":{"id":"l","topic":%q}}`, bo), 200)
		w.pipes["bo"].Close(node.CloseNormal)
		pass(5 * time.Minute)
		if n := gauge(t, reg, "parley_topics_live"); n != 1 {
			t.Errorf("%v topics are live, want 1", n)
		}
		w.ask("al", fmt.Sprintf(`{"sub":{"id":"s","topic":%q}}`, bo), 200)
	})
}

func gauge(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	fams, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range fams {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// What the node has accepted before its end is stored and answered.
func TestShutdownLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, m, bo := moodyWorld(t, nil)
		m.set(func() error { time.Sleep(10 * time.Millisecond); return nil })
		for i := range 20 {
			w.pipes["al"].send(pub(fmt.Sprint("p", i), bo, "x"))
		}
		w.stop()
		pass(3 * time.Second)
		acked := 0
		for _, a := range w.answers("al") {
			if strings.Contains(a, " 202 ") {
				acked++
			}
		}
		stored := 0
		err := w.st.View(func(tx store.Tx) error {
			for rec, err := range tx.AllTopics() {
				if err != nil {
					return err
				}
				h, err := tx.Head(rec.ID)
				if err != nil {
					return err
				}
				stored += h.Seq
			}
			return nil
		})
		if err != nil || stored != acked || acked == 0 {
			t.Errorf("%d acknowledged, %d stored, %v", acked, stored, err)
		}
		w.end()
		if err := w.n.Serve(t.Context(), newPipe(), node.Origin{}); !errors.Is(err, node.ErrStopping) {
			t.Errorf("a session after the end: %v", err)
		}
	})
}
