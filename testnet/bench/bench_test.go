package bench

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// small is a case of a scenario that ends by itself.
func small(scenario string) Case {
	c := Case{Name: scenario, Scenario: scenario, Users: 3, Messages: 50, Size: 60, Inflight: 4, Page: 7, Senders: 2, Duration: 20 * time.Second}
	switch scenario {
	case "presence":
		c.Messages = 2
	case "history":
		c.Users, c.Messages, c.Duration = 2, 40, 100*time.Millisecond
	}
	return c
}

// play runs a scenario against a fake server with faults.
func play(t *testing.T, c Case, faults map[int]string) *Run {
	t.Helper()
	s, tg := newFake(t, c)
	maps.Copy(s.faults, faults)
	r, err := scenarios[c.Scenario](t.Context(), tg, c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func value(r *Run, name string) float64 {
	for _, m := range r.Metrics {
		if m.Name == name {
			return m.Value
		}
	}
	return -1
}

func TestCleanRuns(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(scenarios)) {
		if name == "history" {
			continue // works the processor until its time is up: TestHistory
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := play(t, small(name), nil)
				if len(r.Violations)+len(r.Notes) != 0 {
					t.Fatalf("violations %v, notes %v", r.Violations, r.Notes)
				}
				if len(r.Metrics) < 5 {
					t.Fatalf("too few figures: %v", r.Metrics)
				}
			})
		})
	}
}

func TestHistory(t *testing.T) {
	c := small("history")
	if r := play(t, c, nil); len(r.Violations) != 0 || value(r, "read") <= 0 {
		t.Fatalf("clean: %v %v", r.Violations, r.Metrics)
	}
	if r := play(t, c, map[int]string{33: "drop"}); r.Violations["wrong page"] == 0 {
		t.Fatalf("a missing message was not noticed: %v", r.Violations)
	}
}

func TestBrokenPromisesAreFound(t *testing.T) {
	tests := []struct {
		scenario, fault string
		want            []string // kinds of violation
		note            string
	}{
		{scenario: "p2p", fault: "drop", want: []string{"lost"}},
		{scenario: "p2p", fault: "dup", want: []string{"duplicate", "delivered seq not increasing"}},
		{scenario: "p2p", fault: "noack", want: []string{"unanswered"}},
		{scenario: "p2p", fault: "refuse", note: "refused with 503"},
		{scenario: "p2p", fault: "seq", want: []string{"seq of ack and delivery differ", "delivered seq not increasing"}},
		{scenario: "fanout", fault: "drop", want: []string{"lost"}},
		{scenario: "fanout", fault: "dup", want: []string{"duplicate", "delivered seq not increasing"}},
		{scenario: "fanout", fault: "refuse", note: "refused with 503"},
		{scenario: "presence", fault: "blind", want: []string{"'online' not shown"}},
	}
	for _, tc := range tests {
		t.Run(tc.scenario+" "+tc.fault, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				faults := map[int]string{20: tc.fault}
				if tc.scenario == "presence" {
					faults = map[int]string{0: tc.fault}
				}
				r := play(t, small(tc.scenario), faults)
				got := slices.Sorted(maps.Keys(r.Violations))
				if want := slices.Sorted(slices.Values(tc.want)); !slices.Equal(got, want) {
					t.Errorf("violations %v, want kinds %v", r.Violations, want)
				}
				if tc.note != "" && r.Notes[tc.note] == 0 {
					t.Errorf("notes %v, want %q", r.Notes, tc.note)
				}
			})
		})
	}
}

func TestExecuteReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		same, err := Select([]string{"p2p"})
		if err != nil {
			t.Fatal(err)
		}
		other := small("p2p")
		same[0].Messages, other.Messages = 20, 20
		_, tg := newFake(t, other)
		cfg := tg.cfg
		cfg.Cases, cfg.Repeat = []Case{same[0], other}, 3
		rep, err := Execute(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if len(rep.Cases) != 2 || len(rep.Cases[0].Runs) != 3 || rep.Violations() != 0 || rep.Version != "fake" {
			t.Fatalf("%+v", rep)
		}
		if len(rep.Cases[0].Peers) == 0 || len(rep.Cases[1].Peers) != 0 {
			t.Errorf("figures of peers beside ours: %d for their case, %d for another",
				len(rep.Cases[0].Peers), len(rep.Cases[1].Peers))
		}
		var table, js bytes.Buffer
		if err := rep.Table(&table); err != nil {
			t.Fatal(err)
		}
		if err := rep.JSON(&js); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(table.String(), "acked") || strings.Count(table.String(), " 1084 ") != 1 {
			t.Errorf("table:\n%s", &table)
		}
	})
}

