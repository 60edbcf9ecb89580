package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"parley/store"
)

var storeCases = map[string]func(*box){
	"description":        description,
	"failed update":      failedUpdate,
	"panicking update":   panickingUpdate,
	"updates in company": updatesInCompany,
	"views are whole":    viewsAreWhole,
	"update reads back":  updateReadsBack,
	"backup":             backup,
	"closed":             closed,
	"records are copies": recordsAreCopies,
	"views' errors":      viewErrors,
}

func description(b *box) {
	m := b.s.Meta()
	if m.Node == "" || m.Incarnation == 0 || m.Schema < 1 {
		b.Errorf("description %+v lacks something", m)
	}
	if age := time.Since(m.Created); age < -time.Second || age > time.Hour {
		b.Errorf("made at %v", m.Created)
	}
}

// everything writes one thing of each kind.
func everything(tx store.Tx) error {
	f := &store.File{ID: "file1", User: alice, Created: day}
	v := store.Verdict{N: 1, Body: []byte("later")}
	return errors.Join(
		tx.PutUser(&store.User{ID: alice, Tags: []string{"tag:a"}, Created: day}),
		tx.PutSeen(alice, store.Seen{When: day, UA: "ua"}),
		tx.PutLogin(&store.Login{Scheme: "basic", Name: "alice", User: alice}),
		tx.PutCredential(&store.Credential{User: alice, Method: "email", Value: "a@b", Done: true}),
		tx.PutTopic(&store.Topic{ID: group, Tags: []string{"tag:g"}, Created: day}),
		tx.PutSub(&store.Sub{Topic: group, User: alice, Created: day}),
		tx.PutMarks(group, alice, store.Marks{Recv: 1, Read: 1}),
		tx.Append(group, &store.Message{From: alice, TS: day, Content: []byte(`"1"`)}),
		tx.Append(group, &store.Message{From: carol, TS: day, Origin: 7, Tag: 9, Content: []byte(`"2"`)}),
		tx.Delete(group, &store.Deletion{User: alice, TS: day, Ranges: ranges(1, 2)}),
		tx.AppendEvent(group, &store.Event{TS: day, Kind: 1, By: alice, Body: []byte("x")}),
		tx.PutFile(f),
		tx.SetLinks(store.RefMessage(group, 1), []string{f.ID}),
		tx.Enqueue(peer, 1, &store.Post{Key: "k", Body: []byte("p"), At: day}),
		tx.Enqueue(peer, 1, &store.Post{Body: []byte("p"), At: day}),
		tx.Offer(peer, 1, 1),
		tx.Advance(peer, 1, v),
	)
}

// nothing wants a store without what everything writes.
func nothing(b *box) {
	b.Helper()
	b.view(func(tx store.Tx) error {
		u, err := tx.User(alice)
		missing(b, "user", u, err)
		seen, err := tx.Seen(alice)
		missing(b, "seen", seen, err)
		l, err := tx.Login("basic", "alice")
		missing(b, "login", l, err)
		who, err := tx.Confirmed("email", "a@b")
		missing(b, "confirmed", who, err)
		topic, err := tx.Topic(group)
		missing(b, "topic", topic, err)
		sub, err := tx.Sub(group, alice)
		missing(b, "sub", sub, err)
		f, err := tx.File("file1")
		missing(b, "file", f, err)
		h, err := tx.Head(group)
		equal(b, "head", h, err, store.Head{})
		m, err := tx.Marks(group, alice)
		equal(b, "marks", m, err, store.Marks{})
		seq, err := tx.Named(group, carol, 7, 9)
		equal(b, "named", seq, err, 0)
		hidden, err := tx.Hidden(group, alice)
		equal(b, "hidden", hidden, err, nil)
		q, err := tx.Queue(peer, 1)
		equal(b, "queue", q, err, store.Queue{})
		c, err := tx.Cursor(peer, 1)
		equal(b, "cursor", c, err, 0)
		listed(b, "users", tx.AllUsers())
		listed(b, "topics", tx.AllTopics())
		listed(b, "tagged", tx.Tagged("tag:a"))
		listed(b, "subscriptions", tx.SubsOf(alice))
		listed(b, "history", tx.History(group, 0, 100))
		listed(b, "events", tx.EventsAfter(group, 0))
		listed(b, "files", tx.FilesOf(alice))
		listed(b, "posts", tx.Posts(peer, 1, 0))
		listed(b, "waiting", tx.Waiting())
		listed(b, "verdicts", tx.Verdicts(peer, 1, 0))
		return nil
	})
}

