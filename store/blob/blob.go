// Package blob keeps the bytes of files in a directory: two letters of the id name
// a folder, so that none gets too large.
package blob

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"parley/store"
)

const tempSuffix = ".tmp"

// Dir is a directory of blobs. It implements store.Blobs.
type Dir struct {
	root string
	// Room, if set, is asked before anything is written and says why that should not
	// be: store.ErrFull.
	Room func() error
}

// Open opens or makes the directory, and removes what a crash left half written.
func Open(root string) (*Dir, error) {
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, err
	}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(path, tempSuffix) {
			return os.Remove(path)
		}
		return err
	})
	return &Dir{root: root}, err
}

// path of a blob; ids that are no base64url have none.
func (d *Dir) path(id string) (string, error) {
	// The decoder skips line ends.
	if _, err := base64.RawURLEncoding.DecodeString(id); err != nil || len(id) < 4 || strings.ContainsAny(id, "\r\n") {
		return "", fmt.Errorf("%w: blob %.32q", store.ErrNotFound, id)
	}
	return filepath.Join(d.root, id[:2], id[2:]), nil
}

// Create implements store.Blobs.
func (d *Dir) Create(id string) (store.BlobWriter, error) {
	path, err := d.path(id)
	if err != nil {
		return nil, err
	}
	if err := d.room(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fault(err)
	}
	f, err := os.OpenFile(path+tempSuffix, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fault(err)
	}
	return &writer{f: f, path: path, room: d.room}, nil
}

func (d *Dir) room() error {
	if d.Room == nil {
		return nil
	}
	return d.Room()
}

// Open implements store.Blobs.
func (d *Dir) Open(id string) (io.ReadSeekCloser, error) {
	path, err := d.path(id)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: blob %s", store.ErrNotFound, id)
	}
	return f, err
}

// Remove implements store.Blobs. What is not there is no error.
func (d *Dir) Remove(id string) error {
	path, err := d.path(id)
	if err != nil {
		return err
	}
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// writer takes the bytes of a new blob beside its place.
type writer struct {
	f    *os.File
	path string
	room func() error
	done bool
}

// Write implements io.Writer.
func (w *writer) Write(p []byte) (int, error) {
	if err := w.room(); err != nil {
		return 0, err
	}
	n, err := w.f.Write(p)
	return n, fault(err)
}

// ReadAt implements io.ReaderAt.
func (w *writer) ReadAt(p []byte, off int64) (int, error) { return w.f.ReadAt(p, off) }

// Commit implements store.BlobWriter: bytes first, then the name, then the folder,
// then the folder's own name, in case that it is new.
func (w *writer) Commit() error {
	if err := w.f.Sync(); err != nil {
		return fault(err)
	}
	if err := os.Rename(w.f.Name(), w.path); err != nil {
		return fault(err)
	}
	w.done = true
	folder := filepath.Dir(w.path)
	if err := syncDir(folder); err != nil {
		return err
	}
	return syncDir(filepath.Dir(folder))
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return fault(errors.Join(d.Sync(), d.Close()))
}

// Close implements io.Closer.
func (w *writer) Close() error {
	err := w.f.Close()
	if !w.done {
		err = errors.Join(err, os.Remove(w.f.Name()))
	}
	return err
}

// fault gives the contract's error for a full disk.
func fault(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	}
	return err
}
