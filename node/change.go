package node

import (
	"bytes"
	"encoding/json"
	"strings"

	"parley/protocol"
	"parley/store"
)

// set implements verbs: one answer for each part.
func (r *room) set(q *request, in *protocol.SetQuery) {
	if in.Desc == nil && in.Sub == nil && in.Tags == nil && in.Cred == nil && in.Aux == nil {
		q.refuse(protocol.Malformed)
		return
	}
	a := r.at(q)
	part := func(set bool, do func() error) {
		if !set {
			return
		}
		if err := do(); err != nil {
			q.refuse(err)
		}
	}
	part(in.Desc != nil, func() error { return r.setDesc(q, in.Desc) })
	part(in.Sub != nil, func() error { return r.setSub(q, in.Sub) })
	part(in.Tags != nil, func() error { return r.setTags(q, a, in.Tags) })
	part(in.Cred != nil, func() error { return protocol.Unsupported })
	part(in.Aux != nil, func() error { return r.setAux(q, a, in.Aux) })
}

// setDesc changes the member's private part and, for the owner, the topic.
func (r *room) setDesc(q *request, in *protocol.SetDesc) error {
	m := r.member(q.who.User)
	if m == nil {
		return protocol.NotFound
	}
	root := q.s.who.Level == store.LevelRoot
	rec, changed, err := r.changedTopic(q, m, in, root)
	if err != nil {
		return err
	}
	private, privately, err := merge(m.sub.Private, in.Private)
	if err != nil {
		return err
	}
	if !changed && !privately {
		q.unchanged("not modified")
		return nil
	}
	sub := m.sub
	if privately {
		sub.Private, sub.Updated = private, q.at
	}
	err = r.update(func(tx store.Tx) error {
		if privately {
			if err := tx.PutSub(&sub); err != nil {
				return err
			}
		}
		if !changed {
			return nil
		}
		return r.putTopic(tx, q, rec)
	})
	if err != nil {
		return err
	}
	m.sub = sub
	q.ok(200, nil)
	upd := func(u protocol.UserID, name string) {
		r.n.broadcast(u, "", &protocol.Response{Pres: &protocol.Pres{Topic: "me", Src: name, What: "upd"}}, q.s)
	}
	if changed {
		r.rec = rec
		for u, other := range r.members {
			if other.live() && !other.away() && other.mode().Has(protocol.Join) {
				upd(u, r.policy.name(u, other.sub.Reader))
			}
		}
	} else {
		upd(q.who.User, q.name)
	}
	return nil
}

// changedTopic is the topic's description after {set desc}; it must be attached to
// and owned by the requester, but for trusted, which only root sets.
func (r *room) changedTopic(q *request, m *member, in *protocol.SetDesc, root bool) (*store.Topic, bool, error) {
	rec := *r.rec
	owner := r.t.id.Kind() == protocol.KindGroup && m.mode().Has(protocol.Owner)
	if (len(in.Public) > 0 || in.Defacs != nil) && !(owner && r.at(q) != nil) {
		if r.t.id.Kind() == protocol.KindSelf {
			return &rec, false, nil
		}
		return nil, false, protocol.Denied
	}
	if d := in.Defacs; d != nil && strings.ContainsAny(d.Auth+d.Anon, "Oo") {
		return nil, false, protocol.Malformed
	}
	var err error
	var public, trusted bool
	if rec.Public, public, err = merge(rec.Public, in.Public); err != nil {
		return nil, false, err
	}
	if root {
		if rec.Trusted, trusted, err = merge(rec.Trusted, in.Trusted); err != nil {
			return nil, false, err
		}
	}
	if rec.Defacs, err = changeDefacs(rec.Defacs, in.Defacs); err != nil {
		return nil, false, err
	}
	changed := public || trusted || rec.Defacs != r.rec.Defacs
	if changed {
		rec.Updated = q.at
	}
	return &rec, changed, nil
}

