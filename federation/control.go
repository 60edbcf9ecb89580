package federation

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
)

// verdictsPerFrame bounds an answer on the wire.
const verdictsPerFrame = 256

// control is our side of the control stream. What is to be said gathers, merged, while
// the peer does not read.
type control struct {
	w    *frameWriter
	wake chan struct{} // room for one

	mu     sync.Mutex
	acks   [s2s.Lanes]*s2s.Ack // guarded by mu, as what follows
	logs   map[protocol.TopicID]*s2s.LogAck
	limits *s2s.Limits
	reach  *s2s.Reach
	bye    *s2s.Goodbye
	empty  bool
}

func newControl(w *frameWriter) *control {
	return &control{w: w, wake: make(chan struct{}, 1), logs: map[protocol.TopicID]*s2s.LogAck{}}
}

// ack answers the posts of a lane.
func (c *control) ack(lane store.Lane, upto uint64, vs []s2s.Verdict) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.acks[lane]
	if a == nil {
		a = &s2s.Ack{Lane: uint8(lane)}
		c.acks[lane] = a
	}
	a.Upto = max(a.Upto, upto)
	if sorted := len(a.Verdicts) == 0; len(vs) > 0 {
		a.Verdicts = append(a.Verdicts, vs...)
		if !sorted {
			byN := func(x, y s2s.Verdict) int { return cmp.Compare(x.N, y.N) }
			slices.SortStableFunc(a.Verdicts, byN)
			a.Verdicts = slices.CompactFunc(a.Verdicts, func(x, y s2s.Verdict) bool { return x.N == y.N })
		}
	}
	signal(c.wake)
}

// logAck says how far a group is here.
func (c *control) logAck(a *s2s.LogAck) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.logs[a.Group] = a
	signal(c.wake)
}

func (c *control) goodbye(reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bye = &s2s.Goodbye{Reason: reason}
	signal(c.wake)
}

// nudge says nothing, so that the peer sees that the link is of use.
func (c *control) nudge() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.empty = true
	signal(c.wake)
}

func (c *control) setLimits(n s2s.Limits) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.limits = &n
	signal(c.wake)
}

func (c *control) setReach(class uint8) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reach = &s2s.Reach{Class: class}
	signal(c.wake)
}

// run writes until ctx ends.
func (c *control) run(ctx context.Context) func() error {
	return func() error {
		for {
			select {
			case <-c.wake:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			for _, f := range c.take() {
				if err := c.w.write(f); err != nil {
					return err
				}
			}
			if err := c.w.flush(); err != nil {
				return err
			}
		}
	}
}

// take empties what has gathered.
func (c *control) take() (fs []*s2s.Control) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, a := range c.acks {
		if a == nil {
			continue
		}
		for len(a.Verdicts) > verdictsPerFrame {
			part := a.Verdicts[:verdictsPerFrame]
			fs = append(fs, &s2s.Control{Ack: &s2s.Ack{Lane: a.Lane, Upto: part[len(part)-1].N, Verdicts: part}})
			a.Verdicts = a.Verdicts[verdictsPerFrame:]
		}
		fs = append(fs, &s2s.Control{Ack: a})
		c.acks[i] = nil
	}
	for g, a := range c.logs {
		fs = append(fs, &s2s.Control{LogAck: a})
		delete(c.logs, g)
	}
	if c.limits != nil {
		fs = append(fs, &s2s.Control{Limits: c.limits})
		c.limits = nil
	}
	if c.reach != nil {
		fs = append(fs, &s2s.Control{Reach: c.reach})
		c.reach = nil
	}
	if c.empty && len(fs) == 0 {
		fs = append(fs, &s2s.Control{})
	}
	c.empty = false
	if c.bye != nil {
		fs = append(fs, &s2s.Control{Goodbye: c.bye})
		c.bye = nil
	}
	return fs
}
