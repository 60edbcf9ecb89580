package bolt_test

import (
	"path/filepath"
	"testing"

	"parley/store"
	"parley/store/bolt"
	"parley/store/storetest"
)

// TestContract ends every case with a check of the whole file.
func TestContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store {
		path := filepath.Join(t.TempDir(), "parley.db")
		t.Cleanup(func() {
			if err := bolt.Check(path); err != nil {
				t.Error(err)
			}
		})
		return open(t, path)
	})
}

// open makes a store and closes it with the test.
func open(t *testing.T, path string) *bolt.DB {
	t.Helper()
	db, err := bolt.Open(path, bolt.Options{Node: "chat.example", Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil && err != store.ErrClosed {
			t.Error(err)
		}
	})
	return db
}
