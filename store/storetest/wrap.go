package storetest

import (
	"errors"
	"sync/atomic"

	"parley/store"
)

// Twice runs the function of every update once in a transaction that is rolled
// back, and then for real, as the contract allows an engine to do. What depends on a
// function that runs only once fails on it.
func Twice(s store.Store) store.Store { return twice{s} }

type twice struct{ store.Store }

var errRehearsal = errors.New("storetest: rehearsal")

// Update implements store.Store.
func (t twice) Update(fn func(store.Tx) error) error {
	err := t.Store.Update(func(tx store.Tx) error {
		// Whatever comes of it, the second time counts.
		return errors.Join(errRehearsal, fn(tx))
	})
	if errors.Is(err, store.ErrClosed) || err == nil {
		return err
	}
	return t.Store.Update(fn)
}

// A Plan says what becomes of the nth update, from 1: nil lets it pass, an error
// is its result, and it has no effect. A plan that blocks is a disk that stalls.
// Plans are called from as many goroutines as update the store.
type Plan func(n int) error

// FailOn fails one update.
func FailOn(nth int, err error) Plan {
	return func(n int) error {
		if n == nth {
			return err
		}
		return nil
	}
}

// StallUntil holds every update up until release is closed.
func StallUntil(release <-chan struct{}) Plan {
	return func(int) error {
		<-release
		return nil
	}
}

// Faulty gives updates to s as planned. Views are not touched.
func Faulty(s store.Store, plan Plan) store.Store { return &faulty{Store: s, plan: plan} }

type faulty struct {
	store.Store
	plan Plan
	n    atomic.Int64
}

// Update implements store.Store.
func (f *faulty) Update(fn func(store.Tx) error) error {
	if err := f.plan(int(f.n.Add(1))); err != nil {
		return err
	}
	return f.Store.Update(fn)
}
