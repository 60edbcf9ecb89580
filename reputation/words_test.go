package reputation

import (
	"encoding/json"
	"testing"
	"time"

	"parley/protocol"
)

// say files what a local user of full age and partners did about a remote one.
func (w *world) say(by protocol.UserID, ev Event, whom protocol.UserID) float64 {
	return w.Observe(w.now, domain(1), ev, Reporter{User: by, Whom: whom, Age: 99 * dayLong, Partners: 9})
}

func (w *world) tracked(name string, u protocol.UserID, right, wrong float64) {
	w.Helper()
	r, f := w.record(w.clock.at, u)
	near(w, name+" right", r, right)
	near(w, name+" wrong", f, wrong)
}

func TestReportIsBorneOut(t *testing.T) {
	for _, c := range []struct {
		name string
		by   func(w *world)
		want float64 // right reports of the first
	}{
		{"another report", func(w *world) { w.say("b", Report, "spam@n1.example") }, 1},
		{"another block", func(w *world) { w.say("b", Block, "spam@n1.example") }, 1},
		{"the operator", func(w *world) { w.Set(w.now, domain(1), Deny) }, 1},
		{"his own second report", func(w *world) { w.say("a", Report, "spam@n1.example") }, 0},
		{"a report of another user", func(w *world) { w.say("b", Report, "x@n1.example") }, 0},
		{"another node denied", func(w *world) { w.Set(w.now, domain(2), Deny) }, 0},
		{"too late", func(w *world) { w.pass(15 * dayLong); w.say("b", Report, "spam@n1.example") }, 0},
		{"a fresh account", func(w *world) {
			w.Observe(w.now, domain(1), Report, Reporter{User: "b", Whom: "spam@n1.example", Age: time.Hour, Partners: 9})
		}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, Config{})
			w.say("a", Report, "spam@n1.example")
			c.by(w)
			w.tracked("a", "a", c.want, 0)
		})
	}
}

func TestReportIsContradicted(t *testing.T) {
	w := newWorld(t, Config{})
	near(t, "first report", w.say("a", Report, "good@n1.example"), -3)
	for _, u := range []protocol.UserID{"b", "b", "c"} {
		w.say(u, Reply, "good@n1.example")
	}
	w.tracked("two who talk on", "a", 0, 0)
	w.say("d", Burst, "good@n1.example")
	w.tracked("three", "a", 0, 1)
	next := Reporter{User: "a", Whom: "u@n2.example", Age: 99 * dayLong, Partners: 9}
	near(t, "next report", w.Observe(w.now, domain(2), Report, next), -3*0.4) // accuracy 2/5
	w.say("e", Block, "good@n1.example")
	w.tracked("borne out after all", "a", 1, 0)
}

// TestWhoIsOftenWrong neither bears out nor contradicts others.
func TestWhoIsOftenWrong(t *testing.T) {
	w := newWorld(t, Config{})
	put(w.records, "liar", &Record{Wrong: 4, At: w.clock.at})
	w.say("a", Report, "u@n1.example")
	w.say("liar", Report, "u@n1.example")
	w.tracked("a", "a", 0, 0)
	w.tracked("liar, borne out by a", "liar", 1, 4)
	w.pass(90 * dayLong)
	w.tracked("after a half-life", "liar", 0.5, 2)
}

func TestWordsOutliveARestart(t *testing.T) {
	w := newWorld(t, Config{})
	w.say("a", Report, "u@n1.example")
	w.say("a", Report, "v@n1.example")
	w.say("b", Report, "v@n1.example")
	raw, err := json.Marshal(w.Export(w.now))
	if err != nil {
		t.Fatal(err)
	}
	var s State
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	next := &world{TB: t, Engine: New(Config{}, w.now), now: w.now}
	next.Import(w.now, s)
	next.tracked("before", "a", 1, 0)
	next.say("c", Block, "u@n1.example")
	next.tracked("after", "a", 2, 0)
}