func TestSummaryIsMedian(t *testing.T) {
	for _, tc := range []struct{ in, want []float64 }{
		{[]float64{5, 1, 3}, []float64{3, 1, 5}},
		{[]float64{5, 1, 3, 4}, []float64{3.5, 1, 5}},
	} {
		res := &Result{}
		for _, v := range tc.in {
			r := newRun()
			r.add("x", "ms", v)
			res.Runs = append(res.Runs, r)
		}
		res.summarize()
		if f := res.Summary[0]; !slices.Equal([]float64{f.Value, f.Min, f.Max}, tc.want) {
			t.Errorf("%v: %+v", tc.in, f)
		}
	}
}

func TestPercentiles(t *testing.T) {
	var ns []int64
	for i := range 100 {
		ns = append(ns, int64(100-i)*1e6)
	}
	r := newRun()
	r.latencies("l", ns)
	if value(r, "l p50") != 50 || value(r, "l p99") != 99 || value(r, "l max") != 100 {
		t.Fatalf("%v", r.Metrics)
	}
}

func TestSelect(t *testing.T) {
	count := func(names ...string) int {
		cs, err := Select(names)
		if err != nil {
			t.Fatal(err)
		}
		return len(cs)
	}
	if n := count(); n != len(Cases()) {
		t.Errorf("no names: %d cases", n)
	}
	if n := count("history"); n != 2 {
		t.Errorf("a scenario: %d cases", n)
	}
	if n := count("p2p-serial", "login"); n != 2 {
		t.Errorf("two names: %d cases", n)
	}
	if _, err := Select([]string{"nonsense"}); err == nil {
		t.Error("nonsense was found")
	}
}

// The peers' figures must be of cases and metrics that exist, or the columns would
// silently stay empty.
func TestPeersMatchCases(t *testing.T) {
	metrics := map[string]bool{}
	for _, name := range []string{"p2p", "fanout", "connect", "presence", "login", "history"} {
		c := small(name)
		run := func(t *testing.T) {
			r := play(t, c, nil)
			w := window{pids: []int{1}}
			w.report(r, 1, map[string]string{"p2p": "message", "fanout": "delivery", "connect": "session", "presence": "notice", "history": "message"}[name])
			r.add("memory per session", "KiB", 1)
			r.add("basic cpu per login", "us", 1)
			r.add("token cpu per login", "us", 1)
			for _, m := range r.Metrics {
				metrics[name+" "+m.Name] = true
			}
		}
		if name == "history" {
			run(t)
		} else {
			synctest.Test(t, run)
		}
	}
	for _, p := range Peers() {
		if p.Provenance == "" {
			t.Errorf("%s: no provenance", p.Name)
		}
		for name, figures := range p.Figures {
			cs, err := Select([]string{name})
			if err != nil {
				t.Error(err)
				continue
			}
			for m := range figures {
				if !metrics[cs[0].Scenario+" "+m] {
					t.Errorf("%s: case %s has no metric %q", p.Name, name, m)
				}
			}
		}
	}
}

func TestScan(t *testing.T) {
	tag := []byte(`"k7`)
	pub := append([]byte(`{"data":{"topic":"grp1@n","from":"usr1@n","ts":"t","seq":12,"content":`), appendStamp(nil, tag, stamp{flow: 3, n: 40, at: 5000})...)
	pub = append(pub, `xxx"}}`...)
	if s, ok := scanData(pub, tag); !ok || s != (stamp{flow: 3, n: 40, at: 5000, seq: 12}) {
		t.Errorf("data: %+v, %v", s, ok)
	}
	if _, ok := scanData(pub, []byte(`"k8`)); ok {
		t.Error("took a message of another run")
	}
	for _, packet := range []string{
		`{"ctrl":{"id":"p40.5000","topic":"grp1","params":{"seq":12},"code":202,"text":"accepted"}}`,
		`{"ctrl":{"id":"p40.5000","code":202,"text":"accepted","params":{"seq":12}}}`,
	} {
		if a, ok := scanAck([]byte(packet)); !ok || a != (ack{n: 40, at: 5000, code: 202, seq: 12}) {
			t.Errorf("%s: %+v, %v", packet, a, ok)
		}
	}
	if _, ok := scanAck([]byte(`{"ctrl":{"id":"40","code":202}}`)); ok {
		t.Error("took another request's answer")
	}
}
