package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"parley/protocol"
	"parley/protocol/client"
)

// runHistory: readers page backwards through a group of one, over and over. Each
// reader is a user of its own.
func runHistory(ctx context.Context, t *target, c Case) (*Run, error) {
	topic, owner, err := t.fill(ctx, c)
	if err != nil {
		return nil, err
	}
	defer owner.Close()
	readers := make([]*pageReader, c.Users)
	cs, err := t.openAll(ctx, 0, c.Users, func(k int) hooks {
		readers[k] = &pageReader{topic: topic, depth: c.Messages, page: c.Page}
		return hooks{packet: readers[k].onPacket}
	})
	if err != nil {
		return nil, err
	}
	defer cs.close()
	for k, r := range readers {
		r.c = cs[k]
		if _, err := attach(ctx, cs[k], topic); err != nil {
			return nil, err
		}
	}
	w := newWindow(t)
	if err := readPages(ctx, t, c, w, readers); err != nil {
		return nil, err
	}
	run, msgs := newRun(), 0
	var lat []int64
	for _, r := range readers {
		lat = append(lat, r.lat...)
		msgs += r.msgs
		run.violation("wrong page", r.wrong)
	}
	run.add("read", "msg/s", float64(msgs)/w.sec)
	run.add("pages", "1/s", float64(len(lat))/w.sec)
	run.latencies("page", lat)
	w.report(run, float64(msgs), "message")
	return run, nil
}

// readPages lets all readers read through the warm-up and the window.
func readPages(ctx context.Context, t *target, c Case, w *window, readers []*pageReader) error {
	var stop atomic.Bool
	var wg sync.WaitGroup
	errs := make([]error, len(readers))
	for i, r := range readers {
		wg.Go(func() {
			for !stop.Load() && errs[i] == nil {
				errs[i] = r.next(ctx, t, w)
			}
		})
	}
	pause(ctx, c.Warmup)
	t.profileCPU(ctx, "", c.Duration)
	err := w.open()
	pause(ctx, c.Duration)
	err = errors.Join(err, w.close())
	stop.Store(true)
	wg.Wait()
	return errors.Join(append(errs, err, ctx.Err())...)
}

// pageReader walks a topic from its newest message down to the first, then again.
type pageReader struct {
	c           *client.Client
	topic       string
	depth, page int

	before int   // the next page ends below this seq
	got    []int // seqs of the page; of the reading goroutine until the answer
	lat    []int64
	msgs   int
	wrong  int
}

func (r *pageReader) onPacket(packet []byte) bool {
	if bytes.HasPrefix(packet, dataPrefix) {
		r.got = append(r.got, field(packet, seqField))
	}
	return idle(packet)
}

func (r *pageReader) next(ctx context.Context, t *target, w *window) error {
	if r.before <= 1 {
		r.before = r.depth + 1
	}
	r.got = r.got[:0]
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	start := t.clock()
	m, err := r.c.Do(ctx, &protocol.Request{Get: &protocol.Get{Topic: r.topic, GetQuery: protocol.GetQuery{
		What: "data", Data: &protocol.GetRanges{Before: r.before, Limit: r.page}}}})
	if err != nil {
		return err
	}
	if m.Ctrl == nil || m.Ctrl.Code >= 300 {
		return fmt.Errorf("get data: unexpected answer %+v", m)
	}
	now := t.clock()
	low := max(1, r.before-r.page)
	if !wholePage(r.got, low, r.before) {
		r.wrong++
	}
	if w.covers(now) {
		r.lat = append(r.lat, now-start)
		r.msgs += len(r.got)
	}
	r.before = low
	return nil
}

// wholePage reports whether got is each of [low, high) once, newest first.
func wholePage(got []int, low, high int) bool {
	if len(got) != high-low {
		return false
	}
	for i, seq := range got {
		if seq != high-1-i {
			return false
		}
	}
	return true
}

const fillInflight = 32

// fill makes a group with c.Messages messages. Its owner stays attached.
func (t *target) fill(ctx context.Context, c Case) (string, *client.Client, error) {
	owner, err := t.open(ctx, 0, hooks{packet: idle})
	if err != nil {
		return "", nil, err
	}
	topic, err := newGroup(ctx, owner, "history")
	if err == nil {
		err = publishMany(ctx, owner, topic, c)
	}
	if err != nil {
		owner.Close()
		return "", nil, fmt.Errorf("filling a topic: %w", err)
	}
	return topic, owner, nil
}

func publishMany(ctx context.Context, c *client.Client, topic string, k Case) error {
	ctx, cancel := context.WithTimeout(ctx, 10*requestTimeout)
	defer cancel()
	content := []byte(`"` + strings.Repeat("x", k.Size) + `"`)
	var waiting []*client.Receipt
	for n := 0; n < k.Messages || len(waiting) > 0; n++ {
		if n < k.Messages {
			r, err := c.Send(ctx, &protocol.Pub{Topic: topic, NoEcho: true, Content: content})
			if err != nil {
				return err
			}
			waiting = append(waiting, r)
		}
		if len(waiting) >= fillInflight || n >= k.Messages {
			if _, err := waiting[0].Wait(ctx); err != nil {
				return err
			}
			waiting = waiting[1:]
		}
	}
	return nil
}
