package storetest

import (
	"errors"
	"fmt"
	"math"

	"parley/protocol"
	"parley/store"
)

var messageCases = map[string]func(*box){
	"append":                   appendMessages,
	"history":                  history,
	"history beside others":    historyBesideOthers,
	"history of one update":    historyOfOneUpdate,
	"names":                    names,
	"names may share numbers":  namesShareNumbers,
	"deleted for all":          deletedForAll,
	"deleted for one":          deletedForOne,
	"log of deletions":         logOfDeletions,
	"events":                   events,
	"erased by the thousand":   erasedByThousand,
	"large and odd messages":   oddMessages,
	"head keeps what it holds": headKeepsAll,
}

func ranges(low, hi int) protocol.Ranges { return protocol.Ranges{{Low: low, Hi: hi}} }

// fill appends n messages, each with its number for content.
func fill(tx store.Tx, t protocol.TopicID, n int) error {
	for i := range n {
		m := &store.Message{From: alice, TS: day, Content: fmt.Appendf(nil, "%d", i+1)}
		if err := tx.Append(t, m); err != nil {
			return err
		}
	}
	return nil
}

// seqs are the numbers of messages.
func seqs(ms []*store.Message) []int {
	var out []int
	for _, m := range ms {
		out = append(out, m.Seq)
	}
	return out
}

// descending counts from high-1 to low.
func descending(low, high int) []int {
	var out []int
	for n := high - 1; n >= low; n-- {
		out = append(out, n)
	}
	return out
}

func appendMessages(b *box) {
	for i := range 5 {
		at := day.Add(1e9*60).AddDate(0, 0, i)
		var first, second store.Message
		b.update(func(tx store.Tx) error {
			first = store.Message{From: alice, TS: day, Head: []byte(`{"mime":"x"}`), Content: []byte(`"first"`)}
			second = store.Message{TS: at, Origin: 1000 + i, Tag: math.MaxUint32, Content: []byte(`{}`)}
			return errors.Join(tx.Append(group, &first), tx.Append(group, &second))
		})
		if first.Seq != 2*i+1 || second.Seq != 2*i+2 || first.Origin != first.Seq || second.Origin != 1000+i {
			b.Errorf("%+v, %+v: wrong numbers", first, second)
		}
		b.view(func(tx store.Tx) error {
			m, err := tx.Message(group, first.Seq)
			equal(b, "first", m, err, &first)
			m, err = tx.Message(group, second.Seq)
			equal(b, "second", m, err, &second)
			h, err := tx.Head(group)
			equal(b, "head", h, err, store.Head{Seq: second.Seq, Touched: at})
			return nil
		})
	}
	b.view(func(tx store.Tx) error {
		for _, n := range []int{0, 11, -1} {
			m, err := tx.Message(group, n)
			missing(b, fmt.Sprint(n), m, err)
		}
		m, err := tx.Message(group2, 1)
		missing(b, "another topic", m, err)
		return nil
	})
}

func history(b *box) {
	const n = 300
	b.update(func(tx store.Tx) error { return fill(tx, group, n) })
	b.view(func(tx store.Tx) error {
		for _, c := range []struct{ low, high, first, end int }{
			{0, n + 1, 1, n + 1}, {1, n + 1, 1, n + 1}, {-5, math.MaxInt, 1, n + 1}, {1, 2, 1, 2}, {250, 260, 250, 260},
			{255, 258, 255, 258}, {n, n + 5, n, n + 1}, {n + 1, n + 5, 0, 0}, {5, 5, 0, 0}, {6, 5, 0, 0}, {0, 0, 0, 0}, {-3, 1, 0, 0},
			{math.MinInt, 3, 1, 3}, {3, math.MinInt, 0, 0}, {-7, -2, 0, 0},
		} {
			ms, err := collect(tx.History(group, c.low, c.high))
			equal(b, fmt.Sprintf("[%d, %d)", c.low, c.high), seqs(ms), err, descending(c.first, c.end))
		}
		for m, err := range tx.History(group, 0, n+1) { // and no further
			equal(b, "the newest", m.Seq, err, n)
			break
		}
		return nil
	})
}

func historyBesideOthers(b *box) {
	all := []protocol.TopicID{group, group2, pair, protocol.P2P(alice, alia), protocol.Own(protocol.KindSelf, alice), protocol.Sys}
	b.update(func(tx store.Tx) error {
		for i, t := range all {
			if err := fill(tx, t, 3+i); err != nil {
				return err
			}
		}
		return nil
	})
	b.view(func(tx store.Tx) error {
		for i, t := range all {
			ms, err := collect(tx.History(t, 0, math.MaxInt))
			equal(b, string(t), seqs(ms), err, descending(1, 4+i))
		}
		ms, err := collect(tx.History("grp", 0, math.MaxInt))
		equal(b, "a name that others begin with", seqs(ms), err, nil)
		return nil
	})
}

