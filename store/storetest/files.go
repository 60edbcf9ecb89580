package storetest

import (
	"errors"
	"time"

	"parley/store"
)

var fileCases = map[string]func(*box){
	"files":          files,
	"links":          links,
	"links by names": linksByNames,
	"deleted files":  deletedFiles,
	"unused files":   unusedFiles,
	"files of users": filesOfUsers,
}

func file(id string) *store.File { return &store.File{ID: id, User: alice, Created: day} }

func files(b *box) {
	f := &store.File{ID: "abc", User: alice, MIME: "image/png", Name: "ä.png", Size: 1 << 40, SHA256: [32]byte{1, 31: 2}, Created: day, Uses: 5}
	b.update(func(tx store.Tx) error { return errors.Join(tx.PutFile(f), tx.PutFile(file("abcd"))) })
	f.Uses = 0 // read only
	b.view(func(tx store.Tx) error {
		got, err := tx.File("abc")
		equal(b, "file", got, err, f)
		got, err = tx.File("ab")
		missing(b, "a shorter name", got, err)
		listed(b, "unused", tx.Unused(day.Add(1)), f, file("abcd"))
		listed(b, "of alice", tx.FilesOf(alice), f, file("abcd"))
		return nil
	})
	f.Size = -1
	b.update(func(tx store.Tx) error { return tx.PutFile(f) })
	b.view(func(tx store.Tx) error {
		got, err := tx.File("abc")
		equal(b, "file", got, err, f)
		return nil
	})
}

// uses wants that many uses of each file, in the order of names.
func (b *box) uses(want map[string]int) {
	b.Helper()
	b.view(func(tx store.Tx) error {
		for id, n := range want {
			f, err := tx.File(id)
			if err != nil {
				return err
			}
			equal(b, "uses of "+id, f.Uses, nil, n)
		}
		return nil
	})
}

func (b *box) link(r store.Ref, ids ...string) {
	b.Helper()
	b.update(func(tx store.Tx) error { return tx.SetLinks(r, ids) })
}

func links(b *box) {
	b.update(func(tx store.Tx) error {
		return errors.Join(tx.PutFile(file("a")), tx.PutFile(file("ab")), tx.PutFile(file("c")))
	})
	m := store.RefMessage(group, 1)
	b.link(m, "a", "ab", "unknown", "a")
	b.uses(map[string]int{"a": 1, "ab": 1, "c": 0})
	b.link(store.RefUser(alice), "a")
	b.uses(map[string]int{"a": 2, "ab": 1, "c": 0})
	b.link(m, "c", "ab")
	b.uses(map[string]int{"a": 1, "ab": 1, "c": 1})
	b.link(m)
	b.uses(map[string]int{"a": 1, "ab": 0, "c": 0})
	b.update(func(tx store.Tx) error { return tx.PutFile(file("unknown")) })
	b.uses(map[string]int{"unknown": 0})
	b.update(func(tx store.Tx) error { return tx.PutFile(file("a")) }) // a new record, the old uses
	b.uses(map[string]int{"a": 1})
	b.link(store.RefUser(alice))
	b.uses(map[string]int{"a": 0})
}

// linksByNames has refs that begin alike, or end in the bytes of separators.
func linksByNames(b *box) {
	b.update(func(tx store.Tx) error { return tx.PutFile(file("f")) })
	refs := []store.Ref{
		store.RefMessage(group, 1), store.RefMessage(group, 256), store.RefMessage(group, 1<<16), store.RefMessage(group, 1<<40),
		store.RefMessage(group2, 1), store.RefTopic(group), store.RefTopic(group2), store.RefUser(alice), store.RefUser(alia),
	}
	for i, r := range refs {
		b.link(r, "f")
		b.uses(map[string]int{"f": i + 1})
	}
	for i, r := range refs {
		b.link(r)
		b.uses(map[string]int{"f": len(refs) - i - 1})
	}
	for _, r := range refs {
		b.link(r, "f")
	}
	b.update(func(tx store.Tx) error {
		return errors.Join(tx.PutTopic(&store.Topic{ID: group}), tx.DeleteTopic(group))
	})
	b.uses(map[string]int{"f": 4})
}

func deletedFiles(b *box) {
	b.update(func(tx store.Tx) error { return errors.Join(tx.PutFile(file("a")), tx.PutFile(file("b"))) })
	m, u := store.RefMessage(group, 1), store.RefUser(alice)
	b.link(m, "a", "b")
	b.link(u, "a")
	b.update(func(tx store.Tx) error { return tx.DeleteFile("a") })
	b.view(func(tx store.Tx) error {
		f, err := tx.File("a")
		missing(b, "file", f, err)
		f, err = tx.File("b")
		equal(b, "uses", f.Uses, err, 1)
		fs, err := collect(tx.FilesOf(alice))
		equal(b, "files of alice", len(fs), err, 1)
		return nil
	})
	b.update(func(tx store.Tx) error { return tx.PutFile(file("a")) }) // no links are left
	b.uses(map[string]int{"a": 0})
}

func unusedFiles(b *box) {
	old, young, used := file("old"), file("young"), file("used")
	young.Created = day.Add(time.Hour)
	b.update(func(tx store.Tx) error {
		return errors.Join(tx.PutFile(old), tx.PutFile(young), tx.PutFile(used), tx.SetLinks(store.RefTopic(group), []string{"used"}))
	})
	b.view(func(tx store.Tx) error {
		listed(b, "all", tx.Unused(day.Add(2*time.Hour)), old, young)
		listed(b, "made before", tx.Unused(young.Created), old)
		listed(b, "none", tx.Unused(day))
		return nil
	})
}

func filesOfUsers(b *box) {
	f, g := file("f"), file("g")
	g.User = alia
	b.update(func(tx store.Tx) error {
		return errors.Join(tx.PutFile(f), tx.PutFile(g), tx.PutFile(&store.File{ID: "nobody's"}), tx.SetLinks(store.RefUser(bob), []string{"f"}))
	})
	f.Uses = 1
	b.view(func(tx store.Tx) error {
		listed(b, "of alice", tx.FilesOf(alice), f)
		listed(b, "of alia", tx.FilesOf(alia), g)
		listed(b, "of bob", tx.FilesOf(bob))
		return nil
	})
	f.User = bob
	b.update(func(tx store.Tx) error { return tx.PutFile(f) })
	b.view(func(tx store.Tx) error {
		listed(b, "of alice", tx.FilesOf(alice))
		listed(b, "of bob", tx.FilesOf(bob), f)
		return nil
	})
	b.update(func(tx store.Tx) error { return tx.DeleteFile("f") })
	b.view(func(tx store.Tx) error {
		listed(b, "of bob", tx.FilesOf(bob))
		return nil
	})
}
