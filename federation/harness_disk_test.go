package federation_test

import (
	"sync/atomic"
	"time"

	"parley/store"
)

// filling is the store of a node whose disk may be full.
type filling struct {
	store.Store
	full atomic.Bool
}

func (f *filling) Update(fn func(store.Tx) error) error {
	if f.full.Load() {
		return store.ErrFull
	}
	return f.Store.Update(fn)
}

// clock is the wall clock of the node, which may be wrong.
func (n *node) clock() time.Time { return time.Now().Add(time.Duration(n.ahead.Load())) }

// setClock sets it ahead of what it shows or, below 0, back.
func (n *node) setClock(by time.Duration) { n.ahead.Add(int64(by)) }
