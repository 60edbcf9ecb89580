package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"parley/testnet/report"
)

func TestTestnetRun(t *testing.T) {
	dir := t.TempDir()
	var s report.Summary
	if err := json.Unmarshal([]byte(good(t, "", "testnet", "run", "hello", "--seed", "5", "--json", "--dir", dir)), &s); err != nil {
		t.Fatal(err)
	}
	if !s.Good || s.Seed != 5 || s.Figures["nodes"] != 3 || s.Dir == "" {
		t.Errorf("%+v", s)
	}
	if _, err := os.Stat(filepath.Join(dir, "hello", "latest", "report.html")); err != nil {
		t.Error(err)
	}
	out := good(t, "", "testnet", "run", "hello", "--nodes", "4", "--dir", dir)
	if !strings.Contains(out, "holds       1 no message is lost") || !strings.Contains(out, "report.html") {
		t.Error(out)
	}
	out = good(t, "", "testnet", "compare", s.Dir, filepath.Join(dir, "hello", "latest"))
	if !strings.Contains(out, "nodes") || !strings.Contains(out, "+33.3%") {
		t.Error(out)
	}
}

func TestTestnetExitCodes(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "mine.toml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const two = "duration = \"2s\"\n[[nodes]]\nname = \"n\"\ncount = 2\n[[users]]\n[[work]]\nkind = \"chat\"\n[[check]]\n"
	write(two + "that = \"accepted < 0\"")
	if r := parley(t, "", "testnet", "run", file, "--dir", dir); r.code != exitFailed || !strings.Contains(r.out, "FAILS      accepted < 0") {
		t.Errorf("%+v", r)
	}
	write(two + "when = 3")
	if r := parley(t, "", "testnet", "run", file, "--dir", dir); r.code != exitUsage || !strings.Contains(r.err, file+":9:1: there is no key \"when\"") {
		t.Errorf("%+v", r)
	}
	if r := parley(t, "", "testnet", "run", "nothing", "--dir", dir); r.code != exitUsage || !strings.Contains(r.err, "no scenario") {
		t.Errorf("%+v", r)
	}
	if r := parley(t, "", "testnet", "run", "hello", "--pace", "fast"); r.code != exitUsage || !strings.Contains(r.err, "10x") {
		t.Errorf("%+v", r)
	}
	if r := parley(t, "", "testnet", "compare", dir, dir); r.code != exitUsage {
		t.Errorf("%+v", r)
	}
}

func TestTestnetListAndShow(t *testing.T) {
	if out := good(t, "", "testnet", "list"); !strings.Contains(out, "partition") {
		t.Error(out)
	}
	if out := good(t, "", "testnet", "show", "hello"); !strings.HasPrefix(out, "# hello: three nodes") {
		t.Error(out)
	}
}

func TestProgressLine(t *testing.T) {
	for _, c := range []struct {
		at   time.Duration
		want string
	}{
		{0, "x  people meet"},
		{15 * time.Second, "x  ████████████░░░░░░░░░░░░  15s of 30s, 15 times real time, 1s to go"},
		{30 * time.Second, "x  ████████████████████████  what is on its way may arrive, replicas are compared"},
	} {
		if got := progressLine("x", c.at, 30*time.Second, time.Second); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func TestTestnetScale(t *testing.T) {
	out := good(t, "", "testnet", "scale", "hello", "lossy", "--dir", t.TempDir())
	if !strings.Contains(out, "hello") || !strings.Contains(out, "lossy") || strings.Count(out, "MiB") != 2 {
		t.Error(out)
	}
	fails(t, exitUsage, parley(t, "", "testnet", "scale", "nothing"), "no scenario")
}
