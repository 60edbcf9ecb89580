package bolt

import (
	"errors"
	"fmt"
	"iter"

	"go.etcd.io/bbolt"

	"parley/store"
)

// tx is one transaction. It implements store.Tx.
type tx struct {
	t     *bbolt.Tx
	low   bool // little space is left: what makes the file grow is refused
	wrote int  // bytes of keys and values
}

var _ store.Tx = (*tx)(nil)

func (x *tx) bucket(name []byte) *bbolt.Bucket { return x.t.Bucket(name) }

// put stores a value that nobody changes until the transaction has ended.
func (x *tx) put(bucket, key, value []byte) error {
	x.wrote += len(key) + len(value) + 1
	return x.bucket(bucket).Put(key, value)
}

// putLast is put for buckets that mostly grow at the ends of their lists.
func (x *tx) putLast(bucket, key, value []byte) error {
	b := x.bucket(bucket)
	b.FillPercent = fillAppended
	x.wrote += len(key) + len(value) + 1
	return b.Put(key, value)
}

// del deletes a key, which need not be there.
func (x *tx) del(bucket, key []byte) error {
	x.wrote += len(key) + 1
	return x.bucket(bucket).Delete(key)
}

// wipe deletes the keys with a prefix.
func (x *tx) wipe(bucket, prefix []byte) error {
	var ks [][]byte
	for k := range all(x.bucket(bucket), prefix) {
		ks = append(ks, clone(k))
	}
	for _, k := range ks {
		if err := x.del(bucket, k); err != nil {
			return err
		}
	}
	return nil
}

// grow tells whether more may be stored.
func (x *tx) grow() error {
	if x.low {
		return fmt.Errorf("%w: only what makes room or changes what is there is done until there is more", store.ErrFull)
	}
	return nil
}

// putRecord stores a CBOR record.
func (x *tx) putRecord(bucket, key []byte, v any) error {
	raw, err := encoding.Marshal(v)
	if err != nil {
		return err
	}
	return x.put(bucket, key, raw)
}

// record reads one; store.ErrNotFound.
func record[T any](x *tx, bucket, key []byte) (*T, error) {
	raw := x.bucket(bucket).Get(key)
	if raw == nil {
		return nil, store.ErrNotFound
	}
	v := new(T)
	if err := decode(raw, v); err != nil {
		return nil, fmt.Errorf("%w in %s at %q", err, bucket, key)
	}
	return v, nil
}

// orNil makes an absent record nil instead of an error.
func orNil[T any](v *T, err error) (*T, error) {
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return v, err
}

// records yields what decode makes of the entries, up to the first error.
func records[T any](entries iter.Seq2[[]byte, []byte], decode func(k, v []byte) (T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for k, v := range entries {
			r, err := decode(k, v)
			if err != nil {
				var none T
				yield(none, fmt.Errorf("%w: at %q", err, k))
				return
			}
			if !yield(r, nil) {
				return
			}
		}
	}
}

// decodeNew is decode for records.
func decodeNew[T any](_, raw []byte) (*T, error) {
	v := new(T)
	return v, decode(raw, v)
}

// suffixes yields what follows a prefix in the keys that have it.
func suffixes(b *bbolt.Bucket, prefix []byte) iter.Seq2[string, error] {
	return records(all(b, prefix), func(k, _ []byte) (string, error) { return string(k[len(prefix):]), nil })
}

// collect copies a list, so that what it was made of can be changed.
func collect[T any](list iter.Seq2[T, error]) ([]T, error) {
	var out []T
	for v, err := range list {
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}
