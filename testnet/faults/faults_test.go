package faults_test

import (
	"context"
	"os"
	"testing"
	"time"

	"parley/testnet"
	"parley/testnet/faults"
)

// TestFaults runs some cases, short: what may not happen must not. At length it is a
// command, "parley bench faults".
func TestFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("-short")
	}
	binary, err := testnet.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()
	for _, c := range faults.Cases() {
		switch c.Name {
		case "peer-killed", "sender-killed", "peer-set-back", "keys-rotated":
		default:
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			all, err := faults.Run(ctx, faults.Config{Binary: binary, Temp: t.TempDir(), Cases: []faults.Case{c}, Scale: 0.1})
			if err != nil {
				t.Fatal(err)
			}
			if r := all[0]; r.Broken() > 0 || r.Sent == 0 {
				t.Errorf("%+v", r)
			}
		})
	}
}

// TestRandomKills has real processes die, stand still and lose each other by chance; what
// may not happen must not. PARLEY_LONG=1 tries more.
func TestRandomKills(t *testing.T) {
	if testing.Short() {
		t.Skip("-short")
	}
	draws := uint64(2)
	if os.Getenv("PARLEY_LONG") != "" {
		draws = 8
	}
	binary, err := testnet.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for seed := range draws {
		c := faults.Random(seed)
		t.Run(c.Name, func(t *testing.T) {
			ctx, stop := context.WithTimeout(t.Context(), 3*time.Minute)
			defer stop()
			all, err := faults.Run(ctx, faults.Config{Binary: binary, Temp: t.TempDir(), Cases: []faults.Case{c}, Scale: 0.3})
			if err != nil {
				t.Fatal(err)
			}
			if r := all[0]; r.Broken() > 0 || r.Sent == 0 {
				t.Errorf("%+v", r)
			}
		})
	}
}
