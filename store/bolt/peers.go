package bolt

import (
	"bytes"
	"fmt"
	"iter"

	"parley/protocol"
	"parley/store"
)

var (
	bktPeers      = []byte("peers")      // peer → record
	bktFollowers  = []byte("followers")  // topic, peer → record
	bktFollowedBy = []byte("followedby") // peer, topic → nothing
	bktValues     = []byte("values")     // name → bytes

	// added are the buckets that a file of an earlier release may lack.
	added = [][]byte{bktPeers, bktFollowers, bktFollowedBy, bktValues}
)

// Peer implements store.Peers.
func (x *tx) Peer(n protocol.Node) (*store.Peer, error) {
	return get[store.Peer](x.bucket(bktPeers), key(string(n)))
}

// PutPeer implements store.Peers.
func (x *tx) PutPeer(p *store.Peer) error {
	return putRecord(x.bucket(bktPeers), key(string(p.Name)), p)
}

// DeletePeer implements store.Peers.
func (x *tx) DeletePeer(n protocol.Node) error { return x.bucket(bktPeers).Delete(key(string(n))) }

// AllPeers implements store.Peers.
func (x *tx) AllPeers() iter.Seq2[*store.Peer, error] {
	return records[store.Peer](x.bucket(bktPeers), nil)
}

// Follower implements store.Followers.
func (x *tx) Follower(t protocol.TopicID, n protocol.Node) (*store.Follower, error) {
	return get[store.Follower](x.bucket(bktFollowers), key(string(t), string(n)))
}

// PutFollower implements store.Followers.
func (x *tx) PutFollower(f *store.Follower) error {
	if err := x.bucket(bktFollowedBy).Put(key(string(f.Node), string(f.Topic)), nothing); err != nil {
		return err
	}
	return putRecord(x.bucket(bktFollowers), key(string(f.Topic), string(f.Node)), f)
}

// DeleteFollower implements store.Followers.
func (x *tx) DeleteFollower(t protocol.TopicID, n protocol.Node) error {
	if err := x.bucket(bktFollowedBy).Delete(key(string(n), string(t))); err != nil {
		return err
	}
	return x.bucket(bktFollowers).Delete(key(string(t), string(n)))
}

// FollowersOf implements store.Followers.
func (x *tx) FollowersOf(t protocol.TopicID) iter.Seq2[*store.Follower, error] {
	return records[store.Follower](x.bucket(bktFollowers), prefixOf(string(t)))
}

// FollowedBy implements store.Followers.
func (x *tx) FollowedBy(n protocol.Node) iter.Seq2[*store.Follower, error] {
	return func(yield func(*store.Follower, error) bool) {
		for t, err := range suffixes(x.bucket(bktFollowedBy), prefixOf(string(n))) {
			if err != nil {
				yield(nil, err)
				return
			}
			f, err := x.Follower(protocol.TopicID(t), n)
			if !yield(f, err) || err != nil {
				return
			}
		}
	}
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
func (x *tx) PutValue(name string, v []byte) error { return x.bucket(bktValues).Put(key(name), v) }

// DeleteValue implements store.Values.
func (x *tx) DeleteValue(name string) error { return x.bucket(bktValues).Delete(key(name)) }

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
	k := numbered(string(t), uint64(m.Seq))
	if x.bucket(bktMessages).Get(k) != nil {
		return store.ErrExists
	}
	m.Origin = m.Seq
	return x.bucket(bktMessages).Put(k, encodeMessage(m))
}
