package node

import (
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"parley/protocol"
	"parley/store"
)

// A topic is an actor. Events wait in its queue; while there are any, one
// goroutine applies them in order and alone touches what kind holds.
type topic struct {
	n    *Node
	id   protocol.TopicID
	kind kind  // set by load, on the actor's goroutine, as is
	dead error // why it could not be loaded

	mu      sync.Mutex // guards the rest
	queue   []event
	running bool
	retired bool      // evicted or failed to load: look it up again
	used    time.Time // of the last event
	online  bool      // some session is attached; for others to see
}

// An event is something that happens to a topic, applied on its goroutine.
type event interface{ apply(*topic) }

// refusal is an event that wants to know that the topic could not be loaded.
type refusal interface{ absent(error) }

// kind is what differs between the kinds of topic; one file each.
type kind interface {
	verbs
	// load reads the topic. protocol.NotFound: there is none.
	load(tx store.Tx) error
	// gone tells that a session ended without leaving.
	gone(s *session)
	// idle reports whether the topic may leave memory.
	idle() bool
}

// verbs are the requests that reach topics. Each answers through r.
type verbs interface {
	sub(r *request, in *protocol.Sub)
	leave(r *request, in *protocol.Leave)
	pub(r *request, in *protocol.Pub)
	get(r *request, in *protocol.GetQuery)
	set(r *request, in *protocol.SetQuery)
	del(r *request, in *protocol.Del)
	note(r *request, in *protocol.Note)
}

func newTopic(n *Node, id protocol.TopicID) *topic {
	return &topic{n: n, id: id, used: time.Now()}
}

type pushResult int

const (
	pushed pushResult = iota
	full
	retired
)

// push queues e. limit is how many events may wait; 0 is no limit, for events of
// the node itself, each of which a client's bounded request caused.
func (t *topic) push(e event, limit int) pushResult {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.retired {
		return retired
	}
	if limit > 0 && len(t.queue) >= limit {
		return full
	}
	t.queue = append(t.queue, e)
	t.used = time.Now()
	if !t.running {
		t.running = true
		t.n.start(t.run)
	}
	return pushed
}

// run applies events until none is left.
func (t *topic) run() {
	for {
		t.mu.Lock()
		batch := t.queue
		t.queue = nil
		if len(batch) == 0 {
			t.running = false
			t.mu.Unlock()
			return
		}
		t.mu.Unlock()
		for len(batch) > 0 {
			n := 1
			if ps := publishing(batch); len(ps) > 1 {
				t.apply(ps)
				n = len(ps)
			} else {
				t.apply(batch[0])
			}
			batch = batch[n:]
		}
	}
}

func (t *topic) isRunning() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.running
}

// publications are {pub}s that wait one after the other: they share a transaction.
type publications []*request

// maxPublications bounds how many share one.
const maxPublications = 64

func publishing(batch []event) publications {
	var ps publications
	for _, e := range batch {
		r, ok := e.(*request)
		if !ok || r.in.Pub == nil || len(ps) == maxPublications {
			break
		}
		ps = append(ps, r)
	}
	return ps
}

func (ps publications) apply(t *topic) {
	k, ok := t.kind.(interface{ pubs([]*request) })
	if !ok {
		for _, r := range ps {
			r.apply(t)
		}
		return
	}
	k.pubs(ps)
	for _, r := range ps {
		r.done()
	}
}

func (ps publications) absent(err error) {
	for _, r := range ps {
		r.absent(err)
	}
}

func (t *topic) apply(e event) {
	if r, ok := e.(*request); ok && r.asks() {
		defer r.s.asks(-1)
	}
	defer t.survive(e)
	if t.kind == nil && t.dead == nil {
		t.load()
	}
	if t.dead == nil {
		e.apply(t)
	} else if r, ok := e.(refusal); ok {
		r.absent(t.dead)
	}
}

// survive keeps a fault in one topic from ending the node: what the topic held in
// memory is given up, its sessions are told to attach anew, and the store has the
// truth.
func (t *topic) survive(e event) {
	p := recover()
	if p == nil {
		return
	}
	t.n.metrics.panics.Inc()
	t.n.log.Error("topic failed", "topic", t.id, "event", fmt.Sprintf("%T", e), "panic", p, "stack", string(debug.Stack()))
	t.giveUp(protocol.Internal)
	if r, ok := e.(refusal); ok {
		r.absent(protocol.Internal)
	}
	if k, ok := t.kind.(interface{ asRoom() *room }); ok {
		k.asRoom().terminate()
		return
	}
	t.n.closeAttached(t.id)
}

// load makes the kind and reads it from the store. A topic that cannot be loaded
// is given up: asking for one that does not exist costs no memory.
func (t *topic) load() {
	k := newKind(t)
	err := error(protocol.NotFound)
	if k != nil {
		err = t.n.store.View(k.load)
	}
	switch {
	case err == nil:
		t.kind = k
		return
	case errors.Is(err, store.ErrNotFound):
		err = protocol.NotFound
	}
	t.giveUp(err)
}

// giveUp makes the topic refuse what still waits, with err, and be forgotten.
func (t *topic) giveUp(err error) {
	t.dead = err
	t.mu.Lock()
	t.retired = true
	t.mu.Unlock()
	t.n.drop(t)
}

func newKind(t *topic) kind {
	switch t.id.Kind() {
	case protocol.KindMe:
		return newMe(t)
	case protocol.KindFnd:
		return newFnd(t)
	case protocol.KindP2P:
		return newP2P(t)
	case protocol.KindGroup:
		if t.id.Home() != t.n.name {
			return newFollower(t)
		}
		return newGroup(t)
	case protocol.KindSelf:
		return newSelf(t)
	case protocol.KindSys:
		return newSys(t)
	}
	return nil
}

// retire marks a topic that has not been used since then; false if it is in use.
// The caller forgets it.
func (t *topic) retire(since time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.running || len(t.queue) > 0 || t.used.After(since) || (t.kind != nil && !t.kind.idle()) {
		return false
	}
	t.retired = true
	return true
}

// after pushes e when d has passed. The returned function cancels it.
func (t *topic) after(d time.Duration, e event) (cancel func()) {
	timer := time.AfterFunc(d, func() {
		if t.n.enter() {
			t.push(e, 0)
			t.n.wg.Done()
		}
	})
	return func() { timer.Stop() }
}

func (t *topic) setOnline(on bool) {
	t.mu.Lock()
	t.online = on
	t.mu.Unlock()
}

// isOnline reports whether some session is attached to a topic.
func (n *Node) isOnline(id protocol.TopicID) bool {
	t := n.live(id)
	if t == nil {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.online
}

// goneEvent tells a topic that an attached session has ended.
type goneEvent struct{ s *session }

func (e goneEvent) apply(t *topic) { t.kind.gone(e.s) }
