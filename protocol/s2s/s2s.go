// Package s2s has the words that nodes say to one another: the frames of a link
// (spec/link.md). It knows nothing of how they are carried, or of what they cause.
//
// Frames are CBOR (RFC 8949) with small integer keys, around JSON that is opaque
// here. A reader passes over keys and kinds that it does not know.
package s2s

import (
	"hash/fnv"
	"slices"

	"parley/protocol"
)

// Version of the protocol, as negotiated by ALPN ([ALPN]).
const Version = 1

// ALPN is what a node says in TLS that it speaks (RFC 7301).
const ALPN = "parley/1"

// FeatureEarly is the feature of a node that takes posts before it has said Hello.
const FeatureEarly = "early"

// Lanes is how many lanes carry the posts of one node to another. Posts about one
// topic keep their order: they use one lane.
const Lanes = 4

// Sizes in bytes. A node may announce smaller ones in its Hello.
const (
	MaxFrame    = 1 << 20   // any frame
	MaxContent  = 256 << 10 // head and content of one message
	MaxDatagram = 1100      // a Cast that goes as a datagram
)

// Hello is the first frame of a node on its control stream.
type Hello struct {
	Name        protocol.Node `cbor:"1,keyasint,omitempty"` // who speaks
	To          protocol.Node `cbor:"2,keyasint,omitempty"` // who is meant
	Boot        uint64        `cbor:"3,keyasint,omitempty"` // rises with every start of the node
	Incarnation uint64        `cbor:"4,keyasint,omitempty"` // of its store
	Known       uint64        `cbor:"5,keyasint,omitempty"` // the other's incarnation as last seen; 0: none
	Lanes       []LaneState   `cbor:"6,keyasint,omitempty"`
	Features    []string      `cbor:"7,keyasint,omitempty"`
	Limits      Limits        `cbor:"8,keyasint"`
	Build       string        `cbor:"9,keyasint,omitempty"`
	Succession  []byte        `cbor:"10,keyasint,omitempty"` // a Statement, if the key has changed
	Time        int64         `cbor:"11,keyasint,omitempty"` // ms since 1970, for the log only
	Reach       uint8         `cbor:"12,keyasint,omitempty"` // as in Reach
}

// LaneState is where a lane stands, both ways, as the one who says Hello has it.
type LaneState struct {
	Lowest  uint64 `cbor:"1,keyasint,omitempty"` // first post that it still keeps
	Next    uint64 `cbor:"2,keyasint,omitempty"` // number of the next new post
	Applied uint64 `cbor:"3,keyasint,omitempty"` // last of the other's that it has taken
}

// Limits are what a node accepts.
type Limits struct {
	Frame   int `cbor:"1,keyasint,omitempty"`
	Content int `cbor:"2,keyasint,omitempty"`
	Window  int `cbor:"3,keyasint,omitempty"` // posts that may be unanswered in a lane
	Posts   int `cbor:"4,keyasint,omitempty"` // a second; 0: no limit
	Bytes   int `cbor:"5,keyasint,omitempty"` // a second; 0: no limit
}

// Control is a frame of the control stream: one of its fields is set.
type Control struct {
	Hello   *Hello   `cbor:"1,keyasint,omitempty"`
	Ack     *Ack     `cbor:"2,keyasint,omitempty"`
	LogAck  *LogAck  `cbor:"3,keyasint,omitempty"`
	Limits  *Limits  `cbor:"4,keyasint,omitempty"` // they have changed
	Goodbye *Goodbye `cbor:"5,keyasint,omitempty"`
	Reach   *Reach   `cbor:"6,keyasint,omitempty"` // it has changed
}

// Reach is of how many nodes a node can tell others (spec/reputation.md#recommenders), as a
// class: k is 2^(k-1) or more, at most 11.
type Reach struct {
	Class uint8 `cbor:"1,keyasint,omitempty"`
}

// Goodbye says that the link will be closed and nothing is wrong.
type Goodbye struct {
	Reason string `cbor:"1,keyasint,omitempty"`
}

// Ack answers the posts of a lane up to a number: what Verdicts does not name was
// applied.
type Ack struct {
	Lane     uint8     `cbor:"1,keyasint,omitempty"`
	Upto     uint64    `cbor:"2,keyasint,omitempty"`
	Verdicts []Verdict `cbor:"3,keyasint,omitempty"`
}

// Outcome of a post at its receiver.
type Outcome uint8

// The outcomes; on the wire: append only.
const (
	Applied Outcome = iota
	Refused         // for good, for Reason
	Later           // and so is what follows about its topic, until NotBefore
)

// Verdict is the outcome of one post that was not simply applied.
type Verdict struct {
	N       uint64         `cbor:"1,keyasint,omitempty"`
	Outcome Outcome        `cbor:"2,keyasint,omitempty"`
	Fault   protocol.Fault `cbor:"3,keyasint,omitempty"`
	Reason  string         `cbor:"4,keyasint,omitempty"` // for people, at most 200 bytes
	// Wait is after how many seconds the posts may come again (Later).
	Wait uint32 `cbor:"5,keyasint,omitempty"`
}