var errOurs = errors.New("storetest: on purpose")

func failedUpdate(b *box) {
	b.refused(errOurs, func(tx store.Tx) error {
		return errors.Join(everything(tx), errOurs)
	})
	nothing(b)
	b.update(everything)
}

func panickingUpdate(b *box) {
	err := func() (err error) {
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("panic: %v", p)
			}
		}()
		return b.s.Update(func(tx store.Tx) error {
			if err := everything(tx); err != nil {
				return err
			}
			panic("on purpose")
		})
	}()
	if err == nil {
		b.Error("the update that panicked succeeded")
	}
	nothing(b)
	b.update(everything)
}

// updatesInCompany runs good and bad updates at the same time.
func updatesInCompany(b *box) {
	const writers, each = 16, 6
	var good atomic.Int64
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				bad := (w + i) % 3
				name := fmt.Sprintf(`"%d/%d"`, w, i)
				err := b.s.Update(func(tx store.Tx) error {
					if err := tx.Append(group, &store.Message{From: alice, TS: day, Content: []byte(name)}); err != nil {
						return err
					}
					switch bad {
					case 1:
						return errOurs
					case 2:
						panic("on purpose")
					}
					return nil
				})
				if (err == nil) != (bad == 0) || bad == 1 && !errors.Is(err, errOurs) {
					b.Errorf("update %s, bad %d: error %v", name, bad, err)
				}
				if bad == 0 {
					good.Add(1)
				}
			}
		})
	}
	wg.Wait()
	b.view(func(tx store.Tx) error {
		h, err := tx.Head(group)
		equal(b, "head", h.Seq, err, int(good.Load()))
		got, err := collect(tx.History(group, 1, h.Seq+1))
		equal(b, "messages", len(got), err, int(good.Load()))
		seen := map[string]bool{}
		for _, m := range got {
			if m.Origin != m.Seq || seen[string(m.Content)] {
				b.Errorf("message %+v has another origin, or is there twice", m)
			}
			seen[string(m.Content)] = true
		}
		return nil
	})
}

// viewsAreWhole looks while pairs of messages are written.
func viewsAreWhole(b *box) {
	const pairs = 20
	var wg sync.WaitGroup
	done := make(chan struct{})
	wg.Go(func() {
		defer close(done)
		for range pairs {
			err := b.s.Update(func(tx store.Tx) error {
				m := store.Message{From: alice, TS: day, Content: []byte(`1`)}
				n := m
				return errors.Join(tx.Append(group, &m), tx.Append(pair, &n))
			})
			if err != nil {
				b.Error(err)
			}
		}
	})
	for range 2 {
		wg.Go(func() {
			for over := false; !over; {
				select {
				case <-done:
					over = true
				default:
				}
				b.lookAtPairs()
			}
		})
	}
	wg.Wait()
}

func (b *box) lookAtPairs() {
	err := b.s.View(func(tx store.Tx) error {
		g, err := tx.Head(group)
		if err != nil {
			return err
		}
		got, err := collect(tx.History(group, 0, 1000))
		if err != nil {
			return err
		}
		p, err := tx.Head(pair)
		if err == nil && (g.Seq != p.Seq || len(got) != g.Seq) {
			b.Errorf("heads %d and %d, %d messages: not of one moment", g.Seq, p.Seq, len(got))
		}
		return err
	})
	if err != nil {
		b.Error(err)
	}
}

// updateReadsBack looks, within a transaction, at what it has done.
func updateReadsBack(b *box) {
	b.update(func(tx store.Tx) error {
		if err := everything(tx); err != nil {
			return err
		}
		got, err := collect(tx.History(group, 0, 100))
		equal(b, "messages", len(got), err, 2)
		listed(b, "tagged", tx.Tagged("tag:a"), string(alice))
		return nil
	})
}

