package quic

import (
	"testing"

	"parley/federation/fedtest"
)

func TestSuite(t *testing.T) {
	fedtest.Suite(t, func(t *testing.T) fedtest.Pair {
		n := fedtest.NewPackets(1, fedtest.Path{Latency: latency})
		a, b := start(t, "a.example", socket(t, n, addrA), Limits{}), start(t, "b.example", socket(t, n, addrB), Limits{})
		return fedtest.Pair{A: a, B: b, ToA: a.Endpoint, ToB: b.Endpoint}
	})
}
