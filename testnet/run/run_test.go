package run

import (
	"strings"
	"testing"
	"time"

	"parley/testnet/checks"
	"parley/testnet/scenario"
	"parley/testnet/vtime"
)

// play runs the text of a scenario in virtual time.
func play(t *testing.T, text string) *Result {
	t.Helper()
	p, err := scenario.Parse("test.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	res, err := Run(p, vtime.NewClock(vtime.Options{}), Options{})
	if err != nil {
		t.Fatal(err)
	}
	holds(t, res)
	return res
}

// holds fails unless all that must hold of a run does.
func holds(t *testing.T, res *Result) {
	t.Helper()
	for _, e := range res.Examples {
		t.Error(e)
	}
	for _, i := range res.Invariants {
		t.Logf("%2d %-60s %-9s %s", i.Number, i.Rule, i.Verdict, i.Why)
		if i.Verdict == checks.Broken {
			t.Errorf("invariant %d is broken: %s", i.Number, i.Why)
		}
	}
	for _, c := range res.Checks {
		if !c.Holds || c.Error != "" {
			t.Errorf("%s does not hold %s: %v", c.That, c.Error, res.Figures)
		}
	}
	t.Log(res.Figures)
}

const three = `
duration = "20s"
[[nodes]]
name = "n"
count = 3
[[users]]
count = 2
[[work]]
kind = "chat"
every = "2s"
[[check]]
that = "lost == 0 and doubled == 0 and accepted == delivered and accepted > 40"
`

func TestChat(t *testing.T) {
	res := play(t, three+`
[[check]]
that = "latency_p50 > 20ms and latency_p99 < 100ms and restarts == 0"
`)
	if len(res.Samples) < 20 || res.Interrupted || len(res.Nodes) != 3 || res.Failed() {
		t.Errorf("%d samples, %+v", len(res.Samples), res.Nodes)
	}
}

func TestFaults(t *testing.T) {
	begin := time.Now()
	res := play(t, strings.Replace(three, "20s", "5m", 1)+`
[[event]]
at = "20s"
for = "1m"
do = "partition"
sides = [["n1"], ["n2", "n3"]]
[[event]]
at = "1m40s"
for = "10s"
do = "kill"
nodes = ["n2"]
[[event]]
at = "2m"
for = "30s"
do = "cut"
from = ["n3"]
to = ["n1"]
[[event]]
at = "3m"
for = "1m"
do = "churn"
nodes = ["n*"]
up = "20s"
down = "5s"
[[event]]
at = "4m10s"
for = "10s"
do = "slow-disk"
nodes = ["*"]
delay = "200ms"
[[event]]
at = "4m20s"
for = "10s"
do = "sign-off"
users = ["*@n3"]
[[event]]
at = "4m35s"
for = "20s"
do = "link"
between = [["n1"], ["*"]]
link = { loss = 0.2, latency = "200ms" }
[[check]]
that = "restarts > 3 and latency_max > 50s and unanswered < 20"
`)
	if len(res.Faults) != 7 || res.Faults[0].From != 20 || res.Faults[0].To != 80 {
		t.Errorf("%+v", res.Faults)
	}
	t.Log("took", time.Since(begin))
}

func TestStop(t *testing.T) {
	p, err := scenario.Parse("test.toml", []byte(strings.Replace(three, "20s", "100h", 1)))
	if err != nil {
		t.Fatal(err)
	}
	clock := vtime.NewClock(vtime.Options{Pace: 1000})
	var stopped = make(chan struct{})
	go func() {
		defer close(stopped)
		for clock.Elapsed() == 0 {
			time.Sleep(time.Millisecond)
		}
		clock.Stop()
	}()
	res, err := Run(p, clock, Options{})
	<-stopped
	if err != nil || !res.Interrupted || len(res.Invariants) != 10 || res.Figures["seconds"] > 1000 {
		t.Errorf("err %v, %+v", err, res.Figures)
	}
}
