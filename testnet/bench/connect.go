package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"parley/testnet"
)

// runConnect opens c.Users sessions and sees what they cost, then idle. The server
// has just been started again, if this package started it: its memory would else
// be that of making the accounts.
func runConnect(ctx context.Context, t *target, c Case) (*Run, error) {
	if err := t.ensure(ctx, c.Users); err != nil {
		return nil, err
	}
	if err := t.restart(ctx); err != nil {
		return nil, err
	}
	pause(ctx, c.Settle)
	before, err := testnet.ReadUsage(t.pids...)
	if err != nil {
		return nil, err
	}
	r, w := newRun(), newWindow(t)
	if err := w.open(); err != nil {
		return nil, err
	}
	cs, lat, err := t.connectAll(ctx, c)
	defer cs.close()
	if err != nil {
		return nil, err
	}
	if err := w.close(); err != nil {
		return nil, err
	}
	rest := newWindow(t)
	if err := rest.open(); err != nil {
		return nil, err
	}
	pause(ctx, c.Settle)
	if err := rest.close(); err != nil {
		return nil, err
	}
	t.profileHeap(ctx)
	r.violation("connection lost", cs.lost())
	n := float64(c.Users)
	r.add("sessions", "1/s", n/w.sec)
	r.latencies("open", lat)
	if len(t.pids) > 0 {
		r.add("memory per session", "KiB", (rest.rss-before.RSS)/n)
		r.add("rss before", "MiB", before.RSS/1024)
		r.add("rss after", "MiB", rest.rss/1024)
		r.add("idle cpu", "%", rest.cpu/rest.sec*100)
	}
	w.report(r, n, "session")
	return r, ctx.Err()
}

// connectAll opens the sessions, c.Inflight at a time, and tells how long each took.
func (t *target) connectAll(ctx context.Context, c Case) (sessions, []int64, error) {
	cs, lat := make(sessions, c.Users), make([]int64, c.Users)
	deadline := time.Now().Add(c.Duration)
	err := parallel(c.Inflight, c.Users, func(k int) error {
		if time.Now().After(deadline) {
			return errors.New("not all sessions were open in time")
		}
		start := t.clock()
		var err error
		if cs[k], err = t.open(ctx, k, hooks{packet: idle}); err != nil {
			return err
		}
		if err := attachMe(ctx, cs[k]); err != nil {
			return fmt.Errorf("sub me: %w", err)
		}
		lat[k] = t.clock() - start
		return nil
	})
	return cs, lat, err
}
