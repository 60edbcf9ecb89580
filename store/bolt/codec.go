package bolt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"
	"parley/protocol"
	"parley/store"
)

// Records are CBOR maps keyed by field names, so that fields can be added; the
// records of every message have a layout of their own.

var encoding = mustEnc()

func mustEnc() cbor.EncMode {
	m, err := cbor.EncOptions{Sort: cbor.SortNone, Time: cbor.TimeRFC3339NanoUTC, OmitEmpty: cbor.OmitEmptyGoValue}.EncMode()
	if err != nil {
		panic(err)
	}
	return m
}

func decode(raw []byte, v any) error {
	if err := cbor.Unmarshal(raw, v); err != nil {
		return fmt.Errorf("%w: %w", errBroken, err)
	}
	return nil
}

var errBroken = errors.New("store: broken record")

// A message is version, time, origin, tag, and the lengths and bytes of from, head
// and content; the seq is in the key.
const messageVersion = 1

func encodeMessage(m *store.Message) []byte {
	b := make([]byte, 0, 32+len(m.From)+len(m.Head)+len(m.Content))
	b = append(b, messageVersion)
	b = binary.AppendVarint(b, m.TS.UnixMilli())
	b = binary.AppendUvarint(b, uint64(m.Origin))
	b = binary.BigEndian.AppendUint32(b, m.Tag)
	b = appendBytes(b, []byte(m.From))
	b = appendBytes(b, m.Head)
	return append(b, m.Content...)
}

func appendBytes(b, v []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(v))), v...)
}

// decodeMessage copies all out of raw, in one piece of memory.
func decodeMessage(seq int, raw []byte) (*store.Message, error) {
	r := reader{b: append([]byte(nil), raw...)}
	if v := r.byte(); v != messageVersion {
		return nil, errBroken
	}
	m := &store.Message{Seq: seq}
	m.TS = time.UnixMilli(r.varint()).UTC()
	m.Origin = int(r.uvarint())
	m.Tag = r.uint32()
	m.From = protocol.UserID(r.bytes())
	m.Head = r.bytes()
	if len(r.b) > 0 {
		m.Content = r.b
	}
	if r.bad {
		return nil, errBroken
	}
	return m, nil
}

// reader takes a record apart; bad is set when it ends too soon.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) fail() { r.b, r.bad = nil, true }

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail()
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) uint32() uint32 {
	if len(r.b) < 4 {
		r.fail()
		return 0
	}
	v := binary.BigEndian.Uint32(r.b)
	r.b = r.b[4:]
	return v
}

func (r *reader) bytes() []byte {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	if n == 0 {
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

func encodeHead(h store.Head) []byte {
	b := binary.AppendUvarint(nil, uint64(h.Seq))
	b = binary.AppendUvarint(b, uint64(h.Del))
	b = binary.AppendUvarint(b, h.Rev)
	b = binary.AppendUvarint(b, uint64(h.Subs))
	if h.Touched.IsZero() {
		return b
	}
	return binary.AppendVarint(b, h.Touched.UnixMilli())
}

func decodeHead(raw []byte) (store.Head, error) {
	r := reader{b: raw}
	h := store.Head{Seq: int(r.uvarint()), Del: int(r.uvarint()), Rev: r.uvarint(), Subs: int(r.uvarint())}
	if len(r.b) > 0 {
		h.Touched = time.UnixMilli(r.varint()).UTC()
	}
	if r.bad {
		return h, errBroken
	}
	return h, nil
}

func encodeMarks(m store.Marks) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(nil, uint64(m.Recv)), uint64(m.Read))
}

func decodeMarks(raw []byte) (store.Marks, error) {
	r := reader{b: raw}
	m := store.Marks{Recv: int(r.uvarint()), Read: int(r.uvarint())}
	if r.bad {
		return m, errBroken
	}
	return m, nil
}

// clone copies out of the file.
func clone(b []byte) []byte { return append([]byte(nil), b...) }
