package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"parley/testnet/scenario"
	"parley/testnet/vtime"
)

// runProgress is a line that tells how far a run is, on a terminal; elsewhere it is silent.
type runProgress struct {
	out   io.Writer
	shown bool
	clock *vtime.Clock
	name  string
	total time.Duration
	began time.Time
	done  chan struct{}
	wg    sync.WaitGroup
}

const (
	progressEvery = 200 * time.Millisecond
	progressWidth = 24
)

// startProgress shows how far a run is until stop is called; what comes from interrupts
// stops the clock, and the second of them the program.
func startProgress(out io.Writer, clock *vtime.Clock, plan *scenario.Plan, interrupts <-chan os.Signal) *runProgress {
	p := &runProgress{out: out, clock: clock, name: plan.Name, total: plan.Duration.Duration, began: time.Now(), done: make(chan struct{})}
	if f, ok := out.(*os.File); ok {
		p.shown = term.IsTerminal(int(f.Fd()))
	}
	p.wg.Go(func() {
		tick := time.NewTicker(progressEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				p.show()
			case <-interrupts:
				if clock.Stopped() {
					fmt.Fprintln(out, "\nstopped")
					os.Exit(exitUsage)
				}
				fmt.Fprintln(out, "\nending early; once more to stop at once")
				clock.Stop()
			case <-p.done:
				return
			}
		}
	})
	return p
}

func (p *runProgress) stop() {
	close(p.done)
	p.wg.Wait()
	if p.shown {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}

func (p *runProgress) show() {
	if p.shown {
		fmt.Fprint(p.out, "\r\x1b[K"+progressLine(p.name, p.clock.Elapsed(), p.total, time.Since(p.began)))
	}
}

// progressLine is "hello  ██████░░░░  12s of 30s, 85 times real time, 3s to go".
func progressLine(name string, at, total, took time.Duration) string {
	if at == 0 {
		return name + "  people meet"
	}
	if at >= total {
		return name + "  " + strings.Repeat("█", progressWidth) + "  what is on its way may arrive, replicas are compared"
	}
	share := float64(at) / float64(total)
	full := int(share * progressWidth)
	speed := at.Seconds() / max(took.Seconds(), 0.001)
	left := time.Duration(float64(took) * (1 - share) / share)
	return fmt.Sprintf("%s  %s%s  %s of %s, %.0f times real time, %s to go", name, strings.Repeat("█", full), strings.Repeat("░", progressWidth-full),
		at.Round(time.Second), scenario.Short(total), speed, left.Round(time.Second))
}
