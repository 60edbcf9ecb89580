package blob_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"parley/store"
	"parley/store/blob"
)

func write(t *testing.T, d *blob.Dir, id, text string) store.BlobWriter {
	t.Helper()
	w, err := d.Create(id)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	return w
}

func openDir(t *testing.T, root string) *blob.Dir {
	t.Helper()
	d, err := blob.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func want(t *testing.T, d *blob.Dir, id, text string) {
	t.Helper()
	r, err := d.Open(id)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || string(got) != text {
		t.Errorf("%s holds %q, error %v; want %q", id, got, err, text)
	}
}

func missing(t *testing.T, d *blob.Dir, id string) {
	t.Helper()
	if r, err := d.Open(id); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("%q: error %v, want ErrNotFound", id, err)
		if err == nil {
			r.Close()
		}
	}
}

func TestBlobExistsOnceCommitted(t *testing.T) {
	d := openDir(t, filepath.Join(t.TempDir(), "blobs"))
	w := write(t, d, "abcdef", "text")
	missing(t, d, "abcdef")
	if err := errors.Join(w.Commit(), w.Close()); err != nil {
		t.Fatal(err)
	}
	want(t, d, "abcdef", "text")
	missing(t, d, "abcdeg")
	for range 2 { // what is not there is no error
		if err := d.Remove("abcdef"); err != nil {
			t.Error(err)
		}
		missing(t, d, "abcdef")
	}
}

func TestCloseWithoutCommitDiscards(t *testing.T) {
	root := t.TempDir()
	d := openDir(t, root)
	w := write(t, d, "abcdef", "text")
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	missing(t, d, "abcdef")
	if left := files(t, root); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	w = write(t, d, "abcdef", "again") // the place is free
	if err := errors.Join(w.Commit(), w.Close()); err != nil {
		t.Error(err)
	}
	want(t, d, "abcdef", "again")
}

func TestBadIDs(t *testing.T) {
	d := openDir(t, t.TempDir())
	for _, id := range []string{"", "abc", "../../etc/passwd", "ab/cd", "abcd.tmp", "ab\x00cd", "ab cd", "abc="} {
		missing(t, d, id)
		if _, err := d.Create(id); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("create %q: error %v", id, err)
		}
		if err := d.Remove(id); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("remove %q: error %v", id, err)
		}
	}
}

// TestCrashLeavesNoHalves opens a directory again as a process does that was killed
// while one blob was written and another had been committed.
func TestCrashLeavesNoHalves(t *testing.T) {
	root := t.TempDir()
	d := openDir(t, root)
	whole, half := write(t, d, "wholefile1", "whole"), write(t, d, "halffile12", "half")
	if err := whole.Commit(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { whole.Close(); half.Close() }) // that process did not
	again := openDir(t, root)
	want(t, again, "wholefile1", "whole")
	missing(t, again, "halffile12")
	if left := files(t, root); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

func files(t *testing.T, root string) (paths []string) {
	t.Helper()
	err := filepath.Walk(root, func(path string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

func TestLineEndsAreNoPartOfIDs(t *testing.T) {
	d, err := blob.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"abcd\n", "ab\r\ncd"} {
		if _, err := d.Create(id); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%q: %v", id, err)
		}
	}
}

func TestRoom(t *testing.T) {
	d, err := blob.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var full error
	d.Room = func() error { return full }
	w, err := d.Create("abcd")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	full = store.ErrFull
	if _, err := w.Write([]byte("x")); !errors.Is(err, store.ErrFull) {
		t.Errorf("writing: %v", err)
	}
	if _, err := d.Create("efgh"); !errors.Is(err, store.ErrFull) {
		t.Errorf("another: %v", err)
	}
	full = nil
	if _, err := w.Write([]byte("x")); err != nil {
		t.Error(err)
	}
}
