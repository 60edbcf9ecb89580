package storetest

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"parley/protocol"
	"parley/store"
)

// memory is what a store should hold, in the simplest form. Values are replaced and
// never changed, so that a copy of the maps is a copy of all.
type memory struct {
	users    map[protocol.UserID]store.User
	logins   map[string]protocol.UserID // name in the scheme "basic"
	topics   map[protocol.TopicID]store.Topic
	gone     map[protocol.TopicID]bool
	heads    map[protocol.TopicID]store.Head
	messages map[slot]store.Message
	log      map[slot]store.Deletion
	hidden   map[seat]protocol.Ranges
	events   map[slot]store.Event
	subs     map[seat]store.Sub
	marks    map[seat]store.Marks
	files    map[string]store.File
	links    map[link]bool
	queues   map[protocol.Node]store.Queue
	posts    map[place]store.Post
	keys     map[keyed]uint64 // number of the last post to be queued under a key, unless withdrawn
	cursors  map[protocol.Node]uint64
	verdicts map[place]string
}

type (
	slot struct {
		t protocol.TopicID
		n int
	}
	seat struct {
		t protocol.TopicID
		u protocol.UserID
	}
	link struct {
		r  store.Ref
		id string
	}
	place struct {
		to protocol.Node
		n  uint64
	}
	keyed struct {
		to  protocol.Node
		key string
	}
)

func newMemory() *memory { return new(memory).clone() }

// clone also makes the maps that are not there.
func (m *memory) clone() *memory {
	return &memory{copied(m.users), copied(m.logins), copied(m.topics), copied(m.gone), copied(m.heads), copied(m.messages),
		copied(m.log), copied(m.hidden), copied(m.events), copied(m.subs), copied(m.marks), copied(m.files), copied(m.links),
		copied(m.queues), copied(m.posts), copied(m.keys), copied(m.cursors), copied(m.verdicts)}
}

func copied[K comparable, V any](m map[K]V) map[K]V {
	if m == nil {
		return map[K]V{}
	}
	return maps.Clone(m)
}

func (m *memory) putLogin(u protocol.UserID, name string) error {
	if other, taken := m.logins[name]; taken && other != u {
		return store.ErrExists
	}
	m.deleteLogins(u)
	m.logins[name] = u
	return nil
}

func (m *memory) deleteLogins(u protocol.UserID) {
	maps.DeleteFunc(m.logins, func(_ string, v protocol.UserID) bool { return v == u })
}

func (m *memory) putTopic(t store.Topic) error {
	if m.gone[t.ID] {
		return store.ErrExists
	}
	m.topics[t.ID] = t
	return nil
}

func (m *memory) deleteTopic(t protocol.TopicID) error {
	if _, ok := m.topics[t]; !ok {
		return store.ErrNotFound
	}
	if t.Kind() == protocol.KindGroup {
		m.gone[t] = true
	}
	for k := range m.messages {
		if k.t == t {
			m.setLinks(store.RefMessage(t, k.n), nil)
		}
	}
	m.setLinks(store.RefTopic(t), nil)
	delete(m.topics, t)
	delete(m.heads, t)
	inSlot := func(k slot) bool { return k.t == t }
	inSeat := func(k seat) bool { return k.t == t }
	drop(m.messages, inSlot)
	drop(m.log, inSlot)
	drop(m.events, inSlot)
	drop(m.hidden, inSeat)
	drop(m.subs, inSeat)
	drop(m.marks, inSeat)
	return nil
}

// drop deletes by key.
func drop[K comparable, V any](m map[K]V, which func(K) bool) {
	maps.DeleteFunc(m, func(k K, _ V) bool { return which(k) })
}

func (m *memory) append(t protocol.TopicID, msg store.Message) {
	h := m.heads[t]
	h.Seq++
	h.Touched = msg.TS
	m.heads[t] = h
	msg.Seq = h.Seq
	if msg.Origin == 0 {
		msg.Origin = msg.Seq
	}
	m.messages[slot{t, msg.Seq}] = msg
}

func (m *memory) delete(t protocol.TopicID, d store.Deletion) {
	h := m.heads[t]
	h.Del++
	m.heads[t] = h
	d.ID = h.Del
	m.log[slot{t, d.ID}] = d
	if d.User != "" {
		k := seat{t, d.User}
		m.hidden[k] = m.hidden[k].Union(d.Ranges)
		return
	}
	for k := range m.messages {
		if k.t == t && d.Ranges.Contains(k.n) {
			m.setLinks(store.RefMessage(t, k.n), nil)
			delete(m.messages, k)
		}
	}
}