func backup(b *box) {
	b.update(everything)
	var copied bytes.Buffer
	if err := b.s.Backup(&copied); err != nil || copied.Len() == 0 {
		b.Errorf("backup of %d bytes, error %v", copied.Len(), err)
	}
	if err := b.s.Backup(brokenPipe{}); err == nil {
		b.Error("the backup into a broken pipe succeeded")
	}
	b.update(func(tx store.Tx) error { return tx.PutSeen(bob, store.Seen{When: day}) })
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, errOurs }

func closed(b *box) {
	b.update(everything)
	if err := b.s.Close(); err != nil {
		b.Errorf("close: %v", err)
	}
	noop := func(store.Tx) error { return nil }
	for what, err := range map[string]error{
		"view": b.s.View(noop), "update": b.s.Update(noop), "backup": b.s.Backup(&bytes.Buffer{}), "close": b.s.Close(),
	} {
		if !errors.Is(err, store.ErrClosed) {
			b.Errorf("%s after close: error %v, want ErrClosed", what, err)
		}
	}
}

func viewErrors(b *box) {
	if err := b.s.View(func(store.Tx) error { return errOurs }); !errors.Is(err, errOurs) {
		b.Errorf("view: error %v", err)
	}
}

// recordsAreCopies changes what was put, before and after the commit, and what was
// returned, and looks again.
func recordsAreCopies(b *box) {
	put := func(tx store.Tx) error {
		u := &store.User{ID: alice, Public: []byte("public"), Private: []byte("private"), Tags: []string{"one", "two"}}
		g := &store.Topic{ID: group, Public: []byte("public"), Aux: []byte("{}"), Tags: []string{"one"}}
		s := &store.Sub{Topic: group, User: alice, Private: []byte("private")}
		m := &store.Message{From: alice, TS: day, Head: []byte("{}"), Content: []byte("content")}
		e := &store.Event{TS: day, By: alice, Body: []byte("body")}
		d := &store.Deletion{User: alice, TS: day, Ranges: ranges(1, 2)}
		p := &store.Post{Key: "key", Body: []byte("body")}
		v := &store.Verdict{N: 1, Body: []byte("body")}
		l := &store.Login{Scheme: "basic", Name: "alice", User: alice, Secret: []byte("secret")}
		err := errors.Join(tx.PutUser(u), tx.PutTopic(g), tx.PutSub(s), tx.Append(group, m), tx.AppendEvent(group, e),
			tx.Delete(group, d), tx.Enqueue(peer, 0, p), tx.Advance(peer, 0, *v), tx.PutLogin(l))
		for _, r := range []any{u, g, s, m, e, d, p, v, l} {
			spoil(r)
		}
		return err
	}
	b.update(put)
	want := b.records()
	for _, r := range b.records() {
		spoil(r)
	}
	equal(b, "records", b.records(), nil, want)
	if m := want[3].(*store.Message); string(m.Content) != "content" || m.From != alice || string(m.Head) != "{}" {
		b.Errorf("message %+v was changed after it was put", m)
	}
	if u := want[0].(*store.User); string(u.Public) != "public" || u.Tags[0] != "one" {
		b.Errorf("user %+v was changed after it was put", u)
	}
}

// records reads one of each kind.
func (b *box) records() (rs []any) {
	b.view(func(tx store.Tx) error {
		var errs []error
		add := func(r any, err error) { rs, errs = append(rs, r), append(errs, err) }
		u, err := tx.User(alice)
		add(u, err)
		g, err := tx.Topic(group)
		add(g, err)
		s, err := tx.Sub(group, alice)
		add(s, err)
		m, err := tx.Message(group, 1)
		add(m, err)
		l, err := tx.Login("basic", "alice")
		add(l, err)
		for e, err := range tx.EventsAfter(group, 0) {
			add(e, err)
		}
		for d, err := range tx.Deletions(group, alice, 0, 10) {
			add(d, err)
		}
		for p, err := range tx.Posts(peer, 0, 0) {
			add(p, err)
		}
		for v, err := range tx.Verdicts(peer, 0, 0) {
			add(v, err)
		}
		return errors.Join(errs...)
	})
	return rs
}