// Line is a frame of a lane: one of its fields is set.
type Line struct {
	Post *Post `cbor:"1,keyasint,omitempty"`
	// Void stands in the place of a post that was withdrawn: its number.
	Void uint64 `cbor:"2,keyasint,omitempty"`
	// Settled says that the sender has acted on all verdicts up to this number.
	Settled uint64 `cbor:"3,keyasint,omitempty"`
	Log     *Log   `cbor:"4,keyasint,omitempty"`
}

// Name is what a message is called on every node: its author, its number in the
// replica of the author's node, and a random tag.
type Name struct {
	From   protocol.UserID `cbor:"1,keyasint,omitempty"`
	Origin int             `cbor:"2,keyasint,omitempty"`
	Tag    uint32          `cbor:"3,keyasint,omitempty"`
}

// Post is something that must not get lost. One of the fields after At is set.
type Post struct {
	N     uint64           `cbor:"1,keyasint,omitempty"` // in its lane; not part of what is queued
	Topic protocol.TopicID `cbor:"2,keyasint,omitempty"` // a group; a conversation of two is From and To
	From  protocol.UserID  `cbor:"3,keyasint,omitempty"` // who did it; a user of the sending node
	At    int64            `cbor:"4,keyasint,omitempty"` // ms since 1970, the sender's clock

	Message   *Message   `cbor:"5,keyasint,omitempty"`
	Delete    *Delete    `cbor:"6,keyasint,omitempty"`
	Marks     *Marks     `cbor:"7,keyasint,omitempty"`
	Mode      *Mode      `cbor:"8,keyasint,omitempty"`
	Card      *Card      `cbor:"9,keyasint,omitempty"`
	Aux       *Aux       `cbor:"10,keyasint,omitempty"`
	Tombstone *Tombstone `cbor:"11,keyasint,omitempty"`
	Invite    *Invite    `cbor:"12,keyasint,omitempty"`
	Command   *Command   `cbor:"13,keyasint,omitempty"` // to the home of a group; a state, not urgent
	Withdraw  *Withdraw  `cbor:"14,keyasint,omitempty"`
	Report    *Report    `cbor:"15,keyasint,omitempty"`

	To protocol.UserID `cbor:"16,keyasint,omitempty"` // of the receiving node

	Follow *Follow  `cbor:"17,keyasint,omitempty"`
	Reads  []Reader `cbor:"18,keyasint,omitempty"` // of a group

	bad error // what was found when it was read
}

// Message is a line of a conversation of two.
type Message struct {
	Origin  int    `cbor:"1,keyasint,omitempty"`
	Tag     uint32 `cbor:"2,keyasint,omitempty"`
	Head    []byte `cbor:"3,keyasint,omitempty"` // JSON object
	Content []byte `cbor:"4,keyasint,omitempty"` // JSON
	// Refs are the messages that heads name by number: "reply", "replace", "thread".
	Refs map[string]Name `cbor:"5,keyasint,omitempty"`
	// Card of the author, with the first message to the node.
	Card *Card `cbor:"6,keyasint,omitempty"`
	// Mode that the author gives and wants, with the first message of a topic.
	Mode *Mode `cbor:"7,keyasint,omitempty"`
	// Seqs are the names of the messages that Content names by number (Drafty form
	// answers), in the order in which they occur.
	Seqs []Name `cbor:"8,keyasint,omitempty"`
}

// Span is a run of numbers: Low ≤ n < High.
type Span struct {
	_    struct{} `cbor:",toarray"`
	Low  int
	High int
}

// Delete erases messages for all. Names are given by author, as ranges of Origin.
type Delete struct {
	Of []Erased `cbor:"1,keyasint,omitempty"`
}

// Erased are messages of one author.
type Erased struct {
	From   protocol.UserID `cbor:"1,keyasint,omitempty"`
	Ranges []Span          `cbor:"2,keyasint,omitempty"` // of Origin
}

// Marks tell how far a user has received and read: the last message of the other
// that is covered.
type Marks struct {
	Recv *Name `cbor:"1,keyasint,omitempty"`
	Read *Name `cbor:"2,keyasint,omitempty"`
}

// Mode is what the user who posts decides of a conversation of two: the own want and
// what the other is given. Ended: the user has left.
type Mode struct {
	Want  protocol.Mode `cbor:"1,keyasint,omitempty"`
	Given protocol.Mode `cbor:"2,keyasint,omitempty"`
	Ended bool          `cbor:"3,keyasint,omitempty"`
	Card  *Card         `cbor:"4,keyasint,omitempty"` // of the user, when the conversation begins
	// Vouchers are statements of others about the node (spec/reputation.md), likewise.
	Vouchers [][]byte `cbor:"5,keyasint,omitempty"`
}

