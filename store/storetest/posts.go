package storetest

import (
	"errors"
	"fmt"
	"math"

	"parley/protocol"
	"parley/store"
)

var postCases = map[string]func(*box){
	"posts":         posts,
	"keyed posts":   keyedPosts,
	"offered posts": offeredPosts,
	"void posts":    voidPosts,
	"settled posts": settledPosts,
	"waiting":       waiting,
	"cursor":        cursor,
	"verdicts":      verdicts,
}

func enqueue(key, body string) func(store.Tx) error {
	return func(tx store.Tx) error {
		return tx.Enqueue(peer, 2, &store.Post{Key: key, Body: []byte(body), At: day})
	}
}

// queued is the numbers, keys and bodies of a lane.
func (b *box) queued(want ...string) {
	b.Helper()
	b.view(func(tx store.Tx) error {
		var got []string
		for p, err := range tx.Posts(peer, 2, 0) {
			if err != nil {
				return err
			}
			got = append(got, fmt.Sprintf("%d %s %s", p.N, p.Key, p.Body))
		}
		equal(b, "posts", got, nil, want)
		return nil
	})
}

func (b *box) queue(want store.Queue) {
	b.Helper()
	b.view(func(tx store.Tx) error {
		for p, err := range tx.Posts(peer, 2, 0) {
			if err != nil {
				return err
			}
			want.Bytes += uint64(len(p.Body))
		}
		q, err := tx.Queue(peer, 2)
		equal(b, "queue", q, err, want)
		return nil
	})
}

func posts(b *box) {
	var want []*store.Post
	for i := range 300 {
		want = append(want, &store.Post{N: uint64(i + 1), Body: fmt.Append(nil, i), At: day})
	}
	b.update(func(tx store.Tx) error {
		for i, p := range want {
			p.N = 99
			if err := tx.Enqueue(peer, 2, p); err != nil {
				return err
			}
			if p.N != uint64(i+1) {
				b.Errorf("post %d has number %d", i+1, p.N)
			}
		}
		return errors.Join(tx.Enqueue(peer, 1, &store.Post{Body: []byte("x"), At: day}),
			tx.Enqueue(home, 2, &store.Post{Body: []byte("y"), At: day}), tx.Enqueue(longer, 2, &store.Post{Body: []byte("z"), At: day}))
	})
	b.view(func(tx store.Tx) error {
		listed(b, "all", tx.Posts(peer, 2, 0), want...)
		listed(b, "some", tx.Posts(peer, 2, 254), want[254:]...)
		listed(b, "none", tx.Posts(peer, 2, 300))
		listed(b, "none at all", tx.Posts(peer, 2, math.MaxUint64))
		listed(b, "another lane", tx.Posts(peer, 1, 0), &store.Post{N: 1, Body: []byte("x"), At: day})
		listed(b, "another node", tx.Posts(home, 2, 0), &store.Post{N: 1, Body: []byte("y"), At: day})
		listed(b, "an empty lane", tx.Posts(home, 3, 0))
		return nil
	})
	b.queue(store.Queue{Last: 300})
}

func keyedPosts(b *box) {
	b.update(enqueue("k", "k1"))
	b.update(enqueue("", "a"))
	b.update(enqueue("", "a"))
	b.update(enqueue("kk", "kk1"))
	b.queued("1 k k1", "2  a", "3  a", "4 kk kk1")
	var p store.Post
	b.update(func(tx store.Tx) error {
		p = store.Post{Key: "k", Body: []byte("k2"), At: day}
		return tx.Enqueue(peer, 2, &p)
	})
	if p.N != 1 {
		b.Errorf("the replaced post has number %d", p.N)
	}
	b.queued("1 k k2", "2  a", "3  a", "4 kk kk1")
	b.queue(store.Queue{Last: 4})
	b.update(func(tx store.Tx) error { return tx.Enqueue(peer, 1, &store.Post{Key: "k", Body: []byte("other")}) })
	b.queued("1 k k2", "2  a", "3  a", "4 kk kk1")
}

func offeredPosts(b *box) {
	offer := func(n uint64) func(store.Tx) error { return func(tx store.Tx) error { return tx.Offer(peer, 2, n) } }
	b.update(enqueue("k", "k1"))
	b.update(enqueue("l", "l1"))
	b.update(offer(1))
	b.queue(store.Queue{Offered: 1, Last: 2})
	b.update(enqueue("k", "k2")) // what may have been on the wire stays
	b.update(enqueue("l", "l2"))
	b.queued("1 k k1", "2 l l2", "3 k k2")
	b.update(enqueue("k", "k3"))
	b.queued("1 k k1", "2 l l2", "3 k k3")
	b.update(offer(3))
	b.update(offer(2)) // never back
	b.update(offer(0))
	b.queue(store.Queue{Offered: 3, Last: 3})
	b.refused(nil, offer(4)) // Offered ≤ Last
	b.update(enqueue("k", "k4"))
	b.queued("1 k k1", "2 l l2", "3 k k3", "4 k k4")
}

