package bolt

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"parley/protocol"
	"parley/store"
)

// Schema is the version of the layout that this release writes.
const Schema = 1

// migrations bring a file from one schema to the next: the first one from 1 to 2. A
// bucket more needs none, see added. What is in testdata must stay readable.
var migrations = []func(*tx) error{}

// errUnborn is a file that has no description yet.
var errUnborn = fmt.Errorf("%w: a new store needs the name of its node", store.ErrNotFound)

// prepare makes the buckets of a new file, and checks who an old one belongs to.
func prepare(b *bbolt.DB, n protocol.Node, create bool) (store.Meta, error) {
	m, err := describe(b)
	if errors.Is(err, errUnborn) && create && n != "" {
		m = store.Meta{Node: n, Incarnation: newIncarnation(), Schema: Schema, Created: time.Now().UTC().Truncate(time.Millisecond)}
		return m, fault(b.Update(func(t *bbolt.Tx) error { return bear(t, &m) }))
	}
	switch {
	case err != nil:
		return m, err
	case m.Schema > Schema:
		return m, fmt.Errorf("%w: it has schema %d, this release knows %d: install the newer release again", store.ErrNewerSchema, m.Schema, Schema)
	case n != "" && n != m.Node:
		return m, fmt.Errorf("%w: it belongs to %q, not %q: a node's name is fixed; use that name, or another data directory", store.ErrOtherNode, m.Node, n)
	}
	if m.Schema == Schema && complete(b) {
		return m, nil
	}
	return m, fault(b.Update(func(t *bbolt.Tx) error {
		if err := addBuckets(t); err != nil || m.Schema == Schema {
			return err
		}
		return migrate(&tx{t: t}, &m, migrations)
	}))
}

// describe reads the description of a store.
func describe(b *bbolt.DB) (m store.Meta, err error) {
	err = b.View(func(t *bbolt.Tx) error {
		if t.Bucket(bktMeta) == nil {
			if k, _ := t.Cursor().First(); k != nil {
				return damaged(errors.New("a database of another program"))
			}
			return errUnborn
		}
		got, err := record[store.Meta](&tx{t: t}, bktMeta, keyMeta)
		if err != nil {
			return damaged(err)
		}
		if m = *got; m.Schema < 1 || m.Node == "" {
			return damaged(errBroken)
		}
		return nil
	})
	return m, err
}

// bear makes an empty store of an empty file.
func bear(t *bbolt.Tx, m *store.Meta) error {
	for _, name := range buckets {
		if _, err := t.CreateBucket(name); err != nil {
			return err
		}
	}
	if err := addBuckets(t); err != nil {
		return err
	}
	return (&tx{t: t}).putRecord(bktMeta, keyMeta, m)
}

// complete reports whether a file has all buckets.
func complete(b *bbolt.DB) bool {
	return b.View(func(t *bbolt.Tx) error {
		for _, name := range added {
			if t.Bucket(name) == nil {
				return errBroken
			}
		}
		return nil
	}) == nil
}

// addBuckets makes those that a file of an earlier release lacks.
func addBuckets(t *bbolt.Tx) error {
	for _, name := range added {
		if _, err := t.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	return nil
}

// migrate brings an old file to the schema after the last step, in one transaction.
func migrate(x *tx, m *store.Meta, steps []func(*tx) error) error {
	for ; m.Schema <= len(steps); m.Schema++ {
		if err := steps[m.Schema-1](x); err != nil {
			return fmt.Errorf("store: from schema %d to %d: %w", m.Schema, m.Schema+1, err)
		}
	}
	return x.putRecord(bktMeta, keyMeta, m)
}

func newIncarnation() uint64 {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint64(b[:])
}
