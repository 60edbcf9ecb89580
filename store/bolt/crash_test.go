package bolt

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"parley/protocol"
	"parley/store"
)

const testNode protocol.Node = "chat.example"

var (
	testUser  = protocol.NewUserID(1, testNode)
	testGroup = protocol.NewGroupID(1, testNode)
)

func makeDB(t *testing.T, path string) *DB {
	t.Helper()
	db, err := Open(path, Options{Node: testNode, Create: true})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func addMessage(tx store.Tx) error {
	return tx.Append(testGroup, &store.Message{From: testUser, TS: time.Now(), Tag: 1, Content: []byte(`"x"`)})
}

func lastSeq(t *testing.T, db *DB) (h store.Head) {
	t.Helper()
	if err := db.View(func(tx store.Tx) (err error) { h, err = tx.Head(testGroup); return err }); err != nil {
		t.Fatal(err)
	}
	return h
}

// A file of a newer release is not touched.
func TestNewerSchema(t *testing.T) {
	path := filepath.Join(t.TempDir(), "parley.db")
	db := makeDB(t, path)
	meta := db.Meta()
	db.Close()
	raw, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	meta.Schema++
	if err := errors.Join(raw.Update(func(t *bbolt.Tx) error { return (&tx{t: t}).putRecord(bktMeta, keyMeta, &meta) }), raw.Close()); err != nil {
		t.Fatal(err)
	}
	_, err = Open(path, Options{Node: testNode})
	if !errors.Is(err, store.ErrNewerSchema) || !strings.Contains(err.Error(), "newer release") {
		t.Error(err)
	}
}

func TestCheckFinds(t *testing.T) {
	for name, spoil := range map[string]func(x *tx) error{
		"a lost message": func(x *tx) error { return x.bucket(bktMessages).Delete(numbered(string(testGroup), 2)) },
		"a lost tag":     func(x *tx) error { return x.bucket(bktTags).Delete(key("tag", string(testUser))) },
		"a lost bucket":  func(x *tx) error { return x.t.DeleteBucket(bktMarks) },
		"a lost entry":   func(x *tx) error { return x.bucket(bktSubsOf).Delete(key(string(testUser), string(testGroup))) },
		"bytes":          func(x *tx) error { return x.bucket(bktMessages).Put(numbered(string(testGroup), 1), []byte{9}) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "parley.db")
			db := makeDB(t, path)
			err := db.Update(func(tx store.Tx) error {
				return errors.Join(tx.PutTopic(&store.Topic{ID: testGroup}), addMessage(tx), addMessage(tx), addMessage(tx),
					tx.PutUser(&store.User{ID: testUser, Tags: []string{"tag"}}), tx.PutSub(&store.Sub{Topic: testGroup, User: testUser}))
			})
			if err != nil {
				t.Fatal(err)
			}
			db.Close()
			if err := Check(path); err != nil {
				t.Fatal(err)
			}
			raw, err := bbolt.Open(path, 0o600, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(raw.Update(func(b *bbolt.Tx) error { return spoil(&tx{t: b}) }), raw.Close()); err != nil {
				t.Fatal(err)
			}
			if err := Check(path); err == nil {
				t.Error("nothing found")
			}
		})
	}
}

// TestPowerLoss makes files as a crash may leave them: of the pages that a commit
// writes, any may be on the disk, whole or torn, but those of the commits before. Each
// opens, is sound, and has what was acknowledged and at most the one update more.
func TestPowerLoss(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "parley.db")
	small := Options{Node: testNode, Create: true, minMap: 1}
	db, err := Open(path, small)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	random := rand.New(rand.NewPCG(1, 2))
	if err := db.Update(func(tx store.Tx) error { return tx.PutTopic(&store.Topic{ID: testGroup}) }); err != nil {
		t.Fatal(err)
	}
	before := read(t, path)
	for n := 1; n <= 25; n++ {
		if err := db.Update(addMessage); err != nil {
			t.Fatal(err)
		}
		after := read(t, path)
		for range 4 {
			crashed := filepath.Join(dir, "crashed.db")
			if err := os.WriteFile(crashed, crash(random, before, after), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := Check(crashed); err != nil {
				t.Fatalf("after message %d: %v", n, err)
			}
			c, err := Open(crashed, small)
			if err != nil {
				t.Fatal(err)
			}
			if seq := lastSeq(t, c).Seq; seq != n-1 && seq != n {
				t.Fatalf("after message %d there are %d", n, seq)
			}
			c.Close()
		}
		before = after
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// crash is before with some of the pages in which after differs. The meta pages, the
// first two, are written last, after a sync: if one is new, so are all others.
func crash(random *rand.Rand, before, after []byte) []byte {
	page := os.Getpagesize()
	out := bytes.Clone(before)
	if len(after) > len(out) {
		out = append(out, make([]byte, len(after)-len(out))...)
	}
	synced := random.IntN(2) == 0
	for at := 0; at < len(after); at += page {
		from, to := after[at:at+page], out[at:at+page]
		meta := at < 2*page
		switch {
		case bytes.Equal(from, to):
		case synced && !meta:
			copy(to, from)
		case synced || !meta:
			copy(to, from[:random.IntN(page+1)/512*512]) // torn at a sector
		}
	}
	return out
}
