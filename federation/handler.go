package federation

import (
	"context"
	"crypto/ed25519"
	"io"
	"net/netip"

	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
)

// Peer is who is at the other end of a link: proven to be of that name.
type Peer struct {
	Name  protocol.Node
	Key   ed25519.PublicKey
	Proof Proof
	Addr  netip.Addr // from where the link is
}

// Incoming is one entry of a lane. Post is nil for a void, which only takes its place.
type Incoming struct {
	N    uint64
	Post *s2s.Post
}

// Handler is the node behind the links. Its methods may be called at once for
// different peers and lanes; those of one lane are called one after the other.
type Handler interface {
	// Deliver applies entries of one lane in order. Each is applied, or refused, in a
	// transaction that also calls [Record] for it: all in one or each in its own. It
	// returns the verdicts of those that are done, which is a prefix; err says why the
	// rest is not (a fault of ours: it is called again with the rest, later). With
	// s2s.Later it stops: the last verdict is that one, and err is nil; it sees no more
	// of that topic until the peer has taken notice.
	Deliver(ctx context.Context, from Peer, lane store.Lane, in []Incoming) ([]s2s.Verdict, error)
	// Returned tells the authors of posts of ours that these have ended otherwise than
	// delivered, in one transaction that also calls settle.
	Returned(ctx context.Context, to protocol.Node, ends []Ending, settle func(store.Tx) error) error
	// Hear takes what may get lost. It must not wait.
	Hear(from Peer, c *s2s.Cast)
	// Answer answers a question; body, if not nil, follows the answer.
	Answer(ctx context.Context, from Peer, a *s2s.Ask) (answer *s2s.Answer, body io.ReadCloser)
	// Linked tells that a link has begun or ended. It must not wait.
	Linked(p Peer, s LinkState)
	// Reaches tells what a peer says of its reach, when a link has begun and when it changes.
	// It must not wait.
	Reaches(p Peer, class uint8)
}

// Restorer is implemented by a Handler that keeps what other nodes keep, too.
type Restorer interface {
	// Restored tells that one of the two nodes was set back to an earlier state, and
	// lacks what the other may have: compare (s2s.Ask.Resume) and fetch. What had not
	// been answered by either comes again, so known names must be passed over. It is
	// called while there is a link, and with the next one again until it returns nil.
	Restored(ctx context.Context, p Peer) error
}

// LinkState is how a link has changed.
type LinkState uint8

// The states. After LinkLost it is not known what became of the peer.
const (
	LinkUp LinkState = iota
	LinkClosed
	LinkLost
)

// Logs replicates groups: a home sends its log, followers apply it. Part of what a
// node is, next to Handler.
type Logs interface {
	// Behind gives the groups whose log the peer follows and does not have whole.
	Behind(to protocol.Node) ([]store.Follower, error)
	// Page is a piece of a group's log after a revision, of at most size bytes of
	// content; nil if there is no more. It is made for that follower.
	Page(to protocol.Node, group protocol.TopicID, after uint64, size int) (*s2s.Log, error)
	// Follow applies a piece and says how far the group is here.
	Follow(ctx context.Context, from Peer, l *s2s.Log) (*s2s.LogAck, error)
	// Followed takes what a follower says of how far it is.
	Followed(from Peer, a *s2s.LogAck) error
}

// End is how a post of ours has ended, if not delivered.
type End uint8

// The ends. Delayed and Held are none yet: the peer is not reached, and the post waits; or
// the peer wants it later, which is told of the first message of a topic.
const (
	Refused     End = iota // by the peer, for good
	Expired                // never sent: the peer was not reached in time
	Unconfirmed            // perhaps delivered: the peer is away since
	Confirmed              // delivered, after it was said to be unconfirmed
	Delayed
	Held
)

// String is the end as clients see it, in the head x-parley-status.
func (e End) String() string {
	return [...]string{"bounced", "bounced", "unconfirmed", "delivered", "delayed", "held"}[e]
}

// Ending is the end of one post.
type Ending struct {
	Post    *s2s.Post
	How     End
	Verdict s2s.Verdict // of Refused
}

// Record notes, in the transaction of its effect, that an entry of a peer's lane has
// been dealt with.
func Record(tx store.Inbox, from protocol.Node, lane store.Lane, v s2s.Verdict) error {
	r := store.Verdict{N: v.N}
	if v.Outcome != s2s.Applied {
		var err error
		if r.Body, err = s2s.Marshal(&v); err != nil {
			return err
		}
	}
	return tx.Advance(from, lane, r)
}

// Network is what a node can do with other nodes; [Mesh] is one.
type Network interface {
	Mail
	Talk
	Links
	Keyring
}

// Mail is what does not get lost.
type Mail interface {
	// Post queues p for a node in the transaction of what it tells of. A newer post
	// with the same key replaces one that is not sent yet; "" is no key. Errors:
	// protocol.Full if too much waits for that node, protocol.Denied if the operator
	// does not want it.
	Post(tx store.Tx, to protocol.Node, key string, p *s2s.Post) error
	// Wake says that posts or logs for the nodes have been committed.
	Wake(to ...protocol.Node)
}

// Talk is what is only for now.
type Talk interface {
	// Cast sends what may get lost, if there is a link. It does not wait.
	Cast(to protocol.Node, c *s2s.Cast)
	// Ask puts a question; body, if not nil, is to be closed. Errors: protocol.Busy if
	// the peer cannot be reached, protocol.Timeout, or what the peer has answered as a
	// *protocol.Error.
	Ask(ctx context.Context, to protocol.Node, a *s2s.Ask) (answer *s2s.Answer, body io.ReadCloser, err error)
}

// Links are the connections to other nodes.
type Links interface {
	// Keep says whether somebody here wants to know of users of the node: then a link
	// to it is made if possible, and stays.
	Keep(n protocol.Node, keep bool)
	// Linked reports whether there is a link; Away whether the node was tried and not
	// reached, and is being tried, or is not to be tried again yet.
	Linked(n protocol.Node) bool
	Away(n protocol.Node) bool
	// Limit sets how many posts and bytes of a node are read in a second, and tells it.
	// Zero: no limit.
	Limit(n protocol.Node, l s2s.Limits)
	// Reach sets of how many nodes this one can tell others, as a class (s2s.Reach), and
	// tells it to all to which there is a link.
	Reach(class uint8)
}

// Keyring signs texts with the node's key, and knows the keys of others.
type Keyring interface {
	Sign(text []byte) []byte
	// Verify checks a signature of a node, made at a time (ms since 1970).
	Verify(ctx context.Context, by protocol.Node, at int64, text, sig []byte) error
}

// Proof is how it was shown that a key is of a name; higher is stronger.
type Proof uint8

// The proofs (spec/naming.md#proof).
const (
	NoProof Proof = iota
	ByContinuity
	ByWellKnown
	ByDNS
	ByPin
	ByKeyName
)
