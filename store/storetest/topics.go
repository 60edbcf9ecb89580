package storetest

import (
	"errors"
	"fmt"
	"time"

	"parley/protocol"
	"parley/store"
)

var topicCases = map[string]func(*box){
	"topics":              topics,
	"deleted group":       deletedGroup,
	"deleted p2p":         deletedP2P,
	"deleted leaves none": deletedLeavesNothing,
	"subscriptions":       subscriptions,
	"deleted subs":        deletedSubs,
	"marks":               marks,
	"counted subs":        countedSubs,
}

func topics(b *box) {
	g := &store.Topic{ID: group, Channel: true, Created: day, Updated: day.Add(time.Minute), Owner: alice,
		Defacs: store.Defacs{Auth: protocol.Read | protocol.Join}, Public: []byte(`{}`), Trusted: []byte(`{"a":1}`),
		Tags: []string{"x"}, Aux: []byte(`{"pins":[1]}`)}
	p := &store.Topic{ID: pair, Created: day}
	b.update(func(tx store.Tx) error { return errors.Join(tx.PutTopic(g), tx.PutTopic(p)) })
	b.view(func(tx store.Tx) error {
		got, err := tx.Topic(group)
		equal(b, "group", got, err, g)
		got, err = tx.Topic(group2)
		missing(b, "another group", got, err)
		listed(b, "all", tx.AllTopics(), g, p)
		listed(b, "tagged", tx.Tagged("x"), string(group))
		h, err := tx.Head(group)
		equal(b, "head", h, err, store.Head{})
		return nil
	})
	g.Tags, g.Owner = []string{"y"}, bob
	b.update(func(tx store.Tx) error { return tx.PutTopic(g) })
	b.view(func(tx store.Tx) error {
		got, err := tx.Topic(group)
		equal(b, "group", got, err, g)
		listed(b, "old tag", tx.Tagged("x"))
		listed(b, "new tag", tx.Tagged("y"), string(group))
		return nil
	})
}

func deletedGroup(b *box) {
	put := func(tx store.Tx) error { return tx.PutTopic(&store.Topic{ID: group}) }
	b.update(put)
	b.update(func(tx store.Tx) error { return tx.PutTopic(&store.Topic{ID: group2}) })
	b.update(func(tx store.Tx) error { return tx.DeleteTopic(group) })
	b.refused(store.ErrExists, put)
	b.refused(store.ErrExists, put) // ever after
	b.view(func(tx store.Tx) error {
		got, err := tx.Topic(group)
		missing(b, "group", got, err)
		got, err = tx.Topic(group2)
		equal(b, "another group", got, err, &store.Topic{ID: group2})
		return nil
	})
	b.refused(store.ErrExists, func(tx store.Tx) error { // in one transaction, too
		return errors.Join(tx.DeleteTopic(group2), tx.PutTopic(&store.Topic{ID: group2}))
	})
}

func deletedP2P(b *box) {
	put := func(tx store.Tx) error {
		return errors.Join(tx.PutTopic(&store.Topic{ID: pair}), tx.Append(pair, &store.Message{From: alice, TS: day}))
	}
	for range 2 {
		b.update(put)
		b.view(func(tx store.Tx) error {
			h, err := tx.Head(pair)
			equal(b, "head", h.Seq, err, 1)
			return nil
		})
		b.update(func(tx store.Tx) error { return tx.DeleteTopic(pair) })
	}
	b.refused(store.ErrNotFound, func(tx store.Tx) error { return tx.DeleteTopic(pair) })
}

