package bolt

import (
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"go.etcd.io/bbolt"

	"parley/store"
)

// Bounds of one transaction.
const (
	maxBatch      = 512     // updates
	maxBatchBytes = 8 << 20 // that they write, about
	maxAgain      = 8       // times that it is begun again because an update failed
)

// update is one call of Update.
type update struct {
	fn   func(store.Tx) error
	done chan error
	err  error // what fn returned
	out  bool  // fn failed after it had written: it is not run again
}

// commit is the committer.
func (d *DB) commit() {
	for u := range d.queue {
		batch := d.gather(u)
		for len(batch) > 0 {
			n, err := d.transact(batch)
			for _, u := range batch[:n] {
				if err != nil {
					u.err = err
				}
				u.done <- u.err
			}
			batch = batch[n:]
		}
	}
}

// gather takes what waits.
func (d *DB) gather(first *update) []*update {
	batch := []*update{first}
	for len(batch) < maxBatch {
		select {
		case u, ok := <-d.queue:
			if !ok {
				return batch
			}
			batch = append(batch, u)
		default:
			return batch
		}
	}
	return batch
}

// transact does the first n updates of a batch in one transaction. Each has its own
// result; err is the disk's, and holds for all.
func (d *DB) transact(batch []*update) (n int, err error) {
	start := time.Now()
	if err := d.heal(); err != nil {
		return len(batch), err
	}
	low := d.low()
	for again := 0; ; again++ {
		t, err := d.b.Begin(true)
		if err != nil {
			return len(batch), fault(err)
		}
		n, wrote, whole := fill(t, batch, low)
		if !whole {
			t.Rollback() // of an open transaction: never fails
			if again >= maxAgain {
				batch = batch[:n] // ends with the one that is out: the work stays linear
			}
			continue
		}
		if wrote == 0 {
			return n, t.Rollback()
		}
		id := t.ID()
		if err := commit(t); err != nil {
			return n, d.failed(id, err)
		}
		d.seen.advance(id)
		if d.sick {
			d.sick = false
			d.o.Log.Info("store: commits succeed again", "failed", d.Stats().Failed)
		}
		d.stats.commit(n, time.Since(start))
		return n, nil
	}
}

// fill runs the first n updates of a batch, until enough is written. It is not whole
// when the last of them failed after it had written; that one is out. What each is
// told stands only when the batch is committed, since it may have seen what a
// rollback takes back.
func fill(t *bbolt.Tx, batch []*update, low bool) (n, wrote int, whole bool) {
	for i, u := range batch {
		if u.out {
			continue
		}
		x := &tx{t: t, low: low}
		u.err = safely(u.fn, x)
		wrote += x.wrote
		if u.err != nil && x.wrote > 0 {
			u.out = true
			return i + 1, wrote, false
		}
		x.t = nil // it has ended
		if wrote > maxBatchBytes {
			return i + 1, wrote, true
		}
	}
	return len(batch), wrote, true
}

// safely makes a panic of an update an error of that update.
func safely(fn func(store.Tx) error, x *tx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			x.wrote++ // who knows
			err = fmt.Errorf("store: update panicked: %v\n%s", p, debug.Stack())
		}
	}()
	return fn(x)
}

// commit makes a panic of bbolt, about pages that make no sense, an error.
func commit(t *bbolt.Tx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("store: commit panicked: %v", p)
		}
		if err != nil {
			t.Rollback() // lets go of the lock if bbolt has not
		}
	}()
	return t.Commit()
}

// fault gives the contract's errors for those of the system. bbolt keeps only the
// text of some.
func fault(err error) error {
	if err == nil {
		return nil
	}
	for _, full := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG} {
		if errors.Is(err, full) || strings.Contains(err.Error(), full.Error()) {
			return fmt.Errorf("%w: %w", store.ErrFull, err)
		}
	}
	return err
}
