// Package fedtest is what tests of links stand on: a datagram network in memory, with
// faults, over which the real transport runs.
package fedtest

import (
	"path/filepath"
	"testing"

	"parley/federation"
)

// NewKey makes a node key that is gone after the test.
func NewKey(t testing.TB) *federation.Key {
	t.Helper()
	k, err := federation.CreateKey(filepath.Join(t.TempDir(), federation.KeyFile))
	if err != nil {
		t.Fatal(err)
	}
	return k
}