// deletedLeavesNothing fills two topics alike and deletes one.
func deletedLeavesNothing(b *box) {
	fill := func(tx store.Tx, t protocol.TopicID) error {
		return errors.Join(
			tx.PutTopic(&store.Topic{ID: t, Tags: []string{"x"}}),
			tx.PutSub(&store.Sub{Topic: t, User: alice}), tx.PutSub(&store.Sub{Topic: t, User: bob}),
			tx.PutMarks(t, alice, store.Marks{Recv: 1, Read: 1}),
			tx.Append(t, &store.Message{From: alice, TS: day}),
			tx.Append(t, &store.Message{From: carol, TS: day, Origin: 9, Tag: 8}),
			tx.Append(t, &store.Message{From: carol, TS: day}),
			tx.Delete(t, &store.Deletion{User: alice, TS: day, Ranges: ranges(1, 2)}),
			tx.Delete(t, &store.Deletion{TS: day, Ranges: ranges(1, 2)}),
			tx.AppendEvent(t, &store.Event{TS: day}),
			tx.SetLinks(store.RefMessage(t, 2), []string{"f"}), tx.SetLinks(store.RefTopic(t), []string{"f"}))
	}
	b.update(func(tx store.Tx) error {
		return errors.Join(tx.PutFile(&store.File{ID: "f"}), fill(tx, group), fill(tx, group2), fill(tx, pair))
	})
	var before, after []any
	b.view(func(tx store.Tx) error { before = b.topicState(tx, group2); return nil })
	b.update(func(tx store.Tx) error { return tx.DeleteTopic(group) })
	b.view(func(tx store.Tx) error {
		after = b.topicState(tx, group2)
		equal(b, "the other group", after, nil, before)
		listed(b, "subscriptions", tx.SubsTo(group))
		subs, err := collect(tx.SubsOf(alice))
		equal(b, "subscriptions of alice", len(subs), err, 2)
		sub, err := tx.Sub(group, alice)
		missing(b, "subscription", sub, err)
		m, err := tx.Marks(group, alice)
		equal(b, "marks", m, err, store.Marks{})
		h, err := tx.Head(group)
		equal(b, "head", h, err, store.Head{})
		listed(b, "history", tx.History(group, 0, 100))
		listed(b, "deletions", tx.Deletions(group, alice, 0, 100))
		hidden, err := tx.Hidden(group, alice)
		equal(b, "hidden", hidden, err, nil)
		listed(b, "events", tx.EventsAfter(group, 0))
		seq, err := tx.Named(group, carol, 9, 8)
		equal(b, "named", seq, err, 0)
		listed(b, "tagged", tx.Tagged("x"), string(group2), string(pair))
		f, err := tx.File("f")
		equal(b, "uses", f.Uses, err, 4)
		return nil
	})
}

// topicState is all that a topic has.
func (b *box) topicState(tx store.Tx, t protocol.TopicID) (s []any) {
	add := func(v any, err error) {
		if err != nil {
			b.Error(err)
		}
		s = append(s, v)
	}
	topic, err := tx.Topic(t)
	add(topic, err)
	h, err := tx.Head(t)
	add(h, err)
	subs, err := collect(tx.SubsTo(t))
	add(subs, err)
	for _, u := range []protocol.UserID{alice, alia, bob, carol} {
		m, err := tx.Marks(t, u)
		add(m, err)
		hidden, err := tx.Hidden(t, u)
		add(hidden, err)
		ds, err := collect(tx.Deletions(t, u, 0, 1<<40))
		add(ds, err)
	}
	ms, err := collect(tx.History(t, 0, 1<<40))
	add(ms, err)
	es, err := collect(tx.EventsAfter(t, 0))
	add(es, err)
	return s
}

func subscriptions(b *box) {
	s := &store.Sub{Topic: group, User: alice, Want: protocol.Read | protocol.Join, Given: protocol.Join, Reader: true,
		Private: []byte(`"p"`), Created: day, Updated: day.Add(1e9), Ended: day.Add(2e9), DelID: 4}
	hers := &store.Sub{Topic: group, User: alia}
	long := &store.Sub{Topic: group2, User: alice}
	b.update(func(tx store.Tx) error { return errors.Join(tx.PutSub(long), tx.PutSub(hers), tx.PutSub(s)) })
	b.view(func(tx store.Tx) error {
		got, err := tx.Sub(group, alice)
		equal(b, "sub", got, err, s)
		got, err = tx.Sub(group2, alia)
		missing(b, "sub of alia", got, err)
		listed(b, "to", tx.SubsTo(group), s, hers)
		listed(b, "to the other", tx.SubsTo(group2), long)
		listed(b, "of", tx.SubsOf(alice), s, long)
		listed(b, "of alia", tx.SubsOf(alia), hers)
		listed(b, "of bob", tx.SubsOf(bob))
		return nil
	})
	s.Ended, s.DelID, s.Reader = time.Time{}, 5, false
	b.update(func(tx store.Tx) error { return tx.PutSub(s) })
	b.view(func(tx store.Tx) error {
		got, err := tx.Sub(group, alice)
		equal(b, "sub", got, err, s)
		if err == nil && !got.Live() {
			b.Error("it has ended")
		}
		listed(b, "of", tx.SubsOf(alice), s, long)
		return nil
	})
}