// changeDefacs applies a change of default access; ownership cannot be had by default.
func changeDefacs(d store.Defacs, in *protocol.Defacs) (store.Defacs, error) {
	if in == nil {
		return d, nil
	}
	auth, err := d.Auth.Change(in.Auth)
	if err != nil {
		return d, protocol.Malformed
	}
	anon, err := d.Anon.Change(in.Anon)
	if err != nil {
		return d, protocol.Malformed
	}
	return store.Defacs{Auth: auth &^ protocol.Owner, Anon: anon &^ protocol.Owner}, nil
}

func (r *room) putTopic(tx store.Tx, q *request, rec *store.Topic) error {
	if err := tx.PutTopic(rec); err != nil {
		return err
	}
	if len(q.files) > 0 {
		if err := tx.SetLinks(store.RefTopic(rec.ID), q.files); err != nil {
			return err
		}
	}
	return r.log(tx, q, eventDesc, descEvent{Public: rec.Public, Trusted: rec.Trusted, Defacs: rec.Defacs})
}

// setTags replaces the tags by which a group is found.
func (r *room) setTags(q *request, a *attachment, tags []string) error {
	switch {
	case r.t.id.Kind() != protocol.KindGroup:
		return protocol.Unsupported
	case a == nil:
		return protocol.NotAttached
	case !a.m.mode().Has(protocol.Owner):
		return protocol.Denied
	}
	tags, err := r.n.accounts.groupTags(r.rec.Tags, tags)
	if err != nil {
		return err
	}
	added, removed := tagChange(r.rec.Tags, tags)
	if added+removed == 0 {
		q.unchanged("not modified")
		return nil
	}
	rec := *r.rec
	rec.Tags = tags
	err = r.update(func(tx store.Tx) error {
		if err := aliasFree(tx, tags, string(r.t.id)); err != nil {
			return err
		}
		if err := tx.PutTopic(&rec); err != nil {
			return err
		}
		return r.log(tx, q, eventTags, tagsEvent{tags})
	})
	if err != nil {
		return err
	}
	r.rec = &rec
	q.ok(200, tagParams(added, removed))
	return nil
}

func tagParams(added, removed int) map[string]any {
	p := map[string]any{}
	if added > 0 {
		p["added"] = added
	}
	if removed > 0 {
		p["removed"] = removed
	}
	return p
}

// setAux changes what the room's managers keep for all, such as pins.
func (r *room) setAux(q *request, a *attachment, in map[string]json.RawMessage) error {
	switch {
	case a == nil:
		return protocol.NotAttached
	case !a.m.mode().Has(protocol.Approve) && !a.m.mode().Has(protocol.Owner):
		return protocol.Denied
	}
	change, err := json.Marshal(in)
	if err != nil {
		return protocol.Malformed
	}
	aux, changed, err := merge(r.rec.Aux, change)
	switch {
	case err != nil:
		return err
	case !changed || bytes.Equal(aux, r.rec.Aux):
		q.ok(200, nil)
		return nil
	}
	if err := r.putAux(q, aux); err != nil {
		return err
	}
	q.ok(200, nil)
	r.announceAux(q)
	return nil
}

// putAux stores what is kept for all.
func (r *room) putAux(q *request, aux []byte) error {
	rec := *r.rec
	rec.Aux = aux
	err := r.update(func(tx store.Tx) error {
		if err := tx.PutTopic(&rec); err != nil {
			return err
		}
		if err := r.tellAux(tx, q, aux); err != nil {
			return err
		}
		return r.log(tx, q, eventAux, auxEvent{aux})
	})
	if err == nil {
		r.rec = &rec
	}
	return err
}

func (r *room) announceAux(q *request) {
	r.fan(func(*attachment) bool { return true }, q.s, func(name string, _ bool) *protocol.Response {
		return &protocol.Response{Pres: &protocol.Pres{Topic: name, What: "aux"}}
	})
}
