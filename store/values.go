package store

// Values keeps single things under a name, each opaque to the store.
type Values interface {
	Value(name string) ([]byte, error)
	PutValue(name string, v []byte) error
}
