// Package bolt keeps a store in one bbolt file.
//
// Updates go through one goroutine, the committer, which takes all that wait into
// one transaction: one fsync for many. Keys are flat and few buckets hold them; see
// keys.go for the layout.
package bolt

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"parley/protocol"
	"parley/store"
)

// Schema is the version of the layout that this release writes.
const Schema = 1

const (
	lockTimeout = time.Second // for another process to let go of the file
	maxBatch    = 512         // updates in one transaction
)

// Options say how to open a store.
type Options struct {
	// Node is the name of the node. It is required to create a store; opening one
	// that belongs to another is ErrOtherNode. Empty: whoever it belongs to.
	Node   protocol.Node
	Create bool // make the file if there is none
	// OpenFile replaces os.OpenFile, for tests of faults.
	OpenFile func(string, int, fs.FileMode) (*os.File, error)
}

// DB is an open store. It implements store.Store.
type DB struct {
	b     *bbolt.DB
	meta  store.Meta
	queue chan *update

	mu     sync.RWMutex // guards closed against updates on their way
	closed bool
	wg     sync.WaitGroup
	stats  counters
}

type update struct {
	fn   func(store.Tx) error
	done chan error
}

// Open opens the store in the file at path.
func Open(path string, o Options) (*DB, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) && !o.Create {
		return nil, fmt.Errorf("%w: there is no %s", store.ErrNotFound, path)
	}
	b, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockTimeout, NoFreelistSync: true,
		FreelistType: bbolt.FreelistMapType, OpenFile: o.OpenFile})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("%w: %s: stop the node that runs on it, or give another directory", store.ErrInUse, path)
	}
	if err != nil {
		return nil, fault(err)
	}
	d := &DB{b: b, queue: make(chan *update, maxBatch)}
	if d.meta, err = prepare(b, o); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	d.wg.Go(d.commit)
	return d, nil
}

// prepare makes the buckets of a new file, and checks who an old one belongs to.
func prepare(b *bbolt.DB, o Options) (m store.Meta, err error) {
	err = b.Update(func(t *bbolt.Tx) error {
		if t.Bucket(bktMeta) == nil {
			if o.Node == "" {
				return fmt.Errorf("%w: a new store needs the name of its node", store.ErrNotFound)
			}
			m = store.Meta{Node: o.Node, Incarnation: newIncarnation(), Schema: Schema, Created: time.Now().UTC()}
			for _, name := range append(buckets, added...) {
				if _, err := t.CreateBucket(name); err != nil {
					return err
				}
			}
			return putRecord(t.Bucket(bktMeta), keyMeta, &m)
		}
		for _, name := range added {
			if _, err := t.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		if err := getRecord(t.Bucket(bktMeta), keyMeta, &m); err != nil {
			return fmt.Errorf("store: description of the store: %w", err)
		}
		switch {
		case m.Schema > Schema:
			return fmt.Errorf("%w: it has schema %d, this release knows %d: install the newer release again", store.ErrNewerSchema, m.Schema, Schema)
		case o.Node != "" && o.Node != m.Node:
			return fmt.Errorf("%w: it belongs to %q, not %q: a node's name is fixed; use that name, or another data directory", store.ErrOtherNode, m.Node, o.Node)
		}
		return nil
	})
	return m, fault(err)
}

func newIncarnation() uint64 {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint64(b[:])
}

// Meta implements store.Store.
func (d *DB) Meta() store.Meta { return d.meta }

// View implements store.Store.
func (d *DB) View(fn func(store.Tx) error) error {
	err := d.b.View(func(t *bbolt.Tx) error { return fn(&tx{t}) })
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return store.ErrClosed
	}
	return err
}

// Update implements store.Store.
func (d *DB) Update(fn func(store.Tx) error) error {
	u := &update{fn: fn, done: make(chan error, 1)}
	d.mu.RLock()
	if d.closed {
		d.mu.RUnlock()
		return store.ErrClosed
	}
	d.queue <- u
	d.mu.RUnlock()
	return <-u.done
}

// Close implements store.Store: updates that wait are done.
func (d *DB) Close() error {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return store.ErrClosed
	}
	d.closed = true
	close(d.queue)
	d.mu.Unlock()
	d.wg.Wait()
	return fault(d.b.Close())
}

// commit is the committer.
func (d *DB) commit() {
	for u := range d.queue {
		batch := []*update{u}
	fill:
		for len(batch) < maxBatch {
			select {
			case more, ok := <-d.queue:
				if !ok {
					break fill
				}
				batch = append(batch, more)
			default:
				break fill
			}
		}
		d.run(batch)
	}
}

// run does a batch in one transaction. An update that fails is answered and the
// others are done again without it.
func (d *DB) run(batch []*update) {
	start := time.Now()
	for len(batch) > 0 {
		failed, err := d.try(batch)
		if failed < 0 {
			for _, u := range batch {
				u.done <- err
			}
			break
		}
		batch[failed].done <- err
		batch = append(batch[:failed:failed], batch[failed+1:]...)
	}
	d.stats.commit(len(batch), time.Since(start))
}

// try runs a batch; failed is the one because of which it was rolled back, -1 if it
// was committed or the disk is at fault.
func (d *DB) try(batch []*update) (failed int, err error) {
	t, err := d.b.Begin(true)
	if err != nil {
		return -1, fault(err)
	}
	defer t.Rollback() // after Commit it does nothing
	for i, u := range batch {
		if err := safely(u.fn, &tx{t}); err != nil {
			return i, fault(err)
		}
	}
	return -1, fault(t.Commit())
}

// panicked carries a panic of an update to the one who asked for it.
type panicked struct{ value any }

func (p panicked) Error() string { return fmt.Sprintf("store: update panicked: %v", p.value) }

func safely(fn func(store.Tx) error, x store.Tx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked{p}
		}
	}()
	return fn(x)
}

// fault gives the contract's errors for those of the system.
func fault(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	}
	return err
}

// Backup implements store.Store.
func (d *DB) Backup(w io.Writer) error {
	err := d.b.View(func(t *bbolt.Tx) error {
		_, err := t.WriteTo(w)
		return err
	})
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return store.ErrClosed
	}
	return fault(err)
}
