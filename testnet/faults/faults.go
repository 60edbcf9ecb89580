// Package faults measures what becomes of messages between two nodes when links and
// nodes fail: real processes, real QUIC over loopback through a relay that can be cut,
// clients over WebSocket. The cases are those in which XMPP servers were measured.
package faults

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"
)

// Config of a measurement.
type Config struct {
	Binary string  // of parley
	Temp   string  // directory for the nodes' data; "": the system's
	Cases  []Case  // nil: all
	Scale  float64 // of messages and times; 0: 1
	Log    io.Writer
}

// A Case is one way to fail while messages go from a user of one node to one of another.
type Case struct {
	Name     string
	About    string
	Messages int
	Size     int     // bytes of text in each
	Rate     float64 // messages a second; 0: as fast as they are acknowledged
	fault    func(*pair, context.Context) error
	// Unordered: what was fetched again may come after what is newer.
	Unordered bool
	// XMPP is what was measured on two other servers in the same case, as published in
	// our notes; empty: not measured there.
	XMPP map[string]string
}

// Result is what became of the messages of one case.
type Result struct {
	Case       string        `json:"case"`
	Sent       int           `json:"sent"`       // acknowledged to the sender
	Refused    int           `json:"refused"`    // told to the sender at once
	Lost       int           `json:"lost"`       // neither delivered nor reported
	Doubled    int           `json:"doubled"`    // delivered more than once
	Both       int           `json:"both"`       // delivered, and reported as not delivered
	Disordered int           `json:"disordered"` // delivered after a later one
	Bounced    int           `json:"bounced"`    // reported as not delivered
	Took       time.Duration `json:"took_ns"`    // until everything had arrived
	Growth     int64         `json:"sender_growth_bytes"`
	Unordered  bool          `json:"unordered,omitempty"` // order is not promised in this case
}

// Broken tells how many promises were broken.
func (r *Result) Broken() int {
	n := r.Lost + r.Doubled + r.Both + r.Bounced
	if !r.Unordered {
		n += r.Disordered
	}
	return n
}

// Cases are all.
func Cases() []Case {
	return []Case{
		{Name: "resets", About: "the link is cut five times for good, both nodes live", Messages: 2000, Size: 100, Rate: 400, fault: resets,
			XMPP: map[string]string{"Prosody": "20 delivered and bounced, 25 out of order", "ejabberd": "35-47 lost"}},
		{Name: "peer-killed", About: "kill -9 of the receiver under full load, back after 4 s", Messages: 5000, Size: 100, fault: peerKilled,
			XMPP: map[string]string{"Prosody": "925 lost, 2681 bounced", "ejabberd": "2904 lost"}},
		{Name: "peer-stalls-dies", About: "the receiver stands still for 5 s, then dies, back after 4 s", Messages: 3000, Size: 100, fault: peerStallsAndDies,
			XMPP: map[string]string{"Prosody": "2200 lost silently", "ejabberd": "2718 lost"}},
		{Name: "peer-stalls", About: "the receiver stands still for 20 s and goes on", Messages: 20000, Size: 1000, fault: peerStalls,
			XMPP: map[string]string{"Prosody": "all delivered, sender +71 MB", "ejabberd": "15812 lost"}},
		{Name: "sender-killed", About: "kill -9 of the sender's node, back after 4 s", Messages: 5000, Size: 100, fault: senderKilled},
		{Name: "peer-set-back", About: "the receiver's database is replaced by a copy of a second before", Messages: 2000, Size: 100, Rate: 400, fault: peerSetBack, Unordered: true},
		{Name: "one-way", About: "nothing reaches the receiver for 15 s, the way back is open", Messages: 2000, Size: 100, Rate: 400, fault: oneWay},
		{Name: "keys-rotated", About: "first the receiver, then the sender gets another key, which the old one names", Messages: 2000, Size: 100, Rate: 400, fault: keysRotated},
	}
}

// Run measures each case on two new nodes.
func Run(ctx context.Context, cfg Config) ([]*Result, error) {
	if cfg.Cases == nil {
		cfg.Cases = Cases()
	}
	if cfg.Scale == 0 {
		cfg.Scale = 1
	}
	if cfg.Log == nil {
		cfg.Log = io.Discard
	}
	var all []*Result
	for _, c := range cfg.Cases {
		fmt.Fprintf(cfg.Log, "%s: %s\n", c.Name, c.About)
		r, err := cfg.run(ctx, c)
		if err != nil {
			return all, fmt.Errorf("%s: %w", c.Name, err)
		}
		all = append(all, r)
	}
	return all, nil
}

func (cfg *Config) run(ctx context.Context, c Case) (r *Result, err error) {
	c.Messages = max(20, int(float64(c.Messages)*cfg.Scale))
	err = cfg.onPair(ctx, func(p *pair) (keep bool, err error) {
		if r, err = p.measure(ctx, c); err != nil {
			return true, err
		}
		if keep = r.Broken() > 0; keep {
			fmt.Fprintf(cfg.Log, "data kept in %s\n", p.dir)
		}
		return keep, nil
	})
	return r, err
}

// onPair does something with two new nodes. Their data are kept if it says so; an error
// says where.
func (cfg *Config) onPair(ctx context.Context, do func(*pair) (keep bool, err error)) error {
	dir, err := os.MkdirTemp(cfg.Temp, "parley-pair-")
	if err != nil {
		return err
	}
	p, err := newPair(ctx, cfg.Binary, dir, cfg.Scale)
	if err != nil {
		return fmt.Errorf("%w (data kept in %s)", err, dir)
	}
	defer p.close()
	keep, err := do(p)
	switch {
	case err != nil:
		return fmt.Errorf("%w (data kept in %s)", err, dir)
	case keep:
		return nil
	}
	return os.RemoveAll(dir)
}
