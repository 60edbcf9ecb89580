package bolt

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"parley/protocol"
	"parley/store"
)

var golden = flag.Bool("golden", false, "write the golden file of this schema, if there is none")

const goldenFile = "testdata/schema1.db"

var goldenDay = time.Date(2026, time.November, 23, 4, 5, 6, 789_000_000, time.UTC)

// writeGolden puts one record of each kind into a store.
func writeGolden(tx store.Tx) error {
	return errors.Join(
		tx.PutUser(&store.User{ID: testUser, Level: store.LevelAuth, Created: goldenDay, Updated: goldenDay,
			Defacs: store.Defacs{Auth: protocol.ModeUserAuth}, Public: []byte(`{"fn":"Ann"}`), Tags: []string{"alias:ann"}, Epoch: 3}),
		tx.PutSeen(testUser, store.Seen{When: goldenDay, UA: "test/1"}),
		tx.PutLogin(&store.Login{Scheme: "basic", Name: "ann", User: testUser, Secret: []byte("hash")}),
		tx.PutCredential(&store.Credential{User: testUser, Method: "email", Value: "ann@example.org", Done: true, Created: goldenDay}),
		tx.PutTopic(&store.Topic{ID: testGroup, Channel: true, Created: goldenDay, Owner: testUser, Public: []byte(`{"fn":"G"}`), Tags: []string{"g"}}),
		tx.PutSub(&store.Sub{Topic: testGroup, User: testUser, Want: protocol.ModeOwner, Given: protocol.ModeOwner, Created: goldenDay, Private: []byte(`{"a":1}`)}),
		tx.PutFile(&store.File{ID: "file", User: testUser, MIME: "image/png", Size: 7, Created: goldenDay}),
		tx.Append(testGroup, &store.Message{From: testUser, TS: goldenDay, Tag: 9, Head: []byte(`{"mime":"x"}`), Content: []byte(`"one"`)}),
		tx.Append(testGroup, &store.Message{From: testUser, TS: goldenDay, Tag: 8, Content: []byte(`"two"`)}),
		tx.SetLinks(store.RefMessage(testGroup, 1), []string{"file"}),
		tx.PutMarks(testGroup, testUser, store.Marks{Recv: 2, Read: 1}),
		tx.Delete(testGroup, &store.Deletion{TS: goldenDay, Ranges: protocol.Ranges{{Low: 2, Hi: 3}}}),
		tx.Delete(testGroup, &store.Deletion{User: testUser, TS: goldenDay, Ranges: protocol.Ranges{{Low: 1, Hi: 2}}}),
		tx.AppendEvent(testGroup, &store.Event{TS: goldenDay, Kind: 1, By: testUser, Seq: 1}),
		tx.Enqueue("far.example", 1, &store.Post{Key: "k", Body: []byte("post"), At: goldenDay}),
		tx.Advance("far.example", 2, store.Verdict{N: 1, Body: []byte("no")}),
	)
}

// A file that the first release of a schema wrote opens in every later one, and holds
// what it held.
func TestGoldenFileOpens(t *testing.T) {
	if _, err := os.Stat(goldenFile); *golden && errors.Is(err, os.ErrNotExist) {
		if err := os.MkdirAll(filepath.Dir(goldenFile), 0o755); err != nil {
			t.Fatal(err)
		}
		db := makeDB(t, goldenFile)
		if err := errors.Join(db.Update(writeGolden), db.Close()); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "parley.db")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Check(path); err != nil {
		t.Fatal(err)
	}
	db := makeDB(t, path)
	defer db.Close()
	if err := db.View(func(tx store.Tx) error { return readGolden(t, tx) }); err != nil {
		t.Fatal(err)
	}
}

func readGolden(t *testing.T, tx store.Tx) error {
	u, err1 := tx.User(testUser)
	login, err2 := tx.Login("basic", "ann")
	owner, err3 := tx.Confirmed("email", "ann@example.org")
	rec, err4 := tx.Topic(testGroup)
	sub, err5 := tx.Sub(testGroup, testUser)
	head, err6 := tx.Head(testGroup)
	m, err7 := tx.Message(testGroup, 1)
	marks, err8 := tx.Marks(testGroup, testUser)
	hidden, err9 := tx.Hidden(testGroup, testUser)
	f, err10 := tx.File("file")
	q, err11 := tx.Queue("far.example", 1)
	cursor, err12 := tx.Cursor("far.example", 2)
	if err := errors.Join(err1, err2, err3, err4, err5, err6, err7, err8, err9, err10, err11, err12); err != nil {
		return err
	}
	for what, ok := range map[string]bool{
		"user":    u.Epoch == 3 && u.Created.Equal(goldenDay) && string(u.Public) == `{"fn":"Ann"}` && u.Defacs.Auth == protocol.ModeUserAuth,
		"login":   login.User == testUser && string(login.Secret) == "hash",
		"address": owner == testUser,
		"topic":   rec.Channel && rec.Owner == testUser && rec.Created.Equal(goldenDay),
		"sub":     sub.Mode() == protocol.ModeOwner && string(sub.Private) == `{"a":1}` && sub.Live(),
		"head":    head.Seq == 2 && head.Del == 2 && head.Rev == 1 && head.Subs == 1 && head.Touched.Equal(goldenDay),
		"message": string(m.Content) == `"one"` && string(m.Head) == `{"mime":"x"}` && m.Tag == 9 && m.TS.Equal(goldenDay),
		"marks":   marks == store.Marks{Recv: 2, Read: 1},
		"hidden":  hidden.Contains(1) && hidden.Len() == 1,
		"file":    f.Size == 7 && f.Uses == 1,
		"queue":   q == store.Queue{Last: 1},
		"cursor":  cursor == 1,
	} {
		if !ok {
			t.Errorf("%s is not as it was written", what)
		}
	}
	return nil
}
