package node

import (
	"context"
	"errors"
	"time"

	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
)

// lacks reports whether a page of the history may hold messages that are not here.
func (f *follower) lacks(opts *protocol.GetRanges) bool {
	if f.rec.Base <= 1 {
		return false
	}
	low := 1
	if opts != nil {
		low = max(low, opts.Since)
		if len(opts.Ranges) > 0 {
			low = opts.Ranges[0].Low
		}
		if opts.Before > 0 && opts.Before <= low {
			return false
		}
	}
	if low >= f.rec.Base {
		return false
	}
	limit := f.n.cfg.Limits.MaxHistory
	if opts != nil && opts.Limit > 0 {
		limit = min(limit, opts.Limit)
	}
	top := f.head.Seq
	if opts != nil && opts.Before > 0 {
		top = min(top, opts.Before-1)
	}
	return top-limit+1 < f.rec.Base || opts != nil && len(opts.Ranges) > 0
}

// fetchThen gets from the home what a page of the history lacks, and then answers. If
// the home cannot be reached, the client gets what is here.
func (f *follower) fetchThen(q *request, in *protocol.GetQuery) {
	high := f.rec.Base
	ask := &s2s.History{Topic: f.t.id, Low: max(1, high-historyBatch), High: high, Limit: historyBatch}
	by := q.at.Add(askTime)
	f.n.start(func() {
		ctx, stop := context.WithDeadline(f.n.ctx, by)
		defer stop()
		var got []s2s.Event
		a, body, err := f.n.cfg.Network.Ask(ctx, f.t.id.Home(), &s2s.Ask{History: ask})
		if body != nil {
			body.Close()
		}
		if err == nil {
			got = a.History
		}
		good := f.checked(ctx, ask, got)
		f.t.push(&fetched{f: f, q: q, in: in, ask: ask, messages: good, err: err}, 0)
	})
}

// checked are the messages of an answer that are what was asked for, and of their
// authors.
func (f *follower) checked(ctx context.Context, ask *s2s.History, events []s2s.Event) []*store.Message {
	var good []*store.Message
	for _, e := range events {
		g := e.Message
		if g == nil || g.Seq < ask.Low || g.Seq >= ask.High || len(g.Content) == 0 {
			continue
		}
		m := &store.Message{Seq: g.Seq, From: e.By, TS: time.UnixMilli(g.TS), Tag: g.Tag, Head: g.Head, Content: g.Content}
		if err := f.verified(ctx, m, e.Sig); err != nil {
			f.n.metrics.forged.Inc()
			continue
		}
		good = append(good, m)
	}
	return good
}

// fetched is a piece of the history that has come from the home.
type fetched struct {
	f        *follower
	q        *request
	in       *protocol.GetQuery
	ask      *s2s.History
	messages []*store.Message
	err      error
}

func (e *fetched) apply(*topic) {
	f := e.f
	if e.err == nil && f.rec != nil && f.rec.Base == e.ask.High {
		rec := *f.rec
		rec.Base = e.ask.Low
		err := f.update(func(tx store.Tx) error {
			for _, m := range e.messages {
				if err := tx.Insert(f.t.id, m); err != nil && !errors.Is(err, store.ErrExists) {
					return err
				}
				if err := f.useNamed(tx, m); err != nil {
					return err
				}
			}
			return tx.PutTopic(&rec)
		})
		if err != nil {
			f.n.log.Error("history from another node not stored", "group", f.t.id, "err", err)
		} else {
			f.rec = &rec
		}
		if err == nil && f.lacks(e.in.Data) && time.Now().Before(e.q.at.Add(askTime)) {
			f.fetchThen(e.q, e.in)
			return
		}
	}
	f.room.get(e.q, e.in)
}
