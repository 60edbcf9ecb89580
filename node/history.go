package node

import (
	"slices"
	"time"

	"parley/protocol"
	"parley/store"
)

// getData answers {get data}: messages newest first, then how many there were. A page
// of large messages is shorter than asked for.
func (r *room) getData(q *request, a *attachment, opts *protocol.GetRanges) {
	if !a.m.mode().Has(protocol.Read) {
		q.refuse(protocol.Denied)
		return
	}
	if opts == nil {
		opts = &protocol.GetRanges{}
	}
	limit := r.n.cfg.Limits.MaxHistory
	if opts.Limit > 0 {
		limit = min(limit, opts.Limit)
	}
	spans, err := r.spans(opts)
	if err != nil {
		q.refuse(protocol.Malformed)
		return
	}
	var page [][]byte
	err = r.n.store.View(func(tx store.Tx) error {
		page = page[:0]
		size := 0
		hidden, err := tx.Hidden(r.t.id, a.m.sub.User)
		if err != nil {
			return err
		}
		for _, span := range slices.Backward(spans.Minus(hidden)) {
			for m, err := range tx.History(r.t.id, span.Low, span.Hi) {
				if err != nil {
					return err
				}
				p := dataOf(q.name, m, a.reader).Encode()
				if size += len(p); size > r.n.answerSize() && len(page) > 0 {
					return nil
				}
				if page = append(page, p); len(page) == limit {
					return nil
				}
			}
		}
		return nil
	})
	switch {
	case err != nil:
		q.refuse(err)
	case len(page) == 0:
		q.empty("data")
	default:
		for _, p := range page {
			q.s.queue(p)
		}
		q.ok(208, map[string]any{"what": "data", "count": len(page)})
	}
}

// spans are the numbers of the messages that a client asks for.
func (r *room) spans(opts *protocol.GetRanges) (protocol.Ranges, error) {
	end := r.head.Seq + 1
	if len(opts.Ranges) > 0 {
		rs, err := protocol.NewRanges(opts.Ranges)
		return rs.Clip(1, end), err
	}
	low, high := max(opts.Since, 1), end
	if opts.Before > 0 {
		high = min(opts.Before, end)
	}
	if low >= high {
		return nil, nil
	}
	return protocol.Ranges{{Low: low, Hi: high}}, nil
}

const (
	// maxDeletions bounds how many entries of the deletion log one answer covers.
	maxDeletions = 1024
	// maxDelRanges ends an answer that has so many ranges: the rest is asked for from
	// where it ends.
	maxDelRanges = 16 * maxDeletions
)

// getDel answers {get del}: the ranges of the deletions that concern the user.
func (r *room) getDel(q *request, a *attachment, opts *protocol.GetRanges) {
	if !a.m.mode().Has(protocol.Read) {
		q.refuse(protocol.Denied)
		return
	}
	if opts == nil {
		opts = &protocol.GetRanges{}
	}
	high, limit := r.head.Del+1, maxDeletions
	if opts.Before > 0 {
		high = min(opts.Before, high)
	}
	if opts.Limit > 0 {
		limit = min(limit, opts.Limit)
	}
	var ranges protocol.Ranges
	clear := 0
	err := r.n.store.View(func(tx store.Tx) error {
		ranges, clear = nil, 0
		n := 0
		for d, err := range tx.Deletions(r.t.id, a.m.sub.User, max(opts.Since, 1), high) {
			if err != nil {
				return err
			}
			ranges, clear = append(ranges, d.Ranges...), d.ID
			if n++; n == limit || len(ranges) >= maxDelRanges {
				break
			}
		}
		return nil
	})
	switch {
	case err != nil:
		q.refuse(err)
	case len(ranges) == 0:
		q.empty("del")
	default:
		q.meta(&protocol.Meta{Del: &protocol.DelDesc{Clear: clear, DelSeq: ranges.Union(nil).Wire()}})
	}
}

// delMessages answers {del msg}. Without the right to delete for all it deletes for
// the requester.
func (r *room) delMessages(q *request, in *protocol.Del) {
	a := r.at(q)
	if a == nil {
		q.refuse(protocol.NotAttached)
		return
	}
	ranges, err := protocol.NewRanges(in.DelSeq)
	ranges = ranges.Clip(1, r.head.Seq+1)
	switch {
	case err != nil || len(ranges) == 0 || len(ranges) > maxDeletions:
		q.refuse(protocol.Malformed)
		return
	case !a.m.mode().Has(protocol.Read):
		q.refuse(protocol.Denied)
		return
	}
	d := &store.Deletion{TS: q.at, Ranges: ranges}
	if !in.Hard || !a.m.mode().Has(protocol.Delete) {
		d.User = q.who.User
	} else if err := r.tooOld(ranges, q.at); err != nil {
		q.refuse(err)
		return
	}
	if err := r.delete(q, a.m, d); err != nil {
		q.refuse(err)
		return
	}
	q.ok(200, map[string]any{"del": d.ID})
	r.announceDel(q, d)
}

// tooOld refuses to delete for all what is older than the node's limit.
func (r *room) tooOld(ranges protocol.Ranges, now time.Time) error {
	age := r.n.cfg.Limits.MsgDeleteAge
	if age == 0 {
		return nil
	}
	return r.n.store.View(func(tx store.Tx) error {
		for m, err := range tx.History(r.t.id, ranges[0].Low, ranges[0].Hi) {
			if err != nil {
				return err
			}
			if m.TS.Before(now.Add(-age)) {
				return protocol.Denied
			}
		}
		return nil
	})
}

func (r *room) delete(q *request, m *member, d *store.Deletion) error {
	sub := m.sub
	err := r.update(func(tx store.Tx) error {
		d.ID = 0
		if d.User == "" && !r.n.remote(q.who.User) {
			if err := r.tellDelete(tx, d.Ranges, d.TS); err != nil {
				return err
			}
		}
		if err := tx.Delete(r.t.id, d); err != nil {
			return err
		}
		if d.User == "" {
			e := deleteEvent{ID: d.ID, Ranges: d.Ranges}
			if r.remote != nil {
				e.Sig, e.At = r.remote.Sig, r.remote.At
			}
			return r.log(tx, q, eventDelete, e)
		}
		sub.DelID = d.ID
		return tx.PutSub(&sub)
	})
	if err != nil {
		return err
	}
	r.head.Del = d.ID
	if d.User == "" {
		r.hardDel = d.ID
	} else {
		m.sub = sub
	}
	return nil
}

// announceDel tells of a deletion: all members, or the other sessions of the one
// for whom it holds.
func (r *room) announceDel(q *request, d *store.Deletion) {
	concerns := func(m *member) bool {
		if d.User != "" {
			return m.sub.User == d.User
		}
		return m.mode().Has(protocol.Read)
	}
	in := protocol.Pres{What: "del", Src: string(q.who.User), Clear: d.ID, DelSeq: d.Ranges.Wire()}
	r.fan(func(a *attachment) bool { return concerns(a.m) }, q.s, func(name string, reader bool) *protocol.Response {
		p := in
		p.Topic = name
		if reader {
			p.Src = name
		}
		return &protocol.Response{Pres: &p}
	})
	for u, m := range r.members {
		if m.live() && !m.away() && concerns(m) {
			r.presMe(u, protocol.Pres{What: "del", Clear: d.ID})
		}
	}
}

// cleared is the last deletion that concerns m.
func (r *room) cleared(m *member) int { return max(r.hardDel, m.sub.DelID) }
