package s2s

import (
	"crypto/sha256"
	"encoding/binary"

	"parley/protocol"
)

// Log is a piece of the one log of a group, from its home to a follower: the events
// after revision After, without gaps.
type Log struct {
	Group  protocol.TopicID `cbor:"1,keyasint,omitempty"`
	After  uint64           `cbor:"2,keyasint,omitempty"`
	Events []Event          `cbor:"3,keyasint,omitempty"`
}

// LogAck says up to which revision a follower has a group. Reset asks for a snapshot
// or a replay from there; Stop: no user of the node is in the group any more.
type LogAck struct {
	Group protocol.TopicID `cbor:"1,keyasint,omitempty"`
	Rev   uint64           `cbor:"2,keyasint,omitempty"`
	Reset bool             `cbor:"3,keyasint,omitempty"`
	Stop  bool             `cbor:"4,keyasint,omitempty"`
}

// Event is an entry of a group's log. One of the fields after By is set, or End.
type Event struct {
	At int64           `cbor:"1,keyasint,omitempty"` // ms since 1970, the home's clock
	By protocol.UserID `cbor:"2,keyasint,omitempty"`

	Message *GroupMessage   `cbor:"3,keyasint,omitempty"`
	Erase   *Erasure        `cbor:"4,keyasint,omitempty"`
	Sub     *Membership     `cbor:"5,keyasint,omitempty"`
	Owner   protocol.UserID `cbor:"6,keyasint,omitempty"`
	Desc    *Group          `cbor:"7,keyasint,omitempty"` // description, tags, aux: all of it
	End     bool            `cbor:"8,keyasint,omitempty"`
	// Sig of the author's home node over [Signed], if that is a third node.
	Sig []byte `cbor:"9,keyasint,omitempty"`
}

// GroupMessage is a message of a group: its number is the same everywhere.
type GroupMessage struct {
	Seq     int    `cbor:"1,keyasint,omitempty"`
	Tag     uint32 `cbor:"2,keyasint,omitempty"`
	TS      int64  `cbor:"3,keyasint,omitempty"` // ms since 1970
	Head    []byte `cbor:"4,keyasint,omitempty"`
	Content []byte `cbor:"5,keyasint,omitempty"`
}

// messagePrefix stands before what is signed of a message, so that it cannot be taken for
// something else that a key signs.
const messagePrefix = "parley group message v1\x00"

// Signed is what the home node of an author signs of a message to a group of another node
// (spec/link.md#signatures): messagePrefix, group and author, each behind its length in 4
// bytes, tag (4 bytes), TS (8), SHA-256 of head and of content; numbers big-endian. Seq is
// not part of it: the home of the group gives that afterwards.
func (m *GroupMessage) Signed(group protocol.TopicID, author protocol.UserID) []byte {
	t := []byte(messagePrefix)
	t = append(binary.BigEndian.AppendUint32(t, uint32(len(group))), group...)
	t = append(binary.BigEndian.AppendUint32(t, uint32(len(author))), author...)
	t = binary.BigEndian.AppendUint32(t, m.Tag)
	t = binary.BigEndian.AppendUint64(t, uint64(m.TS))
	head, content := sha256.Sum256(m.Head), sha256.Sum256(m.Content)
	return append(append(t, head[:]...), content[:]...)
}

// Erasure is a deletion that holds for all.
type Erasure struct {
	ID     int    `cbor:"1,keyasint,omitempty"`
	Ranges []Span `cbor:"2,keyasint,omitempty"`
}

// Membership is the state of one subscription.
type Membership struct {
	User  protocol.UserID `cbor:"1,keyasint,omitempty"`
	Want  protocol.Mode   `cbor:"2,keyasint,omitempty"`
	Given protocol.Mode   `cbor:"3,keyasint,omitempty"`
	Ended bool            `cbor:"4,keyasint,omitempty"`
	Card  *Card           `cbor:"5,keyasint,omitempty"` // with the first event about the user
}

// Command is a request of a user to the home of a group. Key names it: the same key
// again is the same command, whose result is repeated.
type Command struct {
	Key   []byte           `cbor:"1,keyasint,omitempty"` // 16 random bytes
	Group protocol.TopicID `cbor:"2,keyasint,omitempty"`
	User  protocol.UserID  `cbor:"3,keyasint,omitempty"`
	At    int64            `cbor:"4,keyasint,omitempty"`
	// Request is the client's own: {sub}, {pub}, {set}, {del}, {leave}, as JSON,
	// which passes the checks of a client's request.
	Request []byte `cbor:"5,keyasint,omitempty"`
	// Tag and Sig of a message: see [Event].
	Tag  uint32 `cbor:"6,keyasint,omitempty"`
	Sig  []byte `cbor:"7,keyasint,omitempty"`
	Card *Card  `cbor:"8,keyasint,omitempty"`
}

// Withdraw makes a command void: if it has not been applied, it never will be. At is the
// command's.
type Withdraw struct {
	Key   []byte           `cbor:"1,keyasint,omitempty"`
	Group protocol.TopicID `cbor:"2,keyasint,omitempty"`
	At    int64            `cbor:"3,keyasint,omitempty"`
}

// Snapshot is a group at a revision, for a follower that is new or too far behind.
type Snapshot struct {
	Group   Group        `cbor:"1,keyasint"`
	Members []Membership `cbor:"2,keyasint,omitempty"`
	Erased  []Erasure    `cbor:"3,keyasint,omitempty"`
	More    bool         `cbor:"4,keyasint,omitempty"` // members, after the last of these
}
