package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"iter"

	"parley/protocol"
	"parley/store"
)

func encodeMarks(m store.Marks) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(nil, uint64(m.Recv)), uint64(m.Read))
}

// fillMessages packs the pages of messages, which are appended and seldom deleted.
const fillMessages = 0.9

// Append implements store.Messages.
func (x *tx) Append(t protocol.TopicID, m *store.Message) error {
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
		err := x.bucket(bktNames).Put(nameKey(t, m.From, m.Origin, m.Tag), binary.BigEndian.AppendUint64(nil, uint64(m.Seq)))
		if err != nil {
			return err
		}
	}
	b := x.bucket(bktMessages)
	b.FillPercent = fillMessages
	if err := b.Put(numbered(string(t), uint64(m.Seq)), encodeMessage(m)); err != nil {
		return err
	}
	return x.putHead(t, h)
}

func nameKey(t protocol.TopicID, from protocol.UserID, origin int, tag uint32) []byte {
	k := binary.BigEndian.AppendUint64(prefixOf(string(t), string(from)), uint64(origin))
	return binary.BigEndian.AppendUint32(k, tag)
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
	return func(yield func(*store.Message, error) bool) {
		if low >= high {
			return
		}
		for k, v := range x.backwards(bktMessages, numbered(string(t), uint64(max(low, 0))), numbered(string(t), uint64(max(high, 0)))) {
			m, err := decodeMessage(int(number(k)), v)
			if !yield(m, err) || err != nil {
				return
			}
		}
	}
}

// Named implements store.Messages.
func (x *tx) Named(t protocol.TopicID, from protocol.UserID, origin int, tag uint32) (int, error) {
	seq := origin
	if raw := x.bucket(bktNames).Get(nameKey(t, from, origin, tag)); raw != nil {
		seq = int(binary.BigEndian.Uint64(raw))
	}
	m, err := x.Message(t, seq)
	if errors.Is(err, store.ErrNotFound) {
		return 0, nil
	}
	if err != nil || m.From != from || m.Origin != origin || m.Tag != tag {
		return 0, err
	}
	return seq, nil
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
	if err := putRecord(x.bucket(bktDels), numbered(string(t), uint64(d.ID)), d); err != nil {
		return err
	}
	if d.User != "" {
		hidden, err := x.Hidden(t, d.User)
		if err != nil {
			return err
		}
		hidden = hidden.Union(d.Ranges)
		return putRecord(x.bucket(bktHidden), key(string(t), string(d.User)), &hidden)
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
	var seqs []int
	for m, err := range x.History(t, r.Low, r.Hi) {
		if err != nil {
			return err
		}
		seqs = append(seqs, m.Seq)
		if m.Origin != m.Seq {
			if err := x.bucket(bktNames).Delete(nameKey(t, m.From, m.Origin, m.Tag)); err != nil {
				return err
			}
		}
	}
	for _, n := range seqs {
		if err := x.bucket(bktMessages).Delete(numbered(string(t), uint64(n))); err != nil {
			return err
		}
		if err := x.SetLinks(store.RefMessage(t, n), nil); err != nil {
			return err
		}
	}
	return nil
}

// Deletions implements store.Messages.
func (x *tx) Deletions(t protocol.TopicID, u protocol.UserID, low, high int) iter.Seq2[*store.Deletion, error] {
	return func(yield func(*store.Deletion, error) bool) {
		prefix := prefixOf(string(t))
		c := x.bucket(bktDels).Cursor()
		for k, v := c.Seek(numbered(string(t), uint64(max(low, 0)))); k != nil && bytes.HasPrefix(k, prefix) && int(number(k)) < high; k, v = c.Next() {
			d := new(store.Deletion)
			if err := decode(v, d); err != nil {
				yield(nil, err)
				return
			}
			if (d.User == "" || d.User == u) && !yield(d, nil) {
				return
			}
		}
	}
}

// Hidden implements store.Messages.
func (x *tx) Hidden(t protocol.TopicID, u protocol.UserID) (protocol.Ranges, error) {
	rs, err := get[protocol.Ranges](x.bucket(bktHidden), key(string(t), string(u)))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return *rs, nil
}

// AppendEvent implements store.Events.
func (x *tx) AppendEvent(t protocol.TopicID, e *store.Event) error {
	h, err := x.Head(t)
	if err != nil {
		return err
	}
	h.Rev++
	e.Rev = h.Rev
	if err := putRecord(x.bucket(bktEvents), numbered(string(t), e.Rev), e); err != nil {
		return err
	}
	return x.putHead(t, h)
}

// EventsAfter implements store.Events.
func (x *tx) EventsAfter(t protocol.TopicID, rev uint64) iter.Seq2[*store.Event, error] {
	return after[store.Event](x.bucket(bktEvents), prefixOf(string(t)), rev)
}
