package storetest

import (
	"errors"
	"time"

	"parley/protocol"
	"parley/store"
)

var userCases = map[string]func(*box){
	"users":                users,
	"tags of users":        userTags,
	"tags are exact":       tagsAreExact,
	"logins":               logins,
	"renamed login":        renamedLogin,
	"deleted logins":       deletedLogins,
	"credentials":          credentials,
	"confirmed by one":     confirmedByOne,
	"times to millisecond": timesToMillisecond,
}

func users(b *box) {
	a := &store.User{ID: alice, State: store.StateSuspended, Level: store.LevelRoot, Created: day, Updated: day.Add(time.Hour),
		Defacs: store.Defacs{Auth: protocol.Read | protocol.Join, Anon: protocol.Join}, Public: []byte(`{"fn":"A"}`),
		Trusted: []byte(`{"v":1}`), Private: []byte(`"p"`), Query: []byte(`"q"`), Tags: []string{"x:1", "y:2"}, Epoch: 3}
	none := &store.User{ID: bob}
	b.update(func(tx store.Tx) error { return errors.Join(tx.PutUser(a), tx.PutUser(none)) })
	b.view(func(tx store.Tx) error {
		got, err := tx.User(alice)
		equal(b, "alice", got, err, a)
		got, err = tx.User(bob)
		equal(b, "bob", got, err, none)
		if err == nil && (got.Public != nil || got.Private != nil || got.Trusted != nil || got.Query != nil) {
			b.Error("what is not set is not nil")
		}
		got, err = tx.User(alia)
		missing(b, "alia", got, err)
		listed(b, "all", tx.AllUsers(), a, none)
		s, err := tx.Seen(alice)
		missing(b, "seen", s, err)
		return nil
	})
	seen := store.Seen{When: day, UA: "Test/1.0"}
	a.Epoch, a.State = 4, store.StateDeleted
	b.update(func(tx store.Tx) error { return errors.Join(tx.PutUser(a), tx.PutSeen(alice, seen)) })
	b.view(func(tx store.Tx) error {
		got, err := tx.User(alice)
		equal(b, "alice", got, err, a)
		s, err := tx.Seen(alice)
		equal(b, "seen", s, err, seen)
		s, err = tx.Seen(bob)
		missing(b, "seen of bob", s, err)
		return nil
	})
}

func userTags(b *box) {
	a := &store.User{ID: alice, Tags: []string{"cat", "dog"}}
	c := &store.User{ID: bob, Tags: []string{"dog"}}
	tagged := func(tag string, want ...string) {
		b.Helper()
		b.view(func(tx store.Tx) error {
			listed(b, tag, tx.Tagged(tag), want...)
			return nil
		})
	}
	put := func(u *store.User) { b.update(func(tx store.Tx) error { return tx.PutUser(u) }) }
	put(a)
	put(c)
	b.update(func(tx store.Tx) error { return tx.PutTopic(&store.Topic{ID: group, Tags: []string{"dog"}}) })
	tagged("dog", string(group), string(alice), string(bob))
	tagged("cat", string(alice))

	a.Tags = []string{"bird", "dog"}
	put(a)
	tagged("cat")
	tagged("bird", string(alice))

	a.State = store.StateSuspended
	put(a)
	tagged("bird")
	tagged("dog", string(group), string(bob))
	a.Tags = []string{"fish"}
	put(a)
	a.State = store.StateOK
	put(a)
	tagged("dog", string(group), string(bob))
	tagged("fish", string(alice))

	a.State = store.StateDeleted
	put(a)
	tagged("fish")
	b.update(func(tx store.Tx) error { return tx.PutTopic(&store.Topic{ID: group}) })
	tagged("dog", string(bob))
}

func tagsAreExact(b *box) {
	b.update(func(tx store.Tx) error {
		return errors.Join(
			tx.PutUser(&store.User{ID: alice, Tags: []string{"a"}}),
			tx.PutUser(&store.User{ID: bob, Tags: []string{"ab", "a:b", "ü", "a"}}))
	})
	b.view(func(tx store.Tx) error {
		listed(b, "a", tx.Tagged("a"), string(alice), string(bob))
		listed(b, "ab", tx.Tagged("ab"), string(bob))
		listed(b, "ü", tx.Tagged("ü"), string(bob))
		listed(b, "nothing", tx.Tagged(""))
		return nil
	})
}

