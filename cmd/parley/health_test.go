package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"parley/store"
	"parley/store/bolt"
)

// sickStore is a store whose updates do what a test wants before they go on.
type sickStore struct {
	store.Store
	update  func() error
	updates int
}

func (s *sickStore) Update(fn func(store.Tx) error) error {
	s.updates++
	if s.update != nil {
		if err := s.update(); err != nil {
			return err
		}
	}
	return s.Store.Update(fn)
}

func TestHealth(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		db, err := bolt.Open(filepath.Join(dir, "parley.db"), bolt.Options{Node: "localhost", Create: true})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		disk := filepath.Join(dir, "disk")
		if err := os.Mkdir(disk, dirMode); err != nil {
			t.Fatal(err)
		}
		s := &sickStore{Store: db}
		h := &health{store: s, file: filepath.Join(disk, "health.tmp")}
		ask := func(want error) {
			t.Helper()
			if err := h.check(t.Context()); (err == nil) != (want == nil) || want != nil && !errors.Is(err, want) {
				t.Errorf("got %v, want %v", err, want)
			}
			if left, _ := os.ReadDir(disk); len(left) != 0 {
				t.Errorf("%v is left", left)
			}
		}
		for range 100 {
			ask(nil)
		}
		if s.updates != 1 {
			t.Errorf("%d checks were made for 100 questions at once", s.updates)
		}
		s.update = func() error { return store.ErrFull }
		time.Sleep(healthAge)
		ask(store.ErrFull)
		s.update = nil
		time.Sleep(healthAge)
		ask(nil)
		if err := os.Remove(disk); err != nil {
			t.Fatal(err)
		}
		time.Sleep(healthAge)
		ask(os.ErrNotExist)
		if err := os.Mkdir(disk, dirMode); err != nil {
			t.Fatal(err)
		}
		time.Sleep(healthAge)
		s.update = func() error { time.Sleep(time.Minute); return nil }
		stuck := make(chan error)
		go func() { stuck <- h.check(t.Context()) }()
		synctest.Wait()
		ask(os.ErrNotExist) // the last outcome, for now
		time.Sleep(healthWait + time.Second)
		ask(errSlowDisk)
		if err := <-stuck; err != nil {
			t.Error(err)
		}
		s.update = nil
		ask(nil)
	})
}

func TestHealthNeedsRoom(t *testing.T) {
	dir := t.TempDir()
	db, err := bolt.Open(filepath.Join(dir, "parley.db"), bolt.Options{Node: "localhost", Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	h := &health{store: db, room: func() error { return store.ErrFull }, file: filepath.Join(dir, "health.tmp")}
	if err := h.check(t.Context()); !errors.Is(err, store.ErrFull) {
		t.Errorf("with little space the node says %v", err)
	}
}
