package node_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"parley/node"
	"parley/protocol"
	"parley/store"
)

// blobs counts which blobs there are, and fails on demand.
type blobs struct {
	store.Blobs

	mu    sync.Mutex
	ids   map[string]bool
	fail  error // of Commit
	stuck error // of Remove
}

type blobWriter struct {
	store.BlobWriter
	b  *blobs
	id string
}

func (b *blobs) Create(id string) (store.BlobWriter, error) {
	w, err := b.Blobs.Create(id)
	return &blobWriter{w, b, id}, err
}

func (b *blobs) Remove(id string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stuck != nil {
		return b.stuck
	}
	delete(b.ids, id)
	return b.Blobs.Remove(id)
}

func (w *blobWriter) Commit() error {
	w.b.mu.Lock()
	defer w.b.mu.Unlock()
	if w.b.fail != nil {
		return w.b.fail
	}
	w.b.ids[w.id] = true
	return w.BlobWriter.Commit()
}

func (b *blobs) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.ids)
}

// trouble sets the errors of Commit and Remove.
func (b *blobs) trouble(fail, stuck error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fail, b.stuck = fail, stuck
}

func fileWorld(t *testing.T, change func(*node.Config)) (*world, *blobs) {
	b := &blobs{ids: map[string]bool{}}
	return newWorld(t, func(c *node.Config) {
		b.Blobs, c.Blobs = c.Blobs, b
		if change != nil {
			change(c)
		}
	}), b
}

func upload(w *world, u string, body io.Reader) (*store.File, error) {
	return w.n.SaveFile(context.Background(), node.Upload{Who: node.Identity{User: protocol.UserID(u), Level: store.LevelAuth}, Name: "a.txt", MIME: "text/plain", Body: body})
}

func TestFileLivesWhileItIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, b := fileWorld(t, nil)
		defer w.end()
		al := w.user("al")
		w.user("bo")
		unused, err := upload(w, al, strings.NewReader("unused"))
		if err != nil {
			t.Fatal(err)
		}
		used, err := upload(w, al, strings.NewReader("used"))
		if err != nil {
			t.Fatal(err)
		}
		picture, err := upload(w, al, strings.NewReader("picture"))
		if err != nil {
			t.Fatal(err)
		}
		extra := func(f *store.File) string {
			return fmt.Sprintf(`"extra":{"attachments":[%q,"https://elsewhere.example/x"]}`, node.FilePath("localhost", f))
		}
		w.ask("al", `{"sub":{"id":"1","topic":"slf"}}`, 200)
		seq := w.ask("al", `{"pub":{"id":"2","topic":"slf","content":"x"},`+extra(used)+`}`, 202)["seq"]
		w.ask("al", `{"set":{"id":"3","topic":"me","desc":{"public":{"fn":"al","photo":{"ref":"x"}}}},`+extra(picture)+`}`, 200)
		if f, body := read(t, w, al, used.ID); f == nil || f.Uses != 1 || body != "used" || f.Size != 4 {
			t.Errorf("used: %+v %q", f, body)
		}
		pass(59 * time.Minute)
		if f, body := read(t, w, al, unused.ID); f == nil || body != "unused" {
			t.Errorf("unused, too early: %+v %q", f, body)
		}
		pass(2 * time.Minute)
		if f, _ := read(t, w, al, unused.ID); f != nil || b.count() != 2 {
			t.Errorf("unused: %+v, %d blobs", f, b.count())
		}
		w.ask("al", fmt.Sprintf(`{"del":{"id":"4","topic":"slf","what":"msg","delseq":[{"low":%v}],"hard":true}}`, seq), 200)
		w.ask("al", `{"set":{"id":"5","topic":"me","desc":{"public":{"fn":"al2"}}},"extra":{"attachments":[]}}`, 200)
		pass(2 * time.Minute)
		if f, _ := read(t, w, al, used.ID); f != nil {
			t.Errorf("of a deleted message: %+v", f)
		}
	})
}

// read opens a file; nil if it is not there.
func read(t *testing.T, w *world, u, id string) (*store.File, string) {
	t.Helper()
	f, r, err := w.n.OpenFile(context.Background(), node.Identity{User: protocol.UserID(u)}, id)
	if errors.Is(err, protocol.NotFound) {
		return nil, ""
	}
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	body, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return f, string(body)
}

func TestFailedUploadsLeaveNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, b := fileWorld(t, func(c *node.Config) { c.Limits.MaxFile = 10 })
		defer w.end()
		al := w.user("al")
		broken := errors.New("broken")
		for name, c := range map[string]struct {
			who  string
			body io.Reader
			fail error
			want error
		}{
			"too large":    {al, strings.NewReader("12345678901"), nil, protocol.TooLarge},
			"broken body":  {al, iotest.ErrReader(broken), nil, broken},
			"disk is full": {al, strings.NewReader("x"), fmt.Errorf("blob: %w", store.ErrFull), protocol.Full},
			"stranger":     {"", strings.NewReader("x"), nil, protocol.Unauthorized},
		} {
			b.trouble(c.fail, nil)
			if _, err := upload(w, c.who, c.body); !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", name, err, c.want)
			}
		}
		b.trouble(nil, nil)
		if _, err := upload(w, al, strings.NewReader("1234567890")); err != nil {
			t.Errorf("the largest allowed: %v", err)
		}
		if ids := records(t, w); len(ids) != 1 || b.count() != 1 {
			t.Errorf("records %v, blobs %d", ids, b.count())
		}
	})
}

// stall is a body that takes until its time.
type stall struct{ d time.Duration }

func (s *stall) Read(p []byte) (int, error) {
	if s.d == 0 {
		return 0, io.EOF
	}
	time.Sleep(s.d)
	s.d = 0
	return copy(p, "slow"), nil
}

func TestSlowUploadIsNotCollected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := fileWorld(t, func(c *node.Config) { c.UnusedFiles = time.Minute })
		defer w.end()
		al := w.user("al")
		f, err := upload(w, al, &stall{3 * time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		if _, body := read(t, w, al, f.ID); body != "slow" {
			t.Errorf("got %q", body)
		}
	})
}

// records are the ids of all files that no one uses.
func records(t *testing.T, w *world) (ids []string) {
	t.Helper()
	err := w.st.View(func(tx store.Tx) error {
		ids = nil
		for f, err := range tx.Unused(time.Now().Add(100 * time.Hour)) {
			if err != nil {
				return err
			}
			ids = append(ids, f.ID)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

func TestCrashedUploadIsCollected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, b := fileWorld(t, nil)
		defer w.end()
		al := w.user("al")
		f, err := upload(w, al, strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		f.Size = -1 // as a crash leaves it between the blob and the last record
		if err := w.st.Update(func(tx store.Tx) error { return tx.PutFile(f) }); err != nil {
			t.Fatal(err)
		}
		if got, _ := read(t, w, al, f.ID); got != nil {
			t.Errorf("an unfinished file can be read: %+v", got)
		}
		pass(62 * time.Minute)
		if ids := records(t, w); len(ids) != 0 || b.count() != 0 {
			t.Errorf("left: records %v, blobs %d", ids, b.count())
		}
	})
}

func TestCrashedRemovalIsTakenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, b := fileWorld(t, nil)
		defer w.end()
		al := w.user("al")
		f, err := upload(w, al, strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		b.trouble(nil, errors.New("stuck"))
		pass(62 * time.Minute)
		if got, _ := read(t, w, al, f.ID); got != nil {
			t.Errorf("half removed, but can be read: %+v", got)
		}
		if b.count() != 1 || len(records(t, w)) != 1 {
			t.Errorf("blobs %d, records %v", b.count(), records(t, w))
		}
		b.trouble(nil, nil)
		pass(time.Minute)
		if ids := records(t, w); len(ids) != 0 || b.count() != 0 {
			t.Errorf("left: records %v, blobs %d", ids, b.count())
		}
	})
}

// linker puts a file to use at the moment when an update looks at it, as a message
// may that commits just before.
type linker struct {
	store.Store
	armed atomic.Bool
}

type linkTx struct{ store.Tx }

func (l *linker) Update(fn func(store.Tx) error) error {
	return l.Store.Update(func(tx store.Tx) error {
		if l.armed.Load() {
			tx = linkTx{tx}
		}
		return fn(tx)
	})
}

func (tx linkTx) File(id string) (*store.File, error) {
	if err := tx.SetLinks("test", []string{id}); err != nil {
		return nil, err
	}
	return tx.Tx.File(id)
}

func TestFileThatComesIntoUseIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &linker{}
		w, b := fileWorld(t, func(c *node.Config) { l.Store, c.Store = c.Store, l })
		defer w.end()
		al := w.user("al")
		f, err := upload(w, al, strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		l.armed.Store(true)
		pass(62 * time.Minute)
		if got, body := read(t, w, al, f.ID); got == nil || body != "x" || b.count() != 1 {
			t.Errorf("got %+v %q", got, body)
		}
	})
}
