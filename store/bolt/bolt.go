// Package bolt keeps a store in one bbolt file.
//
// Updates go through one goroutine, the committer (commit.go), which takes all that
// wait into one transaction: one commit for many. Keys are flat and few buckets hold
// them; keys.go has the layout. What the disk refuses is undone (heal.go) and said to
// be so, and the store goes on.
package bolt

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"parley/protocol"
	"parley/store"
)

const (
	lockTimeout = time.Second // for another process to let go of the file
	queueLength = 512         // updates that wait; further callers block

	// minMap is the address space, not memory, that is set aside at least for the
	// file, so that it need not be mapped anew as it grows: for that, all reading must
	// end, and a backup reads as long as whoever takes it wants.
	minMap = 1 << (28 + 8*(^uint(0)>>63)) // 64 GiB, on 32 bits 256 MiB

	growBy = 4 << 20 // bytes by which the file grows, each time with one more sync

	// DefaultMinFree is the space on the disk below which the store does not grow.
	DefaultMinFree = 64 << 20
)

// Options say how to open a store.
type Options struct {
	// Node is the name of the node. It is required to create a store; opening one
	// that belongs to another is ErrOtherNode. Empty: whoever it belongs to.
	Node   protocol.Node
	Create bool // make the file if there is none
	// MinFree bytes of the disk are left for reading and deleting: below, updates
	// that add something are refused with ErrFull. 0: DefaultMinFree; negative: none.
	MinFree int64
	Log     *slog.Logger // what happens to the disk; nil: nobody is told
	// OpenFile replaces os.OpenFile, for tests: the file need not have the name.
	OpenFile func(string, int, fs.FileMode) (*os.File, error)

	// For tests.
	free   func(dir string) (int64, error) // nil: freeSpace
	minMap int                             // 0: minMap
}

func (o *Options) defaults() {
	if o.MinFree == 0 {
		o.MinFree = DefaultMinFree
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.free == nil {
		o.free = freeSpace
	}
	if o.minMap == 0 && runtime.GOOS != "windows" { // there the file would become as long
		o.minMap = minMap
	}
}

// DB is an open store. It implements store.Store and store.Measured.
type DB struct {
	path  string
	o     Options
	meta  store.Meta
	queue chan *update

	begin sync.RWMutex // held to read b, and to begin a View; excludes changes of b and of a meta page
	b     *bbolt.DB    // another when the file had to be opened again
	seen  horizon
	ills  ills
	full  bool // the space was low, and that was said; of the committer
	sick  bool // the last commit failed, and that was said; of the committer

	mu     sync.RWMutex // guards closed against updates on their way
	closed bool
	wg     sync.WaitGroup
	stats  counters
}

// Open opens the store in the file at path.
func Open(path string, o Options) (*DB, error) {
	o.defaults()
	d := &DB{path: path, o: o, queue: make(chan *update, queueLength)}
	b, err := d.openOrMake()
	if err != nil {
		return nil, err
	}
	if d.meta, err = prepare(b, o.Node, o.Create); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	last, err := lastID(b)
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	d.seen.start(last)
	d.b = b
	d.wg.Go(d.commit)
	return d, nil
}

func (d *DB) openOrMake() (*bbolt.DB, error) {
	if _, err := os.Stat(d.path); errors.Is(err, fs.ErrNotExist) && d.o.OpenFile == nil {
		if !d.o.Create {
			return nil, fmt.Errorf("%w: there is no %s", store.ErrNotFound, d.path)
		}
		if err := makeFile(d.path, d.o.Node); err != nil && !errors.Is(err, store.ErrExists) { // another was faster
			return nil, err
		}
	}
	return d.openFile(d.path)
}

// openFile opens the file, which it makes if there is none.
func (d *DB) openFile(path string) (*bbolt.DB, error) {
	if err := checkLength(path); err != nil {
		return nil, err
	}
	b, err := openBolt(path, &bbolt.Options{
		Timeout:         lockTimeout,
		NoFreelistSync:  true,
		FreelistType:    bbolt.FreelistMapType,
		InitialMmapSize: d.o.minMap,
		OpenFile: func(name string, flag int, mode fs.FileMode) (*os.File, error) {
			open := d.o.OpenFile
			if open == nil {
				open = os.OpenFile
			}
			f, err := open(name, flag, mode)
			d.ills.file = f
			return f, err
		},
	})
	if errors.Is(err, syscall.ENOMEM) && d.o.minMap > 0 { // a limit of address space
		d.o.minMap = 0
		return d.openFile(path)
	}
	if err == nil {
		b.AllocSize = growBy
	}
	return b, err
}

// openBolt turns panics of bbolt, about pages that make no sense, into errors.
func openBolt(path string, o *bbolt.Options) (b *bbolt.DB, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = damaged(fmt.Errorf("%v", p))
		}
	}()
	b, err = bbolt.Open(path, 0o600, o)
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		err = fmt.Errorf("%w: %s: stop the node that runs on it, or give another directory", store.ErrInUse, path)
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
		err = damaged(err)
	}
	return b, fault(err)
}

func damaged(err error) error { return fmt.Errorf("%w: %w", store.ErrDamaged, err) }

// makeFile makes a new store: whole or not at all, however the machine fails.
func makeFile(path string, n protocol.Node) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.new") // two may be at it
	if err != nil {
		return fault(err)
	}
	temp := f.Name()
	defer func() {
		if err != nil {
			err = errors.Join(err, removeIfThere(temp))
		}
	}()
	if err := f.Close(); err != nil {
		return fault(err)
	}
	b, err := openBolt(temp, &bbolt.Options{Timeout: lockTimeout})
	if err != nil {
		return err
	}
	_, err = prepare(b, n, true)
	if err := errors.Join(err, b.Close()); err != nil {
		return fault(err)
	}
	return place(temp, path)
}

// place gives a finished file its name, for good; ErrExists if another file has it.
func place(from, to string) error {
	err := os.Link(from, to)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: %s", store.ErrExists, to)
	}
	if err == nil {
		err = os.Remove(from)
	} else { // a file system without links
		err = os.Rename(from, to)
	}
	return fault(errors.Join(err, syncDir(filepath.Dir(to))))
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return fault(errors.Join(dir.Sync(), dir.Close()))
}

// Meta implements store.Store.
func (d *DB) Meta() store.Meta { return d.meta }

// View implements store.Store.
func (d *DB) View(fn func(store.Tx) error) error {
	return d.read(func(t *bbolt.Tx) error { return fn(&tx{t: t}) })
}

// Backup implements store.Store. While it runs, the file keeps what is replaced.
func (d *DB) Backup(w io.Writer) error {
	return d.read(func(t *bbolt.Tx) error {
		_, err := t.WriteTo(w)
		return err
	})
}

// read runs fn on what is surely on the disk.
func (d *DB) read(fn func(*bbolt.Tx) error) error {
	for {
		since := d.seen.failures()
		d.begin.RLock()
		t, err := d.b.Begin(false)
		d.begin.RUnlock()
		if err != nil {
			return d.notOpen(err)
		}
		ok, err := d.seen.reached(t.ID(), since)
		if ok {
			defer t.Rollback()
			return fn(t)
		}
		if err := errors.Join(err, t.Rollback()); err != nil {
			return err
		}
	}
}

// notOpen says why bbolt has begun no transaction.
func (d *DB) notOpen(err error) error {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.closed && errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return store.ErrClosed
	}
	return fault(err)
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
