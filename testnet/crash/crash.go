package crash

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"time"

	"parley/testnet"
)

// Config says how to torment a node.
type Config struct {
	Binary string // of parley
	Data   string // an empty data directory
	Seed   uint64 // of every choice; when the kernel does what is not in our hands
	Kills  int
	Log    func(format string, args ...any)
}

// Report counts what a run did.
type Report struct {
	Kills    int // of these:
	Starting int //  while the node was starting
	Stopping int //  while it was stopping
	Messages int // that are known to have been stored
	Open     int // messages that had no answer when the node died
}

func (r *Report) String() string {
	return fmt.Sprintf("%d kills (%d while starting, %d while stopping), %d messages stored, %d left open by a kill",
		r.Kills, r.Starting, r.Stopping, r.Messages, r.Open)
}

const (
	maxLoad     = 300 * time.Millisecond // from the first request to the kill
	maxStart    = 100 * time.Millisecond // from the start to a kill while starting
	stopWithin  = 5 * time.Second        // a node that is asked to
	maxStop     = 30 * time.Millisecond  // from SIGTERM to SIGKILL
	fullEach    = 20                     // kills between two readings of all history
	firstStarts = 3                      // kills before the node has ever listened
	overlap     = 50                     // messages that are read again at each kill
	maxTold     = 30                     // broken promises that an error tells of
)

// limits lift what protects a node from clients that ask as much as ours do.
const limits = `
[limits]
session_rate = 100000
user_bytes = "1GiB"
session_burst = 100000
login_rate = 1000
login_burst = 1000
signup_rate = 1000
signup_burst = 1000
[log]
level = "warn"
`

// run is a torment under way.
type run struct {
	cfg  Config
	rng  *rand.Rand
	w    *world
	p    *testnet.Process
	rep  Report
	seen map[string]int // last seq of each room that was verified
}

// Run kills a node cfg.Kills times and verifies after each. Its error tells every
// broken promise.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	r := &run{cfg: cfg, rng: rand.New(rand.NewPCG(cfg.Seed, 0)), w: newWorld(cfg.Seed), seen: map[string]int{}}
	defer func() {
		r.w.leave()
		if r.p != nil {
			r.p.Kill()
		}
	}()
	for range firstStarts {
		if err := r.killStarting(ctx); err != nil {
			return &r.rep, err
		}
	}
	if err := r.start(ctx); err != nil {
		return &r.rep, fmt.Errorf("seed %d, after kills while it made its data directory: %w", cfg.Seed, err)
	}
	if err := r.w.populate(ctx); err != nil {
		return &r.rep, err
	}
	_, values, err := r.w.observe(ctx, all)
	if err != nil {
		return &r.rep, err
	}
	r.w.j.Begin(values)
	for r.rep.Kills < cfg.Kills {
		if err := r.round(ctx); err != nil {
			return &r.rep, fmt.Errorf("seed %d, kill %d: %w", cfg.Seed, r.rep.Kills, err)
		}
	}
	return &r.rep, r.calm(ctx)
}

// raceHalts makes a node that was built with the race detector end at the first race,
// so that it is noticed.
var raceHalts = []string{"GORACE=halt_on_error=1"}

// all reads a room from its first message on.
func all(string) int { return 1 }

func (r *run) options() testnet.Options {
	return testnet.Options{Binary: r.cfg.Binary, Data: r.cfg.Data, Config: limits, Env: raceHalts}
}

func (r *run) start(ctx context.Context) error {
	p, err := testnet.Start(ctx, r.options())
	if err != nil {
		return err
	}
	r.p = p
	r.w.url = p.WebSocket()
	return nil
}

// round loads the node, kills it, starts it again and verifies.
func (r *run) round(ctx context.Context) error {
	end := r.kill
	if r.rng.IntN(10) == 0 {
		end = r.killStopping
	}
	if err := r.torment(ctx, end); err != nil {
		return err
	}
	if r.rng.IntN(10) == 0 {
		if err := r.killStarting(ctx); err != nil {
			return err
		}
	}
	return r.resume(ctx, r.rep.Kills%fullEach == 0)
}

// calm lets the node stop in its own time under load, which loses nothing either.
func (r *run) calm(ctx context.Context) error {
	err := r.torment(ctx, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, stopWithin)
		defer cancel()
		return r.p.Stop(ctx)
	})
	if err != nil {
		return fmt.Errorf("stopping: %w", err)
	}
	if err := r.resume(ctx, true); err != nil {
		return fmt.Errorf("after stopping: %w", err)
	}
	r.w.leave()
	ctx, cancel := context.WithTimeout(ctx, stopWithin)
	defer cancel()
	return r.p.Stop(ctx)
}

// torment lets the users act for a while, ends the node, and waits until all is quiet.
func (r *run) torment(ctx context.Context, end func(context.Context) error) error {
	var wg sync.WaitGroup
	var err error
	wait := time.Duration(r.rng.Int64N(int64(maxLoad)))
	wg.Go(func() {
		select {
		case <-r.p.Ended():
			err = fmt.Errorf("the node ended by itself:\n%s", r.p.Output())
			return
		case <-time.After(wait):
		}
		for _, u := range r.w.users {
			if uerr := u.c.Err(); uerr != nil {
				err = errors.Join(err, fmt.Errorf("the session of %s ended by itself: %w", u.name, uerr))
			}
		}
		err = errors.Join(err, end(ctx))
	})
	r.w.load(ctx)
	wg.Wait()
	r.w.leave()
	r.rep.Open += r.w.j.open()
	return err
}

func (r *run) kill(context.Context) error {
	r.rep.Kills++
	return r.p.Kill()
}

// killStopping kills a node that has just begun to stop.
func (r *run) killStopping(ctx context.Context) error {
	r.rep.Stopping++
	if err := r.p.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	pause(ctx, time.Duration(r.rng.Int64N(int64(maxStop))))
	return r.kill(ctx)
}

// killStarting kills a node that has just begun to start.
func (r *run) killStarting(ctx context.Context) error {
	p, err := testnet.Launch(r.options())
	if err != nil {
		return err
	}
	pause(ctx, time.Duration(r.rng.Int64N(int64(maxStart))))
	r.rep.Kills++
	r.rep.Starting++
	return p.Kill()
}

// resume starts the node again and verifies what it has kept: of all time, or of
// what is new.
func (r *run) resume(ctx context.Context, full bool) error {
	if err := r.start(ctx); err != nil {
		return err
	}
	if err := r.w.enter(ctx); err != nil {
		return fmt.Errorf("%w\n%s", err, r.p.Output())
	}
	low := all
	if !full {
		low = func(room string) int { return max(1, r.seen[room]-overlap) }
	}
	views, values, err := r.w.observe(ctx, low)
	if err != nil {
		return err
	}
	found := append(r.w.contradictions(), r.w.j.Verify(views, values)...)
	if len(found) > 0 {
		return fmt.Errorf("%d promises broken:\n%s", len(found), strings.Join(found[:min(len(found), maxTold)], "\n"))
	}
	r.rep.Messages = 0
	for _, v := range views {
		r.seen[v.Topic] = v.Seq
	}
	for _, seq := range r.seen {
		r.rep.Messages += seq
	}
	r.cfg.Log("%s", &r.rep)
	return nil
}
