package storetest

import (
	"fmt"
	"slices"

	"pgregory.net/rapid"

	"parley/protocol"
	"parley/store"
)

var laneCases = map[string]func(*box){
	"posts that were not sent after all": unofferedPosts,
	"amended posts":                      amendedPosts,
	"voids that are dropped":             compactedPosts,
	"posts that begin anew":              renumberedPosts,
	"a cursor that begins anew":          restartedCursor,
}

func unofferedPosts(b *box) {
	unoffer := func(n uint64) { b.update(func(tx store.Tx) error { return tx.Unoffer(peer, 2, n) }) }
	for range 5 {
		b.update(enqueue("", "x"))
	}
	b.update(enqueue("k", "k1"))
	b.update(func(tx store.Tx) error { return tx.Offer(peer, 2, 6) })
	unoffer(7) // never forward
	b.queue(store.Queue{Offered: 6, Last: 6})
	unoffer(4)
	b.queue(store.Queue{Offered: 4, Last: 6})
	b.update(enqueue("k", "k2")) // may be replaced again
	b.queued("1  x", "2  x", "3  x", "4  x", "5  x", "6 k k2")
	b.update(func(tx store.Tx) error { return tx.Settle(peer, 2, 3) })
	unoffer(0) // what is settled was sent
	b.queue(store.Queue{Settled: 3, Offered: 3, Last: 6})
	b.update(func(tx store.Tx) error { return tx.Offer(peer, 2, 6) })
	b.update(enqueue("k", "k3"))
	unoffer(0) // two that were not sent have the key: the last one counts, and none if that is withdrawn
	b.update(enqueue("k", "k4"))
	b.queued("4  x", "5  x", "6 k k2", "7 k k4")
	b.update(func(tx store.Tx) error { return tx.Void(peer, 2, 7) })
	b.update(enqueue("k", "k5"))
	b.queued("4  x", "5  x", "6 k k2", "7  ", "8 k k5")
}

func amendedPosts(b *box) {
	b.update(enqueue("k", "k1"))
	b.update(enqueue("", "a"))
	b.update(func(tx store.Tx) error { return tx.Amend(peer, 2, 1, []byte("other")) })
	b.queued("1 k other", "2  a")
	b.queue(store.Queue{Last: 2})
	b.update(enqueue("k", "k2"))
	b.queued("1 k k2", "2  a")
	b.update(func(tx store.Tx) error { return tx.Settle(peer, 2, 1) })
	for _, n := range []uint64{1, 3} {
		b.refused(store.ErrNotFound, func(tx store.Tx) error { return tx.Amend(peer, 2, n, []byte("x")) })
	}
}

func compactedPosts(b *box) {
	for i, key := range []string{"", "", "k", "", "l", ""} {
		b.update(enqueue(key, fmt.Sprint(i+1)))
	}
	b.update(func(tx store.Tx) error {
		for _, n := range []uint64{1, 2, 4} {
			if err := tx.Void(peer, 2, n); err != nil {
				return err
			}
		}
		return tx.Offer(peer, 2, 1)
	})
	b.update(func(tx store.Tx) error { return tx.Compact(peer, 2) })
	b.queued("1  ", "2 k 3", "3 l 5", "4  6")
	b.queue(store.Queue{Offered: 1, Last: 4})
	b.update(enqueue("l", "new")) // keys have moved with the posts
	b.queued("1  ", "2 k 3", "3 l new", "4  6")
	b.update(enqueue("", "7"))
	b.queued("1  ", "2 k 3", "3 l new", "4  6", "5  7")
}

func renumberedPosts(b *box) {
	for i, key := range []string{"", "k", "k", "l", ""} {
		b.update(enqueue(key, fmt.Sprint(i+1)))
		b.update(func(tx store.Tx) error { return tx.Offer(peer, 2, uint64(min(i, 2)+1)) })
	}
	b.update(func(tx store.Tx) error { return tx.Settle(peer, 2, 1) })
	b.update(func(tx store.Tx) error { return tx.Void(peer, 2, 5) })
	b.update(func(tx store.Tx) error { return tx.Renumber(peer, 2, 10) })
	b.queued("11 k 2", "12 k 3", "13 l 4")
	b.queue(store.Queue{Settled: 10, Offered: 12, Last: 13})
	b.update(enqueue("k", "new"))
	b.update(enqueue("l", "new"))
	b.queued("11 k 2", "12 k 3", "13 l new", "14 k new")
	b.update(func(tx store.Tx) error { return tx.Settle(peer, 2, 14) })
	b.update(func(tx store.Tx) error { return tx.Renumber(peer, 2, 20) })
	b.queue(store.Queue{Settled: 20, Offered: 20, Last: 20})
	b.update(enqueue("", "x"))
	b.queued("21  x")
}

