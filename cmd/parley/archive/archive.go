// Package archive is the form of a backup: a tar file that ends with a manifest,
// by which an archive that was cut short or damaged is known.
//
//	parley.db       the database, as the engine's Backup wrote it
//	parley.toml     the settings, if they were in the data directory
//	node.key        the key, if that was wanted
//	files/…         attachments
//	manifest.json   a Manifest
package archive

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	manifestName = "manifest.json"
	format       = "parley-backup/1"
	block        = 512 // of tar
	// maxManifest bounds what is read of a manifest, in bytes.
	maxManifest = 1 << 16
)

// ErrFormat says that a file is no backup, or not a whole one.
var ErrFormat = errors.New("not a whole backup of a parley node")

// Manifest says what an archive holds. Its digest covers every entry before it.
type Manifest struct {
	Format  string    `json:"format"`
	Node    string    `json:"node"`
	Made    time.Time `json:"made"`
	By      string    `json:"by"` // version of the program
	Entries int       `json:"entries"`
	Bytes   int64     `json:"bytes"` // of all entries
	SHA256  string    `json:"sha256"`
}

// digest is SHA-256 over each entry in turn: its name, a zero byte, its bytes, and
// their number as 8 bytes, big-endian.
type digest struct {
	hash.Hash
	entries int
	bytes   int64
}

func newDigest() *digest { return &digest{Hash: sha256.New()} }

func (d *digest) begin(name string) { io.WriteString(d, name+"\x00") } // a hash does not fail

func (d *digest) end(size int64) {
	d.Write(binary.BigEndian.AppendUint64(nil, uint64(size)))
	d.entries++
	d.bytes += size
}

func (d *digest) sum() string { return hex.EncodeToString(d.Sum(nil)) }

// Writer makes an archive. It has its name only once Finish has returned nil.
type Writer struct {
	f      *os.File
	path   string
	digest *digest
	// Progress, if set, is told of bytes as they are written.
	Progress func(n int)
}

// Create begins an archive at path, where nothing may be yet.
func Create(path string) (*Writer, error) {
	if _, err := os.Lstat(path); err == nil {
		return nil, fmt.Errorf("%s: %w", path, fs.ErrExist)
	}
	f, err := os.OpenFile(path+".partial", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	return &Writer{f: f, path: path, digest: newDigest()}, nil
}

// Abort removes what was written. After Finish it does nothing.
func (w *Writer) Abort() {
	if w.f != nil {
		w.f.Close()
		os.Remove(w.f.Name())
		w.f = nil
	}
}

// Add writes an entry of unknown length: what body writes. Tar wants the length
// in front, so it is filled in afterwards.
func (w *Writer) Add(name string, made time.Time, body func(io.Writer) error) error {
	head := tar.Header{Name: name, Mode: 0o600, ModTime: made.Truncate(time.Second), Format: tar.FormatGNU}
	at, err := w.f.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	if err := w.header(&head); err != nil {
		return err
	}
	w.digest.begin(name)
	c := &counter{w: w}
	if err := body(c); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	w.digest.end(c.n)
	if _, err := w.f.Write(make([]byte, (block-c.n%block)%block)); err != nil {
		return err
	}
	head.Size = c.n
	b, err := encode(&head)
	if err != nil {
		return err
	}
	_, err = w.f.WriteAt(b, at)
	return err
}

func (w *Writer) header(head *tar.Header) error {
	b, err := encode(head)
	if err != nil {
		return err
	}
	_, err = w.f.Write(b)
	return err
}

// encode gives the blocks of a header; their number does not depend on the size.
func encode(head *tar.Header) ([]byte, error) {
	var b bytes.Buffer
	err := tar.NewWriter(&b).WriteHeader(head)
	return b.Bytes(), err
}

// counter writes to the archive, its digest and its progress.
type counter struct {
	w *Writer
	n int64
}

// Write implements io.Writer.
func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.f.Write(p)
	c.n += int64(n)
	c.w.digest.Write(p[:n])
	if c.w.Progress != nil {
		c.w.Progress(n)
	}
	return n, err
}