// historyOfOneUpdate reads and deletes in one transaction what it has written.
func historyOfOneUpdate(b *box) {
	b.update(func(tx store.Tx) error { return errors.Join(fill(tx, group, 2000), fill(tx, group2, 500)) })
	b.update(func(tx store.Tx) error {
		if err := tx.Delete(group, &store.Deletion{TS: day, Ranges: ranges(300, 1900)}); err != nil {
			return err
		}
		ms, err := collect(tx.History(group, 0, 5000))
		equal(b, "with a hole", seqs(ms), err, append(descending(1900, 2001), descending(1, 300)...))
		ms, err = collect(tx.History(group, 0, 1900))
		equal(b, "below the hole", seqs(ms), err, descending(1, 300))
		ms, err = collect(tx.History(group, 280, 1000))
		equal(b, "from within the hole", seqs(ms), err, descending(280, 300))
		ms, err = collect(tx.History(group, 299, 1901))
		equal(b, "both ends of the hole", seqs(ms), err, []int{1900, 299})
		return err
	})
	b.update(func(tx store.Tx) error {
		return errors.Join(
			tx.Delete(group, &store.Deletion{TS: day, Ranges: ranges(1900, 1990)}),
			tx.Delete(group, &store.Deletion{TS: day, Ranges: ranges(100, 1950)}),
			tx.Delete(group2, &store.Deletion{TS: day, Ranges: ranges(1, 501)}))
	})
	b.view(func(tx store.Tx) error {
		ms, err := collect(tx.History(group, 0, 5000))
		equal(b, "afterwards", seqs(ms), err, append(descending(1990, 2001), descending(1, 100)...))
		listed(b, "nothing left", tx.History(group2, 0, 5000))
		return nil
	})
}

func names(b *box) {
	b.update(func(tx store.Tx) error {
		return errors.Join(
			tx.Append(group, &store.Message{From: alice, TS: day, Tag: 11}),            // 1
			tx.Append(group, &store.Message{From: carol, TS: day, Tag: 12, Origin: 9}), // 2
			tx.Append(group, &store.Message{From: alice, TS: day, Tag: 13}),            // 3
			tx.Append(group, &store.Message{From: carol, TS: day, Tag: 14, Origin: 1})) // 4
	})
	named := func(what string, from protocol.UserID, origin int, tag uint32, want int) {
		b.Helper()
		b.view(func(tx store.Tx) error {
			seq, err := tx.Named(group, from, origin, tag)
			equal(b, what, seq, err, want)
			return nil
		})
	}
	named("own", alice, 1, 11, 1)
	named("from elsewhere", carol, 9, 12, 2)
	named("from elsewhere, number taken", carol, 1, 14, 4)
	named("own, third", alice, 3, 13, 3)
	named("another tag", alice, 1, 12, 0)
	named("another author", bob, 1, 11, 0)
	named("another origin", carol, 8, 12, 0)
	named("its seq here", carol, 2, 12, 0)
	named("a user with a longer name", alia, 1, 11, 0)
	b.view(func(tx store.Tx) error {
		seq, err := tx.Named(group2, alice, 1, 11)
		equal(b, "another topic", seq, err, 0)
		return nil
	})
	b.update(func(tx store.Tx) error {
		return errors.Join(tx.Delete(group, &store.Deletion{TS: day, Ranges: ranges(2, 4)}),
			tx.Delete(group, &store.Deletion{User: bob, TS: day, Ranges: ranges(1, 2)}))
	})
	named("erased", carol, 9, 12, 0)
	named("erased, own", alice, 3, 13, 0)
	named("left", carol, 1, 14, 4)
	named("hidden from one", alice, 1, 11, 1)
}

// namesShareNumbers has an author whose replica was set back: numbers come again,
// with other tags.
func namesShareNumbers(b *box) {
	b.update(func(tx store.Tx) error {
		return errors.Join(
			tx.Append(group, &store.Message{From: carol, TS: day, Tag: 1}),            // 1, origin 1
			tx.Append(group, &store.Message{From: carol, TS: day, Tag: 2, Origin: 1}), // 2
			tx.Append(group, &store.Message{From: carol, TS: day, Tag: 3, Origin: 1})) // 3
	})
	b.view(func(tx store.Tx) error {
		for tag := uint32(1); tag <= 3; tag++ {
			seq, err := tx.Named(group, carol, 1, tag)
			equal(b, fmt.Sprint("tag ", tag), seq, err, int(tag))
		}
		return nil
	})
	b.update(func(tx store.Tx) error { return tx.Delete(group, &store.Deletion{TS: day, Ranges: ranges(2, 3)}) })
	b.view(func(tx store.Tx) error {
		for tag, want := range map[uint32]int{1: 1, 2: 0, 3: 3} {
			seq, err := tx.Named(group, carol, 1, tag)
			equal(b, fmt.Sprint("tag ", tag), seq, err, want)
		}
		return nil
	})
}

