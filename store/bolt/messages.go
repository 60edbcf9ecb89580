package bolt

import (
	"bytes"
	"errors"
	"iter"
	"math"

	"parley/protocol"
	"parley/store"
)

// Append implements store.Messages.
func (x *tx) Append(t protocol.TopicID, m *store.Message) error {
	if err := x.grow(); err != nil {
		return err
	}
	h, err := x.Head(t)
	if err != nil {
		return err
	}
	h.Seq++
	h.Touched = m.TS
	m.Seq = h.Seq
	if m.Origin == 0 {
		m.Origin = m.Seq
	}
	if m.Origin != m.Seq {
		if err := x.put(bktNames, nameKey(t, m.From, m.Origin, m.Tag), bigEndian(uint64(m.Seq))); err != nil {
			return err
		}
	}
	if err := x.putLast(bktMessages, numbered(string(t), uint64(m.Seq)), encodeMessage(m)); err != nil {
		return err
	}
	return x.putHead(t, h)
}

// Message implements store.Messages.
func (x *tx) Message(t protocol.TopicID, seq int) (*store.Message, error) {
	raw := x.bucket(bktMessages).Get(numbered(string(t), uint64(seq)))
	if raw == nil {
		return nil, store.ErrNotFound
	}
	return decodeMessage(seq, raw)
}

// History implements store.Messages.
func (x *tx) History(t protocol.TopicID, low, high int) iter.Seq2[*store.Message, error] {
	from, to := numbered(string(t), uint64(max(low, 0))), numbered(string(t), uint64(max(high, 0)))
	return records(walkBack(x.bucket(bktMessages), from, to), func(k, v []byte) (*store.Message, error) {
		return decodeMessage(int(number(k)), v)
	})
}

// Named implements store.Messages.
func (x *tx) Named(t protocol.TopicID, from protocol.UserID, origin int, tag uint32) (int, error) {
	if raw := x.bucket(bktNames).Get(nameKey(t, from, origin, tag)); raw != nil {
		return int(number(raw)), nil
	}
	m, err := x.Message(t, origin)
	if errors.Is(err, store.ErrNotFound) {
		return 0, nil
	}
	if err != nil || m.From != from || m.Origin != origin || m.Tag != tag {
		return 0, err
	}
	return m.Seq, nil
}

// Delete implements store.Messages.
func (x *tx) Delete(t protocol.TopicID, d *store.Deletion) error {
	h, err := x.Head(t)
	if err != nil {
		return err
	}
	h.Del++
	d.ID = h.Del
	if err := x.putHead(t, h); err != nil {
		return err
	}
	if err := x.putRecord(bktDels, numbered(string(t), uint64(d.ID)), d); err != nil {
		return err
	}
	if d.User != "" {
		return x.hide(t, d.User, d.Ranges)
	}
	for _, r := range d.Ranges {
		if err := x.erase(t, r); err != nil {
			return err
		}
	}
	return nil
}

// erase removes the messages of a range for good.
func (x *tx) erase(t protocol.TopicID, r protocol.Range) error {
	for m, err := range x.History(t, r.Low, r.Hi) {
		if err != nil {
			return err
		}
		if m.Origin != m.Seq {
			if err := x.del(bktNames, nameKey(t, m.From, m.Origin, m.Tag)); err != nil {
				return err
			}
		}
		if err := x.del(bktMessages, numbered(string(t), uint64(m.Seq))); err != nil {
			return err
		}
		if err := x.SetLinks(store.RefMessage(t, m.Seq), nil); err != nil {
			return err
		}
	}
	return nil
}

// Deletions implements store.Messages.
func (x *tx) Deletions(t protocol.TopicID, u protocol.UserID, low, high int) iter.Seq2[*store.Deletion, error] {
	return func(yield func(*store.Deletion, error) bool) {
		for d, err := range x.deletions(t, low, high) {
			if err == nil && d.User != "" && d.User != u {
				continue
			}
			if !yield(d, err) {
				return
			}
		}
	}
}

// deletions yields what concerns anybody.
func (x *tx) deletions(t protocol.TopicID, low, high int) iter.Seq2[*store.Deletion, error] {
	from, to := numbered(string(t), uint64(max(low, 0))), numbered(string(t), uint64(max(high, 0)))
	return records(until(walk(x.bucket(bktDels), from[:len(from)-8], from), to), decodeNew[store.Deletion])
}

// until ends a list before a key.
func until(list iter.Seq2[[]byte, []byte], end []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		for k, v := range list {
			if bytes.Compare(k, end) >= 0 || !yield(k, v) {
				return
			}
		}
	}
}

// Hidden implements store.Messages.
func (x *tx) Hidden(t protocol.TopicID, u protocol.UserID) (protocol.Ranges, error) {
	rs, err := orNil(record[protocol.Ranges](x, bktHidden, key(string(t), string(u))))
	if rs == nil {
		return nil, err
	}
	return *rs, nil
}

func (x *tx) hide(t protocol.TopicID, u protocol.UserID, rs protocol.Ranges) error {
	hidden, err := x.Hidden(t, u)
	if err != nil {
		return err
	}
	hidden = hidden.Union(rs)
	return x.putRecord(bktHidden, key(string(t), string(u)), &hidden)
}

// unhide forgets what a user has deleted for herself.
func (x *tx) unhide(t protocol.TopicID, u protocol.UserID) error {
	k := key(string(t), string(u))
	if x.bucket(bktHidden).Get(k) == nil {
		return nil
	}
	for d, err := range x.deletions(t, 0, math.MaxInt) {
		if err != nil {
			return err
		}
		if d.User != u {
			continue
		}
		if err := x.del(bktDels, numbered(string(t), uint64(d.ID))); err != nil {
			return err
		}
	}
	return x.del(bktHidden, k)
}

// AppendEvent implements store.Events.
func (x *tx) AppendEvent(t protocol.TopicID, e *store.Event) error {
	h, err := x.Head(t)
	if err != nil {
		return err
	}
	h.Rev++
	e.Rev = h.Rev
	if err := x.putRecord(bktEvents, numbered(string(t), e.Rev), e); err != nil {
		return err
	}
	return x.putHead(t, h)
}

// EventsAfter implements store.Events.
func (x *tx) EventsAfter(t protocol.TopicID, rev uint64) iter.Seq2[*store.Event, error] {
	return records(after(x.bucket(bktEvents), prefixOf(string(t)), rev), decodeNew[store.Event])
}
