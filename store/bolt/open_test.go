package bolt_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"parley/protocol"
	"parley/store"
	"parley/store/bolt"
)

var (
	writer = protocol.NewUserID(1, "chat.example")
	lounge = protocol.NewGroupID(1, "chat.example")
)

func say(tx store.Tx) error {
	return tx.Append(lounge, &store.Message{From: writer, TS: time.UnixMilli(1), Content: []byte(`"hi"`)})
}

func seq(t *testing.T, s store.Store) (n int) {
	t.Helper()
	err := s.View(func(tx store.Tx) error {
		h, err := tx.Head(lounge)
		n = h.Seq
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestOpenRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "parley.db")
	refused := func(what string, o bolt.Options, want error) {
		t.Helper()
		if db, err := bolt.Open(path, o); !errors.Is(err, want) {
			t.Errorf("%s: error %v, want %v", what, err, want)
			if err == nil {
				db.Close()
			}
		}
	}
	refused("missing file", bolt.Options{Node: "chat.example"}, store.ErrNotFound)
	db := open(t, path)
	refused("second opener", bolt.Options{Node: "chat.example"}, store.ErrInUse)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	refused("another node", bolt.Options{Node: "chat.example.org"}, store.ErrOtherNode)
	again, err := bolt.Open(path, bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := again.Meta(); got.Node != "chat.example" || got.Incarnation != db.Meta().Incarnation {
		t.Errorf("description %+v, was %+v", got, db.Meta())
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

func TestConcurrentUpdatesShareCommits(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "parley.db"))
	started, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	var wg sync.WaitGroup
	wg.Go(func() { // holds the committer up
		err := db.Update(func(store.Tx) error {
			once.Do(func() { close(started) })
			<-release
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-started
	const writers = 50
	for range writers {
		wg.Go(func() {
			if err := db.Update(say); err != nil {
				t.Error(err)
			}
		})
	}
	for db.Stats().Waiting < writers {
		runtime.Gosched()
	}
	close(release)
	wg.Wait()
	if n, commits := seq(t, db), db.Stats().Commits; n != writers || commits > 3 {
		t.Errorf("%d messages in %d commits", n, commits)
	}
}

func TestBackupAndRestore(t *testing.T) {
	dir := t.TempDir()
	db := open(t, filepath.Join(dir, "parley.db"))
	for range 5 {
		if err := db.Update(say); err != nil {
			t.Fatal(err)
		}
	}
	saved, restored := filepath.Join(dir, "saved"), filepath.Join(dir, "restored")
	f, err := os.Create(saved)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for range 20 {
			if err := db.Update(say); err != nil {
				t.Error(err)
			}
		}
	})
	if err := errors.Join(db.Backup(f), f.Close(), bolt.Check(saved)); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if err := bolt.Restore(saved, restored); err != nil {
		t.Fatal(err)
	}
	if err := bolt.Restore(saved, restored); !errors.Is(err, store.ErrExists) {
		t.Errorf("over a file: error %v", err)
	}
	if err := bolt.Check(restored); err != nil {
		t.Error(err)
	}
	back := open(t, restored)
	if back.Meta().Incarnation == db.Meta().Incarnation {
		t.Error("the restored store has the old incarnation")
	}
	if n := seq(t, back); n < seq(t, db) {
		t.Errorf("restored at %d; clients have seen %d", n, seq(t, db))
	}
}
