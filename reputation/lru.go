package reputation

// lru is a table of at most max entries in the order of their last use.
type lru[K comparable, V any] struct {
	max  int
	m    map[K]*entry[K, V]
	ends entry[K, V] // next is the newest, prev the oldest
}

type entry[K comparable, V any] struct {
	key        K
	val        V
	prev, next *entry[K, V]
}

func newLRU[K comparable, V any](n int) *lru[K, V] {
	l := &lru[K, V]{max: n, m: map[K]*entry[K, V]{}}
	l.ends.prev, l.ends.next = &l.ends, &l.ends
	return l
}

func (l *lru[K, V]) unlink(n *entry[K, V]) { n.prev.next, n.next.prev = n.next, n.prev }

func (l *lru[K, V]) front(n *entry[K, V]) {
	n.prev, n.next = &l.ends, l.ends.next
	n.prev.next, n.next.prev = n, n
}

// peek returns an entry without using it.
func (l *lru[K, V]) peek(k K) (v V, ok bool) {
	if n := l.m[k]; n != nil {
		return n.val, true
	}
	return v, false
}

func (l *lru[K, V]) get(k K) (v V, ok bool) {
	n := l.m[k]
	if n == nil {
		return v, false
	}
	if l.ends.next != n {
		l.unlink(n)
		l.front(n)
	}
	return n.val, true
}

// add puts a new entry in. The key must not be there. The caller keeps the bound.
func (l *lru[K, V]) add(k K, v V) {
	n := &entry[K, V]{key: k, val: v}
	l.m[k] = n
	l.front(n)
}

func (l *lru[K, V]) remove(k K) {
	if n := l.m[k]; n != nil {
		l.unlink(n)
		delete(l.m, k)
	}
}

func (l *lru[K, V]) full() bool { return len(l.m) >= l.max }

// lookBack is among how many of the oldest entries the least worth one is evicted.
const lookBack = 32

// least returns the least worth of the oldest entries; of equals, the oldest.
func (l *lru[K, V]) least(worth func(V) float64) (key K, ok bool) {
	best := 0.0
	n := l.ends.prev
	for i := 0; i < lookBack && n != &l.ends; i, n = i+1, n.prev {
		if w := worth(n.val); !ok || w < best {
			key, best, ok = n.key, w, true
		}
	}
	return key, ok
}

// oldest yields all entries, the oldest first. The current one may be removed.
func (l *lru[K, V]) oldest(yield func(K, V) bool) {
	for n := l.ends.prev; n != &l.ends; {
		prev := n.prev
		if !yield(n.key, n.val) {
			return
		}
		n = prev
	}
}
