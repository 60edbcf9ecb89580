package bolt

import (
	"os"
	"sync"
	"time"

	"parley/store"
)

type counters struct {
	mu sync.Mutex
	s  store.Stats
}

func (c *counters) commit(updates int, d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.s.Commits++
	c.s.Updates += uint64(updates)
	c.s.CommitTime += d
}

func (c *counters) fail() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.s.Failed++
}

// Stats implements store.Measured.
func (d *DB) Stats() store.Stats {
	d.stats.mu.Lock()
	s := d.stats.s
	d.stats.mu.Unlock()
	s.Waiting = len(d.queue)
	if fi, err := os.Stat(d.path); err == nil {
		s.Size = fi.Size()
	}
	return s
}
