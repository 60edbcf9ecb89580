package bolt

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"iter"
	"math"

	"go.etcd.io/bbolt"

	"parley/protocol"
	"parley/store"
)

// after yields the entries whose keys end in a greater number, in ascending order.
func after(b *bbolt.Bucket, prefix []byte, n uint64) iter.Seq2[[]byte, []byte] {
	if n == math.MaxUint64 {
		return func(func(k, v []byte) bool) {}
	}
	return walk(b, prefix, binary.BigEndian.AppendUint64(bytes.Clone(prefix), n+1))
}

// Queue implements store.Outbox.
func (x *tx) Queue(to protocol.Node, l store.Lane) (store.Queue, error) {
	q, err := orNil(record[store.Queue](x, bktQueues, laneKey(to, l)))
	if q == nil {
		return store.Queue{}, err
	}
	return *q, nil
}

func (x *tx) putQueue(to protocol.Node, l store.Lane, q store.Queue) error {
	return x.putRecord(bktQueues, laneKey(to, l), &q)
}

// Enqueue implements store.Outbox.
func (x *tx) Enqueue(to protocol.Node, l store.Lane, p *store.Post) error {
	q, err := x.Queue(to, l)
	if err != nil {
		return err
	}
	k := postKeyKey(to, l, p.Key)
	if p.Key != "" {
		if raw := x.bucket(bktPostKeys).Get(k); raw != nil && number(raw) > q.Offered {
			p.N = number(raw)
			old, err := record[store.Post](x, bktPosts, postKey(to, l, p.N))
			if err != nil {
				return err
			}
			return x.replace(to, l, p, old)
		}
	}
	if err := x.grow(); err != nil {
		return err
	}
	q.Last++
	p.N = q.Last
	if p.Key != "" {
		if err := x.put(bktPostKeys, k, bigEndian(p.N)); err != nil {
			return err
		}
	}
	if err := x.putRecord(bktPosts, postKey(to, l, p.N), p); err != nil {
		return err
	}
	q.Bytes += uint64(len(p.Body))
	return x.putQueue(to, l, q)
}

// Posts implements store.Outbox.
func (x *tx) Posts(to protocol.Node, l store.Lane, n uint64) iter.Seq2[*store.Post, error] {
	return records(after(x.bucket(bktPosts), inLane(to, l), n), decodeNew[store.Post])
}

// Offer implements store.Outbox.
func (x *tx) Offer(to protocol.Node, l store.Lane, upto uint64) error {
	q, err := x.Queue(to, l)
	if err != nil || upto <= q.Offered {
		return err
	}
	if upto > q.Last {
		return fmt.Errorf("store: offering post %d to %s, the last is %d", upto, to, q.Last)
	}
	q.Offered = upto
	return x.putQueue(to, l, q)
}

// Void implements store.Outbox.
func (x *tx) Void(to protocol.Node, l store.Lane, n uint64) error {
	k := postKey(to, l, n)
	p, err := record[store.Post](x, bktPosts, k)
	if err != nil {
		return err
	}
	if err := x.dropKey(to, l, p); err != nil {
		return err
	}
	return x.replace(to, l, &store.Post{N: n, At: p.At}, p)
}

// replace puts p in the place of another body of the same number.
func (x *tx) replace(to protocol.Node, l store.Lane, p, old *store.Post) error {
	q, err := x.Queue(to, l)
	if err != nil {
		return err
	}
	q.Bytes = less(q.Bytes, old.Body) + uint64(len(p.Body))
	if err := x.putRecord(bktPosts, postKey(to, l, p.N), p); err != nil {
		return err
	}
	return x.putQueue(to, l, q)
}

// dropKey forgets the key of a post, if it is still that post's.
func (x *tx) dropKey(to protocol.Node, l store.Lane, p *store.Post) error {
	if p.Key == "" {
		return nil
	}
	k := postKeyKey(to, l, p.Key)
	if raw := x.bucket(bktPostKeys).Get(k); raw == nil || number(raw) != p.N {
		return nil
	}
	return x.del(bktPostKeys, k)
}

// Settle implements store.Outbox.
func (x *tx) Settle(to protocol.Node, l store.Lane, upto uint64) error {
	q, err := x.Queue(to, l)
	if err != nil || upto <= q.Settled {
		return err
	}
	if upto > q.Last {
		return fmt.Errorf("store: settling post %d to %s, the last is %d", upto, to, q.Last)
	}
	for p, err := range x.Posts(to, l, q.Settled) {
		if err != nil {
			return err
		}
		if p.N > upto {
			break
		}
		if err := x.dropKey(to, l, p); err != nil {
			return err
		}
		if err := x.del(bktPosts, postKey(to, l, p.N)); err != nil {
			return err
		}
		q.Bytes = less(q.Bytes, p.Body)
	}
	q.Settled, q.Offered = upto, max(q.Offered, upto)
	return x.putQueue(to, l, q)
}

// Waiting implements store.Outbox.
func (x *tx) Waiting() iter.Seq2[protocol.Node, error] {
	return func(yield func(protocol.Node, error) bool) {
		last := protocol.Node("")
		for k, v := range all(x.bucket(bktQueues), nil) {
			q, err := decodeNew[store.Queue](k, v)
			if err != nil {
				yield("", err)
				return
			}
			n, _ := laneOf(k)
			if q.Settled == q.Last || n == last {
				continue
			}
			last = n
			if !yield(n, nil) {
				return
			}
		}
	}
}

// Cursor implements store.Inbox.
func (x *tx) Cursor(from protocol.Node, l store.Lane) (uint64, error) {
	raw := x.bucket(bktCursors).Get(laneKey(from, l))
	if raw == nil {
		return 0, nil
	}
	if len(raw) != 8 {
		return 0, errBroken
	}
	return number(raw), nil
}

// Advance implements store.Inbox.
func (x *tx) Advance(from protocol.Node, l store.Lane, v store.Verdict) error {
	c, err := x.Cursor(from, l)
	if err != nil {
		return err
	}
	if v.N != c+1 {
		return fmt.Errorf("store: post %d of %s does not follow %d", v.N, from, c)
	}
	if len(v.Body) > 0 {
		if err := x.putRecord(bktVerdicts, postKey(from, l, v.N), &v); err != nil {
			return err
		}
	}
	return x.put(bktCursors, laneKey(from, l), bigEndian(v.N))
}

// Verdicts implements store.Inbox.
func (x *tx) Verdicts(from protocol.Node, l store.Lane, n uint64) iter.Seq2[*store.Verdict, error] {
	return records(after(x.bucket(bktVerdicts), inLane(from, l), n), decodeNew[store.Verdict])
}

// Forget implements store.Inbox.
func (x *tx) Forget(from protocol.Node, l store.Lane, upto uint64) error {
	for v, err := range x.Verdicts(from, l, 0) {
		if err != nil {
			return err
		}
		if v.N > upto {
			break
		}
		if err := x.del(bktVerdicts, postKey(from, l, v.N)); err != nil {
			return err
		}
	}
	return nil
}
