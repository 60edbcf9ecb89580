package bench

import (
	"context"
	"sync"
	"time"
)

// play runs the load: warm-up, measured window, drain. It closes all clients.
func (t *traffic) play(ctx context.Context) error {
	defer t.ending.Wait()
	defer t.clients.close()
	if t.c.Warmup == 0 { // then the first message counts
		if err := t.win.open(); err != nil {
			return err
		}
	}
	finished := t.begin(ctx)
	if t.c.Warmup > 0 {
		select {
		case <-time.After(t.c.Warmup):
		case <-finished:
		}
		if err := t.win.open(); err != nil {
			return err
		}
	}
	t.t.profileCPU(ctx, "", t.c.Duration)
	<-finished
	if err := t.win.close(); err != nil {
		return err
	}
	t.drain(ctx)
	t.run.violation("connection lost", t.clients.lost())
	return ctx.Err()
}

// begin starts the senders. The channel is closed when all have ended.
func (t *traffic) begin(ctx context.Context) <-chan struct{} {
	deadline := time.Now().Add(t.c.Warmup + t.c.Duration)
	finished := make(chan struct{})
	var senders sync.WaitGroup
	for _, f := range t.flows {
		senders.Go(func() { f.send(ctx, deadline) })
	}
	t.ending.Go(func() { senders.Wait(); close(finished) })
	return finished
}

const drainPoll = 10 * time.Millisecond

// drain waits until every message is answered and every acknowledged one delivered.
func (t *traffic) drain(ctx context.Context) {
	end := time.Now().Add(t.wait.drain)
	for time.Now().Before(end) && ctx.Err() == nil {
		readers := make([]int64, len(t.flows))
		for _, r := range t.receivers {
			for _, f := range r.flows {
				readers[f.id]++
			}
		}
		unanswered, missing := int64(0), int64(0)
		for _, f := range t.flows {
			unanswered += f.sent.Load() - f.settled.Load()
			missing += f.acked.Load()*readers[f.id] - f.delivered.Load()
		}
		if unanswered == 0 && missing == 0 { // apart: a delivery can overtake its ack
			return
		}
		pause(ctx, drainPoll)
	}
}

// check compares acks with deliveries. All clients are closed by now, so nothing is
// shared any more.
func (t *traffic) check() (acked, delivered int, ackLat, lat []int64) {
	for _, f := range t.flows {
		acked += f.inWin
		ackLat = append(ackLat, f.ackLat...)
		t.run.violation("unanswered", int(f.sent.Load()-f.settled.Load()))
		last := int32(0)
		for _, s := range f.seqs {
			if s != 0 && s <= last {
				t.run.violation("acked seq not increasing", 1)
			}
			last = max(last, s)
		}
	}
	for _, r := range t.receivers {
		delivered += len(r.lat)
		lat = append(lat, r.lat...)
		t.run.violation("duplicate", r.dup)
		t.run.violation("delivered seq not increasing", r.bad)
		for _, f := range r.flows {
			r.compare(f)
		}
	}
	return acked, delivered, ackLat, lat
}

// compare looks for each acknowledged message of f in what r saw.
func (r *receiver) compare(f *flow) {
	seen := r.seen[f.id]
	for n, s := range f.seqs {
		switch {
		case s == 0: // refused or unanswered
		case n >= len(seen) || seen[n] == 0:
			r.t.run.violation("lost", 1)
		case seen[n] != s:
			r.t.run.violation("seq of ack and delivery differ", 1)
		}
	}
}