// AddFile copies a file.
func (w *Writer) AddFile(name, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	return w.Add(name, info.ModTime(), func(to io.Writer) error {
		_, err := io.Copy(to, f)
		return err
	})
}

// AddTree copies the files below a directory, but those that end with ".tmp", which
// are not whole yet. A file that goes away meanwhile is left out: the node removed
// it.
func (w *Writer) AddTree(name, dir string) error {
	return filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !e.Type().IsRegular() || strings.HasSuffix(path, ".tmp") {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		err = w.AddFile(name+"/"+filepath.ToSlash(rel), path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
}

// Finish completes m, writes it, and gives the archive its name once it is on the
// disk for good.
func (w *Writer) Finish(m Manifest) (Manifest, error) {
	m.Format, m.Entries, m.Bytes, m.SHA256 = format, w.digest.entries, w.digest.bytes, w.digest.sum()
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return m, err
	}
	err = w.Add(manifestName, m.Made, func(to io.Writer) error {
		_, err := to.Write(append(text, '\n'))
		return err
	})
	if err != nil {
		return m, err
	}
	if _, err := w.f.Write(make([]byte, 2*block)); err != nil {
		return m, err
	}
	if err := errors.Join(w.f.Sync(), w.f.Close()); err != nil {
		return m, err
	}
	if err := os.Rename(w.f.Name(), w.path); err != nil {
		return m, err
	}
	w.f = nil
	return m, syncDir(filepath.Dir(w.path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Extract unpacks the archive at path into dir, which must be empty, and checks
// it: on an error, what is in dir is of no use. With dir "" it only checks.
func Extract(path, dir string) (Manifest, error) {
	f, err := os.Open(path)
	if err != nil {
		return Manifest{}, err
	}
	defer f.Close()
	m, err := extract(tar.NewReader(f), dir)
	if err != nil {
		return Manifest{}, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

func extract(r *tar.Reader, dir string) (Manifest, error) {
	d := newDigest()
	for {
		head, err := r.Next()
		if err != nil { // a whole archive has a manifest before its end
			return Manifest{}, whole(err, ErrFormat)
		}
		if head.Name == manifestName {
			return readManifest(r, d)
		}
		if head.Typeflag != tar.TypeReg || !known(head.Name) {
			return Manifest{}, fmt.Errorf("%w: unexpected entry %q", ErrFormat, head.Name)
		}
		d.begin(head.Name)
		if err := unpack(r, dir, head.Name, d); err != nil {
			return Manifest{}, err
		}
		d.end(head.Size)
	}
}

// whole explains the end of a file where none should be; other errors are as they
// are, or of a kind.
func whole(err, kind error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: it has been cut short", ErrFormat)
	case kind != nil:
		return fmt.Errorf("%w: %w", kind, err)
	}
	return err
}

// The names of entries.
const (
	Database = "parley.db"
	Settings = "parley.toml"
	Key      = "node.key"
	Files    = "files"
)

func known(name string) bool {
	switch name {
	case Database, Settings, Key:
		return true
	}
	rest, ok := strings.CutPrefix(name, Files+"/")
	return ok && rest != "" && filepath.IsLocal(filepath.FromSlash(rest))
}

func unpack(r io.Reader, dir, name string, d *digest) error {
	to := io.Writer(d)
	if dir == "" {
		_, err := io.Copy(to, r)
		return whole(err, nil)
	}
	path := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.MultiWriter(f, to), r)
	return errors.Join(whole(err, nil), f.Sync(), f.Close())
}

func readManifest(r io.Reader, d *digest) (Manifest, error) {
	var m Manifest
	if err := json.NewDecoder(io.LimitReader(r, maxManifest)).Decode(&m); err != nil {
		return m, whole(err, ErrFormat)
	}
	if m.Format != format {
		return m, fmt.Errorf("%w: form %.40q is not known to this release", ErrFormat, m.Format)
	}
	if m.Entries != d.entries || m.Bytes != d.bytes || m.SHA256 != d.sum() {
		return m, fmt.Errorf("%w: it has been damaged", ErrFormat)
	}
	return m, nil
}
