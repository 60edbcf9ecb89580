package node

import (
	"bytes"
	"container/list"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"mime"
	"strings"
	"sync"
	"time"

	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
)

const (
	importsAtOnce   = 32
	importsEach     = 8                // from one node
	importTries     = 3                // of one, each where the last broke off
	importStall     = 15 * time.Second // without a byte
	importSlowest   = 16 << 10         // bytes a second, on the average
	importFailed    = 15 * time.Second // for which a failure is remembered
	importShare     = 8                // of the cache: the part that one file may take
	importUnit      = 64 << 10         // bytes, of which users have a ration
	importRate      = 16               // units a second: 1 MiB
	importBurst     = 8192             // units: 512 MiB
	maxImportFailed = 1024
	maxFileMIME     = 255
	maxFileName     = 255
)

// importer is whose the records of files that were fetched are, so that they can be
// found. No user has that id.
const importer protocol.UserID = "importer"

// imports fetches files of other nodes and keeps them, those that were wanted last, in
// a bounded space.
type imports struct {
	n     *Node
	users *quota // units, for each who asks

	mu     sync.Mutex
	known  bool                     // what is kept has been looked up
	kept   map[string]*list.Element // of *keptFile, by id
	order  *list.List               // most recently wanted first
	size   int64                    // of kept files and those under way
	going  map[string]*fetch        // under way, or lately failed
	active map[protocol.Node]int    // under way
	total  int
}

type keptFile struct {
	id   string
	size int64
}

func newImports(n *Node) *imports {
	return &imports{n: n, users: newQuota(importRate, importBurst), kept: map[string]*list.Element{}, order: list.New(),
		going: map[string]*fetch{}, active: map[protocol.Node]int{}}
}

// OpenRemoteFile finds a file of another node, for anybody who is logged in, if a
// message or card that came here has named it. It may still be on its way: then Read
// waits for what is not here yet, and the last byte comes when the whole is known to
// be good. Errors: Unauthorized; NotFound here or there; Denied to guests; TooLarge;
// TooMany for this user; Busy if the node is not reached or gives something else than
// it said; Timeout; Full.
func (n *Node) OpenRemoteFile(ctx context.Context, who Identity, home protocol.Node, id string) (*store.File, io.ReadSeekCloser, error) {
	switch {
	case who.User == "":
		return nil, nil, protocol.Unauthorized
	case n.cfg.Blobs == nil || n.cfg.Network == nil:
		return nil, nil, protocol.NotFound
	case !n.ventures(who):
		return nil, nil, protocol.Denied
	}
	if !n.enter() {
		return nil, nil, protocol.Busy
	}
	defer n.wg.Done()
	key := abroadID(home, id)
	f, b, err := n.imports.open(key)
	if err != nil || f != nil {
		return f, b, err
	}
	fetch, err := n.imports.join(who.User, home, id)
	if err != nil {
		return nil, nil, err
	}
	return fetch.reader(ctx)
}

// open opens what is kept already; a nil file without an error is to be fetched.
func (m *imports) open(key string) (*store.File, io.ReadSeekCloser, error) {
	if err := m.load(); err != nil {
		return nil, nil, err
	}
	var f *store.File
	err := m.n.store.View(func(tx store.Tx) (err error) {
		f, err = tx.File(key)
		return err
	})
	if err != nil {
		return nil, nil, fileFault(err)
	}
	if f.Size < 0 {
		return nil, nil, nil
	}
	b, err := m.n.cfg.Blobs.Open(blobID(key))
	if errors.Is(err, store.ErrNotFound) { // the directory was set back, or just now thrown out
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fileFault(err)
	}
	m.mu.Lock()
	if e := m.kept[key]; e != nil {
		m.order.MoveToFront(e)
	}
	m.mu.Unlock()
	return f, b, nil
}

// load finds, at first, what earlier runs have kept.
func (m *imports) load() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known {
		return nil
	}
	err := m.n.store.View(func(tx store.Tx) error {
		for f, err := range tx.FilesOf(importer) {
			if err != nil {
				return err
			}
			m.keep(f.ID, f.Size)
		}
		return nil
	})
	m.known = err == nil
	return err
}

// keep takes a file into account; m.mu is held.
func (m *imports) keep(id string, size int64) {
	if m.kept[id] == nil && size >= 0 {
		m.kept[id] = m.order.PushFront(&keptFile{id, size})
		m.size += size
	}
}

// forget is told of files that are no more.
func (m *imports) forget(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e := m.kept[id]; e != nil {
		m.size -= m.order.Remove(e).(*keptFile).size
		delete(m.kept, id)
	}
}

