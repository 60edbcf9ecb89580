package model

import (
	"context"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Days are the unit in which people think of reputation.
const day = 24 * time.Hour

// Config says what to simulate. A zero field means its default.
type Config struct {
	Nodes    int           // honest ones; default 1,000
	Users    int           // of the largest of them, the others have less, as 1/rank^0.75; default 1,500
	Seed     uint64        // default 1
	Warm     time.Duration // in which the honest make acquaintance, all admitted; default 20 days
	Length   time.Duration // of the attack; default 10 days
	Attacks  []Attack      // default all
	Policies []Policy      // default all
	Workers  int           // simulations at once; default one a processor
	// Progress, if set, is told of each simulation that ends, by one goroutine at a time.
	Progress func(done, all int, r *Result)
}

func (c Config) withDefaults() Config {
	for _, d := range []struct {
		n   *int
		def int
	}{{&c.Nodes, 1000}, {&c.Users, 1500}, {&c.Workers, runtime.GOMAXPROCS(0)}} {
		if *d.n <= 0 {
			*d.n = d.def
		}
	}
	if c.Seed == 0 {
		c.Seed = 1
	}
	if c.Warm <= 0 {
		c.Warm = 20 * day
	}
	if c.Length <= 0 {
		c.Length = 10 * day
	}
	if c.Attacks == nil {
		c.Attacks = Attacks()
	}
	if c.Policies == nil {
		c.Policies = Policies()
	}
	return c
}

// Run simulates every attack under every policy. The results are in that order.
func Run(ctx context.Context, cfg Config) ([]*Result, error) {
	cfg = cfg.withDefaults()
	var all []*Result
	for _, a := range cfg.Attacks {
		for _, p := range cfg.Policies {
			all = append(all, &Result{Attack: a.Name, Policy: p.Name})
		}
	}
	var mu sync.Mutex
	done := 0
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(cfg.Workers)
	for i, r := range all {
		attack, policy := cfg.Attacks[i/len(cfg.Policies)], cfg.Policies[i%len(cfg.Policies)]
		g.Go(func() error {
			started := time.Now()
			w := newWorld(cfg, policy)
			if err := w.run(ctx, attack); err != nil {
				return err
			}
			*r = *w.result(attack, policy)
			r.Seconds = time.Since(started).Seconds()
			mu.Lock()
			defer mu.Unlock()
			done++
			if cfg.Progress != nil {
				cfg.Progress(done, len(all), r)
			}
			return nil
		})
	}
	return all, g.Wait()
}
