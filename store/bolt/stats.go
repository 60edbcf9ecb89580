package bolt

import (
	"os"
	"sync"
	"time"
)

// Stats is what an operator wants to know of a store.
type Stats struct {
	Commits    uint64        // transactions
	Updates    uint64        // in them
	CommitTime time.Duration // in all
	Waiting    int           // updates at the moment
	Size       int64         // bytes of the file
}

type counters struct {
	mu sync.Mutex
	s  Stats
}

func (c *counters) commit(n int, d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.s.Commits++
	c.s.Updates += uint64(n)
	c.s.CommitTime += d
}

// Stats returns the figures since the store was opened.
func (d *DB) Stats() Stats {
	d.stats.mu.Lock()
	s := d.stats.s
	d.stats.mu.Unlock()
	s.Waiting = len(d.queue)
	if fi, err := os.Stat(d.b.Path()); err == nil {
		s.Size = fi.Size()
	}
	return s
}
