package crash

import (
	"hash/maphash"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"parley/testnet"
)

const (
	shortKills = 12
	longKills  = 220
	raceKills  = 20
)

func long() bool { return os.Getenv("PARLEY_LONG") != "" }

// TestKill kills a real node at random moments. PARLEY_LONG=1 makes it many times;
// PARLEY_SEED repeats the choices of a run that failed.
func TestKill(t *testing.T) {
	kills := shortKills
	if long() {
		kills = longKills
	}
	torment(t, kills)
}

// TestKillRace does it with a node that looks for data races.
func TestKillRace(t *testing.T) {
	if !long() {
		t.Skip("takes a build with the race detector: only with PARLEY_LONG=1")
	}
	torment(t, raceKills, "-race")
}

func torment(t *testing.T, kills int, buildFlags ...string) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	bin, err := testnet.Build(t.Context(), t.TempDir(), buildFlags...)
	if err != nil {
		t.Fatal(err)
	}
	seed := seedOf(t)
	start := time.Now()
	rep, err := Run(t.Context(), Config{Binary: bin, Data: filepath.Join(t.TempDir(), "data"), Seed: seed, Kills: kills, Log: t.Logf})
	if err != nil {
		t.Fatalf("seed %d, %s: %v", seed, rep, err)
	}
	t.Logf("seed %d: %s in %.1fs", seed, rep, time.Since(start).Seconds())
	if rep.Messages < kills {
		t.Errorf("only %d messages in %d kills: this shows nothing", rep.Messages, kills)
	}
}

func seedOf(t *testing.T) uint64 {
	s := os.Getenv("PARLEY_SEED")
	if s == "" {
		return new(maphash.Hash).Sum64()
	}
	seed, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatal("PARLEY_SEED:", err)
	}
	return seed
}
