package node_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"parley/node"
	"parley/protocol"
	"parley/store"
	"parley/store/bolt"
)

// inWorld runs a test with a node in a bubble.
func inWorld(t *testing.T, change func(*node.Config), test func(*testing.T, *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, change)
		defer w.end()
		test(t, w)
	})
}

// basicLogin is the packet with which a session signs in.
func basicLogin(login, password string) string {
	return fmt.Sprintf(`{"login":{"id":"l","scheme":"basic","secret":%q}}`,
		base64.StdEncoding.EncodeToString([]byte(login+":"+password)))
}

func logins(t *testing.T, n *node.Node) []string {
	t.Helper()
	users, err := n.Users()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, u := range users {
		all = append(all, u.Login)
	}
	slices.Sort(all)
	return all
}

func TestAddUser(t *testing.T) {
	closed := func(c *node.Config) { c.Closed = true }
	inWorld(t, closed, func(t *testing.T, w *world) {
		id, err := w.n.AddUser(t.Context(), "Ann", "secret1", store.LevelAuth, []byte(`{"fn":"Ann A"}`))
		if err != nil {
			t.Fatal(err)
		}
		for _, who := range []string{"ann", "ANN", string(id), id.Local()} {
			u, err := w.n.User(who)
			if err != nil || u.ID != id || u.Login != "ann" || u.Name != "Ann A" || u.Level != store.LevelAuth || u.State != store.StateOK {
				t.Errorf("user %s is %+v (%v)", who, u, err)
			}
		}
		for _, who := range []string{"", "bob", "usr", "usrAAAAAAAAAAA", "a:b"} {
			if _, err := w.n.User(who); !errors.Is(err, protocol.NotFound) {
				t.Errorf("user %q: error %v, want not found", who, err)
			}
		}
		if _, err := w.n.AddUser(t.Context(), "ann", "secret2", store.LevelAuth, nil); !errors.Is(err, protocol.Exists) {
			t.Errorf("the same login again: %v", err)
		}
		if _, err := w.n.AddUser(t.Context(), "bob", "x", store.LevelAuth, nil); !errors.Is(err, protocol.Policy) {
			t.Errorf("a short password: %v", err)
		}
		w.open("ann")
		w.ask("ann", basicLogin("ann", "secret1"), 200)
		if u, err := w.n.User("ann"); err != nil || u.Sessions != 1 {
			t.Errorf("sessions: %+v (%v), want 1", u, err)
		}
	})
}

// A root user comes in over the operators' listener only, whatever made the account.
func TestAddRoot(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		if _, err := w.n.AddUser(t.Context(), "root", "secret1", store.LevelRoot, nil); err != nil {
			t.Fatal(err)
		}
		w.open("root")
		w.ask("root", basicLogin("root", "secret1"), 401)
		if u, err := w.n.User("root"); err != nil || u.Level != store.LevelRoot || u.Sessions != 0 {
			t.Errorf("user %+v (%v), want a root user without sessions", u, err)
		}
	})
}

func TestSuspendAndResume(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		w.user("al")
		u, err := w.n.User("al-user")
		if err != nil {
			t.Fatal(err)
		}
		if err := w.n.SetState(u.ID, store.StateSuspended); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if w.pipes["al"].send(`{"get":{"id":"1","topic":"me","what":"desc"}}`) {
			t.Error("a suspended user's session goes on")
		}
		w.open("al2")
		w.ask("al2", basicLogin("al-user", "password-al"), 403)
		if err := w.n.SetState(u.ID, store.StateOK); err != nil {
			t.Fatal(err)
		}
		w.ask("al2", basicLogin("al-user", "password-al"), 200)
		if err := w.n.SetState(u.ID, store.StateDeleted); !errors.Is(err, protocol.Malformed) {
			t.Errorf("deleted as a state: %v", err)
		}
		if err := w.n.SetState("usrAAAAAAAAAAA@localhost", store.StateOK); !errors.Is(err, protocol.NotFound) {
			t.Errorf("nobody resumed: %v", err)
		}
	})
}

func TestSetPasswordEndsSessions(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		w.user("al")
		u, err := w.n.User("al-user")
		if err != nil {
			t.Fatal(err)
		}
		if err := w.n.SetPassword(t.Context(), u.ID, "another-one"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if w.pipes["al"].send(`{"get":{"id":"1","topic":"me","what":"desc"}}`) {
			t.Error("the session goes on")
		}
		w.open("al2")
		w.ask("al2", basicLogin("al-user", "password-al"), 401)
		w.ask("al2", basicLogin("al-user", "another-one"), 200)
	})
}

