package bolt

import (
	"bytes"
	"fmt"
	"iter"

	"parley/protocol"
	"parley/store"
)

// Peer implements store.Peers.
func (x *tx) Peer(n protocol.Node) (*store.Peer, error) {
	return record[store.Peer](x, bktPeers, key(string(n)))
}

// PutPeer implements store.Peers.
func (x *tx) PutPeer(p *store.Peer) error {
	return x.putRecord(bktPeers, key(string(p.Name)), p)
}

// DeletePeer implements store.Peers.
func (x *tx) DeletePeer(n protocol.Node) error { return x.del(bktPeers, key(string(n))) }

// AllPeers implements store.Peers.
func (x *tx) AllPeers() iter.Seq2[*store.Peer, error] {
	return records(all(x.bucket(bktPeers), nil), decodeNew[store.Peer])
}

// Follower implements store.Followers.
func (x *tx) Follower(t protocol.TopicID, n protocol.Node) (*store.Follower, error) {
	return record[store.Follower](x, bktFollowers, key(string(t), string(n)))
}

// PutFollower implements store.Followers.
func (x *tx) PutFollower(f *store.Follower) error {
	if err := x.put(bktFollowedBy, key(string(f.Node), string(f.Topic)), nothing); err != nil {
		return err
	}
	return x.putRecord(bktFollowers, key(string(f.Topic), string(f.Node)), f)
}

// DeleteFollower implements store.Followers.
func (x *tx) DeleteFollower(t protocol.TopicID, n protocol.Node) error {
	if err := x.del(bktFollowedBy, key(string(n), string(t))); err != nil {
		return err
	}
	return x.del(bktFollowers, key(string(t), string(n)))
}

// FollowersOf implements store.Followers.
func (x *tx) FollowersOf(t protocol.TopicID) iter.Seq2[*store.Follower, error] {
	return records(all(x.bucket(bktFollowers), prefixOf(string(t))), decodeNew[store.Follower])
}

// FollowedBy implements store.Followers.
func (x *tx) FollowedBy(n protocol.Node) iter.Seq2[*store.Follower, error] {
	prefix := prefixOf(string(n))
	return records(all(x.bucket(bktFollowedBy), prefix), func(k, _ []byte) (*store.Follower, error) {
		return x.Follower(protocol.TopicID(k[len(prefix):]), n)
	})
}

// Value implements store.Values.
func (x *tx) Value(name string) ([]byte, error) {
	v := x.bucket(bktValues).Get(key(name))
	if v == nil {
		return nil, store.ErrNotFound
	}
	return bytes.Clone(v), nil
}

// PutValue implements store.Values.
func (x *tx) PutValue(name string, v []byte) error {
	return x.put(bktValues, key(name), bytes.Clone(v))
}

// DeleteValue implements store.Values.
func (x *tx) DeleteValue(name string) error { return x.del(bktValues, key(name)) }

// Values implements store.Values.
func (x *tx) Values(prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for rest, err := range suffixes(x.bucket(bktValues), key(prefix)) {
			if !yield(prefix+rest, err) {
				return
			}
		}
	}
}

// Raise implements store.Replicas.
func (x *tx) Raise(t protocol.TopicID, seq int, rev uint64) error {
	h, err := x.Head(t)
	if err != nil {
		return err
	}
	h.Seq, h.Rev = max(h.Seq, seq), max(h.Rev, rev)
	return x.putHead(t, h)
}

// Insert implements store.Replicas.
func (x *tx) Insert(t protocol.TopicID, m *store.Message) error {
	h, err := x.Head(t)
	if err != nil {
		return err
	}
	if m.Seq < 1 || m.Seq > h.Seq {
		return fmt.Errorf("store: message %d of a topic that goes to %d", m.Seq, h.Seq)
	}
	if err := x.grow(); err != nil {
		return err
	}
	k := numbered(string(t), uint64(m.Seq))
	if x.bucket(bktMessages).Get(k) != nil {
		return store.ErrExists
	}
	m.Origin = m.Seq
	return x.putLast(bktMessages, k, encodeMessage(m))
}
