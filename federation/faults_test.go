package federation_test

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"parley/federation"
	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
	"parley/store/bolt"
)

func (w *world) ends(n, to *node, i, k int, want ...federation.End) {
	w.Helper()
	if got := n.told(to, i, k); !slices.Equal(got, want) {
		w.Errorf("message %d to %s ended as %v, want %v", k, to.name, got, want)
	}
}

// The peer has it, its answer is lost, and it stays away for longer than posts live.
func TestAckLostAndPeerGonePastExpiry(t *testing.T) {
	bubble(t, two, func(w *world) {
		a, b := w.ab()
		a.write(b, 1, 1)
		b.has(a, 1, 1, time.Second)
		a.settled(b, time.Second)
		w.net.Block(b.at, a.at)
		a.write(b, 1, 2)
		b.has(a, 1, 2, time.Second)
		b.kill()
		a.write(b, 1, 3) // on the wire, perhaps
		w.pass(time.Minute)
		w.heal(a, b)
		a.write(b, 1, 4) // never on a wire
		w.pass(6 * 24 * time.Hour)
		w.ends(a, b, 1, 2, federation.Delayed, federation.Unconfirmed)
		w.ends(a, b, 1, 4, federation.Delayed, federation.Expired)
		a.halt() // what the authors have been told is not forgotten
		a.start()
		w.pass(24 * time.Hour)
		w.ends(a, b, 1, 2, federation.Delayed, federation.Unconfirmed)
		b.start()
		b.mesh.Keep(a.name, true)
		b.has(a, 1, 3, time.Hour)
		a.settled(b, time.Hour)
		w.ends(a, b, 1, 1)
		w.ends(a, b, 1, 2, federation.Delayed, federation.Unconfirmed, federation.Confirmed)
		w.ends(a, b, 1, 3, federation.Delayed, federation.Unconfirmed, federation.Confirmed)
		w.ends(a, b, 1, 4, federation.Delayed, federation.Expired)
		a.write(b, 1, 5)
		b.reads(a, 1, []int{1, 2, 3, 5}, time.Minute)
		if b.book.again > 0 {
			w.Errorf("%d messages came twice", b.book.again)
		}
	})
}

// An author who has been told the worse is not told the lesser afterwards, because the
// peer has postponed what was in doubt and the clock has gone back meanwhile.
func TestUnconfirmedIsNotDelayedAgain(t *testing.T) {
	bubble(t, two, func(w *world) {
		a, b := w.ab()
		later := true
		b.book.refuse = func(*s2s.Post) *s2s.Verdict {
			if later {
				return &s2s.Verdict{Outcome: s2s.Later, Wait: 600}
			}
			return nil
		}
		a.mesh.Keep(b.name, true)
		w.pass(time.Second)
		w.net.Block(a.at, b.at)
		a.write(b, 1, 1) // on the wire, and lost
		w.pass(time.Minute)
		b.kill()
		a.setClock(6 * 24 * time.Hour)
		w.pass(time.Hour)
		w.ends(a, b, 1, 1, federation.Unconfirmed)
		a.setClock(-5 * 24 * time.Hour)
		w.heal(a, b)
		b.start()
		b.mesh.Keep(a.name, true)
		w.pass(time.Hour) // postponed again and again
		w.ends(a, b, 1, 1, federation.Unconfirmed)
		later = false
		b.has(a, 1, 1, time.Hour)
		a.settled(b, time.Hour)
		w.ends(a, b, 1, 1, federation.Unconfirmed, federation.Confirmed)
	})
}

func TestAckOfARefusalLost(t *testing.T) {
	bubble(t, two, func(w *world) {
		a, b := w.ab()
		refused := 0
		b.book.refuse = func(p *s2s.Post) *s2s.Verdict {
			if p.Message.Origin == 2 {
				refused++
				return &s2s.Verdict{Outcome: s2s.Refused, Fault: protocol.Denied, Reason: "no"}
			}
			return nil
		}
		a.write(b, 1, 1)
		b.has(a, 1, 1, time.Second)
		w.net.Block(b.at, a.at)
		a.write(b, 1, 2)
		a.write(b, 1, 3)
		b.reads(a, 1, []int{1, 3}, time.Second)
		w.net.Sever(a.at, b.at)
		b.halt()
		w.heal(a, b)
		b.start()
		a.settled(b, time.Minute)
		b.reads(a, 1, []int{1, 3}, time.Second)
		w.ends(a, b, 1, 2, federation.Refused)
		if refused != 1 {
			w.Errorf("the post was refused %d times", refused)
		}
		a.write(b, 1, 4) // tells that the verdict is known
		b.reads(a, 1, []int{1, 3, 4}, time.Second)
		err := b.db.View(func(tx store.Tx) error {
			for v, err := range tx.Verdicts(a.name, federation.LaneOf(topic(a.name, b.name, 1)), 0) {
				w.Errorf("the verdict on %d is still kept, %v", v.N, err)
			}
			return nil
		})
		if err != nil {
			w.Fatal(err)
		}
	})
}