// reserve takes space, for which the files that were not wanted for the longest time
// give way.
func (m *imports) reserve(size int64) error {
	m.mu.Lock()
	limit := m.n.cfg.Federation.FileCache
	if size > limit/importShare {
		m.mu.Unlock()
		return protocol.TooLarge
	}
	m.size += size
	var out []string
	for m.size > limit && m.order.Len() > 0 {
		e := m.order.Remove(m.order.Back()).(*keptFile)
		delete(m.kept, e.id)
		m.size -= e.size
		out = append(out, e.id)
	}
	over := m.size > limit // others that are under way fill it
	m.mu.Unlock()
	err := m.throwOut(out)
	if err == nil && over {
		err = protocol.Busy
	}
	if err != nil {
		m.release(size)
	}
	return err
}

// took turns what was reserved for a file into the file.
func (m *imports) took(f *store.File) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.size -= f.Size
	m.keep(f.ID, f.Size)
}

// release gives back what reserve has taken.
func (m *imports) release(size int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.size -= size
}

// throwOut removes what was fetched; the records stay, so that it can be fetched again.
func (m *imports) throwOut(ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	err := m.n.store.Update(func(tx store.Tx) error {
		for _, id := range ids {
			f, err := tx.File(id)
			if errors.Is(err, store.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			f.Size, f.User = bytesAbsent, ""
			if err := tx.PutFile(f); err != nil {
				return err
			}
		}
		return nil
	})
	for _, id := range ids {
		if err == nil {
			err = m.n.cfg.Blobs.Remove(blobID(id))
		}
	}
	return err
}

// join finds the fetch of a file that is under way, or begins one.
func (m *imports) join(by protocol.UserID, home protocol.Node, id string) (*fetch, error) {
	key := abroadID(home, id)
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	if f := m.going[key]; f != nil && (f.until.IsZero() || now.Before(f.until)) {
		return f, nil
	}
	if m.total >= importsAtOnce || m.active[home] >= importsEach {
		return nil, protocol.Busy
	}
	m.forgetFailed(now)
	f := &fetch{m: m, key: key, home: home, id: id, by: by, ready: make(chan struct{}), changed: make(chan struct{}), users: 1}
	m.going[key] = f
	m.active[home]++
	m.total++
	m.n.start(f.run)
	return f, nil
}

// forgetFailed makes room where failures are remembered; m.mu is held.
func (m *imports) forgetFailed(now time.Time) {
	if len(m.going) < maxImportFailed {
		return
	}
	for key, f := range m.going {
		if !f.until.IsZero() && (now.After(f.until) || len(m.going) >= maxImportFailed) {
			delete(m.going, key)
		}
	}
}

// ended notes the end of a fetch; a failure is remembered.
func (m *imports) ended(f *fetch, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.total--
	if m.active[f.home]--; m.active[f.home] == 0 {
		delete(m.active, f.home)
	}
	if err == nil {
		delete(m.going, f.key)
	} else {
		f.until = time.Now().Add(importFailed)
	}
}

// charge takes bytes from what a user may have fetched.
func (m *imports) charge(by protocol.UserID, size int64) error {
	if !m.users.limiter(string(by)).AllowN(time.Now(), int(1+size/importUnit)) {
		return protocol.TooMany
	}
	return nil
}

// importedFile makes the record of a file from what its node says of it.
func importedFile(key string, in *s2s.FileInfo, now time.Time) (*store.File, error) {
	if in.Size < 0 || len(in.SHA256) != sha256.Size {
		return nil, protocol.Errorf(protocol.Busy, "the node does not describe its file")
	}
	return &store.File{ID: key, User: importer, MIME: cleanType(in.MIME), Name: cleanName(in.Name), Size: in.Size,
		SHA256: [32]byte(in.SHA256), Created: now}, nil
}

// cleanType is a media type without parameters, or that of bytes of which nothing is
// known.
func cleanType(s string) string {
	t, _, err := mime.ParseMediaType(s)
	if err != nil || len(t) > maxFileMIME || strings.Count(t, "/") != 1 {
		return "application/octet-stream"
	}
	return t
}

// cleanName is a name that is no path, without what cannot be seen.
func cleanName(s string) string {
	s = strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f || c == '\uFFFD' || c >= '\u202a' && c <= '\u202e' || c >= '\u2066' && c <= '\u2069' || strings.ContainsRune(`/\`, c) {
			return -1
		}
		return c
	}, s)
	return clip(s, maxFileName)
}

// sameFile reports whether a node speaks of the same file again.
func sameFile(f *store.File, in *s2s.FileInfo) bool {
	return f.Size == in.Size && bytes.Equal(f.SHA256[:], in.SHA256)
}

// store keeps a file that was fetched whole.
func (m *imports) store(f *store.File) error {
	err := m.n.store.Update(func(tx store.Tx) error {
		if _, err := tx.File(f.ID); err != nil {
			return err // nothing names it any more
		}
		return tx.PutFile(f)
	})
	if err != nil {
		return fmt.Errorf("keep a file: %w", err)
	}
	return nil
}