func TestDeleteUser(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		al, bo := w.user("al"), w.user("bo")
		w.ask("al", fmt.Sprintf(`{"sub":{"id":"s","topic":%q}}`, bo), 200)
		u, err := w.n.User(al)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.n.DeleteUser(t.Context(), u.ID, false); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := logins(t, w.n); !slices.Equal(got, []string{"bo-user"}) {
			t.Errorf("users left: %v", got)
		}
		if err := w.n.DeleteUser(t.Context(), u.ID, false); !errors.Is(err, protocol.NotFound) {
			t.Errorf("deleted twice: %v", err)
		}
		if w.pipes["al"].send(`{"get":{"id":"1","topic":"me","what":"desc"}}`) {
			t.Error("the session goes on")
		}
	})
}

func TestReports(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		if none, err := w.n.Reports(); err != nil || len(none) != 0 {
			t.Errorf("reports %v (%v), want none", none, err)
		}
		al := w.user("al")
		for _, content := range []string{
			`"just text"`,
			`{"txt":" ","ent":[{"tp":"EX","data":{"mime":"application/json","val":{"action":"report","target":"usrX"}}}]}`,
			`{"ent":"odd"}`,
			`[1,2]`,
		} {
			w.ask("al", `{"pub":{"id":"p","topic":"sys","content":`+content+`}}`, 202)
		}
		all, err := w.n.Reports()
		if err != nil || len(all) != 4 {
			t.Fatalf("reports %+v (%v), want 4", all, err)
		}
		r := all[2]
		if r.Seq != 2 || r.Action != "report" || r.Target != "usrX" || string(r.From) != al {
			t.Errorf("report %+v", r)
		}
		if all[0].Seq != 4 || all[0].Action != "" || string(all[3].Content) != `"just text"` {
			t.Errorf("reports %+v, want the newest first", all)
		}
	})
}

// The same report again is counted with the first, until an operator has deleted that;
// another's, or of another, is a new one.
func TestReportsAgain(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		bob, eve := w.user("bob"), w.user("eve")
		w.user("al")
		n := 0
		report := func(by, text, whom string, seq int) {
			t.Helper()
			n++
			answer := w.ask(by, fmt.Sprintf(`{"pub":{"id":"p%d","topic":"sys","content":{"txt":%q,"ent":[{"tp":"EX","data":{"mime":"application/json","val":{"action":"report","target":%q}}}]}}}`,
				n, text, whom), 202)
			if answer["seq"] != float64(seq) {
				t.Errorf("the report of %s by %s is %v, want %d", whom, by, answer["seq"], seq)
			}
		}
		report("al", "", eve, 1)
		report("al", "again", eve, 1)
		report("bob", "", eve, 2)
		report("al", "", bob, 3)
		report("al", "", strings.TrimSuffix(eve, "@localhost"), 1)
		times := func(want ...int) {
			t.Helper()
			all, err := w.n.Reports()
			var have []int
			for _, r := range all {
				have = append(have, r.Times)
			}
			if err != nil || !slices.Equal(have, want) {
				t.Errorf("the reports were made %v times (%v), want %v", have, err, want)
			}
		}
		times(1, 1, 3)
		err := w.st.Update(func(tx store.Tx) error {
			return tx.Delete(protocol.Sys, &store.Deletion{Ranges: protocol.Ranges{{Low: 1, Hi: 2}}})
		})
		if err != nil {
			t.Fatal(err)
		}
		report("al", "", eve, 4)
		times(1, 1, 1)
	})
}

// What Backup writes while the node runs can be opened.
func TestBackupCanBeOpened(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		if _, err := w.n.AddUser(t.Context(), "ann", "secret1", store.LevelAuth, nil); err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := w.n.Backup(&b); err != nil {
			t.Fatal(err)
		}
		copied := filepath.Join(t.TempDir(), "copy.db")
		if err := os.WriteFile(copied, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		db, err := bolt.Open(copied, bolt.Options{Node: "localhost"})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		err = db.View(func(tx store.Tx) error {
			_, err := tx.Login("basic", "ann")
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// A node that has stopped refuses operators rather than touching a store that may
// be closed.
func TestOperatorsAreRefusedAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.end()
		_, add := w.n.AddUser(context.Background(), "ann", "secret1", store.LevelAuth, nil)
		for what, err := range map[string]error{
			"add":      add,
			"password": w.n.SetPassword(context.Background(), "usrAAAAAAAAAAA@localhost", "secret1"),
			"state":    w.n.SetState("usrAAAAAAAAAAA@localhost", store.StateOK),
			"delete":   w.n.DeleteUser(context.Background(), "usrAAAAAAAAAAA@localhost", false),
			"backup":   w.n.Backup(new(bytes.Buffer)),
		} {
			if !errors.Is(err, protocol.Busy) {
				t.Errorf("%s: error %v, want busy", what, err)
			}
		}
	})
}