// sameLane finds topics that share the lane of topic 0.
func sameLane(a, b *node, n int) []int {
	is := []int{0}
	for i := 1; len(is) < n; i++ {
		if federation.LaneOf(topic(a.name, b.name, i)) == federation.LaneOf(topic(a.name, b.name, 0)) {
			is = append(is, i)
		}
	}
	return is
}

func TestRationedStrangerInAFriendsLane(t *testing.T) {
	bubble(t, two, func(w *world) {
		a, b := w.ab()
		is := sameLane(a, b, 2)
		friend, stranger := is[0], is[1]
		var open time.Time
		asked := 0
		b.book.refuse = func(p *s2s.Post) *s2s.Verdict {
			if p.From != user(a.name, stranger) || !open.IsZero() && time.Now().After(open) {
				return nil
			}
			asked++
			return &s2s.Verdict{Outcome: s2s.Later, Fault: protocol.TooMany, Reason: "one a day", Wait: 600}
		}
		for k := range 100 {
			a.write(b, friend, k+1)
			a.write(b, stranger, k+1)
		}
		b.has(a, friend, 100, time.Second)
		if got := b.pages(a, stranger); len(got) > 0 {
			w.Fatalf("the stranger got through: %v", got)
		}
		for k := range 10 {
			a.write(b, stranger, k+101)
		}
		w.pass(time.Second)
		if s := a.stats(b); s.Parked < 110 {
			w.Errorf("%d posts are parked, want 110", s.Parked)
		}
		a.halt()
		a.start()
		a.write(b, stranger, 111)
		b.halt()
		b.start()
		a.write(b, stranger, 112)
		w.pass(30 * time.Minute)
		if asked > 8 {
			w.Errorf("the stranger has knocked %d times", asked)
		}
		open = time.Now()
		a.write(b, stranger, 113)
		b.has(a, stranger, 113, time.Hour)
		a.settled(b, time.Minute)
		w.ends(a, b, stranger, 1, federation.Held) // told once for all that wait
		for k := range 112 {
			w.ends(a, b, stranger, k+2)
		}
	})
}

// The other end does not notice by itself: of the old link and the new one that of the
// newer boot holds at once, also if it is the peer alone who has something to say.
func TestPeerKilledAndBackWithinASecond(t *testing.T) {
	for name, both := range map[string]bool{"both write": true, "only the peer writes": false} {
		t.Run(name, func(t *testing.T) {
			bubble(t, two, func(w *world) {
				a, b := w.ab()
				k := 0
				write := func(n int, both bool) {
					for range n {
						k++
						b.write(a, 1, k)
						if both {
							a.write(b, 1, k)
						}
					}
				}
				a.mesh.Keep(b.name, true) // a dials
				w.pass(100 * time.Millisecond)
				write(50, true)
				b.has(a, 1, 50, time.Second)
				a.has(b, 1, 50, time.Second)
				write(50, both)
				b.kill()
				w.pass(300 * time.Millisecond)
				b.start()
				write(50, both)
				begin := time.Now()
				a.has(b, 1, k, 10*time.Second)
				if both {
					b.has(a, 1, k, 10*time.Second)
				}
				if d := time.Since(begin); d > time.Second {
					w.Errorf("after %v", d)
				}
				if b.book.again+a.book.again > 0 {
					w.Errorf("%d messages came twice", b.book.again+a.book.again)
				}
			})
		})
	}
}

// Both dial at once; and one dials again without knowing of the link that there is.
func TestTwoLiveLinks(t *testing.T) {
	bubble(t, two, func(w *world) {
		a, b := w.ab()
		begin := time.Now()
		for round := range 10 {
			for k := range 20 {
				a.write(b, 1, round*20+k+1)
				b.write(a, 1, round*20+k+1)
			}
			b.has(a, 1, round*20+20, 10*time.Second)
			a.has(b, 1, round*20+20, 10*time.Second)
			if d := time.Since(begin); round == 0 && d > 30*latency { // one of two holds at once
				w.Errorf("after %v", d)
			}
			if !a.mesh.Linked(b.name) || !b.mesh.Linked(a.name) {
				w.Fatal("there is no link")
			}
			w.net.Sever(a.at, b.at)
			w.pass(time.Duration(round) * 50 * time.Millisecond)
		}
		if a.book.again+b.book.again > 0 {
			w.Errorf("%d messages came twice", a.book.again+b.book.again)
		}
		w.pass(10 * time.Second)
		up := 0
		for _, s := range a.book.links {
			if s == federation.LinkUp {
				up++
			} else {
				up--
			}
		}
		if up > 1 {
			w.Errorf("%d links are up at once", up)
		}
	})
}

