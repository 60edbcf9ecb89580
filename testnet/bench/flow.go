package bench

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"parley/protocol/client"
)

const slotRing = 4096 // most messages of a flow that are under way at once

// patience is how long traffic waits for the server.
type patience struct {
	stall time.Duration // a sender that gets no slot for so long gives up
	drain time.Duration // for what is outstanding after the load
}

var usualPatience = patience{stall: 10 * time.Second, drain: 10 * time.Second}

// traffic is the message load of one run: flows publish, receivers check.
type traffic struct {
	t         *target
	c         Case
	wait      patience
	win       *window
	run       *Run
	tag       []byte // a quote, and what tells this run's messages from older ones
	flows     []*flow
	receivers []*receiver
	clients   sessions
	ending    sync.WaitGroup
	mu        sync.Mutex // guards run
}

// flow is one sender on one topic.
type flow struct {
	t      *traffic
	id     int
	sender *client.Client
	topic  string
	slots  chan struct{}
	need   int32 // deliveries that must be seen before the slot is free again
	left   [slotRing]atomic.Int32

	sent, settled, delivered, acked atomic.Int64

	// Owned by the goroutine that reads the sender's connection.
	seqs   []int32 // seqs[n] is the seq of message n, 0: not acknowledged
	ackLat []int64
	inWin  int
}

// receiver checks what one session gets.
type receiver struct {
	t     *traffic
	self  *flow   // of the same session: its echo is not a delivery
	flows []*flow // expected

	// Owned by the goroutine that reads the session's connection.
	lastSeq  int
	seen     [][]int32 // by flow: seq of message n
	lat      []int64
	dup, bad int
}

func newTraffic(t *target, c Case) *traffic {
	return &traffic{t: t, c: c, wait: t.wait, win: newWindow(t), run: newRun(),
		tag: []byte(`"` + strconv.FormatInt(time.Now().UnixNano(), 36))}
}

// addFlow makes a sender. Its session needs the flow's hooks, and is set later.
func (t *traffic) addFlow(need int) *flow {
	f := &flow{t: t, id: len(t.flows), need: int32(need), slots: make(chan struct{}, t.c.Inflight)}
	t.flows = append(t.flows, f)
	return f
}

// addReceiver makes a checker of the flows, which all exist already.
func (t *traffic) addReceiver(self *flow, flows ...*flow) *receiver {
	r := &receiver{t: t, self: self, seen: make([][]int32, len(t.flows))}
	for _, f := range flows {
		if f != self {
			r.flows = append(r.flows, f)
		}
	}
	t.receivers = append(t.receivers, r)
	return r
}

// listen gives the hooks of a session that sends for f and receives for r; either
// may be nil.
func listen(f *flow, r *receiver) hooks {
	return hooks{packet: func(packet []byte) bool {
		if f != nil {
			if a, ok := scanAck(packet); ok {
				f.onAck(a)
				return true
			}
		}
		if r != nil {
			if s, ok := scanData(packet, r.t.tag); ok {
				r.onData(s)
				return true
			}
		}
		return idle(packet)
	}}
}

// send publishes until the deadline, the number of messages, or an error.
func (f *flow) send(ctx context.Context, deadline time.Time) {
	c := f.t.c
	var interval time.Duration
	if c.Rate > 0 {
		interval = time.Duration(float64(len(f.t.flows)) / c.Rate * 1e9)
	}
	next := time.Now()
	stall := time.NewTimer(f.t.wait.stall)
	defer stall.Stop()
	for n := 0; c.Messages == 0 || n < c.Messages; n++ {
		if interval > 0 {
			pause(ctx, time.Until(next))
		}
		if ctx.Err() != nil || time.Now().After(deadline) {
			return
		}
		stall.Reset(f.t.wait.stall)
		select {
		case f.slots <- struct{}{}:
		case <-f.sender.Done():
			return // counted as a lost connection
		case <-stall.C:
			f.t.count("sender stalled")
			return
		}
		at := f.t.t.clock()
		if interval > 0 { // latency counts from when the message was due
			at = int64(next.Sub(f.t.t.epoch)) + 1
			next = next.Add(interval)
		}
		f.left[n%slotRing].Store(1 + f.need)
		f.sent.Add(1)
		if f.sender.Write(ctx, f.packet(n, at)) != nil {
			return
		}
	}
}

// padding fills messages up to their size.
var padding = strings.Repeat("x", 64<<10)

// packet is message n. Nothing in it needs escaping.
func (f *flow) packet(n int, at int64) []byte {
	b := make([]byte, 0, 128+f.t.c.Size)
	b = append(b, `{"pub":{"id":"`...)
	b = messageID(b, n, at)
	b = append(b, `","topic":"`...)
	b = append(b, f.topic...)
	b = append(b, `","content":`...)
	start := len(b) + 1
	b = appendStamp(b, f.t.tag, stamp{flow: f.id, n: n, at: at})
	if k := f.t.c.Size - (len(b) - start); k > 0 {
		b = append(b, padding[:min(k, len(padding))]...)
	}
	return append(b, `"}}`...)
}

// release frees the slot of message n when its last ack or delivery is in.
func (f *flow) release(n int) {
	if f.left[n%slotRing].Add(-1) == 0 {
		<-f.slots
	}
}

func (f *flow) onAck(a ack) {
	now := f.t.t.clock()
	f.settled.Add(1)
	if a.code < 200 || a.code > 299 || a.seq <= 0 {
		f.t.note(fmt.Sprintf("refused with %d", a.code))
		f.left[a.n%slotRing].Store(0)
		<-f.slots
		return
	}
	f.seqs = put(f.seqs, a.n, int32(a.seq))
	f.acked.Add(1)
	if f.t.win.covers(now) {
		f.inWin++
		f.ackLat = append(f.ackLat, now-a.at)
	}
	f.release(a.n)
}

func (r *receiver) onData(s stamp) {
	now := r.t.t.clock()
	if s.seq <= r.lastSeq {
		r.bad++
	}
	r.lastSeq = s.seq
	if s.flow >= len(r.t.flows) {
		return
	}
	f := r.t.flows[s.flow]
	if f == r.self {
		return
	}
	if seen := r.seen[s.flow]; s.n < len(seen) && seen[s.n] != 0 {
		r.dup++
		return
	}
	r.seen[s.flow] = put(r.seen[s.flow], s.n, int32(s.seq))
	f.delivered.Add(1)
	if r.t.win.covers(now) {
		r.lat = append(r.lat, now-s.at)
	}
	if f.need > 0 {
		f.release(s.n)
	}
}

// put sets s[n] = v, growing s.
func put(s []int32, n int, v int32) []int32 {
	for len(s) <= n {
		s = append(s, 0)
	}
	s[n] = v
	return s
}

func (t *traffic) count(what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.run.violation(what, 1)
}

func (t *traffic) note(what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.run.note(what, 1)
}
