package archive

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var made = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// write makes an archive with a database of size bytes and two files.
func write(t *testing.T, path string, size int) Manifest {
	t.Helper()
	files := t.TempDir()
	long := filepath.Join(files, "ab", strings.Repeat("x", 120)) // longer than tar's own field
	if err := errors.Join(
		os.MkdirAll(filepath.Dir(long), 0o700),
		os.WriteFile(long, []byte("long"), 0o600),
		os.WriteFile(filepath.Join(files, "empty"), nil, 0o600),
	); err != nil {
		t.Fatal(err)
	}
	w, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	err = w.Add(Database, made, func(to io.Writer) error {
		for range size {
			if _, err := to.Write([]byte{'d'}); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = w.AddTree(Files, files)
	}
	if err != nil {
		t.Fatal(err)
	}
	m, err := w.Finish(Manifest{Node: "a.example", Made: made, By: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestRoundTrip(t *testing.T) {
	for _, size := range []int{0, 1, block - 1, block, block + 1, 100_000} {
		path := filepath.Join(t.TempDir(), "b.tar")
		m := write(t, path, size)
		if m.Entries != 3 || m.Bytes != int64(size)+4 {
			t.Errorf("manifest %+v, want 3 entries of %d bytes", m, size+4)
		}
		dir := t.TempDir()
		got, err := Extract(path, dir)
		if err != nil || got != m {
			t.Fatalf("manifest %+v (%v), want %+v", got, err, m)
		}
		db, err := os.ReadFile(filepath.Join(dir, Database))
		if err != nil || !bytes.Equal(db, bytes.Repeat([]byte{'d'}, size)) {
			t.Errorf("database of %d bytes came back with %d (%v)", size, len(db), err)
		}
		long, err := os.ReadFile(filepath.Join(dir, Files, "ab", strings.Repeat("x", 120)))
		if err != nil || string(long) != "long" {
			t.Errorf("file came back as %q (%v)", long, err)
		}
		if rest, _ := filepath.Glob(path + ".*"); len(rest) != 0 {
			t.Errorf("left behind: %v", rest)
		}
	}
}

// The archive is one for everybody's tar, not only for ours.
func TestOtherTarReadsIt(t *testing.T) {
	tar, err := exec.LookPath("tar")
	if err != nil {
		t.Skip("no tar here")
	}
	path := filepath.Join(t.TempDir(), "b.tar")
	write(t, path, 1000)
	out, err := exec.Command(tar, "-tf", path).CombinedOutput()
	want := "parley.db\nfiles/ab/" + strings.Repeat("x", 120) + "\nfiles/empty\nmanifest.json\n"
	if err != nil || string(out) != want {
		t.Errorf("tar says %q (%v), want %q", out, err, want)
	}
}

// Wherever an archive is cut, and whichever byte is changed, it is known. Only
// what no entry is made of may change: padding, and the dates.
func TestDamageIsFound(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b.tar")
	write(t, path, 700)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(t.TempDir(), "bad.tar")
	try := func(content []byte) error {
		if err := os.WriteFile(bad, content, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Extract(bad, "")
		return err
	}
	for n := 0; n < len(whole)-3*block; n += 97 {
		if err := try(whole[:n]); !errors.Is(err, ErrFormat) {
			t.Errorf("cut at %d: error %v", n, err)
		}
	}
	for n := block; n < block+700; n += 31 {
		broken := bytes.Clone(whole)
		broken[n] ^= 1
		if err := try(broken); !errors.Is(err, ErrFormat) {
			t.Errorf("byte %d changed: error %v", n, err)
		}
	}
	if err := try([]byte("hello")); !errors.Is(err, ErrFormat) {
		t.Errorf("no tar at all: error %v", err)
	}
}

func TestNothingOutsideIsWritten(t *testing.T) {
	for _, name := range []string{"files/../../x", "/etc/x", "files/", "run.json", "files/a/../../../x"} {
		path := filepath.Join(t.TempDir(), "b.tar")
		w, err := Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Add(name, made, func(to io.Writer) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Finish(Manifest{}); err != nil {
			t.Fatal(err)
		}
		if _, err := Extract(path, t.TempDir()); !errors.Is(err, ErrFormat) {
			t.Errorf("entry %q: error %v", name, err)
		}
	}
}

func TestUnfinishedLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "b.tar")
	w, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	cause := errors.New("disk on fire")
	if err := w.Add(Database, made, func(io.Writer) error { return cause }); !errors.Is(err, cause) {
		t.Errorf("error %v, want %v", err, cause)
	}
	w.Abort()
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
	write(t, path, 1)
	if _, err := Create(path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over another backup: error %v", err)
	}
}