func deletedForAll(b *box) {
	b.update(func(tx store.Tx) error {
		err := errors.Join(fill(tx, group, 10), fill(tx, group2, 10), tx.PutFile(&store.File{ID: "f"}), tx.PutFile(&store.File{ID: "g"}))
		for _, n := range []int{2, 3, 5} {
			err = errors.Join(err, tx.SetLinks(store.RefMessage(group, n), []string{"f"}))
		}
		return errors.Join(err, tx.SetLinks(store.RefMessage(group2, 3), []string{"g"}))
	})
	var d store.Deletion
	b.update(func(tx store.Tx) error {
		d = store.Deletion{TS: day, Ranges: protocol.Ranges{{Low: 2, Hi: 4}, {Low: 9, Hi: 20}}}
		return tx.Delete(group, &d)
	})
	if d.ID != 1 {
		b.Errorf("deletion has number %d", d.ID)
	}
	b.view(func(tx store.Tx) error {
		ms, err := collect(tx.History(group, 0, 100))
		equal(b, "left", seqs(ms), err, []int{8, 7, 6, 5, 4, 1})
		m, err := tx.Message(group, 3)
		missing(b, "message", m, err)
		ms, err = collect(tx.History(group2, 0, 100))
		equal(b, "the other group", len(ms), err, 10)
		h, err := tx.Head(group)
		equal(b, "head", h, err, store.Head{Seq: 10, Del: 1, Touched: day})
		f, err := tx.File("f")
		equal(b, "uses", f.Uses, err, 1)
		f, err = tx.File("g")
		equal(b, "uses there", f.Uses, err, 1)
		hidden, err := tx.Hidden(group, alice)
		equal(b, "hidden", hidden, err, nil)
		return nil
	})
	b.update(func(tx store.Tx) error { return fill(tx, group, 1) }) // numbers go on
	b.view(func(tx store.Tx) error {
		h, err := tx.Head(group)
		equal(b, "head", h.Seq, err, 11)
		return nil
	})
}

func deletedForOne(b *box) {
	b.update(func(tx store.Tx) error {
		return errors.Join(fill(tx, group, 10), tx.PutFile(&store.File{ID: "f"}), tx.SetLinks(store.RefMessage(group, 2), []string{"f"}))
	})
	b.update(func(tx store.Tx) error {
		return errors.Join(tx.Delete(group, &store.Deletion{User: alice, TS: day, Ranges: ranges(2, 4)}),
			tx.Delete(group, &store.Deletion{User: alice, TS: day, Ranges: protocol.Ranges{{Low: 4, Hi: 5}, {Low: 7, Hi: 8}}}),
			tx.Delete(group, &store.Deletion{User: bob, TS: day, Ranges: ranges(1, 2)}))
	})
	b.view(func(tx store.Tx) error {
		ms, err := collect(tx.History(group, 0, 100))
		equal(b, "history", len(ms), err, 10)
		got, err := tx.Hidden(group, alice)
		equal(b, "hidden", got, err, protocol.Ranges{{Low: 2, Hi: 5}, {Low: 7, Hi: 8}})
		got, err = tx.Hidden(group, bob)
		equal(b, "hidden from bob", got, err, ranges(1, 2))
		got, err = tx.Hidden(group, alia)
		equal(b, "hidden from alia", got, err, nil)
		f, err := tx.File("f")
		equal(b, "uses", f.Uses, err, 1)
		h, err := tx.Head(group)
		equal(b, "head", h, err, store.Head{Seq: 10, Del: 3, Touched: day})
		return nil
	})
}

