package bolt

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"parley/protocol"
	"parley/store"
)

func TestLittleSpace(t *testing.T) {
	var free atomic.Int64
	db, err := Open(filepath.Join(t.TempDir(), "parley.db"), Options{Node: testNode, Create: true, MinFree: 100,
		free: func(string) (int64, error) { return free.Load(), nil }})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	grows := map[string]func(store.Tx) error{
		"message": addMessage,
		"user":    func(tx store.Tx) error { return tx.PutUser(&store.User{ID: protocol.NewUserID(2, testNode)}) },
		"topic":   func(tx store.Tx) error { return tx.PutTopic(&store.Topic{ID: protocol.NewGroupID(2, testNode)}) },
		"file":    func(tx store.Tx) error { return tx.PutFile(&store.File{ID: "new"}) },
		"post":    func(tx store.Tx) error { return tx.Enqueue("far.example", 0, &store.Post{Body: []byte("x")}) },
	}
	free.Store(100)
	err = db.Update(func(tx store.Tx) error {
		return errors.Join(addMessage(tx), addMessage(tx), tx.PutUser(&store.User{ID: testUser}), tx.PutTopic(&store.Topic{ID: testGroup}),
			tx.PutFile(&store.File{ID: "old"}), tx.Enqueue("far.example", 0, &store.Post{Key: "k", Body: []byte("x")}))
	})
	if err != nil {
		t.Fatal(err)
	}
	free.Store(99)
	for what, fn := range grows {
		if err := db.Update(fn); !errors.Is(err, store.ErrFull) {
			t.Errorf("another %s: error %v, want ErrFull", what, err)
		}
	}
	err = db.Update(func(tx store.Tx) error { // changes what is there, and makes room
		return errors.Join(tx.PutUser(&store.User{ID: testUser, Epoch: 1}), tx.PutTopic(&store.Topic{ID: testGroup, Channel: true}),
			tx.PutMarks(testGroup, testUser, store.Marks{Recv: 2, Read: 2}),
			tx.Enqueue("far.example", 0, &store.Post{Key: "k", Body: []byte("y")}),
			tx.Delete(testGroup, &store.Deletion{Ranges: protocol.Ranges{{Low: 1, Hi: 2}}}), tx.DeleteFile("old"))
	})
	if err != nil {
		t.Error(err)
	}
	free.Store(100)
	for what, fn := range grows {
		if err := db.Update(fn); err != nil {
			t.Errorf("another %s when there is space again: %v", what, err)
		}
	}
}

// stuck is a reader of a backup that takes nothing until it is let go.
type stuck struct{ started, release chan struct{} }

func (s stuck) Write(b []byte) (int, error) {
	select {
	case <-s.started:
	default:
		close(s.started)
		<-s.release
	}
	return len(b), nil
}

func TestBackupStopsNobody(t *testing.T) {
	db := makeDB(t, filepath.Join(t.TempDir(), "parley.db"))
	defer db.Close()
	s := stuck{make(chan struct{}), make(chan struct{})}
	backedUp := make(chan error, 1)
	db.wg.Go(func() { backedUp <- db.Backup(s) })
	<-s.started
	for n := range 20 { // the file grows to a thousand times its size
		if err := writeLarge(db, n+1); err != nil {
			t.Fatal(err)
		}
		if h := lastSeq(t, db); h.Seq != n+1 {
			t.Fatalf("%d messages are read, %d are written", h.Seq, n+1)
		}
	}
	close(s.release)
	if err := <-backedUp; err != nil {
		t.Error(err)
	}
}

func writeLarge(db *DB, n int) error {
	return db.Update(func(tx store.Tx) error {
		return tx.Append(testGroup, &store.Message{From: testUser, TS: time.UnixMilli(1), Content: make([]byte, 1<<20)})
	})
}