// Card is the face of a user, signed by the home node: Sig is over [Card.Signed].
type Card struct {
	User    protocol.UserID `cbor:"1,keyasint,omitempty"`
	Version int64           `cbor:"2,keyasint,omitempty"` // ms since 1970 of the change; the higher holds
	Public  []byte          `cbor:"3,keyasint,omitempty"` // JSON
	Auth    protocol.Mode   `cbor:"4,keyasint,omitempty"` // default access of users
	Sig     []byte          `cbor:"5,keyasint,omitempty"`
	Guest   bool            `cbor:"6,keyasint,omitempty"` // the user has no login
}

// Aux is what is kept for both, such as pins. Refs are the messages that "pins" names.
type Aux struct {
	JSON []byte `cbor:"1,keyasint,omitempty"`
	Refs []Name `cbor:"2,keyasint,omitempty"`
}

// Tombstone says that an account is no more. Erase: what it wrote goes, too.
type Tombstone struct {
	User  protocol.UserID `cbor:"1,keyasint,omitempty"`
	Erase bool            `cbor:"2,keyasint,omitempty"`
	At    int64           `cbor:"3,keyasint,omitempty"`
	Sig   []byte          `cbor:"4,keyasint,omitempty"`
}

// Invite tells the home of a user that the user has been invited to a group, or
// subscribed by a command.
type Invite struct {
	User  protocol.UserID `cbor:"1,keyasint,omitempty"`
	By    protocol.UserID `cbor:"2,keyasint,omitempty"`
	Given protocol.Mode   `cbor:"3,keyasint,omitempty"`
	Group Group           `cbor:"4,keyasint"`
	Want  protocol.Mode   `cbor:"5,keyasint,omitempty"`
	// Members are all, the user among them, if they fit; else they are in the Snapshot.
	Members []Membership `cbor:"6,keyasint,omitempty"`
}

// Follow tells the home of a group that the node has it up to Rev and wants what
// follows; Stop: that no user of the node is in it any more.
type Follow struct {
	Rev  uint64 `cbor:"1,keyasint,omitempty"`
	Stop bool   `cbor:"2,keyasint,omitempty"`
}

// Reader tells how far a member of a group has received and read: numbers of messages.
type Reader struct {
	User protocol.UserID `cbor:"1,keyasint,omitempty"`
	Recv int             `cbor:"2,keyasint,omitempty"`
	Read int             `cbor:"3,keyasint,omitempty"`
}

// Group describes a group as its home has it.
type Group struct {
	ID      protocol.TopicID `cbor:"1,keyasint,omitempty"`
	Channel bool             `cbor:"2,keyasint,omitempty"`
	Created int64            `cbor:"3,keyasint,omitempty"`
	Updated int64            `cbor:"4,keyasint,omitempty"`
	Owner   protocol.UserID  `cbor:"5,keyasint,omitempty"`
	Auth    protocol.Mode    `cbor:"6,keyasint,omitempty"`
	Anon    protocol.Mode    `cbor:"7,keyasint,omitempty"`
	Public  []byte           `cbor:"8,keyasint,omitempty"`
	Tags    []string         `cbor:"9,keyasint,omitempty"`
	Aux     []byte           `cbor:"10,keyasint,omitempty"`
	Seq     int              `cbor:"11,keyasint,omitempty"`
	Rev     uint64           `cbor:"12,keyasint,omitempty"`
	// SubCount is how many are subscribed, for those who do not know the members.
	SubCount int `cbor:"13,keyasint,omitempty"`
}

// Report passes on, if the operator wishes, that users complained of one of the
// receiver's; without their names.
type Report struct {
	User  protocol.UserID `cbor:"1,keyasint,omitempty"`
	Count int             `cbor:"2,keyasint,omitempty"`
}

// LaneOf is the lane of a topic's posts (spec/link.md#lanes): FNV-1a of 32 bits over its
// id in full, modulo the number of lanes.
func LaneOf(t protocol.TopicID) uint8 {
	h := fnv.New32a()
	h.Write([]byte(t)) // never fails
	return uint8(h.Sum32() % Lanes)
}

// Named are the messages that one names.
func (m *Message) Named() []Name {
	all := slices.Clone(m.Seqs)
	for _, n := range m.Refs {
		all = append(all, n)
	}
	return all
}

// TopicID is the topic that a post is about; empty if about none.
func (p *Post) TopicID() protocol.TopicID {
	if p.Topic == "" {
		return p.ends()
	}
	return p.Topic
}

// ends is the conversation of From and To; empty if one is missing.
func (p *Post) ends() protocol.TopicID {
	if p.From == "" || p.To == "" {
		return ""
	}
	return protocol.P2P(p.From, p.To)
}
