package federation_test

import (
	"iter"
	"sync/atomic"
	"time"

	"parley/protocol"
	"parley/store"
)

// clocked is the store of a node whose clock jumps and whose disk fills up. A bubble has
// one clock: so what the node has kept is later by as much as its clock has been set
// back since, and earlier by as much as it has been set forward.
type clocked struct {
	store.Store
	ahead atomic.Int64 // of the bubble's clock, in ns
	full  atomic.Bool
}

func (c *clocked) View(fn func(store.Tx) error) error {
	return c.Store.View(func(tx store.Tx) error { return fn(clockedTx{tx, c.offset()}) })
}

func (c *clocked) Update(fn func(store.Tx) error) error {
	if c.full.Load() {
		return store.ErrFull
	}
	return c.Store.Update(func(tx store.Tx) error { return fn(clockedTx{tx, c.offset()}) })
}

func (c *clocked) offset() time.Duration { return time.Duration(c.ahead.Load()) }

type clockedTx struct {
	store.Tx
	ahead time.Duration
}

func later(d time.Duration, ts ...*time.Time) {
	for _, t := range ts {
		if !t.IsZero() {
			*t = t.Add(d)
		}
	}
}

func (t clockedTx) Peer(n protocol.Node) (*store.Peer, error) {
	p, err := t.Tx.Peer(n)
	if err == nil {
		later(-t.ahead, &p.First, &p.Seen, &p.Dialed, &p.Next)
	}
	return p, err
}

func (t clockedTx) AllPeers() iter.Seq2[*store.Peer, error] {
	return func(yield func(*store.Peer, error) bool) {
		for p, err := range t.Tx.AllPeers() {
			if err == nil {
				later(-t.ahead, &p.First, &p.Seen, &p.Dialed, &p.Next)
			}
			if !yield(p, err) {
				return
			}
		}
	}
}

func (t clockedTx) PutPeer(p *store.Peer) error {
	q := *p
	later(t.ahead, &q.First, &q.Seen, &q.Dialed, &q.Next)
	return t.Tx.PutPeer(&q)
}

func (t clockedTx) Enqueue(to protocol.Node, l store.Lane, p *store.Post) error {
	q := *p
	later(t.ahead, &q.At)
	err := t.Tx.Enqueue(to, l, &q)
	p.N = q.N
	return err
}

func (t clockedTx) Posts(to protocol.Node, l store.Lane, after uint64) iter.Seq2[*store.Post, error] {
	return func(yield func(*store.Post, error) bool) {
		for p, err := range t.Tx.Posts(to, l, after) {
			if err == nil {
				later(-t.ahead, &p.At)
			}
			if !yield(p, err) {
				return
			}
		}
	}
}