// countedSubs follows Head.Subs.
func countedSubs(b *box) {
	const in = protocol.Join | protocol.Read
	sub := func(t protocol.TopicID, u protocol.UserID, given protocol.Mode, ended time.Time) func(store.Tx) error {
		return func(tx store.Tx) error { return tx.PutSub(&store.Sub{Topic: t, User: u, Given: given, Ended: ended}) }
	}
	drop := func(u protocol.UserID) func(store.Tx) error {
		return func(tx store.Tx) error { return tx.DeleteSub(group, u) }
	}
	for i, step := range []struct {
		do   func(store.Tx) error
		want int
	}{
		{sub(group, alice, in, time.Time{}), 1}, {sub(group, alice, in, time.Time{}), 1}, {sub(group, alia, in, time.Time{}), 2},
		{sub(group, bob, protocol.Read, time.Time{}), 2}, {sub(group, carol, in, day), 2}, {sub(group2, carol, in, time.Time{}), 2},
		{sub(group, alice, protocol.Read, time.Time{}), 1}, {sub(group, alice, in, time.Time{}), 2}, {sub(group, alia, in, day), 1},
		{drop(alia), 1}, {drop(bob), 1}, {drop(alice), 0}, {drop(alice), 0}, {sub(group, carol, in, time.Time{}), 1},
		{func(tx store.Tx) error { return tx.Append(group, &store.Message{TS: day}) }, 1},
		{sub(pair, alice, in, time.Time{}), 1},
	} {
		b.update(step.do)
		b.view(func(tx store.Tx) error {
			h, err := tx.Head(group)
			equal(b, fmt.Sprint("step ", i), h.Subs, err, step.want)
			h, err = tx.Head(pair)
			equal(b, "not a group", h.Subs, err, 0)
			return nil
		})
	}
	b.update(func(tx store.Tx) error {
		return errors.Join(tx.PutTopic(&store.Topic{ID: group}), tx.DeleteTopic(group))
	})
	b.view(func(tx store.Tx) error {
		h, err := tx.Head(group)
		equal(b, "deleted", h, err, store.Head{})
		return nil
	})
}

func deletedSubs(b *box) {
	b.update(func(tx store.Tx) error {
		return errors.Join(
			tx.PutSub(&store.Sub{Topic: group, User: alice}), tx.PutSub(&store.Sub{Topic: group, User: alia}),
			tx.PutMarks(group, alice, store.Marks{Recv: 2, Read: 1}), tx.PutMarks(group, alia, store.Marks{Recv: 2, Read: 1}),
			tx.Delete(group, &store.Deletion{User: alice, TS: day, Ranges: ranges(1, 3)}),
			tx.Delete(group, &store.Deletion{User: alia, TS: day, Ranges: ranges(1, 3)}))
	})
	b.update(func(tx store.Tx) error {
		return errors.Join(tx.DeleteSub(group, alice), tx.DeleteSub(group, bob), tx.DeleteSub(pair, alice))
	})
	b.view(func(tx store.Tx) error {
		s, err := tx.Sub(group, alice)
		missing(b, "sub", s, err)
		listed(b, "of", tx.SubsOf(alice))
		listed(b, "to", tx.SubsTo(group), &store.Sub{Topic: group, User: alia})
		m, err := tx.Marks(group, alice)
		equal(b, "marks", m, err, store.Marks{})
		m, err = tx.Marks(group, alia)
		equal(b, "marks of alia", m, err, store.Marks{Recv: 2, Read: 1})
		h, err := tx.Hidden(group, alice)
		equal(b, "hidden", h, err, nil)
		h, err = tx.Hidden(group, alia)
		equal(b, "hidden from alia", h, err, ranges(1, 3))
		ds, err := collect(tx.Deletions(group, alia, 0, 10))
		equal(b, "deletions of alia", len(ds), err, 1)
		return nil
	})
}

func marks(b *box) {
	b.update(func(tx store.Tx) error {
		return errors.Join(tx.PutMarks(group, alice, store.Marks{Recv: 300, Read: 7}), tx.PutMarks(group2, alice, store.Marks{Recv: 1}))
	})
	b.update(func(tx store.Tx) error { return tx.PutMarks(group2, alice, store.Marks{Recv: 2, Read: 2}) })
	b.view(func(tx store.Tx) error {
		for _, c := range []struct {
			t    protocol.TopicID
			u    protocol.UserID
			want store.Marks
		}{
			{group, alice, store.Marks{Recv: 300, Read: 7}}, {group2, alice, store.Marks{Recv: 2, Read: 2}},
			{group, alia, store.Marks{}}, {pair, alice, store.Marks{}},
		} {
			m, err := tx.Marks(c.t, c.u)
			equal(b, string(c.t), m, err, c.want)
		}
		return nil
	})
}