func logOfDeletions(b *box) {
	var want []*store.Deletion
	for i, u := range []protocol.UserID{"", alice, bob, "", alia, alice} {
		d := &store.Deletion{User: u, TS: day, Ranges: ranges(i+1, i+2)}
		b.update(func(tx store.Tx) error { d.ID = 0; return tx.Delete(group, d) })
		want = append(want, d)
	}
	b.update(func(tx store.Tx) error { return tx.Delete(group2, &store.Deletion{TS: day, Ranges: ranges(9, 10)}) })
	b.view(func(tx store.Tx) error {
		listed(b, "alice", tx.Deletions(group, alice, 0, 100), want[0], want[1], want[3], want[5])
		listed(b, "bob", tx.Deletions(group, bob, 1, 100), want[0], want[2], want[3])
		listed(b, "anybody", tx.Deletions(group, "", 0, math.MaxInt), want[0], want[3])
		listed(b, "some", tx.Deletions(group, alice, 2, 6), want[1], want[3])
		listed(b, "none", tx.Deletions(group, alice, 7, 9))
		listed(b, "turned around", tx.Deletions(group, alice, 4, 2))
		return nil
	})
}

func events(b *box) {
	var want []*store.Event
	for i := range 300 {
		want = append(want, &store.Event{TS: day, Kind: uint8(i), By: alice, Seq: i, Body: []byte{byte(i)}})
	}
	b.update(func(tx store.Tx) error {
		for _, e := range want {
			e.Rev = 0
			if err := tx.AppendEvent(group, e); err != nil {
				return err
			}
		}
		return tx.AppendEvent(group2, &store.Event{TS: day})
	})
	for i, e := range want {
		if e.Rev != uint64(i+1) {
			b.Fatalf("event %d has rev %d", i, e.Rev)
		}
	}
	b.view(func(tx store.Tx) error {
		listed(b, "all", tx.EventsAfter(group, 0), want...)
		listed(b, "some", tx.EventsAfter(group, 255), want[255:]...)
		listed(b, "none", tx.EventsAfter(group, 300))
		listed(b, "none at all", tx.EventsAfter(group, math.MaxUint64))
		listed(b, "none there", tx.EventsAfter(pair, 0))
		h, err := tx.Head(group)
		equal(b, "head", h, err, store.Head{Rev: 300})
		return nil
	})
}

func erasedByThousand(b *box) {
	const n = 3000
	b.update(func(tx store.Tx) error { return fill(tx, group, n) })
	for _, r := range []protocol.Range{{Low: 1, Hi: 1500}, {Low: 1400, Hi: 2900}, {Low: 2950, Hi: n + 1}} {
		b.update(func(tx store.Tx) error { return tx.Delete(group, &store.Deletion{TS: day, Ranges: protocol.Ranges{r}}) })
	}
	b.view(func(tx store.Tx) error {
		ms, err := collect(tx.History(group, 0, n+1))
		equal(b, "left", seqs(ms), err, descending(2900, 2950))
		return nil
	})
}

func oddMessages(b *box) {
	big := make([]byte, 1<<20)
	for i := range big {
		big[i] = byte(i * 7)
	}
	all := []store.Message{
		{From: alice, TS: day, Content: big},
		{From: alice, TS: day, Head: big[:70_000], Content: []byte{0}},
		{TS: day},
		{From: carol, TS: day, Origin: math.MaxInt, Tag: 1},
	}
	b.update(func(tx store.Tx) error {
		for _, m := range all {
			if err := tx.Append(group, &m); err != nil {
				return err
			}
		}
		return nil
	})
	b.view(func(tx store.Tx) error {
		for i, want := range all {
			want.Seq = i + 1
			if want.Origin == 0 {
				want.Origin = want.Seq
			}
			m, err := tx.Message(group, i+1)
			equal(b, fmt.Sprint("message ", i+1), m, err, &want)
		}
		m, err := tx.Message(group, 3)
		if err == nil && (m.Head != nil || m.Content != nil) {
			b.Error("nothing came back as something")
		}
		seq, err := tx.Named(group, carol, math.MaxInt, 1)
		equal(b, "named", seq, err, 4)
		return nil
	})
}

// headKeepsAll moves one number of the head at a time.
func headKeepsAll(b *box) {
	want := store.Head{}
	for i := range 12 {
		b.update(func(tx store.Tx) error {
			switch i % 3 {
			case 0:
				return tx.Append(group, &store.Message{TS: day.AddDate(0, 0, i)})
			case 1:
				return tx.AppendEvent(group, &store.Event{TS: day})
			default:
				return tx.Delete(group, &store.Deletion{User: alice, TS: day, Ranges: ranges(1, 2)})
			}
		})
		switch i % 3 {
		case 0:
			want.Seq, want.Touched = want.Seq+1, day.AddDate(0, 0, i)
		case 1:
			want.Rev++
		default:
			want.Del++
		}
		b.view(func(tx store.Tx) error {
			h, err := tx.Head(group)
			equal(b, "head", h, err, want)
			return nil
		})
	}
}
