// Package vtime runs a function in virtual time: when everything that it has started
// waits, the clock jumps to the next timer. An hour takes as long as its work.
//
// It stands on testing/synctest, which is made for tests but works in any program:
// synctest.Test takes a zero testing.T. That is not promised, so all of it is in this
// package, and the same function runs in real time, too.
//
// What runs in virtual time is in a bubble of its own. It must end all goroutines that
// it starts, must not wait for what is outside (a socket, a channel made outside), or the
// clock stands still meanwhile; and whoever is outside must not touch its channels. The
// clock begins at midnight UTC 2000-01-01.
package vtime

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Options say how time goes by.
type Options struct {
	// Real: as outside. Then the function runs in the caller's bubble, if there is one.
	Real bool
	// Pace, if not 0, bounds how much faster than outside virtual time goes by.
	Pace float64
}

// A Clock is what the function and those who watch it have in common. Its methods may be
// called from inside and outside.
type Clock struct {
	opt     Options
	stopped atomic.Bool
	elapsed atomic.Int64
	pacer   *pacer
}

// NewClock makes a clock for one Run.
func NewClock(o Options) *Clock { return &Clock{opt: o} }

// Stop asks the function to end early. It may be called from a signal handler.
func (c *Clock) Stop() { c.stopped.Store(true) }

// Stopped reports whether the function is to end.
func (c *Clock) Stopped() bool { return c.stopped.Load() }

// Elapsed is how far the function has said that it is.
func (c *Clock) Elapsed() time.Duration { return time.Duration(c.elapsed.Load()) }

// Reached notes how far the function is, and waits if that is too early for the pace.
func (c *Clock) Reached(elapsed time.Duration) {
	c.elapsed.Store(int64(elapsed))
	if c.pacer != nil {
		c.pacer.wait(elapsed)
	}
}

// Run calls f and returns when it has, and in virtual time all goroutines that it has
// started. A panic of f is an error, so is one that stays behind blocked; a panic of
// another goroutine ends the process.
func (c *Clock) Run(f func(ctx context.Context) error) error {
	if c.opt.Real {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		return f(ctx)
	}
	Prepare()
	if c.opt.Pace > 0 {
		c.pacer = newPacer(c.opt.Pace)
		defer c.pacer.stop()
	}
	return bubble(f)
}

func bubble(f func(ctx context.Context) error) (err error) {
	defer func() {
		// "deadlock: …" of synctest arrives here.
		if p := recover(); p != nil {
			err = errors.Join(err, fmt.Errorf("vtime: %v", p))
		}
	}()
	synctest.Test(new(testing.T), func(*testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("vtime: panic: %v\n%s", p, debug.Stack())
			}
		}()
		err = f(ctx)
	})
	return err
}

// Prepare uses what makes something for the whole process when it is first used: made in
// a bubble, it would belong to that one. Run calls it; tests with bubbles of their own do.
var Prepare = sync.OnceFunc(func() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	// Nothing is sent: the context has ended.
	_, _ = (&net.Resolver{PreferGo: true}).LookupTXT(ctx, "parley.invalid.")
})

// Sleep waits; it reports whether ctx lives on.
func Sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// pacer lives outside: who waits for it from inside makes the bubble's clock stand still.
type pacer struct {
	ask  chan time.Duration
	done chan struct{}
	wg   sync.WaitGroup
}

func newPacer(pace float64) *pacer {
	p := &pacer{ask: make(chan time.Duration), done: make(chan struct{})}
	begin := time.Now()
	p.wg.Go(func() {
		for elapsed := range p.ask {
			due := begin.Add(time.Duration(float64(elapsed) / pace))
			<-time.After(time.Until(due))
			p.done <- struct{}{}
		}
	})
	return p
}

func (p *pacer) wait(elapsed time.Duration) {
	p.ask <- elapsed
	<-p.done
}

func (p *pacer) stop() {
	close(p.ask)
	p.wg.Wait()
}
