package federation_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"parley/protocol/s2s"
	"parley/store"
)

// What comes early is for a peer as it was on the last link. If that was set back since,
// it is taken all the same.
func TestEarlyPostsToAPeerThatWasSetBack(t *testing.T) {
	for _, restore := range []bool{false, true} {
		bubble(t, two, func(w *world) {
			a, b := w.ab()
			for k := range 5 {
				a.write(b, 1, k+1)
			}
			b.has(a, 1, 5, time.Second)
			a.settled(b, time.Second)
			b.kill()
			copied := b.snapshot()
			b.start()
			for k := range 5 {
				a.write(b, 1, k+6)
			}
			b.has(a, 1, 10, time.Minute)
			a.settled(b, time.Minute)
			w.pass(10 * time.Minute) // the link is idle, and ends
			b.kill()
			b.putBack(copied, restore)
			b.start()
			a.write(b, 1, 11)
			a.write(b, 1, 12)
			b.reads(a, 1, []int{1, 2, 3, 4, 5, 11, 12}, time.Minute) // the rest is for the comparison of topics
			a.settled(b, time.Minute)
			if a.book.compare != 1 || b.book.compare != 1 {
				w.Errorf("compared %d and %d times", a.book.compare, b.book.compare)
			}
			if b.book.again > 0 {
				w.Errorf("%d messages came twice", b.book.again)
			}
		})
	}
}

// A peer that claims to have taken what was never sent passes over what is early, and gets
// it once more.
func TestEarlyPostsToAPeerAhead(t *testing.T) {
	bubble(t, two, func(w *world) {
		a, b := w.ab()
		a.write(b, 1, 1)
		b.has(a, 1, 1, time.Second)
		a.settled(b, time.Second)
		w.pass(10 * time.Minute)
		b.halt()
		err := b.open()
		if err == nil {
			err = b.db.Update(func(tx store.Tx) error {
				return tx.Restart(a.name, store.Lane(s2s.LaneOf(topic(a.name, b.name, 1))), 50)
			})
		}
		if err := errors.Join(err, b.db.Close()); err != nil {
			t.Fatal(err)
		}
		b.start()
		a.write(b, 1, 2)
		b.has(a, 1, 2, time.Minute)
		a.settled(b, time.Minute)
	})
}

// Both dial at once, each with posts behind its Hello: one connection stays, and what was
// on the other comes once.
func TestEarlyPostsOnTwoConnections(t *testing.T) {
	bubble(t, two, func(w *world) {
		a, b := w.ab()
		var want []int
		for k := 1; k <= 20; k++ {
			want = append(want, k)
			if k%5 == 0 {
				w.net.Sever(a.at, b.at)
			}
			w.pass(10 * time.Minute)
			a.write(b, 1, k)
			w.pass(time.Duration(k) * latency / 5)
			b.write(a, 1, k)
			b.has(a, 1, k, time.Minute)
			a.has(b, 1, k, time.Minute)
			a.settled(b, time.Minute)
			b.settled(a, time.Minute)
		}
		if got := b.pages(a, 1); !slices.Equal(got, want) {
			w.Errorf("b has %v", got)
		}
		if got := a.pages(b, 1); !slices.Equal(got, want) {
			w.Errorf("a has %v", got)
		}
		if n := a.book.again + b.book.again; n > 0 {
			w.Errorf("%d messages came twice", n)
		}
	})
}

// What is much, and what is large, does not go early, and comes all the same.
func TestMoreThanGoesEarly(t *testing.T) {
	bubble(t, two, func(w *world) {
		a, b := w.ab()
		for i := range 3 {
			a.write(b, i, 1)
		}
		a.settled(b, time.Second)
		w.pass(10 * time.Minute)
		for k := range 300 {
			a.write(b, k%3, 2+k/3)
		}
		for i := range 3 {
			b.has(a, i, 101, time.Second)
		}
		a.settled(b, time.Second)
		if s := a.stats(b); s.Failures > 0 || s.Sent != 303 || b.book.again > 0 {
			w.Errorf("figures %+v, %d came twice", s, b.book.again)
		}
	})
}
