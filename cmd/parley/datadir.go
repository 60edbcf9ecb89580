package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"parley/federation"
)

// dataDir is a data directory:
//
//	parley.toml  settings, if parley init made the directory
//	node.key     the node's key
//	parley.db    accounts, messages and all else
//	files/       attachments
//	codes.log    codes for addresses, if a sender is "log"
//	acme/        certificates from Let's Encrypt
//	run.json     how to reach the node, while it runs
//	health.tmp   for a moment: is there room?
type dataDir string

func (d dataDir) path(name string) string { return filepath.Join(string(d), name) }
func (d dataDir) db() string              { return d.path("parley.db") }
func (d dataDir) key() string             { return d.path(federation.KeyFile) }
func (d dataDir) files() string           { return d.path("files") }
func (d dataDir) codes() string           { return d.path("codes.log") }
func (d dataDir) acme() string            { return d.path("acme") }
func (d dataDir) health() string          { return d.path("health.tmp") }
func (d dataDir) run() string             { return d.path("run.json") }

// dirMode is for directories that hold secrets.
const dirMode = 0o700

// create makes the directory if it is missing, and reports whether it was.
func (d dataDir) create() (fresh bool, err error) {
	info, err := os.Stat(string(d))
	switch {
	case err == nil && info.IsDir():
		return false, nil
	case err == nil:
		return false, fmt.Errorf("%s is not a directory; choose another with --data", d)
	case !errors.Is(err, fs.ErrNotExist):
		return false, err
	}
	if err := os.MkdirAll(string(d), dirMode); err != nil {
		return false, fmt.Errorf("make the data directory: %w; choose another with --data", err)
	}
	return true, nil
}

// explain says what to do about an error of a file in the directory.
func (d dataDir) explain(err error) error {
	switch {
	case errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("%s is not a directory; choose another with --data", d)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("this user may not use %s: be the one that the node runs as, or choose another directory with --data (%w)", d, err)
	}
	return err
}

// settle makes sure that what is new in the directory, and a fresh directory
// itself, are there after a power failure.
func (d dataDir) settle(fresh bool) error {
	err := syncDir(string(d))
	if fresh {
		if above := syncDir(filepath.Dir(string(d))); !errors.Is(above, fs.ErrPermission) {
			err = errors.Join(err, above)
		}
	}
	return err
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// exists reports whether there is a database.
func (d dataDir) exists() bool {
	_, err := os.Stat(d.db())
	return err == nil
}

// must be there for commands that do not make one; a node that has been initialized and
// has never run is.
func (d dataDir) must() error {
	if d.exists() {
		return nil
	}
	if _, err := os.Stat(d.key()); err == nil {
		return nil
	}
	return fmt.Errorf("there is no node's data in %s; say where it is with --data, or start a node with: parley serve --data %s", d, d)
}

// loadKey reads the node's key. It makes one for a new node only: another key
// would make a stranger of a node that others know.
func (d dataDir) loadKey() (*federation.Key, error) {
	key, err := federation.LoadKey(d.key())
	if errors.Is(err, federation.ErrKeyFormat) {
		return nil, fmt.Errorf("%w; put it back from a copy", err)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if d.exists() {
		return nil, fmt.Errorf("%s is missing. Put it back from a copy; or, if there is none, make another with: parley key --create --data %s", d.key(), d)
	}
	key, err = federation.CreateKey(d.key())
	if errors.Is(err, federation.ErrKeyExists) { // another process was first; the store will tell
		return federation.LoadKey(d.key())
	}
	return key, err
}