func restartedCursor(b *box) {
	b.update(func(tx store.Tx) error {
		for n := range uint64(3) {
			if err := tx.Advance(peer, 2, store.Verdict{N: n + 1, Body: []byte("x")}); err != nil {
				return err
			}
		}
		return tx.Advance(peer, 1, store.Verdict{N: 1, Body: []byte("y")})
	})
	b.update(func(tx store.Tx) error { return tx.Restart(peer, 2, 7) })
	b.view(func(tx store.Tx) error {
		listed(b, "verdicts", tx.Verdicts(peer, 2, 0))
		listed(b, "of another lane", tx.Verdicts(peer, 1, 0), &store.Verdict{N: 1, Body: []byte("y")})
		c, err := tx.Cursor(peer, 2)
		equal(b, "cursor", c, err, 7)
		return nil
	})
	b.update(func(tx store.Tx) error { return tx.Advance(peer, 2, store.Verdict{N: 8}) })
}

func stepLane(r *rapid.T) step {
	to, n := one(r, someNodes), rapid.Uint64Range(0, 12).Draw(r, "n")
	switch rapid.IntRange(0, 4).Draw(r, "what") {
	case 0:
		return step{fmt.Sprintf("Unoffer %s %d", to, n), "",
			func(tx store.Tx) error { return tx.Unoffer(to, modelLane, n) },
			func(m *memory) error { m.unoffer(to, n); return nil }}
	case 1:
		text := body(r)
		return step{fmt.Sprintf("Amend %s %d", to, n), "",
			func(tx store.Tx) error { return tx.Amend(to, modelLane, n, text) },
			func(m *memory) error { return m.amend(to, n, text) }}
	case 2:
		return step{fmt.Sprintf("Compact %s", to), "",
			func(tx store.Tx) error { return tx.Compact(to, modelLane) },
			func(m *memory) error { m.move(to, m.queues[to].Offered, m.queues[to].Offered); return nil }}
	case 3:
		return step{fmt.Sprintf("Restart %s %d", to, n), "",
			func(tx store.Tx) error { return tx.Restart(to, modelLane, n) },
			func(m *memory) error {
				m.cursors[to] = n
				drop(m.verdicts, func(p place) bool { return p.to == to })
				return nil
			}}
	}
	return step{fmt.Sprintf("Renumber %s %d", to, n), "",
		func(tx store.Tx) error { return tx.Renumber(to, modelLane, n) },
		func(m *memory) error {
			q := m.queues[to]
			after, offered := q.Settled, n
			for k, p := range m.posts {
				if k.to == to && k.n <= q.Offered && len(p.Body) > 0 {
					offered++
				}
			}
			q.Settled, q.Offered = n, offered
			m.queues[to] = q
			m.move(to, after, n)
			return nil
		}}
}

func (m *memory) unoffer(to protocol.Node, n uint64) {
	q := m.queues[to]
	q.Offered = max(q.Settled, min(q.Offered, n))
	m.queues[to] = q
}

func (m *memory) amend(to protocol.Node, n uint64, text []byte) error {
	p, ok := m.posts[place{to, n}]
	if !ok {
		return store.ErrNotFound
	}
	p.Body = text
	m.posts[place{to, n}] = p
	return nil
}

// move gives the posts after a number new ones without the voids, from base + 1 on.
func (m *memory) move(to protocol.Node, after, base uint64) {
	var all []store.Post
	for _, p := range sorted(m.posts, func(p place) bool { return p.to == to && p.n > after }, byPlace) {
		all = append(all, p)
	}
	drop(m.posts, func(p place) bool { return p.to == to && p.n > after })
	all = slices.DeleteFunc(all, func(p store.Post) bool { return len(p.Body) == 0 })
	for i, p := range all {
		n := base + uint64(i) + 1
		if k := (keyed{to, p.Key}); m.keys[k] == p.N {
			m.keys[k] = n
		}
		p.N = n
		m.posts[place{to, p.N}] = p
	}
	q := m.queues[to]
	q.Last = base + uint64(len(all))
	m.queues[to] = q
}
