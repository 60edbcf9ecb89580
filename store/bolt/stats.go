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

func (c *counters) commit(n int, d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.s.Commits++
	c.s.Updates += uint64(n)
	c.s.CommitTime += d
}

// Stats implements store.Measured.
func (d *DB) Stats() store.Stats {
	d.stats.mu.Lock()
	s := d.stats.s
	d.stats.mu.Unlock()
	s.Waiting = len(d.queue)
	if fi, err := os.Stat(d.b.Path()); err == nil {
		s.Size = fi.Size()
	}
	return s
}
