package bolt

import (
	"bytes"
	"math"
	"slices"
	"strings"

	"parley/protocol"
	"parley/store"
)

// split cuts a key at its first n-1 NULs.
func split(k []byte, n int) []string { return strings.SplitN(string(k), "\x00", n) }

// topics verifies heads with what they count.
func (c *checker) topics() {
	for k, v := range all(c.x.bucket(bktHeads), nil) {
		t := protocol.TopicID(k)
		h, err := decodeHead(v)
		if c.ok(err, "head of "+string(t)) {
			c.members(t, h)
			gone := c.deletions(t, h)
			if replica(t, c.home) { // has what has come of it so far
				continue
			}
			c.messages(t, h, gone)
			c.events(t, h)
		}
	}
	for _, bucket := range [][]byte{bktMessages, bktDels, bktEvents} {
		last := ""
		for k := range all(c.x.bucket(bucket), nil) {
			if t := split(k, 2)[0]; t != last {
				c.want(bktHeads, []byte(t), string(bucket)+" of a topic")
				last = t
			}
		}
	}
}

func (c *checker) marks() {
	for k, v := range all(c.x.bucket(bktMarks), nil) {
		_, err := decodeMarks(v)
		c.ok(err, "marks "+string(k))
	}
}

// members verifies the count of subscribers of a group.
func (c *checker) members(t protocol.TopicID, h store.Head) {
	if t.Kind() != protocol.KindGroup {
		return
	}
	n := 0
	for s, err := range c.x.SubsTo(t) {
		if !c.ok(err, "subscriptions to "+string(t)) {
			return
		}
		n += counts(s)
	}
	if n != h.Subs {
		c.fault("%s has %d subscribers, not %d", t, n, h.Subs)
	}
}

// deletions verifies their numbers, and returns what is deleted for all.
func (c *checker) deletions(t protocol.TopicID, h store.Head) (gone protocol.Ranges) {
	for d, err := range c.x.deletions(t, 0, math.MaxInt) {
		if !c.ok(err, "deletions in "+string(t)) {
			break
		}
		if d.ID < 1 || d.ID > h.Del {
			c.fault("deletion %d in %s, the last is %d", d.ID, t, h.Del)
		}
		if d.User == "" {
			gone = gone.Union(d.Ranges)
		}
	}
	return gone
}

// messages verifies that every seq is either there or deleted for all.
func (c *checker) messages(t protocol.TopicID, h store.Head, gone protocol.Ranges) {
	want := h.Seq
	for m, err := range c.x.History(t, 0, math.MaxInt) {
		if !c.ok(err, "messages in "+string(t)) {
			return
		}
		want = skip(gone, want, m.Seq)
		if m.Seq != want {
			c.fault("%s has message %d where %d is expected", t, m.Seq, want)
			return
		}
		want--
		if m.Origin != m.Seq {
			c.want(bktNames, nameKey(t, m.From, m.Origin, m.Tag), "name of a message")
		}
	}
	if want = skip(gone, want, 0); want > 0 {
		c.fault("%s lacks message %d", t, want)
	}
}

// skip goes down from n, above low, past numbers that are gone.
func skip(gone protocol.Ranges, n, low int) int {
	for i := len(gone) - 1; i >= 0 && n > low; i-- {
		if gone[i].Low <= n && n < gone[i].Hi {
			n = max(low, gone[i].Low-1)
		}
	}
	return n
}

// events verifies that the log has no gaps.
func (c *checker) events(t protocol.TopicID, h store.Head) {
	rev := uint64(0)
	for e, err := range c.x.EventsAfter(t, 0) {
		if !c.ok(err, "events in "+string(t)) {
			return
		}
		if rev++; e.Rev != rev {
			c.fault("%s has event %d where %d is expected", t, e.Rev, rev)
			return
		}
	}
	if rev != h.Rev {
		c.fault("%s has %d events, not %d", t, rev, h.Rev)
	}
}

// names verifies that names lead to their messages.
func (c *checker) names() {
	for k, v := range all(c.x.bucket(bktNames), nil) {
		parts := split(k[:max(len(k)-nameEnd, 0)], 2)
		if len(parts) != 2 || len(v) != 8 {
			c.fault("name %q of a message", k)
			continue
		}
		m, err := c.x.Message(protocol.TopicID(parts[0]), int(number(v)))
		if err != nil || !bytes.Equal(k, nameKey(protocol.TopicID(parts[0]), m.From, m.Origin, m.Tag)) {
			c.fault("name %q leads to message %d, which is another", k, number(v))
		}
	}
}

// hidden verifies that what a user has deleted is what the log says.
func (c *checker) hidden() {
	topic, logged := "", map[string]protocol.Ranges(nil)
	for k, v := range all(c.x.bucket(bktHidden), nil) {
		parts := split(k, 2)
		if len(parts) != 2 {
			c.fault("key %q of deletions", k)
			continue
		}
		if logged == nil || parts[0] != topic {
			topic, logged = parts[0], c.softDeletions(protocol.TopicID(parts[0]))
		}
		got, err := decodeNew[protocol.Ranges](k, v)
		if c.ok(err, "deletions") && !slices.Equal(*got, logged[parts[1]]) {
			c.fault("%s has deleted %v in %s, the log says %v", parts[1], *got, topic, logged[parts[1]])
		}
	}
}

// softDeletions are what each user has deleted in a topic, by the log.
func (c *checker) softDeletions(t protocol.TopicID) map[string]protocol.Ranges {
	by := map[string]protocol.Ranges{}
	for d, err := range c.x.deletions(t, 0, math.MaxInt) {
		if !c.ok(err, "deletions in "+string(t)) {
			break
		}
		by[string(d.User)] = by[string(d.User)].Union(d.Ranges)
	}
	return by
}

// posts verifies the outbox: what is not settled is there, and keys lead to posts.
func (c *checker) posts() {
	total, keys := 0, 0
	for k, v := range all(c.x.bucket(bktQueues), nil) {
		n, l := laneOf(k)
		q, err := decodeNew[store.Queue](k, v)
		if !c.ok(err, "queue to "+string(n)) {
			continue
		}
		if q.Settled > q.Offered || q.Offered > q.Last {
			c.fault("queue to %s: %+v", n, q)
		}
		next := q.Settled
		for p, err := range c.x.Posts(n, l, 0) {
			if !c.ok(err, "posts to "+string(n)) {
				break
			}
			total++
			if next++; p.N != next {
				c.fault("queue to %s has post %d where %d is expected", n, p.N, next)
			}
			if raw := c.x.bucket(bktPostKeys).Get(postKeyKey(n, l, p.Key)); p.Key != "" && len(raw) == 8 && number(raw) == p.N {
				keys++
			}
		}
		if next != q.Last {
			c.fault("queue to %s ends with %d, not %d", n, next, q.Last)
		}
	}
	c.count(bktPosts, total)
	c.count(bktPostKeys, keys)
}

// inbox verifies that verdicts are of posts that have been applied.
func (c *checker) inbox() {
	for k, v := range all(c.x.bucket(bktVerdicts), nil) {
		n, lane := laneOf(k)
		post := number(k)
		_, err := decodeNew[store.Verdict](k, v)
		c.ok(err, "verdict for "+string(n))
		if at, err := c.x.Cursor(n, lane); err != nil || post > at {
			c.fault("verdict on post %d of %s, of which %d are applied", post, n, at)
		}
	}
}
