package node

import (
	"context"
	"errors"
	"slices"
	"time"

	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
)

// What of a group's history a follower lacks is fetched from the home when a client asks
// for it, and kept.

// lacks is what to ask the home for before a page of the history can be answered, nil if
// nothing: the messages just below the replica's, or a part far below.
func (f *follower) lacks(opts *protocol.GetRanges) *s2s.History {
	if opts == nil {
		opts = &protocol.GetRanges{}
	}
	spans, err := f.spans(opts)
	if err != nil || len(spans) == 0 {
		return nil
	}
	limit := f.n.cfg.Limits.MaxHistory
	if opts.Limit > 0 {
		limit = min(limit, opts.Limit)
	}
	base := max(f.rec.Base, 1)
	for _, seq := range f.unverified {
		if spans.Contains(seq) {
			return &s2s.History{Topic: f.t.id, Low: seq, High: seq + 1, Limit: 1}
		}
	}
	below := spans.Clip(1, base)
	if len(below) == 0 || spans.Clip(base, f.head.Seq+1).Len() >= limit {
		return nil
	}
	last := below[len(below)-1]
	return &s2s.History{Topic: f.t.id, Low: max(last.Low, last.Hi-historyBatch), High: last.Hi, Limit: historyBatch}
}

// fetchThen gets from the home what a page of the history lacks, and then answers. If
// the home cannot be reached in time, the client gets what is here.
func (f *follower) fetchThen(q *request, in *protocol.GetQuery, ask *s2s.History) {
	by := q.came.Add(askTime)
	if f.n.cfg.Network == nil || f.n.cfg.Network.Away(f.home()) || !time.Now().Before(by) {
		f.room.get(q, in)
		return
	}
	f.n.start(func() {
		ctx, stop := context.WithDeadline(f.n.outside, by)
		defer stop()
		e := &fetched{f: f, q: q, in: in, ask: ask}
		a, err := f.n.ask(ctx, f.home(), &s2s.Ask{History: ask})
		if e.err = err; err == nil {
			e.events = a.History
			e.witnesses = f.n.prove(ctx, f.t.id, e.events)
		}
		f.t.push(e, 0)
	})
}

// fetched is a piece of the history that has come from the home.
type fetched struct {
	f         *follower
	q         *request
	in        *protocol.GetQuery
	ask       *s2s.History
	events    []s2s.Event
	witnesses []witness
	err       error
}

func (e *fetched) apply(*topic) {
	f := e.f
	if !f.follows() {
		e.q.refuse(protocol.NotFound)
		return
	}
	if e.err == nil {
		if e.err = e.keep(); e.err != nil {
			f.n.log.Error("history from another node not stored", "group", f.t.id, "err", e.err)
		}
	}
	if e.err == nil && f.at(e.q) != nil {
		if ask := f.lacks(e.in.Data); ask != nil && *ask != *e.ask {
			f.fetchThen(e.q, e.in, ask)
			return
		}
	}
	f.room.get(e.q, e.in)
}

// keep stores what has come.
func (e *fetched) keep() error {
	f := e.f
	rec, list := *f.rec, slices.Clone(f.unverified)
	low := e.ask.Low
	good := make([]*store.Message, len(e.events)) // nil: not to be stored
	for i := range e.events {
		g := e.events[i].Message
		if g == nil || g.Seq < e.ask.Low || g.Seq >= e.ask.High {
			return protocol.Malformed
		}
		m, err := readable(&e.events[i])
		switch {
		case e.witnesses[i] == proven && err == nil:
			good[i] = m
		case e.witnesses[i] == unproven || err != nil:
			f.forged(&e.events[i])
		case !slices.Contains(list, g.Seq):
			list = append(list, g.Seq)
			continue
		default:
			continue
		}
		list = slices.DeleteFunc(list, func(n int) bool { return n == g.Seq })
	}
	if n := len(e.events); n > 0 && n < e.ask.High-e.ask.Low {
		low = min(max(low, e.events[n-1].Message.Seq), e.ask.High)
		if n < e.ask.Limit && !e.cut() {
			low = e.ask.Low
		}
	}
	if rec.Base == e.ask.High {
		rec.Base = low
	}
	err := f.update(func(tx store.Tx) error {
		for i, m := range good {
			if m == nil {
				continue
			}
			if err := f.insert(tx, &e.events[i], m); err != nil {
				return err
			}
		}
		return errors.Join(f.putTopic(tx, &rec), putList(tx, valueUnverified+string(f.t.id), list))
	})
	if err == nil {
		f.rec, f.unverified = &rec, list
	}
	return err
}

// insert stores one message, unless it has another number already.
func (f *follower) insert(tx store.Tx, e *s2s.Event, m *store.Message) error {
	again, err := f.saidBefore(tx, e)
	if err != nil {
		return err
	}
	if again {
		f.forged(e)
		return nil
	}
	if err := tx.Insert(f.t.id, m); err != nil && !errors.Is(err, store.ErrExists) {
		return err
	}
	return f.useNamed(tx, m)
}

// cut reports whether the answer may have ended because it was too large.
func (e *fetched) cut() bool {
	size := 0
	for i := range e.events {
		size += sizeOf(&e.events[i])
	}
	return size > s2s.MaxFrame/4
}