func TestOneDeadFollowerAmongFifty(t *testing.T) {
	names := []protocol.Node{"hub.example"}
	for i := range 50 {
		names = append(names, protocol.Node(fmt.Sprintf("f%d.example", i)))
	}
	bubble(t, names, func(w *world) {
		hub, dead := w.nodes["hub.example"], w.nodes["f7.example"]
		group := protocol.NewGroupID(1, hub.name)
		err := hub.db.Update(func(tx store.Tx) error {
			for _, n := range names[1:] {
				if err := tx.PutFollower(&store.Follower{Topic: group, Node: n}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			w.Fatal(err)
		}
		write := func(n int) {
			for range n {
				err := hub.db.Update(func(tx store.Tx) error {
					return tx.AppendEvent(group, &store.Event{TS: time.Now(), Seq: 1, Body: []byte(`"x"`)})
				})
				if err != nil {
					w.Fatal(err)
				}
				hub.mesh.Wake(names[1:]...)
			}
		}
		at := func(rev uint64, but *node) {
			w.Helper()
			for _, n := range names[1:] {
				f := w.nodes[n]
				f.book.mu.Lock()
				have := f.book.revs[group]
				f.book.mu.Unlock()
				if f != but && have != rev {
					w.Fatalf("%s is at %d, want %d", n, have, rev)
				}
			}
		}
		write(1)
		w.pass(time.Second)
		at(1, nil)
		dead.kill()
		write(500)
		w.pass(5 * time.Second)
		at(501, dead)
		if s := hub.stats(dead); s.Queued > 0 || s.Bytes > 0 {
			w.Errorf("%d posts wait for the dead one", s.Queued)
		}
		w.pass(24 * time.Hour)
		dead.start()
		w.pass(time.Hour)
		at(501, nil)
	})
}

// Posts that the first release has queued are sent by this one: the form of what the
// outbox holds is fixed.
func TestUpgradeWithAQueuedOutbox(t *testing.T) {
	queued := []string{ // messages 1 to 3, the second told to be delayed
		"00357032703a757372414141414141414141414540612e6578616d706c652c757372414141414141414141414540622e6578" +
			"616d706c65a4036e7573724141414141414141414145041b000001a0c4506c0005a301010201044131106f757372414141414141414141414540",
		"01357032703a757372414141414141414141414540612e6578616d706c652c757372414141414141414141414540622e6578" +
			"616d706c65a4036e7573724141414141414141414145041b000001a0c4506c0005a301020202044132106f757372414141414141414141414540",
		"00357032703a757372414141414141414141414540612e6578616d706c652c757372414141414141414141414540622e6578" +
			"616d706c65a4036e7573724141414141414141414145041b000001a0c4506c0005a301030203044133106f757372414141414141414141414540",
	}
	bubble(t, two, func(w *world) {
		a, b := w.ab()
		a.halt()
		db, err := bolt.Open(a.file(), bolt.Options{})
		if err != nil {
			w.Fatal(err)
		}
		lane := federation.LaneOf(topic(a.name, b.name, 1))
		err = db.Update(func(tx store.Tx) error {
			for _, q := range queued {
				body, err := hex.DecodeString(q)
				if err == nil {
					err = tx.Enqueue(b.name, lane, &store.Post{Body: body, At: time.Now()})
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err = errors.Join(err, db.Close()); err != nil {
			w.Fatal(err)
		}
		a.start()
		b.has(a, 1, 3, time.Minute)
	})
}

func TestFullQueue(t *testing.T) {
	tune := func(c *federation.Config) { c.Queue = federation.QueueLimits{Posts: 10} }
	bubbleWith(t, two, tune, func(w *world) {
		a, b := w.ab()
		b.halt()
		for k := range 10 {
			a.write(b, k, 1)
		}
		if err := a.tryWrite(b, 1, 2); !errors.Is(err, protocol.Full) {
			w.Errorf("error %v, want Full", err)
		}
		gone := &s2s.Post{From: user(a.name, 7), At: 1, Tombstone: &s2s.Tombstone{User: user(a.name, 7), At: 1}}
		if err := a.db.Update(func(tx store.Tx) error { return a.mesh.Post(tx, b.name, "", gone) }); err != nil {
			w.Errorf("the end of an account: %v", err)
		}
		w.pass(6 * 24 * time.Hour)
		a.write(b, 1, 3)
	})
}

func TestDeniedPeer(t *testing.T) {
	bubble(t, two, func(w *world) {
		a, b := w.ab()
		deny := func(n, other *node, access store.PeerAccess) {
			err := n.db.Update(func(tx store.Tx) error {
				return tx.PutPeer(&store.Peer{Name: other.name, Access: access})
			})
			if err != nil {
				w.Fatal(err)
			}
		}
		deny(a, b, store.AccessDeny)
		if err := a.tryWrite(b, 1, 1); !errors.Is(err, protocol.Denied) {
			w.Errorf("error %v, want Denied", err)
		}
		b.write(a, 1, 1)
		w.pass(time.Minute)
		if a.mesh.Linked(b.name) || len(a.pages(b, 1)) > 0 {
			w.Error("a peer that is not wanted gets through")
		}
		if !b.mesh.Away(a.name) {
			w.Error("the peer is not away")
		}
		deny(a, b, store.AccessDefault)
		a.has(b, 1, 1, time.Hour)
	})
}

// A fault of ours makes the peer wait, and nothing is lost.
func TestFaultOfTheReceiver(t *testing.T) {
	bubble(t, two, func(w *world) {
		a, b := w.ab()
		var ill atomic.Bool
		ill.Store(true)
		b.book.fault = func() error {
			if ill.Load() {
				return context.DeadlineExceeded
			}
			return nil
		}
		for k := range 500 {
			a.write(b, 1, k+1)
		}
		w.pass(time.Minute)
		ill.Store(false)
		b.has(a, 1, 500, time.Minute)
		if s := a.stats(b); s.Failures > 0 || s.Refused > 0 {
			w.Errorf("figures %+v", s)
		}
	})
}

// The answer that posts are to come later is lost, and with the receiver what it knew of
// the topic. Those that follow must not overtake.
func TestAckOfLaterLost(t *testing.T) {
	bubble(t, two, func(w *world) {
		a, b := w.ab()
		later := true
		b.book.refuse = func(p *s2s.Post) *s2s.Verdict {
			if later {
				return &s2s.Verdict{Outcome: s2s.Later, Wait: 60}
			}
			return nil
		}
		a.mesh.Keep(b.name, true)
		w.pass(time.Second)
		w.net.Block(b.at, a.at)
		a.write(b, 1, 1)
		w.pass(time.Second)
		w.net.Block(a.at, b.at)
		a.write(b, 1, 2) // on the wire, and lost
		w.net.Sever(a.at, b.at)
		a.write(b, 1, 3)
		b.halt()
		later = false
		w.heal(a, b)
		b.start()
		b.has(a, 1, 3, 10*time.Minute)
		a.settled(b, time.Minute)
		if b.book.again > 0 {
			w.Errorf("%d messages came twice", b.book.again)
		}
	})
}

// What was marked as offered ahead of the wire, and then was not sent, is returned as
// never sent.
func TestOfferedAndNotSent(t *testing.T) {
	tune := func(c *federation.Config) { c.Limits.Window = 16 }
	bubbleWith(t, two, tune, func(w *world) {
		a, b := w.ab()
		b.halt()
		for k := range 100 {
			a.write(b, 1, k+1)
		}
		b.book.fault = func() error { return context.DeadlineExceeded }
		b.start()
		w.pass(time.Minute)
		b.kill()
		w.pass(6 * 24 * time.Hour)
		for k := range 100 {
			if k < 16 {
				w.ends(a, b, 1, k+1, federation.Delayed, federation.Unconfirmed)
			} else {
				w.ends(a, b, 1, k+1, federation.Delayed, federation.Expired)
			}
		}
		if s := a.stats(b); s.Queued != 16 {
			w.Errorf("%d posts are kept, want 16", s.Queued)
		}
	})
}

func TestPostLargerThanThePeerTakes(t *testing.T) {
	tune := func(c *federation.Config) {
		if c.Store.Meta().Node == "b.example" {
			c.Limits.Frame = 2000
		}
	}
	bubbleWith(t, two, tune, func(w *world) {
		a, b := w.ab()
		a.write(b, 1, 1)
		big := &s2s.Post{From: user(a.name, 1), To: user(b.name, 1), Message: &s2s.Message{Origin: 2, Content: make([]byte, 5000)}}
		err := a.db.Update(func(tx store.Tx) error { return a.mesh.Post(tx, b.name, "", big) })
		if err != nil {
			w.Fatal(err)
		}
		a.write(b, 1, 3)
		b.reads(a, 1, []int{1, 3}, time.Minute)
		a.settled(b, time.Minute)
		w.ends(a, b, 1, 2, federation.Refused)
	})
}
