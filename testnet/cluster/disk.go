package cluster

import (
	"io/fs"
	"os"
	"sync"
	"syscall"
	"time"

	"parley/protocol"
	"parley/store"
	"parley/store/bolt"
)

// disk is what a node has on its disk: it outlives the node.
type disk struct{ file *os.File }

// open gives the file once more; it replaces os.OpenFile.
func (d *disk) open(name string, _ int, _ fs.FileMode) (*os.File, error) {
	fd, err := syscall.Dup(int(d.file.Fd()))
	if err != nil {
		return nil, os.NewSyscallError("dup", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// faulty is a store whose disk can be slow, full, or gone.
type faulty struct {
	store.Store

	mu    sync.Mutex
	delay time.Duration // guarded by mu
	full  bool          // guarded by mu
	gone  bool          // guarded by mu
}

func openStore(d *disk, name protocol.Node) (*faulty, error) {
	db, err := bolt.Open(string(name)+".db", bolt.Options{Node: name, Create: true, OpenFile: d.open})
	if err != nil {
		return nil, err
	}
	return &faulty{Store: db}, nil
}

// Update implements store.Store.
func (f *faulty) Update(fn func(store.Tx) error) error {
	f.mu.Lock()
	delay, full, gone := f.delay, f.full, f.gone
	f.mu.Unlock()
	if delay > 0 && !gone {
		t := time.NewTimer(delay)
		<-t.C
	}
	switch {
	case gone:
		return store.ErrClosed
	case full:
		return store.ErrFull
	}
	return f.Store.Update(func(tx store.Tx) error {
		if f.isGone() { // since it began to wait
			return store.ErrClosed
		}
		return fn(tx)
	})
}

func (f *faulty) isGone() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.gone
}

// set changes what is wrong with the disk.
func (f *faulty) set(change func(*faulty)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}