// named finds a message by looking at all.
func (m *memory) named(t protocol.TopicID, from protocol.UserID, origin int, tag uint32) int {
	for k, msg := range m.messages {
		if k.t == t && msg.From == from && msg.Origin == origin && msg.Tag == tag {
			return k.n
		}
	}
	return 0
}

func (m *memory) appendEvent(t protocol.TopicID, e store.Event) {
	h := m.heads[t]
	h.Rev++
	m.heads[t] = h
	e.Rev = h.Rev
	m.events[slot{t, int(e.Rev)}] = e
}

func (m *memory) deleteSub(t protocol.TopicID, u protocol.UserID) {
	k := seat{t, u}
	delete(m.subs, k)
	delete(m.marks, k)
	delete(m.hidden, k)
}

// head has what is kept, and the count of subscriptions made anew.
func (m *memory) head(t protocol.TopicID) store.Head {
	h := m.heads[t]
	for k, s := range m.subs {
		if k.t == t && t.Kind() == protocol.KindGroup && s.Live() && s.Given.Has(protocol.Join) {
			h.Subs++
		}
	}
	return h
}

func (m *memory) setLinks(r store.Ref, ids []string) {
	drop(m.links, func(l link) bool { return l.r == r })
	for _, id := range ids {
		if _, ok := m.files[id]; ok {
			m.links[link{r, id}] = true
		}
	}
}

func (m *memory) deleteFile(id string) error {
	if _, ok := m.files[id]; !ok {
		return store.ErrNotFound
	}
	delete(m.files, id)
	drop(m.links, func(l link) bool { return l.id == id })
	return nil
}

func (m *memory) file(id string) store.File {
	f := m.files[id]
	f.Uses = 0
	for l := range m.links {
		if l.id == id {
			f.Uses++
		}
	}
	return f
}

func (m *memory) enqueue(to protocol.Node, p store.Post) {
	q := m.queues[to]
	p.N = m.keys[keyed{to, p.Key}]
	if p.N <= q.Offered {
		p.N = q.Last + 1
	}
	if p.Key != "" {
		m.keys[keyed{to, p.Key}] = p.N
	}
	q.Last = max(q.Last, p.N)
	m.queues[to], m.posts[place{to, p.N}] = q, p
}

func (m *memory) offer(to protocol.Node, upto uint64) error {
	q := m.queues[to]
	if upto > q.Last {
		return errAny
	}
	q.Offered = max(q.Offered, upto)
	m.queues[to] = q
	return nil
}

func (m *memory) void(to protocol.Node, n uint64) error {
	p, ok := m.posts[place{to, n}]
	if !ok {
		return store.ErrNotFound
	}
	if k := (keyed{to, p.Key}); m.keys[k] == n {
		delete(m.keys, k)
	}
	m.posts[place{to, n}] = store.Post{N: n, At: p.At}
	return nil
}

func (m *memory) settle(to protocol.Node, upto uint64) error {
	q := m.queues[to]
	if upto > q.Last {
		return errAny
	}
	q.Settled = max(q.Settled, upto)
	q.Offered = max(q.Offered, q.Settled)
	m.queues[to] = q
	drop(m.posts, func(p place) bool { return p.to == to && p.n <= upto })
	drop(m.keys, func(k keyed) bool { return k.to == to && m.keys[k] <= upto })
	return nil
}

func (m *memory) advance(from protocol.Node, n uint64, body string) error {
	if n != m.cursors[from]+1 {
		return errAny
	}
	m.cursors[from] = n
	if body != "" {
		m.verdicts[place{from, n}] = body
	}
	return nil
}

// sorted yields the values whose keys are wanted, in the order of less.
func sorted[K comparable, V any](m map[K]V, want func(K) bool, order func(a, b K) int) iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for _, k := range slices.SortedFunc(maps.Keys(m), order) {
			if want(k) && !yield(k, m[k]) {
				return
			}
		}
	}
}

func bySlot(a, b slot) int { return cmp.Or(strings.Compare(string(a.t), string(b.t)), a.n-b.n) }
func byPlace(a, b place) int {
	return cmp.Or(strings.Compare(string(a.to), string(b.to)), cmp.Compare(a.n, b.n))
}

// errAny stands for an error that the contract does not name.
var errAny = fmt.Errorf("storetest: any error")
