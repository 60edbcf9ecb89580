package report

import (
	"encoding/csv"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"parley/testnet/run"
	"parley/testnet/scenario"
	"parley/testnet/vtime"
)

const text = `
about = "two nodes, <one> cut"
duration = "30s"
[[nodes]]
name = "n"
count = 2
[[users]]
[[work]]
kind = "chat"
[[event]]
at = "10s"
for = "5s"
do = "cut"
from = ["n1"]
to = ["n2"]
[[check]]
that = "lost == 0"
[[check]]
that = "latency_max < 1s"
about = "it cannot"
`

func TestDirectory(t *testing.T) {
	p, err := scenario.Parse("small.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	res, err := run.Run(p, vtime.NewClock(vtime.Options{}), run.Options{Version: "v9"})
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	first, err := Write(root, res)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := Write(root, res) // in the same second
	if err != nil || dir == first {
		t.Fatalf("%s again: %v", dir, err)
	}
	if to, err := os.Readlink(filepath.Join(root, "small", "latest")); err != nil || to != filepath.Base(dir) {
		t.Errorf("latest is %s, %v", to, err)
	}
	read := func(name string) string {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	s, err := Read(filepath.Join(root, "small", "latest"))
	if err != nil || s.Good || s.Name != "small" || s.Version != "v9" || len(s.Invariants) != 10 || len(s.Checks) != 2 || s.Figures["accepted"] < 20 || len(s.Frames) == 0 {
		t.Errorf("summary %+v, %v", s, err)
	}
	if _, err := scenario.Parse("scenario.toml", []byte(read("scenario.toml"))); err != nil {
		t.Errorf("the scenario cannot be run again: %v", err)
	}
	rows, err := csv.NewReader(strings.NewReader(read("metrics.csv"))).ReadAll()
	if err != nil || len(rows) < 30 {
		t.Errorf("%d rows, %v", len(rows), err)
	}
	for l := range strings.Lines(read("events.ndjson")) {
		if !json.Valid([]byte(l)) {
			t.Errorf("event %s", l)
		}
	}
	page := read("report.html")
	for _, want := range []string{"something is broken", "two nodes, &lt;one&gt; cut", "cut n1 → n2", "post message", "<svg", "latency_max &lt; 1s"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not have %q", want)
		}
	}
	for _, bad := range []string{"http://", "https://", "<script", "src="} {
		if strings.Contains(strings.ReplaceAll(page, "http://www.w3.org/", ""), bad) {
			t.Errorf("the page has %q: it must stand for itself", bad)
		}
	}
	if svg := read("latency.svg"); !strings.HasPrefix(svg, "<?xml") {
		t.Errorf("latency.svg begins with %.20q", svg)
	}
}

func TestCompare(t *testing.T) {
	a := &Summary{Figures: map[string]float64{"x": 2, "y": 0, "gone": 1}}
	b := &Summary{Figures: map[string]float64{"x": 3, "y": 1}}
	d := Compare(a, b)
	if len(d) != 3 || d[0].Figure != "gone" || d[0].Change != -1 || d[1].Change != .5 || !math.IsInf(d[2].Change, 1) {
		t.Errorf("%+v", d)
	}
}

func TestNumbers(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 1234567: "1\u202f234\u202f567", 999: "999", 0.5: "0.50", 1000.4: "1\u202f000", -1234: "-1\u202f234"} {
		if got := number(v); got != want {
			t.Errorf("%v is %q, want %q", v, got, want)
		}
	}
	for v, want := range map[float64]string{0: "0", .0123: "12.3 ms", 2.5: "2.50 s", 90: "1m30s"} {
		if got := seconds(v); got != want {
			t.Errorf("%v is %q, want %q", v, got, want)
		}
	}
}