func logins(b *box) {
	l := &store.Login{Scheme: "basic", Name: "alice", User: alice, Secret: []byte("hash")}
	b.update(func(tx store.Tx) error { return tx.PutLogin(l) })
	b.refused(store.ErrExists, func(tx store.Tx) error {
		return tx.PutLogin(&store.Login{Scheme: "basic", Name: "alice", User: bob})
	})
	b.view(func(tx store.Tx) error {
		got, err := tx.Login("basic", "alice")
		equal(b, "login", got, err, l)
		got, err = tx.LoginOf("basic", alice)
		equal(b, "login of", got, err, l)
		got, err = tx.LoginOf("basic", bob)
		missing(b, "login of bob", got, err)
		got, err = tx.LoginOf("basic", alia)
		missing(b, "login of alia", got, err)
		got, err = tx.Login("basic", "alic")
		missing(b, "a shorter name", got, err)
		got, err = tx.Login("other", "alice")
		missing(b, "another scheme", got, err)
		return nil
	})
	again := &store.Login{Scheme: "basic", Name: "alice", User: alice, Secret: []byte("new")}
	other := &store.Login{Scheme: "other", Name: "alice", User: bob, Secret: []byte("2")}
	b.update(func(tx store.Tx) error { return errors.Join(tx.PutLogin(again), tx.PutLogin(other)) })
	b.view(func(tx store.Tx) error {
		got, err := tx.Login("basic", "alice")
		equal(b, "new secret", got, err, again)
		got, err = tx.Login("other", "alice")
		equal(b, "other scheme", got, err, other)
		return nil
	})
}

func renamedLogin(b *box) {
	put := func(name string, u protocol.UserID) func(store.Tx) error {
		return func(tx store.Tx) error { return tx.PutLogin(&store.Login{Scheme: "basic", Name: name, User: u}) }
	}
	b.update(put("one", alice))
	b.update(put("two", alice))
	b.update(put("three", bob))
	b.refused(store.ErrExists, put("three", alice))
	b.view(func(tx store.Tx) error {
		got, err := tx.Login("basic", "one")
		missing(b, "the old name", got, err)
		got, err = tx.LoginOf("basic", alice)
		equal(b, "login", got, err, &store.Login{Scheme: "basic", Name: "two", User: alice})
		return nil
	})
	b.update(put("one", bob)) // it is free
	b.view(func(tx store.Tx) error {
		got, err := tx.LoginOf("basic", bob)
		equal(b, "login", got, err, &store.Login{Scheme: "basic", Name: "one", User: bob})
		return nil
	})
}

func deletedLogins(b *box) {
	b.update(func(tx store.Tx) error {
		return errors.Join(
			tx.PutLogin(&store.Login{Scheme: "basic", Name: "a", User: alice}),
			tx.PutLogin(&store.Login{Scheme: "other", Name: "a", User: alice}),
			tx.PutLogin(&store.Login{Scheme: "basic", Name: "b", User: alia}),
			tx.DeleteLogins(bob))
	})
	b.update(func(tx store.Tx) error { return tx.DeleteLogins(alice) })
	b.view(func(tx store.Tx) error {
		for _, scheme := range []string{"basic", "other"} {
			got, err := tx.Login(scheme, "a")
			missing(b, scheme, got, err)
			got, err = tx.LoginOf(scheme, alice)
			missing(b, scheme, got, err)
		}
		got, err := tx.LoginOf("basic", alia)
		equal(b, "another's", got, err, &store.Login{Scheme: "basic", Name: "b", User: alia})
		return nil
	})
	b.update(func(tx store.Tx) error { return tx.PutLogin(&store.Login{Scheme: "basic", Name: "a", User: bob}) })
}

