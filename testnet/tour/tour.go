// Package tour tries what users of two nodes do together: through the client protocol,
// from outside, step by step.
package tour

import (
	"context"
	"fmt"
	"io"
	"time"

	"parley/protocol"
	"parley/protocol/client"
)

// A Guest is a user at a node, and how to get there.
type Guest struct {
	URL      string // of the node's clients: "http://127.0.0.1:6060/"
	Node     protocol.Node
	Login    string
	Password string
}

// Config of a tour. Dial opens connections for clients.
type Config struct {
	Alice, Bob Guest
	Dial       client.Dialer
	Out        io.Writer
	// Patience is how long a step may take; 10 s.
	Patience time.Duration
}

// A walk is a tour that goes on.
type walk struct {
	cfg        Config
	alice, bob *visitor
	group      string
}

type step struct {
	what string
	do   func(*walk, context.Context) error
}

// The steps build on one another: after one has failed, the tour ends.
var steps = []step{
	{"alice and bob sign in, each at the own node", (*walk).signIn},
	{"alice finds bob by handle", (*walk).find},
	{"alice writes to bob, who sees that somebody new has", (*walk).firstContact},
	{"bob accepts and answers", (*walk).accept},
	{"alice sees that bob has read it", (*walk).receipt},
	{"bob sees alice type", (*walk).typing},
	{"alice sees bob go and come", (*walk).presence},
	{"bob corrects a message", (*walk).edit},
	{"alice deletes a message for both", (*walk).erase},
	{"alice makes a group and invites bob", (*walk).invite},
	{"both write to the group", (*walk).groupMessages},
	{"bob opens a file from alice", (*walk).fileToBob},
	{"alice opens a file from bob", (*walk).fileToAlice},
}

// Run goes through all steps and prints each. The error says which one failed.
func Run(ctx context.Context, cfg Config) error {
	if cfg.Patience == 0 {
		cfg.Patience = 10 * time.Second
	}
	w := &walk{cfg: cfg}
	defer w.end()
	for _, s := range steps {
		began := time.Now()
		if err := w.step(ctx, s); err != nil {
			fmt.Fprintf(cfg.Out, "FAIL  %s: %v\n", s.what, err)
			return fmt.Errorf("%s: %w", s.what, err)
		}
		fmt.Fprintf(cfg.Out, "ok    %s (%v)\n", s.what, time.Since(began).Round(100*time.Microsecond))
	}
	return nil
}

func (w *walk) step(ctx context.Context, s step) error {
	ctx, stop := context.WithTimeout(ctx, w.cfg.Patience)
	defer stop()
	return s.do(w, ctx)
}

func (w *walk) end() {
	for _, v := range []*visitor{w.alice, w.bob} {
		if v != nil {
			v.close()
		}
	}
}
