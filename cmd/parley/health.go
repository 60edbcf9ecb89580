package main

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"parley/protocol"
	"parley/store"
)

const (
	// healthAge is how long an answer is good for: anybody may ask, and the disk must
	// not pay for each.
	healthAge = 5 * time.Second
	// healthWait is how long the disk may take.
	healthWait = 4 * time.Second
	// healthRoom is how many bytes the disk must have room for.
	healthRoom = 1 << 20
)

var errSlowDisk = errors.New("the disk takes too long")

// health tells whether the node can do its work: read, store, and write new bytes
// next to its data. One check at a time is made; those who ask meanwhile, and for a
// while after it, get the last outcome.
type health struct {
	store store.Store
	room  func() error // nil: any is enough
	file  string       // written to and removed

	mu    sync.Mutex // guards the rest
	at    time.Time  // of the last outcome
	err   error
	begun time.Time // of the check under way; zero: none is
}

// check returns why the node cannot do its work, nil if it can.
func (h *health) check(context.Context) error {
	now := time.Now()
	h.mu.Lock()
	switch {
	case !h.begun.IsZero() && now.Sub(h.begun) > healthWait:
		defer h.mu.Unlock()
		return errSlowDisk
	case !h.begun.IsZero(), !h.at.IsZero() && now.Sub(h.at) < healthAge:
		defer h.mu.Unlock()
		return h.err
	}
	h.begun = now
	h.mu.Unlock()
	err := errors.Join(h.read(), h.write(), h.grow())
	h.mu.Lock()
	defer h.mu.Unlock()
	h.at, h.err, h.begun = time.Now(), err, time.Time{}
	return err
}

func (h *health) read() error {
	return h.store.View(func(tx store.Tx) error {
		if _, err := tx.Head(protocol.Sys); err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		return nil
	})
}

// write waits for those that write, and learns whether the database is sound and may
// grow.
func (h *health) write() error {
	if err := h.store.Update(func(store.Tx) error { return nil }); err != nil || h.room == nil {
		return err
	}
	return h.room()
}

// grow writes a file that does not stay.
func (h *health) grow() error {
	f, err := os.OpenFile(h.file, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer os.Remove(h.file)
	_, err = f.Write(make([]byte, healthRoom))
	return errors.Join(err, f.Sync(), f.Close())
}
