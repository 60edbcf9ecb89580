package store

import (
	"iter"
	"time"

	"parley/protocol"
)

// Peer is what is known of another node. The zero value of a field means unknown.
type Peer struct {
	Name  protocol.Node
	First time.Time // of the first contact
	Seen  time.Time // of the last
	// Dialed is when it last dialled this node without a word from here before.
	Dialed time.Time
	// Proof is how the name was proven, of the kinds of package federation; it is
	// never weaker than once seen. Keys are those that are proven, the present one first.
	Proof  uint8
	Keys   []PeerKey
	Proven time.Time // when the first of Keys was last shown to be of the name
	// Succession is the highest number of a succession statement; see PeerKey.Before.
	Succession uint64
	Pin        []byte   // key that the operator has bound the name to
	Addrs      []string // host:port that the operator has given
	Access     PeerAccess
	// Incarnation of its store as last seen; Boot of its last link.
	Incarnation uint64
	Boot        uint64
	// Pair is what this store is called towards the peer in place of its own incarnation,
	// PairOf, since one of the two was set back; 0: nothing. Compare: topics that both
	// have are still to be compared.
	Pair, PairOf uint64
	Compare      bool
	// Failures in a row of reaching it, and when to try again.
	Failures int
	Next     time.Time
	// Cached is what was found out about how to reach it, opaque to the store.
	Cached []byte
}

// PeerKey is a key of a peer and since when it is known; Revoked: not any more good.
type PeerKey struct {
	Key     []byte
	Since   time.Time
	Until   time.Time // zero: still in use
	Revoked bool
	Before  []byte // the key that has named this one as following it, if any
}

// PeerAccess is what the operator says of a peer.
type PeerAccess uint8

// What an operator may say.
const (
	AccessDefault PeerAccess = iota
	AccessAllow
	AccessDeny
)

// Peers keeps what is known of other nodes.
type Peers interface {
	Peer(protocol.Node) (*Peer, error)
	PutPeer(*Peer) error
	DeletePeer(protocol.Node) error
	AllPeers() iter.Seq2[*Peer, error]
}

// Follower is a node that follows the log of a group whose home is here, and up to
// which event it has it. Live: it has said so.
type Follower struct {
	Topic protocol.TopicID
	Node  protocol.Node
	Rev   uint64
	Live  bool
}

// Followers keeps who follows groups, found from both ends. DeleteTopic does not
// drop them: the end of the group is still to be told.
type Followers interface {
	Follower(protocol.TopicID, protocol.Node) (*Follower, error)
	PutFollower(*Follower) error
	DeleteFollower(protocol.TopicID, protocol.Node) error
	FollowersOf(protocol.TopicID) iter.Seq2[*Follower, error]
	FollowedBy(protocol.Node) iter.Seq2[*Follower, error]
}

// Replicas keeps groups whose home is another node: what comes of them has its numbers
// already.
type Replicas interface {
	// Raise moves Head.Seq and Head.Rev forward without messages and events; never back.
	Raise(t protocol.TopicID, seq int, rev uint64) error
	// Insert stores m under its own Seq, which is at most Head.Seq; ErrExists if there is
	// a message of that number.
	Insert(protocol.TopicID, *Message) error
	// Prune drops all that is kept of the topic, as DeleteTopic does, but it may come
	// again.
	Prune(protocol.TopicID) error
}