func voidPosts(b *box) {
	void := func(n uint64) func(store.Tx) error { return func(tx store.Tx) error { return tx.Void(peer, 2, n) } }
	b.update(enqueue("k", "k1"))
	b.update(enqueue("", "a"))
	b.update(void(1))
	b.queued("1  ", "2  a")
	b.update(enqueue("k", "k2")) // not in the place of a void
	b.queued("1  ", "2  a", "3 k k2")
	b.queue(store.Queue{Last: 3})
	b.update(void(1))
	b.update(func(tx store.Tx) error { return tx.Settle(peer, 2, 1) })
	b.refused(store.ErrNotFound, void(1))
	b.refused(store.ErrNotFound, void(4))
	b.update(enqueue("k", "k3"))
	b.queued("2  a", "3 k k3")
	// An older post of the same key: the newer one keeps it.
	b.update(func(tx store.Tx) error { return tx.Offer(peer, 2, 3) })
	b.update(enqueue("k", "k4"))
	b.update(void(3))
	b.update(enqueue("k", "k5"))
	b.queued("2  a", "3  ", "4 k k5")
}

func settledPosts(b *box) {
	settle := func(n uint64) func(store.Tx) error { return func(tx store.Tx) error { return tx.Settle(peer, 2, n) } }
	for _, key := range []string{"k", "", "l", ""} {
		b.update(enqueue(key, "1"))
	}
	b.update(settle(2))
	b.queued("3 l 1", "4  1")
	b.queue(store.Queue{Settled: 2, Offered: 2, Last: 4})
	b.update(settle(1)) // settled already
	b.queue(store.Queue{Settled: 2, Offered: 2, Last: 4})
	b.update(enqueue("k", "2"))
	b.queued("3 l 1", "4  1", "5 k 2")
	b.refused(nil, settle(6)) // there is none
	b.update(settle(5))
	b.queued()
	b.queue(store.Queue{Settled: 5, Offered: 5, Last: 5})
	b.update(enqueue("k", "3")) // numbers never come again
	b.queued("6 k 3")
}

func waiting(b *box) {
	want := func(want ...protocol.Node) {
		b.Helper()
		b.view(func(tx store.Tx) error {
			listed(b, "waiting", tx.Waiting(), want...)
			return nil
		})
	}
	want()
	b.update(func(tx store.Tx) error {
		return errors.Join(tx.Enqueue(home, 0, &store.Post{Body: []byte("x")}), tx.Enqueue(home, 3, &store.Post{Body: []byte("x")}),
			tx.Enqueue(longer, 0, &store.Post{Body: []byte("x")}), tx.Enqueue(peer, 2, &store.Post{Body: []byte("x")}),
			tx.Void(peer, 2, 1))
	})
	want(home, longer, peer) // a void waits, too
	b.update(func(tx store.Tx) error { return errors.Join(tx.Settle(home, 0, 1), tx.Settle(longer, 0, 1)) })
	want(home, peer)
	b.update(func(tx store.Tx) error { return errors.Join(tx.Settle(home, 3, 1), tx.Settle(peer, 2, 1)) })
	want()
}

func cursor(b *box) {
	at := func(from protocol.Node, l store.Lane, want uint64) {
		b.Helper()
		b.view(func(tx store.Tx) error {
			c, err := tx.Cursor(from, l)
			equal(b, "cursor", c, err, want)
			return nil
		})
	}
	advance := func(n uint64) func(store.Tx) error {
		return func(tx store.Tx) error { return tx.Advance(peer, 1, store.Verdict{N: n}) }
	}
	at(peer, 1, 0)
	b.refused(nil, advance(0))
	b.refused(nil, advance(2))
	for n := uint64(1); n <= 300; n++ {
		if n%50 == 0 {
			b.refused(nil, advance(n-1))
			b.refused(nil, advance(n+1))
			at(peer, 1, n-1)
		}
		b.update(advance(n))
	}
	at(peer, 1, 300)
	at(peer, 2, 0)
	at(home, 1, 0)
	b.view(func(tx store.Tx) error {
		listed(b, "verdicts", tx.Verdicts(peer, 1, 0))
		return nil
	})
}

func verdicts(b *box) {
	b.update(func(tx store.Tx) error {
		for n := uint64(1); n <= 6; n++ {
			v := store.Verdict{N: n}
			if n%2 == 0 {
				v.Body = fmt.Append(nil, n)
			}
			if err := errors.Join(tx.Advance(peer, 1, v), tx.Advance(peer, 2, store.Verdict{N: n, Body: []byte("x")})); err != nil {
				return err
			}
		}
		return nil
	})
	two, four, six := &store.Verdict{N: 2, Body: []byte("2")}, &store.Verdict{N: 4, Body: []byte("4")}, &store.Verdict{N: 6, Body: []byte("6")}
	after := func(n uint64, want ...*store.Verdict) {
		b.Helper()
		b.view(func(tx store.Tx) error {
			listed(b, fmt.Sprint("after ", n), tx.Verdicts(peer, 1, n), want...)
			return nil
		})
	}
	after(0, two, four, six)
	after(2, four, six)
	after(math.MaxUint64)
	forget := func(n uint64) { b.update(func(tx store.Tx) error { return tx.Forget(peer, 1, n) }) }
	forget(1)
	after(0, two, four, six)
	forget(4)
	after(0, six)
	forget(100)
	forget(100)
	after(0)
	b.view(func(tx store.Tx) error {
		c, err := tx.Cursor(peer, 1)
		equal(b, "cursor", c, err, 6)
		vs, err := collect(tx.Verdicts(peer, 2, 0))
		equal(b, "another lane", len(vs), err, 6)
		return nil
	})
}
