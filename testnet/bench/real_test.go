package bench

import (
	"testing"
	"time"

	"parley/testnet"
)

// TestRealNode runs every scenario against a real node, small, to see that the node
// keeps what the scenarios promise and that the figures come out; how large they are
// is no matter of a test.
func TestRealNode(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	bin, err := testnet.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	const ms = time.Millisecond
	cases := []Case{
		{Name: "connect", Scenario: "connect", Users: 8, Inflight: 4, Duration: 10 * time.Second, Settle: 50 * ms},
		{Name: "p2p", Scenario: "p2p", Users: 3, Size: 100, Inflight: 4, Duration: 200 * ms},
		{Name: "fanout", Scenario: "fanout", Users: 6, Senders: 2, Size: 100, Inflight: 4, Duration: 200 * ms},
		{Name: "history", Scenario: "history", Users: 2, Messages: 100, Size: 100, Page: 24, Duration: 100 * ms},
		{Name: "login", Scenario: "login", Users: 2, Inflight: 2, Duration: 400 * ms},
	}
	rep, err := Execute(t.Context(), Config{Cases: cases, Binary: bin, Prefix: "bench", Dial: testnet.Dialer, Temp: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if n := rep.Violations(); n > 0 {
		t.Errorf("%d broken promises", n)
	}
	for _, res := range rep.Cases {
		t.Logf("%s:%s", res.Case.Name, res.Runs[0])
		if len(res.Runs[0].Violations) > 0 {
			t.Errorf("%s: %v", res.Case.Name, res.Runs[0].Violations)
		}
		if len(res.Summary) < 5 || res.Summary[0].Value <= 0 {
			t.Errorf("%s: figures are missing: %+v", res.Case.Name, res.Summary)
		}
	}
}
