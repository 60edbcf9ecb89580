package node

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"parley/protocol"
	"parley/store"
)

// maxFound bounds the results of a search, maxHits the candidates per term.
const (
	maxFound = 64
	maxHits  = 1024
)

// fnd is where a user looks for users and groups. The public query belongs to a
// session, the private one is kept with the user.
type fnd struct {
	t       *topic
	n       *Node
	user    protocol.UserID
	queries map[*session]string // attached sessions
}

func newFnd(t *topic) kind {
	_, user, _ := cutOwn(t.id)
	return &fnd{t: t, n: t.n, user: user, queries: map[*session]string{}}
}

// load implements kind.
func (k *fnd) load(tx store.Tx) error {
	_, err := tx.User(k.user)
	return err
}

// idle implements kind.
func (k *fnd) idle() bool { return len(k.queries) == 0 }

// gone implements kind.
func (k *fnd) gone(s *session) { delete(k.queries, s) }

// sub implements verbs.
func (k *fnd) sub(q *request, in *protocol.Sub) {
	if _, ok := k.queries[q.s]; ok {
		q.unchanged("already subscribed")
	} else {
		if q.s.attach(k.t) {
			k.queries[q.s] = ""
		}
		q.ok(200, nil)
	}
	if in.Set != nil {
		k.set(q, in.Set)
	}
	if in.Get != nil {
		k.get(q, in.Get)
	}
}

// leave implements verbs.
func (k *fnd) leave(q *request, in *protocol.Leave) {
	_, ok := k.queries[q.s]
	switch {
	case in.Unsub:
		q.refuse(protocol.Denied)
	case !ok:
		q.unchanged("not joined")
	default:
		delete(k.queries, q.s)
		q.s.detach(k.t)
		q.ok(200, nil)
	}
}

// pub implements verbs.
func (k *fnd) pub(q *request, _ *protocol.Pub) { q.refuse(protocol.Denied) }

// del implements verbs.
func (k *fnd) del(q *request, _ *protocol.Del) { q.refuse(protocol.Denied) }

// note implements verbs.
func (k *fnd) note(*request, *protocol.Note) {}

// set implements verbs: the query.
func (k *fnd) set(q *request, in *protocol.SetQuery) {
	_, attached := k.queries[q.s]
	switch {
	case in.Desc == nil:
		q.refuse(protocol.Unsupported)
		return
	case !attached:
		q.refuse(protocol.NotAttached)
		return
	}
	if len(in.Desc.Public) > 0 && string(in.Desc.Public) != "null" {
		k.queries[q.s] = queryText(in.Desc.Public)
	}
	if len(in.Desc.Private) > 0 && string(in.Desc.Private) != "null" {
		text := queryText(in.Desc.Private)
		err := k.n.store.Update(func(tx store.Tx) error {
			u, err := tx.User(k.user)
			if err != nil {
				return err
			}
			u.Query = nil
			if text != "" {
				u.Query, _ = json.Marshal(text) // a string always marshals
			}
			return tx.PutUser(u)
		})
		if err != nil {
			q.refuse(err)
			return
		}
		k.n.broadcast(k.user, k.t.id, &protocol.Response{Pres: &protocol.Pres{Topic: "me", Src: "fnd", What: "upd"}}, q.s)
	}
	q.ok(200, nil)
}

// queryText is the query in a JSON value; what is no string looks for nothing.
func queryText(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil || s == protocol.Clear {
		return ""
	}
	return s
}

// get implements verbs.
func (k *fnd) get(q *request, in *protocol.GetQuery) {
	what := whats(in)
	known := false
	part := func(name string, answer func()) {
		if what[name] {
			known = true
			answer()
		}
	}
	part("desc", func() { k.getDesc(q) })
	part("sub", func() { k.search(q, in.Sub) })
	part("tags", func() { k.whoBears(q) })
	part("cred", func() { q.refuse(protocol.Unsupported) })
	part("aux", func() { q.empty("aux") })
	part("data", func() { q.refuse(protocol.Denied) })
	part("del", func() { q.refuse(protocol.Denied) })
	if !known {
		q.refuse(protocol.Malformed)
	}
}

func (k *fnd) getDesc(q *request) {
	var u *store.User
	err := k.n.store.View(func(tx store.Tx) (err error) {
		u, err = tx.User(k.user)
		return err
	})
	if err != nil {
		q.refuse(err)
		return
	}
	d := &protocol.Desc{Created: protocol.Ptr(u.Created), Updated: protocol.Ptr(u.Updated), Private: u.Query,
		Defacs: wireDefacs(store.Defacs{}), Acs: protocol.NewAcs(protocol.ModeMe, protocol.ModeMe)}
	if text := k.queries[q.s]; text != "" {
		d.Public, _ = json.Marshal(text)
	}
	q.meta(&protocol.Meta{Desc: d})
}

