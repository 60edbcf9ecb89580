package bolt

import (
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
	old, err := record[store.Post](x, bktPosts, postKey(to, l, n))
	if err != nil {
		return err
	}
	p := *old
	p.Body = body
	return x.replace(to, l, &p, old)
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
	posts, err := collect(x.Posts(to, l, after))
	if err != nil {
		return err
	}
	for _, p := range posts {
		if err := x.del(bktPosts, postKey(to, l, p.N)); err != nil {
			return err
		}
	}
	for _, p := range posts {
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
	k := postKeyKey(to, l, p.Key)
	raw := x.bucket(bktPostKeys).Get(k)
	if p.Key != "" && raw != nil && number(raw) == p.N {
		if err := x.put(bktPostKeys, k, bigEndian(n)); err != nil {
			return err
		}
	}
	p.N = n
	return x.putRecord(bktPosts, postKey(to, l, n), p)
}

// Restart implements store.Lanes.
func (x *tx) Restart(from protocol.Node, l store.Lane, cursor uint64) error {
	if err := x.Forget(from, l, ^uint64(0)); err != nil {
		return err
	}
	return x.put(bktCursors, laneKey(from, l), bigEndian(cursor))
}
