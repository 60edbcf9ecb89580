package bolt

import (
	"encoding/binary"

	"parley/protocol"
	"parley/store"
)

// less is a sum of sizes without that of a body. Files of earlier releases have no sums.
func less(sum uint64, body []byte) uint64 { return sum - min(sum, uint64(len(body))) }

// Unoffer implements store.Lanes.
func (x *tx) Unoffer(to protocol.Node, l store.Lane, downto uint64) error {
	q, err := x.Queue(to, l)
	if err != nil || q.Offered <= max(downto, q.Settled) {
		return err
	}
	q.Offered = max(downto, q.Settled)
	return x.putQueue(to, l, q)
}

// Amend implements store.Lanes.
func (x *tx) Amend(to protocol.Node, l store.Lane, n uint64, body []byte) error {
	k := numbered(lane(to, l), n)
	p, err := get[store.Post](x.bucket(bktPosts), k)
	if err != nil {
		return err
	}
	q, err := x.Queue(to, l)
	if err != nil {
		return err
	}
	q.Bytes = less(q.Bytes, p.Body) + uint64(len(body))
	p.Body = body
	if err := putRecord(x.bucket(bktPosts), k, p); err != nil {
		return err
	}
	return x.putQueue(to, l, q)
}

// Compact implements store.Lanes.
func (x *tx) Compact(to protocol.Node, l store.Lane) error {
	q, err := x.Queue(to, l)
	if err != nil {
		return err
	}
	return x.move(to, l, q, q.Offered, q.Offered)
}

// Renumber implements store.Lanes.
func (x *tx) Renumber(to protocol.Node, l store.Lane, base uint64) error {
	q, err := x.Queue(to, l)
	if err != nil {
		return err
	}
	after, offered := q.Settled, base
	for p, err := range x.Posts(to, l, after) {
		if err != nil {
			return err
		}
		if p.N <= q.Offered && len(p.Body) > 0 {
			offered++
		}
	}
	q.Settled, q.Offered = base, offered
	return x.move(to, l, q, after, base)
}

// move gives the posts after a number new ones, from base + 1 on, without the voids, and
// keeps q with its end set accordingly.
func (x *tx) move(to protocol.Node, l store.Lane, q store.Queue, after, base uint64) error {
	var all []*store.Post
	for p, err := range x.Posts(to, l, after) {
		if err != nil {
			return err
		}
		all = append(all, p)
	}
	for _, p := range all {
		if err := x.bucket(bktPosts).Delete(numbered(lane(to, l), p.N)); err != nil {
			return err
		}
	}
	for _, p := range all {
		if len(p.Body) == 0 {
			continue
		}
		base++
		if err := x.rename(to, l, p, base); err != nil {
			return err
		}
	}
	q.Last = base
	return x.putQueue(to, l, q)
}

// rename puts a post under another number, and its key with it if that is still its own.
func (x *tx) rename(to protocol.Node, l store.Lane, p *store.Post, n uint64) error {
	k := key(lane(to, l), p.Key)
	raw := x.bucket(bktPostKeys).Get(k)
	if p.Key != "" && raw != nil && binary.BigEndian.Uint64(raw) == p.N {
		if err := x.bucket(bktPostKeys).Put(k, binary.BigEndian.AppendUint64(nil, n)); err != nil {
			return err
		}
	}
	p.N = n
	return putRecord(x.bucket(bktPosts), numbered(lane(to, l), n), p)
}

// Restart implements store.Lanes.
func (x *tx) Restart(from protocol.Node, l store.Lane, cursor uint64) error {
	if err := x.Forget(from, l, ^uint64(0)); err != nil {
		return err
	}
	return x.bucket(bktCursors).Put(key(lane(from, l)), binary.BigEndian.AppendUint64(nil, cursor))
}
