package model

import (
	"context"
	"math"
	"os"
	"reflect"
	"testing"
	"time"
)

// small is a federation in which everything is over within seconds.
func small() Config {
	return Config{Nodes: 80, Users: 120, Warm: 12 * day, Length: 5 * day}
}

func simulate(t *testing.T, cfg Config, policy string) map[string]*Result {
	t.Helper()
	for _, p := range Policies() {
		if p.Name == policy {
			cfg.Policies = []Policy{p}
		}
	}
	all, err := Run(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	of := map[string]*Result{}
	for _, r := range all {
		of[r.Attack] = r
	}
	return of
}

func named(names ...string) (some []Attack) {
	for _, a := range Attacks() {
		for _, n := range names {
			if a.Name == n {
				some = append(some, a)
			}
		}
	}
	return some
}

// bound is what an attack may reach at most: spam by user and day, the share of all
// messages of the honest that are delayed, the hours until spam is throttled.
type bound struct {
	spam, late float64
	throttled  Hours
}

func check(t *testing.T, of map[string]*Result, bounds map[string]bound) {
	t.Helper()
	for name, b := range bounds {
		r := of[name]
		if r == nil {
			t.Errorf("%s: not simulated", name)
			continue
		}
		if r.SpamUserDay > b.spam || r.Late > b.late || float64(r.Throttle) > float64(b.throttled) || r.Lost != 0 {
			t.Errorf("%s: spam %.4f a user and day (at most %.4f), late %.4f (%.4f), throttled after %s (%s), lost %d", name,
				r.SpamUserDay, b.spam, r.Late, b.late, r.Throttle, b.throttled, r.Lost)
		}
		t.Logf("%-17s spam %.4f late %.4f late FC %.4f new %.4f throttled %s recovered %s full %s asks %.1f", name, r.SpamUserDay, r.Late,
			r.LateContacts, r.LateNew, r.Throttle, r.Recover, r.FullRate, r.Asks)
	}
}

// Sixteen newcomers among eighty nodes delay more than they do in a large federation.
func TestAttacks(t *testing.T) {
	const days = 24
	none := Hours(0)
	check(t, simulate(t, small(), "parley"), map[string]bound{
		"honest":            {0, 0.025, none},
		"spammer":           {0.07, 0.035, days},
		"whitewash-keys":    {0.022, 0.025, days},
		"whitewash-parent":  {0.032, 0.025, days},
		"whitewash-botnet":  {0.08, 0.025, days},
		"whitewash-domains": {0.12, 0.035, days},
		"sybil":             {0.08, 0.035, days},
		"spies":             {0.15, 0.035, days},
		"slander":           {0, 0.035, none},
		"traitor":           {0.05, 0.03, days},
		"mixed":             {0.04, 0.03, days},
		"query-flood":       {0.15, 0.04, days},
		"eclipse":           {0.13, 0.04, days},
		"partition":         {0, 0.035, none},
	})
}

// Without reputation the same attacks get through: the model is able to show it.
func TestAttacksWork(t *testing.T) {
	cfg := small()
	cfg.Attacks = named("spammer", "whitewash-keys", "sybil")
	for name, r := range simulate(t, cfg, "none") {
		if r.SpamUserDay < 5 {
			t.Errorf("%s: only %.2f spam a user and day", name, r.SpamUserDay)
		}
	}
}

func TestSameSeed(t *testing.T) {
	cfg := small()
	cfg.Attacks = named("sybil")
	a, b := simulate(t, cfg, "parley")["sybil"], simulate(t, cfg, "parley")["sybil"]
	a.Seconds, b.Seconds = 0, 0
	for _, r := range []*Result{a, b} { // NaN is not equal to itself
		r.Recover = 0
	}
	if !reflect.DeepEqual(a, b) {
		t.Errorf("the same seed gave\n%+v\nand\n%+v", a, b)
	}
	cfg.Seed = 2
	if c := simulate(t, cfg, "parley")["sybil"]; c.Spam == a.Spam && c.Asks == a.Asks {
		t.Error("another seed gave the same")
	}
}

// Full size, with the bounds of spec/reputation.md.
func TestLong(t *testing.T) {
	if os.Getenv("PARLEY_LONG") != "all" {
		t.Skip("minutes; set PARLEY_LONG=all")
	}
	const days = 24
	none, never := Hours(0), Hours(math.Inf(1))
	check(t, simulate(t, Config{}, "parley"), map[string]bound{
		"honest":            {0, 0.0012, none},
		"spammer":           {0.006, 0.0015, days},
		"whitewash-keys":    {0.0025, 0.0012, days},
		"whitewash-parent":  {0.003, 0.0012, days},
		"whitewash-botnet":  {0.015, 0.0012, never},
		"whitewash-domains": {0.02, 0.0016, never},
		"sybil":             {0.05, 0.0025, never},
		"spies":             {0.09, 0.0025, never},
		"slander":           {0, 0.002, none},
		"traitor":           {0.03, 0.003, 2 * days},
		"mixed":             {0.02, 0.0025, 2 * days},
		"query-flood":       {0.035, 0.0025, never},
		"eclipse":           {0.015, 0.003, 2 * days},
		"partition":         {0, 0.002, none},
	})
}

func TestQueue(t *testing.T) {
	var q queue
	var got []int
	for i, at := range []time.Duration{5, 3, 9, 3, 1, 7, 3, 2, 8} {
		q.push(at, func() { got = append(got, i) })
	}
	for len(q.heap) > 0 {
		q.pop().do()
	}
	if want := []int{4, 7, 1, 3, 6, 0, 5, 8, 2}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