// A file that was cut short would kill the process: bbolt maps it.
func TestCutShort(t *testing.T) {
	dir := t.TempDir()
	path, whole := filepath.Join(dir, "parley.db"), filepath.Join(dir, "whole")
	db := makeDB(t, path)
	if err := errors.Join(writeLarge(db, 1), writeLarge(db, 2)); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(whole)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Backup(f), f.Close(), db.Close(), Check(whole)); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	for _, length := range []int{1, 100, 5000, 4 * os.Getpagesize(), len(b) / 2, len(b) - 1} {
		short := filepath.Join(dir, "short")
		if err := os.WriteFile(short, b[:length], 0o600); err != nil {
			t.Fatal(err)
		}
		_, opened := Open(short, Options{Node: testNode})
		for what, err := range map[string]error{"open": opened, "check": Check(short), "restore": Restore(short, filepath.Join(dir, "to"))} {
			if !errors.Is(err, store.ErrDamaged) {
				t.Errorf("%s of %d bytes of %d: %v", what, length, len(b), err)
			}
		}
	}
}

func TestNoStore(t *testing.T) {
	dir := t.TempDir()
	other := filepath.Join(dir, "other.db")
	b, err := bbolt.Open(other, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = b.Update(func(t *bbolt.Tx) error { _, err := t.CreateBucket([]byte("theirs")); return err })
	if err := errors.Join(err, b.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(other, Options{Node: testNode, Create: true}); err == nil || !strings.Contains(err.Error(), "another program") {
		t.Errorf("a database of another program: %v", err)
	}
	noise := filepath.Join(dir, "noise.db")
	if err := os.WriteFile(noise, []byte(strings.Repeat("noise", 10000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(noise, Options{Node: testNode, Create: true}); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("noise: %v", err)
	}
	empty := filepath.Join(dir, "empty.db") // as left by a copy that failed: no new store, which would hide that
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, create := range []bool{false, true} {
		if _, err := Open(empty, Options{Node: testNode, Create: create}); !errors.Is(err, store.ErrDamaged) {
			t.Errorf("an empty file, create %v: %v", create, err)
		}
	}
	if got, err := os.Stat(empty); err != nil || got.Size() != 0 {
		t.Errorf("the empty file was touched: %v, %v", got, err)
	}
}

// Of several that make a store at once, one succeeds, and nothing else is left.
func TestMakeOnce(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "parley.db")
	dbs, errs := make([]*DB, 5), make([]error, 5)
	var wg sync.WaitGroup
	for i := range dbs {
		wg.Go(func() { dbs[i], errs[i] = Open(path, Options{Node: testNode, Create: true}) })
	}
	wg.Wait()
	made := 0
	for i, db := range dbs {
		switch {
		case errs[i] == nil:
			made++
			defer db.Close()
			if err := db.Update(addMessage); err != nil {
				t.Error(err)
			}
		case !errors.Is(errs[i], store.ErrInUse):
			t.Error(errs[i])
		}
	}
	left, err := os.ReadDir(dir)
	if made != 1 || len(left) != 1 || err != nil {
		t.Errorf("%d stores, files %v, %v", made, left, err)
	}
	if err := Check(path); !errors.Is(err, store.ErrInUse) {
		t.Errorf("check while in use: %v", err)
	}
}

func TestMigrate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "parley.db")
	db := makeDB(t, path)
	m := db.Meta()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := openBolt(path, &bbolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	var done []int
	step := func(n int) func(*tx) error {
		return func(x *tx) error { done = append(done, n); return x.put(bktGone, []byte{byte(n)}, nothing) }
	}
	fails := errors.New("fails")
	run := func(steps ...func(*tx) error) error {
		m := m
		return b.Update(func(t *bbolt.Tx) error { return migrate(&tx{t: t}, &m, steps) })
	}
	if err := run(step(1), func(*tx) error { return fails }); !errors.Is(err, fails) {
		t.Error(err)
	}
	if got, err := describe(b); err != nil || got.Schema != 1 {
		t.Errorf("after a failure: %+v, %v", got, err)
	}
	done = nil
	if err := run(step(1), step(2)); err != nil {
		t.Error(err)
	}
	if got, err := describe(b); err != nil || got.Schema != 3 || len(done) != 2 || done[0] != 1 {
		t.Errorf("%+v, %v, steps %v", got, err, done)
	}
	if Schema != len(migrations)+1 {
		t.Errorf("schema %d, %d migrations", Schema, len(migrations))
	}
}

func TestRestoreMovesPastWhatWasSeen(t *testing.T) {
	x := makeDB(t, filepath.Join(t.TempDir(), "parley.db"))
	defer x.Close()
	now := time.UnixMilli(1_800_000_000_000)
	quiet, abroad := protocol.NewGroupID(9, testNode), protocol.NewGroupID(9, "far.example")
	busy := 50 // messages in as long a time before the last one as has passed since
	reader := protocol.NewUserID(7, testNode)
	err := x.Update(func(s store.Tx) error {
		tx := s.(*tx)
		var err error
		for i := range 70 {
			age := 4 * time.Hour // of the first 20
			if i >= 20 {
				age = 90 * time.Minute
			}
			err = errors.Join(err, tx.Append(testGroup, &store.Message{From: testUser, TS: now.Add(-age)}))
		}
		err = errors.Join(err, tx.PutTopic(&store.Topic{ID: quiet}), tx.PutTopic(&store.Topic{ID: abroad, Base: 8}), tx.Raise(abroad, 7, 7),
			tx.PutTopic(&store.Topic{ID: testGroup}),
			tx.Delete(testGroup, &store.Deletion{User: testUser, Ranges: protocol.Ranges{{Low: 1, Hi: 3}}}),
			tx.PutMarks(testGroup, testUser, store.Marks{Recv: 70, Read: 70}),
			tx.PutMarks(testGroup, reader, store.Marks{Recv: 70, Read: 5}))
		return errors.Join(err, tx.raise(testNode, now))
	})
	if err != nil {
		t.Fatal(err)
	}
	err = x.View(func(tx store.Tx) error {
		h, err1 := tx.Head(testGroup)
		if want := 70 + RestoreGap + 2*busy; h.Seq != want || h.Del != 1+RestoreGap+2*busy+1 {
			t.Errorf("%+v, want seq %d", h, want)
		}
		q, err2 := tx.Head(quiet)
		if q.Seq != RestoreGap {
			t.Errorf("a topic without messages is at %d", q.Seq)
		}
		if f, err := tx.Head(abroad); f.Seq != 7 || f.Del != 0 || err != nil {
			t.Errorf("another node's group is at %+v, %v", f, err)
		}
		m, err3 := tx.Marks(testGroup, testUser)
		r, err4 := tx.Marks(testGroup, reader)
		if m.Read != h.Seq || m.Recv != h.Seq || r.Read != 5 || r.Recv != h.Seq {
			t.Errorf("marks %+v and %+v, the last message is %d", m, r, h.Seq)
		}
		return errors.Join(err1, err2, err3, err4)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Names from clients cannot reach into others' keys.
func TestNULInNames(t *testing.T) {
	db := makeDB(t, filepath.Join(t.TempDir(), "parley.db"))
	defer db.Close()
	err := db.Update(func(tx store.Tx) error {
		return errors.Join(tx.PutUser(&store.User{ID: testUser, Tags: []string{"a\x00b", "c"}}),
			tx.PutLogin(&store.Login{Scheme: "basic", Name: "n\x00m", User: testUser}))
	})
	if err != nil {
		t.Fatal(err)
	}
	err = db.View(func(tx store.Tx) error {
		for tag, want := range map[string]int{"a": 0, "a\x00b": 1, "c": 1, "c\x00" + string(testUser)[:3]: 0} {
			if got, err := collect(tx.Tagged(tag)); err != nil || len(got) != want {
				t.Errorf("tag %q: %v, %v", tag, got, err)
			}
		}
		l, err := tx.LoginOf("basic", testUser)
		if err == nil && l.Name != "n\x00m" {
			t.Errorf("login %q", l.Name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// An update that fails is not told why before the ones that it has seen are on the
// disk, and does not take them down.
func TestFailingUpdatesInABatch(t *testing.T) {
	db := makeDB(t, filepath.Join(t.TempDir(), "parley.db"))
	defer db.Close()
	wrong := errors.New("wrong")
	fails := map[string]func(store.Tx) error{
		"after it wrote":  func(tx store.Tx) error { return errors.Join(addMessage(tx), wrong) },
		"before it wrote": func(store.Tx) error { return wrong },
	}
	var batch []*update
	add := func(fn func(store.Tx) error) *update {
		u := &update{fn: fn, done: make(chan error, 1)}
		batch = append(batch, u)
		return u
	}
	first := add(addMessage)
	bad, early := add(fails["after it wrote"]), add(fails["before it wrote"])
	crash := add(func(tx store.Tx) error { panic("in an update") })
	last := add(addMessage)
	n, err := db.transact(batch)
	if n != len(batch) || err != nil {
		t.Fatal(n, err)
	}
	if first.err != nil || last.err != nil || !errors.Is(bad.err, wrong) || !errors.Is(early.err, wrong) {
		t.Error(first.err, bad.err, early.err, last.err)
	}
	if crash.err == nil || !strings.Contains(crash.err.Error(), "in an update") {
		t.Error(crash.err)
	}
	if h := lastSeq(t, db); h.Seq != 2 {
		t.Errorf("%+v", h)
	}
}

// However many fail, the work is not that of all pairs.
func TestManyFailingUpdates(t *testing.T) {
	db := makeDB(t, filepath.Join(t.TempDir(), "parley.db"))
	defer db.Close()
	const updates = 500
	ran, wrong := 0, errors.New("wrong")
	var batch []*update
	for i := range updates {
		batch = append(batch, &update{done: make(chan error, 1), fn: func(tx store.Tx) error {
			ran++
			if err := addMessage(tx); err != nil || i%2 == 0 {
				return err
			}
			return wrong
		}})
	}
	for rest := batch; len(rest) > 0; {
		n, err := db.transact(rest)
		if n == 0 || err != nil {
			t.Fatal(n, err)
		}
		rest = rest[n:]
	}
	for i, u := range batch {
		if i%2 == 0 && u.err != nil || i%2 == 1 && !errors.Is(u.err, wrong) {
			t.Errorf("update %d: %v", i, u.err)
		}
	}
	if h := lastSeq(t, db); h.Seq != updates/2 {
		t.Errorf("%+v", h)
	}
	if ran > updates*(maxAgain+1) {
		t.Errorf("%d runs of %d updates", ran, updates)
	}
}

// Restoring makes tokens void that were issued before the backup or after it.
func TestRestoreExpels(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	db := makeDB(t, from)
	err := db.Update(func(tx store.Tx) error {
		return tx.PutUser(&store.User{ID: testUser, Epoch: 3, Tags: []string{"a"}})
	})
	if err := errors.Join(err, db.Close(), Restore(from, to), Check(to)); err != nil {
		t.Fatal(err)
	}
	back := makeDB(t, to)
	defer back.Close()
	err = back.View(func(tx store.Tx) error {
		u, err := tx.User(testUser)
		if err == nil && u.Epoch < 3+RestoreGap {
			t.Errorf("epoch %d", u.Epoch)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A commit that the disk has refused after readers could see it is taken back, and so
// are the pages that it took for free. See power_linux_amd64_test.go for real refusals.
func TestCommitTakenBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "parley.db")
	db := makeDB(t, path)
	if err := writeLarge(db, 1); err != nil {
		t.Fatal(err)
	}
	for n := range 20 {
		refused, err := db.b.Begin(true)
		if err != nil {
			t.Fatal(err)
		}
		x := &tx{t: refused}
		if err := errors.Join(x.Append(testGroup, &store.Message{From: testUser, TS: time.UnixMilli(1)}), refused.Commit()); err != nil {
			t.Fatal(err)
		}
		disk := errors.New("refused")
		if err := db.failed(int(db.seen.last.Load())+1, disk); err != disk {
			t.Fatal(err)
		}
		if h := lastSeq(t, db); h.Seq != n+1 {
			t.Fatalf("after taking back there are %d messages, not %d", h.Seq, n+1)
		}
		if err := db.Update(addMessage); err != nil {
			t.Fatal(err)
		}
	}
	if s := db.Stats(); s.Failed != 20 {
		t.Errorf("%+v", s)
	}
	if err := errors.Join(db.Close(), Check(path)); err != nil {
		t.Error(err)
	}
}
