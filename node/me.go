package node

import (
	"errors"
	"time"

	"parley/protocol"
	"parley/store"
)

const (
	// offDelay is how long after its last session left me a user is still shown as
	// online: most come back at once.
	offDelay = 4 * time.Second
	// bkgDelay is when a background session that stays counts as any other.
	bkgDelay = 5 * time.Second
	// uaDelay and uaPeriod damp {pres ua}.
	uaDelay  = 5 * time.Second
	uaPeriod = time.Minute
)

// me is a user's own topic: profile, list of subscriptions, presence. Nothing of it
// is stored but the user.
type me struct {
	t    *topic
	n    *Node
	user protocol.UserID

	mode     protocol.Mode // own; without P one is offline to all and told nothing
	attached map[*session]*visit
	online   bool // others were told so
	left     time.Time
	lastUA   string // that others were told
	cancel   func() // of the pending off
	uaAt     time.Time
	uaTimer  bool
}

// visit is a session attached to me. A background session is not presence.
type visit struct {
	background bool
	cancel     func()
}

// The events of me.
type (
	offEvent   struct{}
	uaEvent    struct{}
	uaDueEvent struct{}
	stayEvent  struct{ s *session }
)

func newMe(t *topic) kind {
	_, user, _ := cutOwn(t.id)
	return &me{t: t, n: t.n, user: user, mode: protocol.ModeMe, attached: map[*session]*visit{}}
}

// load implements kind.
func (k *me) load(tx store.Tx) error {
	u, err := tx.User(k.user)
	if err != nil {
		return err
	}
	if u.State == store.StateDeleted {
		return store.ErrNotFound
	}
	own, err := tx.Sub(k.t.id, k.user) // only there if the mode was changed
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err == nil {
		k.mode = own.Mode()
	}
	return err
}

// idle implements kind.
func (k *me) idle() bool { return len(k.attached) == 0 && !k.online }

// gone implements kind.
func (k *me) gone(s *session) { k.detach(s) }

// sub implements verbs.
func (k *me) sub(q *request, in *protocol.Sub) {
	if k.attached[q.s] != nil {
		q.unchanged("already subscribed")
	} else {
		k.attach(q.s, in.Background || q.s.profile.Load().background)
		q.ok(200, nil)
	}
	if in.Set != nil {
		k.set(q, in.Set)
	}
	if in.Get != nil {
		k.get(q, in.Get)
	}
}

func (k *me) attach(s *session, background bool) {
	h := k.n.hub(k.user)
	if h == nil || !s.attach(k.t) {
		return
	}
	v := &visit{background: background}
	k.attached[s] = v
	h.mu.Lock()
	h.me = append(h.me, s)
	h.mu.Unlock()
	h.silent.Store(!k.mode.Has(protocol.Presence))
	if background {
		v.cancel = k.t.after(bkgDelay, stayEvent{s})
		return
	}
	k.arrive(s)
}

// arrive makes the user online, if that is news.
func (k *me) arrive(s *session) {
	ua := s.profile.Load().ua
	if k.cancel != nil {
		k.cancel()
		k.cancel = nil
	}
	if k.online {
		if ua != "" && ua != k.lastUA {
			uaEvent{}.apply(k.t)
		}
		return
	}
	if !k.mode.Has(protocol.Presence) {
		return
	}
	k.online, k.lastUA = true, ua
	if h := k.n.hub(k.user); h != nil {
		h.online.Store(true)
		h.ua.Store(&ua)
	}
	k.t.setOnline(true)
	for _, peer := range k.n.tellContacts(k.user, protocol.Pres{What: "on", UA: ua}) {
		s.send(&protocol.Response{Pres: &protocol.Pres{Topic: "me", Src: string(peer), What: "on"}})
	}
}

// apply: a background session that stayed is present now.
func (e stayEvent) apply(t *topic) {
	k := t.kind.(*me)
	if v := k.attached[e.s]; v != nil && v.background {
		v.background = false
		k.arrive(e.s)
	}
}

func (k *me) detach(s *session) {
	v := k.attached[s]
	if v == nil {
		return
	}
	delete(k.attached, s)
	s.detach(k.t)
	if v.cancel != nil {
		v.cancel()
	}
	if h := k.n.hub(k.user); h != nil {
		h.mu.Lock()
		h.me = without(h.me, s)
		h.mu.Unlock()
	}
	for _, other := range k.attached {
		if !other.background {
			return
		}
	}
	if k.online && k.cancel == nil {
		k.left = k.t.n.wall()
		if ua := s.profile.Load().ua; ua != "" {
			k.lastUA = ua
		}
		k.cancel = k.t.after(offDelay, offEvent{})
	}
}

// apply: the user has been away long enough to be offline.
func (offEvent) apply(t *topic) {
	k := t.kind.(*me)
	if k.cancel == nil { // a session came back just now
		return
	}
	k.cancel = nil
	k.depart()
}

// depart makes the user offline.
func (k *me) depart() {
	k.online = false
	k.t.setOnline(false)
	if h := k.n.hub(k.user); h != nil {
		h.online.Store(false)
		k.n.forgetHub(k.user)
	}
	seen := store.Seen{When: k.left, UA: k.lastUA}
	if err := k.n.store.Update(func(tx store.Tx) error { return tx.PutSeen(k.user, seen) }); err != nil {
		k.n.log.Error("last seen not stored", "err", err)
	}
	k.n.tellContacts(k.user, protocol.Pres{What: "off", UA: k.lastUA})
}

// apply: another client of the user is in use. That is told, but not at once and
// not often.
func (uaEvent) apply(t *topic) {
	k := t.kind.(*me)
	if k.uaTimer || !k.online {
		return
	}
	k.uaTimer = true
	k.t.after(max(uaDelay, uaPeriod-time.Since(k.uaAt)), uaDueEvent{})
}

func (uaDueEvent) apply(t *topic) {
	k := t.kind.(*me)
	k.uaTimer = false
	h := k.n.hub(k.user)
	if h == nil || !k.online {
		return
	}
	if ua := h.ua.Load(); ua != nil && *ua != "" && *ua != k.lastUA {
		k.lastUA, k.uaAt = *ua, time.Now()
		k.n.tellContacts(k.user, protocol.Pres{What: "ua", UA: *ua})
	}
}

// leave implements verbs.
func (k *me) leave(q *request, in *protocol.Leave) {
	switch {
	case in.Unsub:
		q.refuse(protocol.Denied)
	case k.attached[q.s] == nil:
		q.unchanged("not joined")
	default:
		k.detach(q.s)
		q.ok(200, nil)
	}
}

// pub implements verbs.
func (k *me) pub(q *request, _ *protocol.Pub) { q.refuse(protocol.Denied) }

// note implements verbs: there is nothing to note.
func (k *me) note(*request, *protocol.Note) {}

// del implements verbs.
func (k *me) del(q *request, in *protocol.Del) {
	if in.What != "cred" {
		q.refuse(protocol.Denied)
		return
	}
	if in.Cred == nil {
		q.refuse(protocol.Malformed)
		return
	}
	rep, err := k.n.accounts.delCred(k.n.ctx, q.s.caller(q.who), in.Cred)
	q.answer(rep, err)
}
