package node

import (
	"encoding/json"
	"errors"
	"time"

	"parley/protocol"
	"parley/store"
)

// get implements verbs: one answer for each part asked for.
func (r *room) get(q *request, in *protocol.GetQuery) {
	what := whats(in)
	a := r.at(q)
	if a == nil {
		r.getDetached(q, in, what)
		return
	}
	known := false
	part := func(name string, answer func()) {
		if what[name] {
			known = true
			answer()
		}
	}
	part("desc", func() { r.getDesc(q, a.m, in.Desc) })
	part("sub", func() { r.getSub(q, a, in.Sub) })
	part("tags", func() { r.getTags(q, a) })
	part("cred", func() { q.refuse(protocol.Unsupported) })
	part("aux", func() { r.getAux(q, a) })
	part("data", func() { r.getData(q, a, in.Data) })
	part("del", func() { r.getDel(q, a, in.Del) })
	if !known {
		q.refuse(protocol.Malformed)
	}
}

// getDetached answers what may be known of a room without attaching to it.
func (r *room) getDetached(q *request, in *protocol.GetQuery, what map[string]bool) {
	m := r.member(q.who.User)
	known := false
	if what["desc"] {
		known = true
		r.getCard(q, m, in.Desc)
	}
	if what["sub"] {
		known = true
		if m == nil {
			q.refuse(protocol.NotFound)
		} else {
			q.meta(&protocol.Meta{Sub: []protocol.SubDesc{{Updated: protocol.Ptr(m.sub.Updated), User: string(m.sub.User),
				Acs: protocol.NewAcs(m.sub.Want, m.sub.Given), Private: m.sub.Private}}})
		}
	}
	if !refuseClosed(q, what) && !known {
		q.refuse(protocol.Malformed)
	}
}

// refuseClosed answers for the parts of a room that need attaching to it, and reports
// whether any was asked for.
func refuseClosed(q *request, what map[string]bool) (any bool) {
	for _, w := range []string{"tags", "aux", "data", "del"} {
		if what[w] {
			any = true
			q.refuse(protocol.Denied)
		}
	}
	if what["cred"] {
		any = true
		q.refuse(protocol.Unsupported)
	}
	return any
}

// getCard answers {get desc} of a session that is not attached: the public face, and
// the access that the requester has or would have.
func (r *room) getCard(q *request, m *member, opts *protocol.GetOpts) {
	var c card
	err := r.n.store.View(func(tx store.Tx) (err error) {
		c, err = r.policy.card(tx, q.who.User)
		return err
	})
	if err == nil && m == nil && c.gone {
		err = protocol.NotFound
	}
	if err != nil {
		q.refuse(err)
		return
	}
	d := &protocol.Desc{Updated: protocol.Ptr(c.updated), Acs: &protocol.Acs{Mode: r.policy.offers(q.who).String()}}
	if m != nil {
		d.Acs = protocol.NewAcs(m.sub.Want, m.sub.Given)
		d.Private = m.sub.Private
	}
	if r.rec != nil {
		d.Created = protocol.Ptr(r.rec.Created)
		d.IsChan = r.rec.Channel
		if r.t.id.Kind() == protocol.KindGroup {
			d.SubCount = r.subCount()
		}
	} else {
		d.Created = protocol.Ptr(c.created)
	}
	if modifiedSince(opts, c.updated) {
		d.Public, d.Trusted = c.public, c.trusted
	}
	q.meta(&protocol.Meta{Desc: d})
}

// modifiedSince reports whether t is news to a client that has what was before opts.
func modifiedSince(opts *protocol.GetOpts, t time.Time) bool {
	return opts == nil || opts.IfModifiedSince == nil || t.Truncate(time.Millisecond).After(opts.IfModifiedSince.Time)
}

// getDesc answers {get desc} of an attached session.
func (r *room) getDesc(q *request, m *member, opts *protocol.GetOpts) {
	var c card
	err := r.n.store.View(func(tx store.Tx) (err error) {
		c, err = r.policy.card(tx, q.who.User)
		return err
	})
	if err != nil {
		q.refuse(err)
		return
	}
	mode := m.mode()
	group := r.t.id.Kind() == protocol.KindGroup
	d := &protocol.Desc{
		Created: protocol.Ptr(r.rec.Created),
		Updated: protocol.Ptr(latest(r.rec.Updated, c.updated, m.sub.Updated)),
		Touched: protocol.Ptr(latest(r.head.Touched, r.rec.Created)),
		Acs:     protocol.NewAcs(m.sub.Want, m.sub.Given),
		IsChan:  r.rec.Channel,
		Online:  group,
	}
	if mode.Has(protocol.Read) {
		d.Seq, d.Clear = r.head.Seq, r.cleared(m)
	}
	if !m.sub.Reader {
		d.Read, d.Recv = m.marks.Read, m.marks.Recv
		if mode.Has(protocol.Share) && r.t.id.Kind() != protocol.KindP2P {
			d.Defacs = wireDefacs(r.rec.Defacs)
		}
	}
	if group {
		d.SubCount = r.subCount()
	}
	if modifiedSince(opts, d.Updated.Time) {
		d.Private = m.sub.Private
		if mode.Has(protocol.Read) {
			d.Public, d.Trusted = c.public, c.trusted
		}
	}
	q.meta(&protocol.Meta{Desc: d})
}

