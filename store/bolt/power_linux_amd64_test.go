package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"parley/protocol"
	"parley/store"
	"parley/store/storetest"
)

const (
	writers   = 4
	perWriter = 30 // updates of each
	sector    = 512
)

// writerGroup is the topic of one writer.
func writerGroup(w int) protocol.TopicID { return protocol.NewGroupID(uint64(w+1), testNode) }

// openTold opens a store and tells the tracer which file it is.
func openTold(t *testing.T, path string, minMap int) *DB {
	t.Helper()
	db, err := Open(path, Options{Node: testNode, Create: true, MinFree: -1, minMap: minMap,
		OpenFile: func(name string, flag int, mode fs.FileMode) (*os.File, error) {
			f, err := os.OpenFile(name, flag, mode)
			if err == nil {
				say("db %d", f.Fd())
			}
			return f, err
		}})
	if err != nil {
		t.Fatal(err)
	}
	say("made")
	return db
}

// writeOne is the nth update of a writer: a message, marks, and now and then what
// frees pages.
func writeOne(db *DB, w, n, size int) error {
	g := writerGroup(w)
	return db.Update(func(tx store.Tx) error {
		m := &store.Message{From: testUser, TS: time.UnixMilli(1), Content: bytes.Repeat([]byte{byte('a' + w)}, size)}
		if err := tx.Append(g, m); err != nil {
			return err
		}
		if m.Seq%10 == 0 {
			d := &store.Deletion{TS: m.TS, Ranges: protocol.Ranges{{Low: m.Seq - 8, Hi: m.Seq - 4}}}
			if err := tx.Delete(g, d); err != nil {
				return err
			}
		}
		return tx.PutMarks(g, testUser, store.Marks{Recv: n, Read: n})
	})
}

// TestTracedLoad is the traced process of TestPowerLossTraced: it says what it was
// acknowledged.
func TestTracedLoad(t *testing.T) {
	if os.Getenv(envTraced) == "" {
		t.Skip("only as a traced process")
	}
	db := openTold(t, filepath.Join(t.TempDir(), "parley.db"), 1) // a small file
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for n := 1; n <= perWriter; n++ {
				if err := writeOne(db, w, n, 100+37*n); err != nil {
					t.Error(err)
					return
				}
				say("ack %d", w*1000+n)
			}
		})
	}
	wg.Wait()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestPowerLossTraced cuts the power at every step of a real run: of what was written
// since the last sync, any part may be on the disk, down to single sectors; and any
// change of the length. Whatever is left opens, is sound, and has of each writer what
// was acknowledged and at most the one update more, whole.
func TestPowerLossTraced(t *testing.T) {
	if os.Getenv(envTraced) != "" {
		t.Skip("runs a traced process")
	}
	events := trace(t, "TestTracedLoad", "load")
	random := rand.New(rand.NewPCG(1, 2))
	times, of := 1, 4 // of the steps, so many in so many
	if storetest.Long() {
		times, of = 20, 1
	}
	path := filepath.Join(t.TempDir(), "parley.db")
	d, cuts := disk{}, 0
	for i, e := range events {
		d.apply(e)
		// Before the store was made there is nothing to lose: it has no name yet.
		if !d.made || random.IntN(of) != 0 {
			continue
		}
		for range times {
			if err := d.cut(path, random); err != nil {
				t.Fatalf("power lost after step %d (%s): %v", i, e.kind, err)
			}
			cuts++
		}
	}
	if d.total() != writers*perWriter {
		t.Errorf("%d updates acknowledged", d.total())
	}
	t.Logf("%d steps, %d cuts", len(events), cuts)
}

// disk is what is surely on it, and what may be.
type disk struct {
	sure  []byte
	maybe []event
	acked map[int]int // by writer
	made  bool
}

func (d *disk) apply(e event) {
	switch e.kind {
	case "made":
		d.made = true
	case "ack":
		if d.acked == nil {
			d.acked = map[int]int{}
		}
		d.acked[int(e.at)/1000] = int(e.at) % 1000
	case "sync":
		for _, m := range d.maybe {
			d.sure = change(d.sure, m, func(int) bool { return true })
		}
		d.maybe = nil
	default:
		d.maybe = append(d.maybe, e)
	}
}

func (d *disk) total() (n int) {
	for _, a := range d.acked {
		n += a
	}
	return n
}

// change does those sectors of an event that are kept.
func change(b []byte, e event, keep func(sector int) bool) []byte {
	if e.kind == "truncate" {
		if !keep(0) {
			return b
		}
		if int(e.at) <= len(b) {
			return b[:e.at]
		}
		return append(b, make([]byte, int(e.at)-len(b))...)
	}
	for i := 0; i < len(e.data); i += sector {
		if !keep(i / sector) {
			continue
		}
		part := e.data[i:min(i+sector, len(e.data))]
		if end := int(e.at) + i + len(part); end > len(b) {
			b = append(b, make([]byte, end-len(b))...)
		}
		copy(b[int(e.at)+i:], part)
	}
	return b
}

// cut looks at what a loss of power might leave.
func (d *disk) cut(path string, random *rand.Rand) error {
	b := bytes.Clone(d.sure)
	for _, e := range d.maybe {
		all, none := random.IntN(3) == 0, random.IntN(3) == 0
		b = change(b, e, func(int) bool { return all || !none && random.IntN(2) == 0 })
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		return err
	}
	if err := Check(path); err != nil {
		return err
	}
	db, err := Open(path, Options{Node: testNode, MinFree: -1})
	if err != nil {
		return err
	}
	return errors.Join(d.verify(db), db.Close())
}

