package dht

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"sync"

	ds "github.com/ipfs/go-datastore"
	dsq "github.com/ipfs/go-datastore/query"
)

// maxShelf is how many records of others a node keeps: 4 MiB of them at most.
const maxShelf = 4096

// shelf keeps records in memory. When it is full, the one goes whose keyed hash is highest:
// whoever floods it pushes others out by chance only, and cannot choose whom.
type shelf struct {
	salt []byte

	mu      sync.Mutex
	records map[ds.Key]book // guarded by mu
}

type book struct{ value, rank []byte }

var _ ds.Batching = (*shelf)(nil)

func newShelf() *shelf {
	salt := make([]byte, sha256.Size)
	_, _ = rand.Read(salt) // does not fail (Go 1.24)
	return &shelf{salt: salt, records: map[ds.Key]book{}}
}

func (s *shelf) rank(k ds.Key) []byte {
	h := hmac.New(sha256.New, s.salt)
	h.Write(k.Bytes())
	return h.Sum(nil)
}

// Put implements ds.Datastore.
func (s *shelf) Put(_ context.Context, k ds.Key, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records[k] = book{bytes.Clone(value), s.rank(k)}
	if len(s.records) <= maxShelf {
		return nil
	}
	var last ds.Key
	for k, b := range s.records {
		if bytes.Compare(b.rank, s.records[last].rank) > 0 {
			last = k
		}
	}
	delete(s.records, last)
	return nil
}

// Get implements ds.Datastore.
func (s *shelf) Get(_ context.Context, k ds.Key) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.records[k]
	if !ok {
		return nil, ds.ErrNotFound
	}
	return b.value, nil
}

// Has implements ds.Datastore.
func (s *shelf) Has(_ context.Context, k ds.Key) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.records[k]
	return ok, nil
}

// GetSize implements ds.Datastore.
func (s *shelf) GetSize(ctx context.Context, k ds.Key) (int, error) {
	b, err := s.Get(ctx, k)
	if err != nil {
		return -1, err
	}
	return len(b), nil
}

// Delete implements ds.Datastore.
func (s *shelf) Delete(_ context.Context, k ds.Key) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.records, k)
	return nil
}

// Query implements ds.Datastore.
func (s *shelf) Query(_ context.Context, q dsq.Query) (dsq.Results, error) {
	s.mu.Lock()
	all := make([]dsq.Entry, 0, len(s.records))
	for k, b := range s.records {
		all = append(all, dsq.Entry{Key: k.String(), Value: b.value, Size: len(b.value)})
	}
	s.mu.Unlock()
	return dsq.NaiveQueryApply(q, dsq.ResultsWithEntries(q, all)), nil
}

// Sync implements ds.Datastore.
func (s *shelf) Sync(context.Context, ds.Key) error { return nil }

// Batch implements ds.Batching.
func (s *shelf) Batch(context.Context) (ds.Batch, error) { return ds.NewBasicBatch(s), nil }

// Close implements io.Closer.
func (s *shelf) Close() error { return nil }
