package bolt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"parley/store"
)

// A commit of bbolt writes the new pages, syncs, writes one of two meta pages, and
// syncs. From the third step on readers see the transaction, before it is surely on
// the disk; and if the last step fails, it stays visible though Commit says that it
// failed, and bbolt takes the pages of the one before for free. So readers wait for
// the end of a commit that they have run into (horizon), and a meta page that could
// not be synced is taken back before anything else is written (ills).

// horizon knows which transactions are on the disk.
type horizon struct {
	mu     sync.Mutex
	moved  sync.Cond
	last   atomic.Int64 // id of the last one
	failed atomic.Int64 // commits
	ill    error        // why one that failed is still visible
}

func (h *horizon) start(last int) {
	h.moved.L = &h.mu
	h.last.Store(int64(last))
}

// failures counts commits that failed, after each of which ids are used again.
func (h *horizon) failures() int64 { return h.failed.Load() }

// reached waits until what a reader sees is on the disk. It is false if that was
// taken back since the reader counted failures.
func (h *horizon) reached(id int, since int64) (bool, error) {
	on := int64(id) <= h.last.Load() // before the next line: see failures
	if h.failed.Load() != since {
		return false, nil
	}
	if on {
		return true, nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for int64(id) > h.last.Load() && h.failed.Load() == since && h.ill == nil {
		h.moved.Wait()
	}
	if h.failed.Load() != since {
		return false, nil
	}
	return int64(id) <= h.last.Load(), h.ill
}

func (h *horizon) advance(id int) { h.change(func() { h.last.Store(int64(id)) }) }

func (h *horizon) fail() { h.change(func() { h.failed.Add(1); h.ill = nil }) }

func (h *horizon) sicken(err error) { h.change(func() { h.ill = err }) }

func (h *horizon) change(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
	h.moved.Broadcast()
}

// ills are what has to be put right before the next commit.
type ills struct {
	file   *os.File // that bbolt has open
	undo   bool     // the meta page of transaction id must go
	id     int
	unread bool // the file must be opened again
}

// failed notes what a failed commit has left behind, puts it right if that can be
// done at once, and returns the error for those who asked for the commit.
func (d *DB) failed(id int, err error) error {
	err = fault(err)
	d.stats.fail()
	if !d.sick {
		d.sick = true
		d.o.Log.Error("store: a commit failed; more that fail are only counted until one succeeds", "error", err)
	}
	seen, bad := lastID(d.b)
	switch {
	case bad != nil:
		d.ills.unread = true
	case seen >= id:
		d.ills.undo, d.ills.id = true, id
	}
	if bad := d.heal(); bad != nil {
		d.o.Log.Error("store: cannot put the file right; trying again with every update", "error", bad)
		return errors.Join(err, bad)
	}
	d.seen.fail()
	return err
}

// lastID is the id of the last transaction as readers see it.
func lastID(b *bbolt.DB) (int, error) {
	t, err := b.Begin(false)
	if err != nil {
		return 0, err
	}
	return t.ID(), t.Rollback()
}

// heal puts the file right; as long as it fails, nothing is written.
func (d *DB) heal() error {
	if d.ills.unread {
		if err := d.reopen(); err != nil {
			return fault(err)
		}
		d.ills.unread = false
	}
	if !d.ills.undo {
		return nil
	}
	if err := d.unwrite(); err != nil {
		err = fault(fmt.Errorf("store: taking back a commit: %w", err))
		d.seen.sicken(err)
		return err
	}
	d.ills.undo = false
	d.seen.fail()
	return nil
}

// unwrite makes the meta page of a failed transaction void, so that the one before
// holds. It is written again at each attempt: after a failed sync the kernel takes
// pages for clean that are not on the disk.
func (d *DB) unwrite() error {
	page := make([]byte, d.b.Info().PageSize)
	d.begin.Lock() // nobody copies the page meanwhile
	_, err := d.ills.file.WriteAt(page, int64(d.ills.id%2)*int64(len(page)))
	d.begin.Unlock()
	if err != nil {
		return err
	}
	if err := d.ills.file.Sync(); err != nil {
		return err
	}
	return rereadFreelist(d.b)
}

// rereadFreelist makes bbolt find out anew which pages are free, which it does when
// an update panics.
func rereadFreelist(b *bbolt.DB) (err error) {
	const reread = "to have the list of free pages read again"
	defer func() {
		if p := recover(); p != nil && p != reread {
			err = fmt.Errorf("store: %v", p)
		}
	}()
	return b.Update(func(*bbolt.Tx) error { panic(reread) })
}

// reopen opens the file again after mapping it has failed. Nobody reads: bbolt has
// waited for all, and begins nothing without the map.
func (d *DB) reopen() error {
	d.begin.Lock()
	defer d.begin.Unlock()
	if err := d.b.Close(); err != nil && !errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return err
	}
	b, err := d.openFile(d.path)
	if err != nil {
		return err
	}
	d.b = b
	return nil
}

// Room is ErrFull if the disk has less than Options.MinFree: nothing should be added
// to it, beside the store neither.
func (d *DB) Room() error {
	if free, short := d.short(); short {
		return fmt.Errorf("%w: %d bytes are free", store.ErrFull, free)
	}
	return nil
}

func (d *DB) short() (free int64, short bool) {
	if d.o.MinFree < 0 {
		return 0, false
	}
	free, err := d.o.free(filepath.Dir(d.path))
	return free, err == nil && free < d.o.MinFree
}

// low reports whether the store must not grow, and says so when that changes.
func (d *DB) low() bool {
	free, low := d.short()
	if low != d.full {
		d.full = low
		if low {
			d.o.Log.Error("store: little space left on the disk; nothing is added until there is more", "free", free, "wanted", d.o.MinFree)
		} else {
			d.o.Log.Info("store: there is space on the disk again", "free", free)
		}
	}
	return low
}

var _ store.Measured = (*DB)(nil)