// whoBears answers {get tags}: the ids of those who bear the one tag that was asked
// for. This is how clients learn whether an alias is free.
func (k *fnd) whoBears(q *request) {
	tag := strings.ToLower(k.queries[q.s])
	var ids []string
	err := k.n.store.View(func(tx store.Tx) error {
		ids = nil
		if !strings.HasPrefix(tag, aliasPrefix+":") || strings.ContainsAny(tag, " ,") {
			return nil
		}
		for id, err := range tx.Tagged(tag) {
			if err != nil {
				return err
			}
			ids = append(ids, id)
		}
		return nil
	})
	switch {
	case err != nil:
		q.refuse(err)
	case len(ids) == 0:
		q.empty("tags")
	default:
		q.meta(&protocol.Meta{Tags: ids})
	}
}

// search answers {get sub}: whom the query finds, the best match first.
func (k *fnd) search(q *request, opts *protocol.GetOpts) {
	if text := k.queries[q.s]; text == "" || !k.searchAbroad(q, text, opts) {
		k.answer(q, text, opts, nil, nil)
	}
}

// answer gives what a public query finds here, or if there is none, the private one,
// and what was found on another node. If nothing is, and another node could not be
// asked, that is the answer: away. It may run beside the topic.
func (k *fnd) answer(q *request, text string, opts *protocol.GetOpts, abroad *protocol.SubDesc, away error) {
	public := text != ""
	var found *roster
	err := k.n.store.View(func(tx store.Tx) error {
		found = k.n.roster()
		if !public {
			u, err := tx.User(k.user)
			if err != nil {
				return err
			}
			text = queryText(u.Query)
		}
		if text == "" {
			return nil
		}
		all, some := k.n.accounts.terms(text, q.s.profile.Load().lang, public)
		hits, err := k.match(tx, all, some)
		if err != nil {
			return err
		}
		return k.present(tx, q, hits, opts, found)
	})
	if abroad != nil {
		found.add(*abroad)
	}
	switch {
	case err != nil:
		q.refuse(err)
	case len(found.list) == 0 && away != nil:
		q.refuse(away)
	case len(found.list) == 0:
		q.empty("sub")
	default:
		q.meta(&protocol.Meta{Sub: found.list})
	}
}

// hit is a candidate and the terms that it matches.
type hit struct {
	id    string
	terms []string
}

// match finds who bears one tag of each alternative in all and, if there are any, one
// of some.
func (k *fnd) match(tx store.Tx, all [][]string, some []string) ([]hit, error) {
	groups := all
	if len(some) > 0 {
		groups = append(slices.Clone(all), some)
	}
	matched := map[string][]string{}
	for i, tags := range groups {
		round := map[string][]string{}
		for _, tag := range tags {
			n := 0
			for id, err := range tx.Tagged(tag) {
				if err != nil {
					return nil, err
				}
				if before, ok := matched[id]; (i == 0 || ok) && id != string(k.user) {
					if round[id] == nil {
						round[id] = slices.Clone(before)
					}
					round[id] = append(round[id], tag)
				}
				if n++; n == maxHits {
					break
				}
			}
		}
		matched = round
	}
	hits := make([]hit, 0, len(matched))
	for id, terms := range matched {
		hits = append(hits, hit{id, terms})
	}
	slices.SortFunc(hits, func(a, b hit) int {
		if d := len(b.terms) - len(a.terms); d != 0 {
			return d
		}
		if a.id < b.id {
			return -1
		}
		return 1
	})
	return hits[:min(len(hits), maxFound)], nil
}

// present makes the lines that a client shows.
func (k *fnd) present(tx store.Tx, q *request, hits []hit, opts *protocol.GetOpts, answer *roster) error {
	for _, h := range hits {
		d, updated, err := k.found(tx, q, h.id)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		d.Updated = protocol.Ptr(updated)
		if !modifiedSince(opts, updated) {
			d.Public, d.Trusted = nil, nil
		}
		d.Private = jsonStrings(h.terms)
		answer.add(d)
	}
	return nil
}

func (k *fnd) found(tx store.Tx, q *request, id string) (d protocol.SubDesc, updated time.Time, err error) {
	if protocol.TopicID(id).Kind() != protocol.KindGroup {
		u, err := tx.User(protocol.UserID(id))
		if err != nil {
			return d, updated, err
		}
		return protocol.SubDesc{Topic: id, Public: u.Public, Trusted: u.Trusted,
			Acs: &protocol.Acs{Mode: u.Defacs.For(q.who.Level).String()}}, u.Updated, nil
	}
	rec, err := tx.Topic(protocol.TopicID(id))
	if err != nil {
		return d, updated, err
	}
	head, err := tx.Head(rec.ID)
	if err != nil {
		return d, updated, err
	}
	d = protocol.SubDesc{Topic: id, Public: rec.Public, Trusted: rec.Trusted, IsChan: rec.Channel, SubCount: head.Subs,
		Acs: &protocol.Acs{Mode: rec.Defacs.For(q.who.Level).String()}}
	if rec.Channel {
		d.Topic = rec.ID.ChannelName()
		d.Acs.Mode = protocol.ModeChanReader.String()
	}
	return d, rec.Updated, nil
}
