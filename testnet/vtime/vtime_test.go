package vtime

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestHoursTakeMoments(t *testing.T) {
	begin := time.Now()
	for range 2 { // one bubble after the other
		c := NewClock(Options{})
		err := c.Run(func(ctx context.Context) error {
			start := time.Now()
			var wg sync.WaitGroup
			wg.Go(func() { Sleep(ctx, 10*time.Hour) })
			wg.Wait()
			if d := time.Since(start); d != 10*time.Hour {
				t.Errorf("10 h took %v", d)
			}
			c.Reached(time.Since(start))
			return nil
		})
		if err != nil || c.Elapsed() != 10*time.Hour {
			t.Errorf("err %v, elapsed %v", err, c.Elapsed())
		}
	}
	if d := time.Since(begin); d > 10*time.Second {
		t.Errorf("took %v", d)
	}
}

func TestPanicsAreErrors(t *testing.T) {
	err := NewClock(Options{}).Run(func(context.Context) error { panic("oh no") })
	if err == nil || !strings.Contains(err.Error(), "oh no") {
		t.Errorf("got %v", err)
	}
}

func TestBlockedForEver(t *testing.T) {
	err := NewClock(Options{}).Run(func(context.Context) error {
		<-make(chan int)
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "deadlock") {
		t.Errorf("got %v", err)
	}
}

// TestResolver: the first lookup of a process makes a channel for all that follow.
func TestResolver(t *testing.T) {
	for range 2 {
		err := NewClock(Options{}).Run(func(ctx context.Context) error {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			if _, err := (&net.Resolver{PreferGo: true}).LookupTXT(ctx, "parley.invalid."); err == nil {
				t.Error("found something")
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

func TestPace(t *testing.T) {
	begin := time.Now()
	c := NewClock(Options{Pace: 1000})
	err := c.Run(func(ctx context.Context) error {
		for i := range 10 {
			Sleep(ctx, 10*time.Second)
			c.Reached(time.Duration(i+1) * 10 * time.Second)
		}
		return nil
	})
	if d := time.Since(begin); err != nil || d < 100*time.Millisecond {
		t.Errorf("100 s at 1000 times the pace took %v, err %v", d, err)
	}
}

func TestStop(t *testing.T) {
	c := NewClock(Options{Real: true})
	c.Stop()
	if err := c.Run(func(ctx context.Context) error {
		if !c.Stopped() {
			t.Error("not stopped")
		}
		return ctx.Err()
	}); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if Sleep(ctx, time.Hour) {
		t.Error("slept on after the end")
	}
}