func wireDefacs(d store.Defacs) *protocol.Defacs {
	return &protocol.Defacs{Auth: d.Auth.String(), Anon: d.Anon.String()}
}

func latest(ts ...time.Time) time.Time {
	var l time.Time
	for _, t := range ts {
		if t.After(l) {
			l = t
		}
	}
	return l
}

// subCount is how many are subscribed and may come.
func (r *room) subCount() int {
	n := 0
	for _, m := range r.members {
		if m.live() && m.sub.Given.Has(protocol.Join) {
			n++
		}
	}
	return n
}

// getSub answers {get sub}: who is subscribed. A channel's reader sees oneself only.
func (r *room) getSub(q *request, a *attachment, opts *protocol.GetOpts) {
	var only protocol.UserID
	if opts != nil && opts.User != "" {
		u, err := protocol.ParseUserID(opts.User, r.n.name)
		if err != nil {
			q.refuse(protocol.Malformed)
			return
		}
		only = u
	}
	var found *roster
	err := r.n.store.View(func(tx store.Tx) error {
		found = r.n.roster()
		for _, m := range r.sortedMembers() {
			own := m == a.m
			if gone := r.goneSince(m, opts); gone != nil && !a.reader && only == "" {
				found.add(*gone)
				continue
			}
			if !m.live() || (only != "" && only != m.sub.User) || !own && (a.reader || m.sub.Reader) {
				continue
			}
			d, err := r.subDesc(tx, m, own, opts)
			d.Online = d.Online && (own || a.m.mode().Has(protocol.Presence))
			if err != nil {
				return err
			}
			found.add(d)
			if found.full(opts) {
				break
			}
		}
		return nil
	})
	switch {
	case err != nil:
		q.refuse(err)
	case len(found.list) == 0:
		q.empty("sub")
	default:
		q.meta(&protocol.Meta{Sub: found.list})
	}
}

// goneSince is the line of a member who has left since a client last asked, nil for
// others.
func (r *room) goneSince(m *member, opts *protocol.GetOpts) *protocol.SubDesc {
	if m.live() || m.sub.Reader || opts == nil || opts.IfModifiedSince == nil || !modifiedSince(opts, m.sub.Ended) {
		return nil
	}
	return &protocol.SubDesc{User: string(m.sub.User), Deleted: protocol.Ptr(m.sub.Ended), Acs: &protocol.Acs{}}
}

// subDesc is one line of the list of subscribers. In a conversation of two, the
// description has the other's face already.
func (r *room) subDesc(tx store.Tx, m *member, own bool, opts *protocol.GetOpts) (protocol.SubDesc, error) {
	d := protocol.SubDesc{
		Updated: protocol.Ptr(m.sub.Updated),
		Acs:     protocol.NewAcs(m.sub.Want, m.sub.Given),
		User:    string(m.sub.User),
		Read:    m.marks.Read,
		Recv:    m.marks.Recv,
	}
	updated := m.sub.Updated
	if r.t.id.Kind() == protocol.KindGroup {
		d.Online = m.seen || own
		u, err := tx.User(m.sub.User)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return d, err
		}
		if err == nil && u.State == store.StateOK && modifiedSince(opts, latest(u.Updated, m.sub.Updated)) {
			d.Public, d.Trusted = u.Public, u.Trusted
		}
	}
	if own && modifiedSince(opts, updated) {
		d.Private = m.sub.Private
	}
	return d, nil
}

func (r *room) getTags(q *request, a *attachment) {
	switch {
	case r.t.id.Kind() != protocol.KindGroup:
		q.refuse(protocol.Unsupported)
	case !a.m.mode().Has(protocol.Owner):
		q.refuse(protocol.Denied)
	case len(r.rec.Tags) == 0:
		q.empty("tags")
	default:
		q.meta(&protocol.Meta{Tags: r.rec.Tags})
	}
}

func (r *room) getAux(q *request, a *attachment) {
	if !a.m.mode().Has(protocol.Read) {
		q.refuse(protocol.Denied)
		return
	}
	var aux map[string]json.RawMessage
	if len(r.rec.Aux) > 0 {
		if err := json.Unmarshal(r.rec.Aux, &aux); err != nil {
			q.refuse(err)
			return
		}
	}
	if len(aux) == 0 {
		q.empty("aux")
		return
	}
	q.meta(&protocol.Meta{Aux: aux})
}
