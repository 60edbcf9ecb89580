package node

import (
	"errors"
	"slices"
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
		k.left = time.Now()
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

// get implements verbs.
func (k *me) get(q *request, in *protocol.GetQuery) {
	what := whats(in)
	known := false
	part := func(name string, answer func()) {
		if what[name] {
			known = true
			answer()
		}
	}
	part("desc", func() { k.getDesc(q, in.Desc) })
	part("sub", func() { k.getSub(q, in.Sub) })
	part("tags", func() { k.getTags(q) })
	part("cred", func() { k.getCred(q) })
	part("data", func() { q.refuse(protocol.Denied) })
	part("del", func() { q.refuse(protocol.Denied) })
	part("aux", func() { q.empty("aux") })
	if !known {
		q.refuse(protocol.Malformed)
	}
}

// account reads the user.
func (k *me) account() (u *store.User, err error) {
	err = k.n.store.View(func(tx store.Tx) (err error) {
		u, err = tx.User(k.user)
		return err
	})
	return u, err
}

func (k *me) getDesc(q *request, opts *protocol.GetOpts) {
	u, err := k.account()
	if err != nil {
		q.refuse(err)
		return
	}
	d := &protocol.Desc{
		Created: protocol.Ptr(u.Created),
		Updated: protocol.Ptr(u.Updated),
		Touched: protocol.Ptr(u.Updated),
		Defacs:  wireDefacs(u.Defacs),
		Acs:     protocol.NewAcs(k.mode, protocol.ModeMe),
	}
	if q.s.who.Level == store.LevelRoot {
		d.Status = u.State.String()
	}
	if modifiedSince(opts, u.Updated) {
		d.Public, d.Trusted, d.Private = u.Public, u.Trusted, u.Private
	}
	q.meta(&protocol.Meta{Desc: d})
}

func (k *me) getTags(q *request) {
	u, err := k.account()
	switch {
	case err != nil:
		q.refuse(err)
	case len(u.Tags) == 0:
		q.empty("tags")
	default:
		q.meta(&protocol.Meta{Tags: u.Tags})
	}
}

func (k *me) getCred(q *request) {
	var list []protocol.Credential
	err := k.n.store.View(func(tx store.Tx) (err error) {
		list, err = k.n.accounts.creds(tx, k.user)
		return err
	})
	switch {
	case err != nil:
		q.refuse(err)
	case len(list) == 0:
		q.empty("creds")
	default:
		q.meta(&protocol.Meta{Cred: list})
	}
}

// getSub answers {get sub}: the topics that the user is subscribed to, the latest
// first. With ims, what has not changed comes without its face.
func (k *me) getSub(q *request, opts *protocol.GetOpts) {
	var list []protocol.SubDesc
	err := k.n.store.View(func(tx store.Tx) error {
		list = list[:0]
		for s, err := range tx.SubsOf(k.user) {
			if err != nil {
				return err
			}
			if s.Topic == k.t.id {
				continue
			}
			d, err := k.n.subscription(tx, s, opts)
			if err != nil {
				return err
			}
			if d != nil && (opts == nil || opts.Topic == "" || sameTopic(opts.Topic, d.Topic, k.n.name)) {
				list = append(list, *d)
			}
		}
		return nil
	})
	if err != nil {
		q.refuse(err)
		return
	}
	slices.SortStableFunc(list, func(a, b protocol.SubDesc) int { return touched(b).Compare(touched(a)) })
	if opts != nil && opts.Limit > 0 && len(list) > opts.Limit {
		list = list[:opts.Limit]
	}
	if len(list) == 0 {
		q.empty("sub")
		return
	}
	q.meta(&protocol.Meta{Sub: list})
}

func touched(d protocol.SubDesc) time.Time {
	if d.Touched == nil {
		return time.Time{}
	}
	return d.Touched.Time
}

// sameTopic reports whether a client's name of a topic, perhaps bare, is name.
func sameTopic(asked, name string, home protocol.Node) bool {
	return asked == name || asked+"@"+string(home) == name
}

// set implements verbs.
func (k *me) set(q *request, in *protocol.SetQuery) {
	if in.Desc == nil && in.Sub == nil && in.Tags == nil && in.Cred == nil && in.Aux == nil {
		q.refuse(protocol.Malformed)
		return
	}
	if in.Desc != nil {
		k.setDesc(q, in.Desc)
	}
	if in.Sub != nil {
		if err := k.setMode(q, in.Sub); err != nil {
			q.refuse(err)
		}
	}
	if in.Tags != nil {
		k.setTags(q, in.Tags)
	}
	if in.Cred != nil {
		rep, err := k.n.accounts.setCred(k.n.ctx, q.s.caller(q.who), in.Cred)
		q.answer(rep, err)
	}
	if in.Aux != nil {
		q.refuse(protocol.Unsupported)
	}
}

// setMode changes the own mode of me: without P the user is offline to all.
func (k *me) setMode(q *request, in *protocol.SetSub) error {
	if in.User != "" && in.User != string(k.user) {
		return protocol.Denied
	}
	want, err := k.mode.Change(in.Mode)
	if err != nil {
		return protocol.Malformed
	}
	want = want&protocol.ModeMe | protocol.Join
	if want == k.mode {
		q.unchanged("not modified")
		return nil
	}
	sub := newSub(k.t.id, k.user, want, protocol.ModeMe, q.at)
	if err := k.n.store.Update(func(tx store.Tx) error { return tx.PutSub(&sub) }); err != nil {
		return err
	}
	k.mode = want
	h := k.n.hub(k.user)
	if h != nil {
		h.silent.Store(!want.Has(protocol.Presence))
	}
	q.ok(200, map[string]any{"acs": protocol.NewAcs(want, protocol.ModeMe)})
	switch {
	case k.online && !want.Has(protocol.Presence):
		k.left = q.at
		k.depart()
	case !k.online && want.Has(protocol.Presence):
		for s, v := range k.attached {
			if !v.background {
				k.arrive(s)
				break
			}
		}
	}
	return nil
}

func (k *me) setDesc(q *request, in *protocol.SetDesc) {
	var public, any bool
	err := k.n.store.Update(func(tx store.Tx) error {
		u, err := tx.User(k.user)
		if err != nil {
			return err
		}
		public, any, err = mergeUser(u, q, in)
		if err != nil || !any {
			return err
		}
		if len(q.files) > 0 && public {
			if err := tx.SetLinks(store.RefUser(u.ID), q.files); err != nil {
				return err
			}
		}
		return tx.PutUser(u)
	})
	switch {
	case err != nil:
		q.refuse(err)
		return
	case !any:
		q.unchanged("not modified")
		return
	}
	q.ok(200, nil)
	k.n.broadcast(k.user, "", &protocol.Response{Pres: &protocol.Pres{Topic: "me", Src: "me", What: "upd"}}, q.s)
	if public {
		k.n.tellContacts(k.user, protocol.Pres{What: "upd"})
	}
}

// mergeUser applies {set desc} to a user and reports what has changed.
func mergeUser(u *store.User, q *request, in *protocol.SetDesc) (public, any bool, err error) {
	var private, trusted bool
	if u.Public, public, err = protocol.MergeJSON(u.Public, in.Public); err != nil {
		return false, false, protocol.Malformed
	}
	if u.Private, private, err = protocol.MergeJSON(u.Private, in.Private); err != nil {
		return false, false, protocol.Malformed
	}
	if q.s.who.Level == store.LevelRoot {
		if u.Trusted, trusted, err = protocol.MergeJSON(u.Trusted, in.Trusted); err != nil {
			return false, false, protocol.Malformed
		}
	}
	old := u.Defacs
	if u.Defacs, err = changeDefacs(u.Defacs, in.Defacs); err != nil {
		return false, false, err
	}
	public = public || trusted
	if public || private {
		u.Updated = q.at
	}
	return public, public || private || u.Defacs != old, nil
}

func (k *me) setTags(q *request, tags []string) {
	var added, removed int
	err := k.n.store.Update(func(tx store.Tx) error {
		u, err := tx.User(k.user)
		if err != nil {
			return err
		}
		next, err := k.n.accounts.userTags(u.Tags, tags)
		if err != nil {
			return err
		}
		if err := aliasFree(tx, next, string(u.ID)); err != nil {
			return err
		}
		added, removed = tagChange(u.Tags, next)
		u.Tags = next
		return tx.PutUser(u)
	})
	switch {
	case err != nil:
		q.refuse(err)
	case added+removed == 0:
		q.unchanged("not modified")
	default:
		q.ok(200, tagParams(added, removed))
		k.n.broadcast(k.user, "", &protocol.Response{Pres: &protocol.Pres{Topic: "me", Src: "me", What: "tags"}}, q.s)
	}
}
