package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"parley/protocol/client"
)

// Case is one measurement: a scenario and how much of it.
type Case struct {
	Name     string `json:"name"`
	Scenario string `json:"scenario"`
	About    string `json:"about"`

	// Users counts sessions (connect, presence: contacts), pairs (p2p), members
	// (fanout), readers (history) or accounts (login).
	Users    int           `json:"users"`
	Messages int           `json:"messages,omitempty"` // p2p, fanout: per sender, 0: until Duration; history: in the topic; login: per scheme; presence: rounds
	Size     int           `json:"size,omitempty"`     // bytes of content
	Inflight int           `json:"inflight,omitempty"` // p2p, fanout: unacknowledged per sender; connect, login: handshakes at once
	Page     int           `json:"page,omitempty"`     // history: messages
	Senders  int           `json:"senders,omitempty"`  // fanout
	Rate     float64       `json:"rate,omitempty"`     // p2p, fanout: messages a second of all senders; 0: as Inflight allows
	Warmup   time.Duration `json:"warmup,omitempty"`
	Duration time.Duration `json:"duration,omitempty"` // of the measured window
	Settle   time.Duration `json:"settle,omitempty"`   // connect: before memory is read
}

// Cases are what is measured by default: the table in FACTS of the peers.
func Cases() []Case {
	const s = time.Second
	return []Case{
		{Name: "connect", Scenario: "connect", About: "1000 sessions: dial, hi, token, sub me, then idle", Users: 1000, Inflight: 16, Duration: 120 * s, Settle: 5 * s},
		{Name: "p2p", Scenario: "p2p", About: "50 pairs, 8 unacknowledged each, 100 B", Users: 50, Size: 100, Inflight: 8, Warmup: 2 * s, Duration: 10 * s},
		{Name: "p2p-serial", Scenario: "p2p", About: "50 pairs, one message at a time, 100 B", Users: 50, Size: 100, Inflight: 1, Warmup: 2 * s, Duration: 10 * s},
		{Name: "fanout", Scenario: "fanout", About: "a group of 200, one sender, 8 unacknowledged, 100 B", Users: 200, Senders: 1, Size: 100, Inflight: 8, Warmup: 2 * s, Duration: 10 * s},
		{Name: "fanout-paced", Scenario: "fanout", About: "a group of 200, 50 messages a second, 100 B", Users: 200, Senders: 1, Size: 100, Inflight: 64, Rate: 50, Warmup: 2 * s, Duration: 10 * s},
		{Name: "history-24", Scenario: "history", About: "8 readers, pages of 24 of 2000 messages of 100 B", Users: 8, Messages: 2000, Size: 100, Page: 24, Warmup: 1 * s, Duration: 5 * s},
		{Name: "history-100", Scenario: "history", About: "8 readers, pages of 100 of 2000 messages of 100 B", Users: 8, Messages: 2000, Size: 100, Page: 100, Warmup: 1 * s, Duration: 5 * s},
		{Name: "login", Scenario: "login", About: "dial, hi, login; 3 at a time with passwords, 1 with tokens", Users: 20, Inflight: 3, Duration: 10 * s},
		{Name: "presence", Scenario: "presence", About: "a user with 100 online contacts comes and goes", Users: 100, Messages: 3, Duration: 60 * s},
	}
}

// Quick shrinks a case to about a second, for a look rather than a record.
func (c Case) Quick() Case {
	c.Warmup, c.Settle = min(c.Warmup, 500*time.Millisecond), min(c.Settle, time.Second)
	if c.Scenario != "connect" && c.Scenario != "presence" {
		c.Duration = min(c.Duration, 2*time.Second)
	}
	if c.Scenario == "connect" {
		c.Users = min(c.Users, 200)
	}
	if c.Scenario == "presence" {
		c.Messages = 1
	}
	return c
}

// Select returns the cases with the given names, of cases or of scenarios; all for
// none.
func Select(names []string) ([]Case, error) {
	all := Cases()
	if len(names) == 0 {
		return all, nil
	}
	for _, name := range names {
		if !slices.ContainsFunc(all, func(c Case) bool { return c.is(name) }) {
			return nil, fmt.Errorf("there is no case or scenario %q", name)
		}
	}
	return slices.DeleteFunc(all, func(c Case) bool { return !slices.ContainsFunc(names, c.is) }), nil
}

func (c Case) is(name string) bool { return c.Name == name || c.Scenario == name }

// Config says what to measure, and on which server.
type Config struct {
	Cases  []Case
	Repeat int // runs of each case; 0: 1

	// Binary of parley: every run starts a node of its own, with an empty store.
	Binary string
	// URL, if set, is a server that runs already, used instead: its accounts are
	// made once, under names that begin with Prefix, and used again.
	URL    string
	APIKey string
	Prefix string
	PIDs   []int // its processes, whose CPU time and memory are counted

	Dial client.Dialer
	Log  io.Writer // progress; nil: none
	Temp string    // for data directories; "": the system's
	// Profiles, if set, is a directory for CPU profiles of the measured windows, and
	// of memory in use at the end of connect, from the started node's admin listener.
	Profiles string
}

// scenario runs one measurement.
type scenario func(ctx context.Context, t *target, c Case) (*Run, error)

var scenarios = map[string]scenario{
	"connect":  runConnect,
	"p2p":      runP2P,
	"fanout":   runFanout,
	"history":  runHistory,
	"login":    runLogin,
	"presence": runPresence,
}

// Execute measures. Broken promises are in the report, not an error.
func Execute(ctx context.Context, cfg Config) (*Report, error) {
	if cfg.Log == nil {
		cfg.Log = io.Discard
	}
	rep := &Report{Started: time.Now().UTC().Truncate(time.Second), URL: cfg.URL, Host: hostFacts()}
	for _, c := range cfg.Cases {
		res := &Result{Case: c}
		for i := range max(cfg.Repeat, 1) {
			r, err := runOnce(ctx, cfg, c, rep)
			if err != nil {
				return nil, fmt.Errorf("%s, run %d: %w", c.Name, i+1, err)
			}
			fmt.Fprintf(cfg.Log, "%s, run %d:%s\n", c.Name, i+1, r)
			res.Runs = append(res.Runs, r)
		}
		res.summarize()
		res.compare(Peers())
		rep.Cases = append(rep.Cases, res)
	}
	return rep, nil
}

func runOnce(ctx context.Context, cfg Config, c Case, rep *Report) (*Run, error) {
	f := scenarios[c.Scenario]
	if f == nil {
		return nil, fmt.Errorf("there is no scenario %q", c.Scenario)
	}
	t, err := newTarget(ctx, cfg, c)
	if err != nil {
		return nil, err
	}
	r, err := f(ctx, t, c)
	rep.Version, rep.Build = t.server.Version, t.server.Build
	return r, errors.Join(err, t.stop(ctx))
}
