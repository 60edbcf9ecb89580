package papers

import (
	"context"
	"testing"
)

// The published findings, within what the differences explain.
func TestEigenTrust(t *testing.T) {
	of := func(n network) float64 {
		v, err := n.mean(context.Background(), 1, 1)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	among := func(k kind, bad int, lies float64, using bool) network {
		return network{goodPeers, trustedPeers, map[kind]int{k: bad}, lies, using}
	}
	for _, c := range []struct {
		what     string
		n        network
		from, to float64
	}{
		{"nobody bad", among(alone, 0, 1, true), 0.04, 0.06},
		{"A, 70 % bad, without trust", among(alone, 147, 1, false), 0.6, 0.85},
		{"A, 70 % bad", among(alone, 147, 1, true), 0.08, 0.16},
		{"B, 70 % bad", among(together, 147, 1, true), 0.08, 0.16},
		{"C, half lies", network{goodOfC, trustedPeers, map[kind]int{together: badOfC}, 0.5, true}, 0.22, 0.36},
		{"C, all lies", network{goodOfC, trustedPeers, map[kind]int{together: badOfC}, 1, true}, 0.08, 0.17},
	} {
		if v := of(c.n); v < c.from || v > c.to {
			t.Errorf("%s: %.3f of the downloads are inauthentic, want %.2f to %.2f", c.what, v, c.from, c.to)
		}
	}
	if a, b := of(among(together, 20, 1, true)), of(among(together, 20, 1, true)); a != b {
		t.Errorf("the same seed gave %v and %v", a, b)
	}
}
