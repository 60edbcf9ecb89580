package store

import "iter"

// Values keeps single things under a name, each opaque to the store.
type Values interface {
	Value(name string) ([]byte, error)
	PutValue(name string, v []byte) error
	DeleteValue(name string) error
	// Values yields the names that begin with a prefix, in order.
	Values(prefix string) iter.Seq2[string, error]
}
