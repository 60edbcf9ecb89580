package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math"
	"strings"

	"go.etcd.io/bbolt"

	"parley/protocol"
	"parley/store"
)

// lane is what the keys of one lane to or from a peer begin with.
func lane(n protocol.Node, l store.Lane) string { return string(n) + "\x00" + string(rune('0'+l)) }

// after yields the records with a greater number, oldest first.
func after[T any](b *bbolt.Bucket, prefix []byte, n uint64) iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		if n == math.MaxUint64 {
			return
		}
		c := b.Cursor()
		seek := binary.BigEndian.AppendUint64(bytes.Clone(prefix), n+1)
		for k, v := c.Seek(seek); k != nil && bytes.HasPrefix(k, prefix); k, v = c.Next() {
			r := new(T)
			err := decode(v, r)
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}

// Queue implements store.Outbox.
func (x *tx) Queue(to protocol.Node, l store.Lane) (store.Queue, error) {
	q, err := get[store.Queue](x.bucket(bktQueues), key(lane(to, l)))
	if errors.Is(err, store.ErrNotFound) {
		return store.Queue{}, nil
	}
	if err != nil {
		return store.Queue{}, err
	}
	return *q, nil
}

func (x *tx) putQueue(to protocol.Node, l store.Lane, q store.Queue) error {
	return putRecord(x.bucket(bktQueues), key(lane(to, l)), &q)
}

// Enqueue implements store.Outbox.
func (x *tx) Enqueue(to protocol.Node, l store.Lane, p *store.Post) error {
	q, err := x.Queue(to, l)
	if err != nil {
		return err
	}
	p.N = q.Last + 1
	if p.Key != "" {
		k := key(lane(to, l), p.Key)
		if raw := x.bucket(bktPostKeys).Get(k); raw != nil && binary.BigEndian.Uint64(raw) > q.Offered {
			p.N = binary.BigEndian.Uint64(raw)
			old, err := get[store.Post](x.bucket(bktPosts), numbered(lane(to, l), p.N))
			if err != nil {
				return err
			}
			q.Bytes = less(q.Bytes, old.Body)
		}
		if err := x.bucket(bktPostKeys).Put(k, binary.BigEndian.AppendUint64(nil, p.N)); err != nil {
			return err
		}
	}
	if err := putRecord(x.bucket(bktPosts), numbered(lane(to, l), p.N), p); err != nil {
		return err
	}
	q.Last = max(q.Last, p.N)
	q.Bytes += uint64(len(p.Body))
	return x.putQueue(to, l, q)
}

// Posts implements store.Outbox.
func (x *tx) Posts(to protocol.Node, l store.Lane, n uint64) iter.Seq2[*store.Post, error] {
	return after[store.Post](x.bucket(bktPosts), prefixOf(lane(to, l)), n)
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
	k := numbered(lane(to, l), n)
	p, err := get[store.Post](x.bucket(bktPosts), k)
	if err != nil {
		return err
	}
	if err := x.dropKey(to, l, p); err != nil {
		return err
	}
	q, err := x.Queue(to, l)
	if err != nil {
		return err
	}
	q.Bytes = less(q.Bytes, p.Body)
	if err := x.putQueue(to, l, q); err != nil {
		return err
	}
	p.Key, p.Body = "", nil
	return putRecord(x.bucket(bktPosts), k, p)
}

// dropKey forgets the key of a post, if it is still that post's.
func (x *tx) dropKey(to protocol.Node, l store.Lane, p *store.Post) error {
	if p.Key == "" {
		return nil
	}
	k := key(lane(to, l), p.Key)
	if raw := x.bucket(bktPostKeys).Get(k); raw == nil || binary.BigEndian.Uint64(raw) != p.N {
		return nil
	}
	return x.bucket(bktPostKeys).Delete(k)
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
	var settled []*store.Post
	for p, err := range x.Posts(to, l, q.Settled) {
		if err != nil {
			return err
		}
		if p.N > upto {
			break
		}
		settled = append(settled, p)
	}
	for _, p := range settled {
		if err := x.dropKey(to, l, p); err != nil {
			return err
		}
		if err := x.bucket(bktPosts).Delete(numbered(lane(to, l), p.N)); err != nil {
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
		last := ""
		for k, v := range scanAll(x.bucket(bktQueues)) {
			var q store.Queue
			if err := decode(v, &q); err != nil {
				yield("", err)
				return
			}
			n, _, _ := strings.Cut(string(k), "\x00")
			if q.Settled == q.Last || n == last {
				continue
			}
			last = n
			if !yield(protocol.Node(n), nil) {
				return
			}
		}
	}
}

func scanAll(b *bbolt.Bucket) iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) { scan(b, nil, yield) }
}

// Cursor implements store.Inbox.
func (x *tx) Cursor(from protocol.Node, l store.Lane) (uint64, error) {
	raw := x.bucket(bktCursors).Get(key(lane(from, l)))
	if raw == nil {
		return 0, nil
	}
	return binary.BigEndian.Uint64(raw), nil
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
		if err := putRecord(x.bucket(bktVerdicts), numbered(lane(from, l), v.N), &v); err != nil {
			return err
		}
	}
	return x.bucket(bktCursors).Put(key(lane(from, l)), binary.BigEndian.AppendUint64(nil, v.N))
}

// Verdicts implements store.Inbox.
func (x *tx) Verdicts(from protocol.Node, l store.Lane, n uint64) iter.Seq2[*store.Verdict, error] {
	return after[store.Verdict](x.bucket(bktVerdicts), prefixOf(lane(from, l)), n)
}

// Forget implements store.Inbox.
func (x *tx) Forget(from protocol.Node, l store.Lane, upto uint64) error {
	var ns []uint64
	for v, err := range x.Verdicts(from, l, 0) {
		if err != nil {
			return err
		}
		if v.N > upto {
			break
		}
		ns = append(ns, v.N)
	}
	for _, n := range ns {
		if err := x.bucket(bktVerdicts).Delete(numbered(lane(from, l), n)); err != nil {
			return err
		}
	}
	return nil
}
