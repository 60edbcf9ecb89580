package bolt_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"parley/protocol"
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

// A store that fails now and then keeps the contract with those who ask again.
func TestContractOnFaultyStore(t *testing.T) {
	fault := errors.New("planned")
	storetest.Run(t, func(t *testing.T) store.Store {
		db := open(t, filepath.Join(t.TempDir(), "parley.db"))
		return again{storetest.Faulty(db, func(n int) error {
			if n%3 == 1 {
				return fault
			}
			return nil
		}), fault}
	})
}

// again repeats updates that failed as planned.
type again struct {
	store.Store
	fault error
}

// Update implements store.Store.
func (a again) Update(fn func(store.Tx) error) error {
	err := a.Store.Update(fn)
	if errors.Is(err, a.fault) {
		err = a.Store.Update(fn)
	}
	return err
}

// What fails as planned has no effect, and the next update is as any other.
func TestFaulty(t *testing.T) {
	full := fmt.Errorf("%w: planned", store.ErrFull)
	s := storetest.Faulty(open(t, filepath.Join(t.TempDir(), "parley.db")), storetest.FailOn(2, full))
	group := protocol.NewGroupID(1, "chat.example")
	for n, want := range []error{nil, store.ErrFull, nil} {
		err := s.Update(func(tx store.Tx) error { return tx.Append(group, &store.Message{Content: []byte("1")}) })
		if !errors.Is(err, want) {
			t.Errorf("update %d: %v, want %v", n+1, err, want)
		}
	}
	err := s.View(func(tx store.Tx) error {
		h, err := tx.Head(group)
		if h.Seq != 2 {
			t.Errorf("%d messages, want 2", h.Seq)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
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
