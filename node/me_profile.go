package node

import (
	"bytes"
	"slices"
	"time"

	"parley/protocol"
	"parley/store"
)

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
	found := k.n.roster()
	for _, d := range list {
		found.add(d)
	}
	if len(list) == 0 {
		q.empty("sub")
		return
	}
	q.meta(&protocol.Meta{Sub: found.list})
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
	if k.mode.Has(protocol.Presence) != want.Has(protocol.Presence) {
		k.n.hide(k.user, !want.Has(protocol.Presence))
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
	var told []protocol.Node
	err := k.n.store.Update(func(tx store.Tx) error {
		u, err := tx.User(k.user)
		if err != nil {
			return err
		}
		old := *u
		public, any, err = mergeUser(u, q, in)
		if err != nil || !any {
			return err
		}
		if len(q.files) > 0 && public {
			if err := tx.SetLinks(store.RefUser(u.ID), q.files); err != nil {
				return err
			}
		}
		if err := tx.PutUser(u); err != nil || !newFace(&old, u) {
			return err
		}
		told, err = k.n.tellFace(tx, u)
		return err
	})
	switch {
	case err != nil:
		q.refuse(err)
		return
	case !any:
		q.unchanged("not modified")
		return
	}
	k.n.wakeNodes(told)
	q.ok(200, nil)
	k.n.broadcast(k.user, "", &protocol.Response{Pres: &protocol.Pres{Topic: "me", Src: "me", What: "upd"}}, q.s)
	if public {
		k.n.tellContacts(k.user, protocol.Pres{What: "upd"})
	}
}

// mergeUser applies {set desc} to a user and reports what has changed.
func mergeUser(u *store.User, q *request, in *protocol.SetDesc) (public, any bool, err error) {
	var private, trusted bool
	if u.Public, public, err = merge(u.Public, in.Public); err != nil {
		return false, false, err
	}
	if u.Private, private, err = merge(u.Private, in.Private); err != nil {
		return false, false, err
	}
	if q.s.who.Level == store.LevelRoot {
		if u.Trusted, trusted, err = merge(u.Trusted, in.Trusted); err != nil {
			return false, false, err
		}
	}
	old := u.Defacs
	if u.Defacs, err = changeDefacs(u.Defacs, in.Defacs); err != nil {
		return false, false, err
	}
	public = public || trusted
	any = public || private || u.Defacs != old
	if any {
		u.Updated = since(u.Updated, q.at)
	}
	return public, any, nil
}

// newFace reports whether other nodes see a difference.
func newFace(old, u *store.User) bool {
	return !bytes.Equal(old.Public, u.Public) || old.Defacs.Auth != u.Defacs.Auth
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