func credentials(b *box) {
	c := &store.Credential{User: alice, Method: "email", Value: "a@example", Deleted: true, Created: day, Updated: day,
		Code: []byte("code"), Expires: day.Add(time.Hour), Tries: 2, Sent: 3, SentAt: day}
	tel := &store.Credential{User: alice, Method: "tel", Value: "+1", Done: true}
	hers := &store.Credential{User: alia, Method: "email", Value: "a@example", Done: true}
	b.update(func(tx store.Tx) error {
		return errors.Join(tx.PutCredential(c), tx.PutCredential(tel), tx.PutCredential(hers))
	})
	b.view(func(tx store.Tx) error {
		got, err := tx.Credential(alice, "email", "a@example")
		equal(b, "credential", got, err, c)
		got, err = tx.Credential(alice, "email", "a@exampl")
		missing(b, "a shorter value", got, err)
		listed(b, "all of alice", tx.CredentialsOf(alice), c, tel)
		listed(b, "all of bob", tx.CredentialsOf(bob))
		who, err := tx.Confirmed("tel", "+1")
		equal(b, "confirmed", who, err, alice)
		who, err = tx.Confirmed("email", "+1")
		missing(b, "another method", who, err)
		return nil
	})
	b.update(func(tx store.Tx) error {
		return errors.Join(tx.DeleteCredential(alice, "email", "a@example"), tx.DeleteCredential(bob, "tel", "+1"))
	})
	b.view(func(tx store.Tx) error {
		listed(b, "all of alice", tx.CredentialsOf(alice), tel)
		who, err := tx.Confirmed("email", "a@example")
		equal(b, "hers", who, err, alia)
		who, err = tx.Confirmed("tel", "+1")
		equal(b, "not bob's to delete", who, err, alice)
		return nil
	})
}

func confirmedByOne(b *box) {
	put := func(u protocol.UserID, done bool) func(store.Tx) error {
		return func(tx store.Tx) error {
			return tx.PutCredential(&store.Credential{User: u, Method: "tel", Value: "+1", Done: done})
		}
	}
	b.update(put(alice, false))
	b.update(put(bob, false)) // both may try
	b.update(put(alice, true))
	b.update(put(alice, true))
	b.refused(store.ErrExists, put(bob, true))
	b.update(put(bob, false))
	b.view(func(tx store.Tx) error {
		who, err := tx.Confirmed("tel", "+1")
		equal(b, "confirmed", who, err, alice)
		return nil
	})
	b.update(put(alice, false)) // no longer
	b.view(func(tx store.Tx) error {
		who, err := tx.Confirmed("tel", "+1")
		missing(b, "confirmed", who, err)
		return nil
	})
	b.update(put(bob, true))
	b.update(func(tx store.Tx) error { return tx.DeleteCredential(bob, "tel", "+1") })
	b.update(put(alice, true))
}

func timesToMillisecond(b *box) {
	for ms := range 1000 {
		day := day.Truncate(time.Second).Add(time.Duration(ms) * time.Millisecond)
		if ms%50 > 2 && ms != 999 {
			continue
		}
		b.update(func(tx store.Tx) error {
			return errors.Join(tx.PutUser(&store.User{ID: alice, Created: day}), tx.PutSeen(alice, store.Seen{When: day}),
				tx.Append(pair, &store.Message{From: alice, TS: day}), tx.PutSub(&store.Sub{Topic: pair, User: alice, Ended: day}),
				tx.PutTopic(&store.Topic{ID: group, Updated: day}), tx.AppendEvent(group, &store.Event{TS: day}),
				tx.Delete(pair, &store.Deletion{User: alice, TS: day, Ranges: ranges(1, 2)}),
				tx.PutFile(&store.File{ID: "f", Created: day}), tx.PutCredential(&store.Credential{User: alice, Expires: day}))
		})
		b.view(func(tx store.Tx) error {
			u, err := tx.User(alice)
			equal(b, "user", u.Created.UnixMilli(), err, day.UnixMilli())
			s, err := tx.Seen(alice)
			equal(b, "seen", s.When.UnixMilli(), err, day.UnixMilli())
			h, err := tx.Head(pair)
			equal(b, "head", h.Touched.UnixMilli(), err, day.UnixMilli())
			m, err := tx.Message(pair, h.Seq)
			equal(b, "message", m.TS.UnixMilli(), err, day.UnixMilli())
			sub, err := tx.Sub(pair, alice)
			equal(b, "sub", sub.Ended.UnixMilli(), err, day.UnixMilli())
			f, err := tx.File("f")
			equal(b, "file", f.Created.UnixMilli(), err, day.UnixMilli())
			c, err := tx.Credential(alice, "", "")
			equal(b, "credential", c.Expires.UnixMilli(), err, day.UnixMilli())
			return nil
		})
		if b.Failed() {
			return
		}
	}
}
