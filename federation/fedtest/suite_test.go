package fedtest_test

import (
	"net/netip"
	"testing"
	"time"

	"parley/federation/fedtest"
)

func TestNetwork(t *testing.T) {
	fedtest.Suite(t, func(t *testing.T) fedtest.Pair {
		n := fedtest.NewNetwork(10 * time.Millisecond)
		a, err := n.Listen("a.example", fedtest.NewKey(t), netip.MustParseAddrPort("192.0.2.1:1"))
		if err != nil {
			t.Fatal(err)
		}
		b, err := n.Listen("b.example", fedtest.NewKey(t), netip.MustParseAddrPort("192.0.2.2:1"))
		if err != nil {
			t.Fatal(err)
		}
		return fedtest.Pair{A: a, B: b, ToA: a.Endpoint, ToB: b.Endpoint}
	})
}
