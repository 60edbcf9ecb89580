package siege

import (
	"context"
	"testing"
	"time"

	"parley/testnet"
)

// Each attack of the table in spec/security.md is refused by a real node.
func TestAttacks(t *testing.T) {
	bin, err := testnet.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	all, err := Run(ctx, Config{Binary: bin, Temp: t.TempDir(), Log: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		t.Run(r.Name, func(t *testing.T) {
			if r.Failure != "" || r.Refused == "" {
				t.Errorf("%s: %s", r.Threat, r.Failure)
			}
			t.Log(r.Refused)
		})
	}
}
