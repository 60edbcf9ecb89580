package storetest

import (
	"fmt"
	"slices"

	"parley/protocol"
	"parley/store"
)

// look is what a store that holds the same must show, in the words of type look.
func (m *memory) look() map[string]any {
	seen := map[string]any{}
	for _, u := range someUsers {
		m.lookUser(seen, u)
	}
	for _, t := range someTopics {
		m.lookTopic(seen, t)
	}
	m.lookRest(seen)
	return seen
}

// found is v, or what type look says of ErrNotFound.
func found[T any](v T, ok bool) any {
	if !ok {
		return "not found"
	}
	return &v
}

func (m *memory) lookUser(seen map[string]any, u protocol.UserID) {
	user, ok := m.users[u]
	seen["user "+string(u)] = found(user, ok)
	seen["login of "+string(u)] = "not found"
	for name, owner := range m.logins {
		if owner == u {
			seen["login of "+string(u)] = &store.Login{Scheme: "basic", Name: name, User: u}
		}
	}
	var subs []*store.Sub
	for _, t := range inOrder(someTopics) {
		at, k := string(t)+" "+string(u), seat{t, u}
		sub, ok := m.subs[k]
		seen["sub "+at] = found(sub, ok)
		if ok {
			subs = append(subs, &sub)
		}
		seen["marks "+at] = m.marks[k]
		seen["hidden "+at] = m.hidden[k]
	}
	seen["subscriptions of "+string(u)] = subs
	var files []*store.File
	for _, id := range inOrder(someFiles) {
		if f := m.file(id); f.ID != "" && f.User == u {
			files = append(files, &f)
		}
	}
	seen["files of "+string(u)] = files
}

func (m *memory) lookTopic(seen map[string]any, t protocol.TopicID) {
	at := " " + string(t)
	topic, ok := m.topics[t]
	seen["topic"+at] = found(topic, ok)
	seen["head"+at] = m.head(t)
	var all, some []*store.Message
	here := func(k slot) bool { return k.t == t }
	for k, msg := range sorted(m.messages, here, func(a, b slot) int { return bySlot(b, a) }) {
		all = append(all, &msg)
		if 100 <= k.n && k.n < 200 {
			some = append(some, &msg)
		}
	}
	seen["history"+at], seen["part of history"+at] = all, some
	for _, msg := range all[:min(len(all), 20)] {
		seen[fmt.Sprint("named", at, msg.From, msg.Origin, msg.Tag)] = m.named(t, msg.From, msg.Origin, msg.Tag)
	}
	var ds []*store.Deletion
	for _, d := range sorted(m.log, here, bySlot) {
		if d.User == "" {
			ds = append(ds, &d)
		}
	}
	seen["deletions"+at] = ds
	var es []*store.Event
	for _, e := range sorted(m.events, func(k slot) bool { return k.t == t && k.n > 1 }, bySlot) {
		es = append(es, &e)
	}
	seen["events"+at] = es
	var subs []*store.Sub
	for _, u := range inOrder(someUsers) {
		if s, ok := m.subs[seat{t, u}]; ok {
			subs = append(subs, &s)
		}
	}
	seen["subscriptions to"+at] = subs
}

func (m *memory) lookRest(seen map[string]any) {
	for _, tag := range someTags {
		var ids []string
		for u, user := range m.users {
			if user.State == store.StateOK && slices.Contains(user.Tags, tag) {
				ids = append(ids, string(u))
			}
		}
		for t, topic := range m.topics {
			if slices.Contains(topic.Tags, tag) {
				ids = append(ids, string(t))
			}
		}
		seen["tagged "+tag] = inOrder(ids)
	}
	var unused []*store.File
	for _, id := range inOrder(someFiles) {
		f := m.file(id)
		seen["file "+id] = found(f, f.ID != "")
		if f.ID != "" && f.Uses == 0 {
			unused = append(unused, &f)
		}
	}
	seen["unused"] = unused
	var waiting []protocol.Node
	for _, n := range inOrder(someNodes) {
		here := func(p place) bool { return p.to == n }
		var posts []*store.Post
		for _, p := range sorted(m.posts, here, byPlace) {
			posts = append(posts, &p)
		}
		var vs []*store.Verdict
		for p, body := range sorted(m.verdicts, here, byPlace) {
			vs = append(vs, &store.Verdict{N: p.n, Body: []byte(body)})
		}
		seen["posts to "+string(n)], seen["verdicts on "+string(n)] = posts, vs
		q := m.queues[n]
		for _, p := range posts {
			q.Bytes += uint64(len(p.Body))
		}
		seen["queue to "+string(n)], seen["cursor of "+string(n)] = q, m.cursors[n]
		if q.Settled < q.Last {
			waiting = append(waiting, n)
		}
	}
	seen["waiting"] = waiting
}

func inOrder[T ~string](of []T) []T {
	out := slices.Clone(of)
	slices.Sort(out)
	return out
}