func (d *disk) verify(db *DB) error {
	return db.View(func(tx store.Tx) error {
		for w := range writers {
			h, err1 := tx.Head(writerGroup(w))
			marks, err2 := tx.Marks(writerGroup(w), testUser)
			if err := errors.Join(err1, err2); err != nil {
				return err
			}
			if h.Seq != d.acked[w] && h.Seq != d.acked[w]+1 {
				return fmt.Errorf("writer %d has %d messages, %d were acknowledged", w, h.Seq, d.acked[w])
			}
			if marks.Read != h.Seq {
				return fmt.Errorf("writer %d has %d messages and read %d: half of an update", w, h.Seq, marks.Read)
			}
		}
		return nil
	})
}

// faults are what TestTracedFaults makes fail once: the nth call of a commit.
var faults = []struct {
	name  string
	call  uint64
	nth   int
	errno syscall.Errno
	full  bool // the update is told that the disk is full
	big   bool // the update makes the file grow
}{
	{"no space for a page", syscall.SYS_PWRITE64, 1, syscall.ENOSPC, true, false},
	{"no space for the second page", syscall.SYS_PWRITE64, 2, syscall.ENOSPC, true, false},
	{"over the quota", syscall.SYS_PWRITE64, 1, syscall.EDQUOT, true, false},
	{"pages cannot be synced", syscall.SYS_FDATASYNC, 1, syscall.EIO, false, false},
	{"no space when pages are synced", syscall.SYS_FDATASYNC, 1, syscall.ENOSPC, true, false},
	{"the meta page cannot be synced", syscall.SYS_FDATASYNC, 2, syscall.EIO, false, false},
	{"file cannot grow", syscall.SYS_FTRUNCATE, 1, syscall.ENOSPC, true, true},
	{"file too large", syscall.SYS_FTRUNCATE, 1, syscall.EFBIG, true, true},
	{"growth cannot be synced", syscall.SYS_FSYNC, 1, syscall.EIO, false, true},
	{"file cannot be mapped", syscall.SYS_MMAP, 1, syscall.ENOMEM, false, true},
}

// TestTracedFault is the traced process of TestFaults.
func TestTracedFault(t *testing.T) {
	argument := os.Getenv(envTraced)
	if argument == "" {
		t.Skip("only as a traced process")
	}
	var i int
	if _, err := fmt.Sscan(argument, &i); err != nil {
		t.Fatal(err)
	}
	f := faults[i]
	path := filepath.Join(t.TempDir(), "parley.db")
	db := openTold(t, path, 1) // mapped anew when it grows
	for n := range 100 {
		if err := writeOne(db, n%20, n/20+1, 300); err != nil {
			t.Fatal(err)
		}
	}
	size := 300
	if f.big {
		size = 1 << 20
	}
	say("fail %d %d %d", f.call, f.nth, int(f.errno))
	err := writeOne(db, 0, 6, size)
	if err == nil || errors.Is(err, store.ErrFull) != f.full {
		t.Fatalf("the update returned %v", err)
	}
	readsAs(t, db, 5)
	for n := range 200 { // at once, and more than any page that may be free by mistake
		if err := writeOne(db, n%20, n/20+6, size%(1<<20)+n); err != nil {
			t.Fatalf("update %d after the fault: %v", n, err)
		}
	}
	readsAs(t, db, 15)
	if s := db.Stats(); s.Failed != 1 || s.Commits != 300 {
		t.Errorf("%+v", s)
	}
	if err := errors.Join(db.Close(), Check(path)); err != nil {
		t.Fatal(err)
	}
}

// readsAs verifies all that each of 20 writers has written.
func readsAs(t *testing.T, db *DB, want int) {
	t.Helper()
	err := db.View(func(tx store.Tx) error {
		for w := range 20 {
			h, err1 := tx.Head(writerGroup(w))
			m, err2 := tx.Message(writerGroup(w), h.Seq)
			marks, err3 := tx.Marks(writerGroup(w), testUser)
			if err := errors.Join(err1, err2, err3); err != nil {
				return err
			}
			if h.Seq != want || marks.Read != want || strings.Trim(string(m.Content), string(rune('a'+w))) != "" {
				return fmt.Errorf("writer %d has written %d (marks %v), want %d", w, h.Seq, marks, want)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestFaults makes each call fail that a commit makes of the disk: the update has no
// effect and says so, and the next one succeeds, without a restart.
func TestFaults(t *testing.T) {
	if os.Getenv(envTraced) != "" {
		t.Skip("runs traced processes")
	}
	for i, f := range faults {
		t.Run(f.name, func(t *testing.T) { trace(t, "TestTracedFault", fmt.Sprint(i)) })
	}
}

// TestReadersSeeWhatIsOnTheDisk has readers at all times, which must never see an
// update that has not been acknowledged in the end.
func TestReadersSeeWhatIsOnTheDisk(t *testing.T) {
	db := makeDB(t, filepath.Join(t.TempDir(), "parley.db"))
	defer db.Close()
	var wg sync.WaitGroup
	var done atomic.Bool
	for range 2 {
		wg.Go(func() {
			for !done.Load() {
				seen := 0
				err := db.read(func(b *bbolt.Tx) error { seen = b.ID(); return nil })
				if err != nil || int64(seen) > db.seen.last.Load() {
					t.Errorf("transaction %d was read, %d is on the disk (%v)", seen, db.seen.last.Load(), err)
					return
				}
			}
		})
	}
	for n := range 200 {
		if err := writeOne(db, 0, n+1, 100); err != nil {
			t.Error(err)
			break
		}
	}
	done.Store(true)
	wg.Wait()
}
