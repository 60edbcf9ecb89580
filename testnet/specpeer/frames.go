package specpeer

import (
	"hash/fnv"
	"strings"

	"github.com/fxamacker/cbor/v2"
)

// The parts of spec/link.cddl that this peer has a use for, under the names there.

// Control is a frame of the control stream.
type Control struct {
	Hello   *Hello   `cbor:"1,keyasint,omitempty"`
	Ack     *Ack     `cbor:"2,keyasint,omitempty"`
	Goodbye *Goodbye `cbor:"5,keyasint,omitempty"`
}

// Hello is the first of them.
type Hello struct {
	Name        string      `cbor:"1,keyasint,omitempty"`
	To          string      `cbor:"2,keyasint,omitempty"`
	Boot        uint64      `cbor:"3,keyasint,omitempty"`
	Incarnation uint64      `cbor:"4,keyasint,omitempty"`
	Known       uint64      `cbor:"5,keyasint,omitempty"`
	Lanes       []LaneState `cbor:"6,keyasint,omitempty"`
	Features    []string    `cbor:"7,keyasint,omitempty"`
	Limits      struct{}    `cbor:"8,keyasint"` // all defaults
	Build       string      `cbor:"9,keyasint,omitempty"`
}

// LaneState is where a lane stands.
type LaneState struct {
	Lowest  uint64 `cbor:"1,keyasint,omitempty"`
	Next    uint64 `cbor:"2,keyasint,omitempty"`
	Applied uint64 `cbor:"3,keyasint,omitempty"`
}

// Ack answers posts.
type Ack struct {
	Lane     int       `cbor:"1,keyasint,omitempty"`
	Upto     uint64    `cbor:"2,keyasint,omitempty"`
	Verdicts []Verdict `cbor:"3,keyasint,omitempty"`
}

// Verdict says what has become of a post.
type Verdict struct {
	N       uint64 `cbor:"1,keyasint,omitempty"`
	Outcome int    `cbor:"2,keyasint,omitempty"`
	Fault   int    `cbor:"3,keyasint,omitempty"`
	Reason  string `cbor:"4,keyasint,omitempty"`
	Wait    int    `cbor:"5,keyasint,omitempty"`
}

// Outcomes and faults (spec/link.md#verdicts).
const (
	Applied = 0
	Refused = 1

	Denied      = 4
	Unsupported = 6
	Policy      = 12
)

// Goodbye comes before the end.
type Goodbye struct {
	Reason string `cbor:"1,keyasint,omitempty"`
}

// Line is a frame of a lane.
type Line struct {
	Post    *Post  `cbor:"1,keyasint,omitempty"`
	Void    uint64 `cbor:"2,keyasint,omitempty"`
	Settled uint64 `cbor:"3,keyasint,omitempty"`
}

// Post is what must not get lost. Its ids, as those of all frames here, are short.
type Post struct {
	N       uint64   `cbor:"1,keyasint,omitempty"`
	Topic   string   `cbor:"2,keyasint,omitempty"`
	From    string   `cbor:"3,keyasint,omitempty"`
	At      uint64   `cbor:"4,keyasint,omitempty"`
	Message *Message `cbor:"5,keyasint,omitempty"`
	Marks   *Marks   `cbor:"7,keyasint,omitempty"`
	Mode    *Mode    `cbor:"8,keyasint,omitempty"`
	Card    *Card    `cbor:"9,keyasint,omitempty"`
	To      string   `cbor:"16,keyasint,omitempty"`
}

// Message is a line of a conversation of two.
type Message struct {
	Origin  int             `cbor:"1,keyasint,omitempty"`
	Tag     uint32          `cbor:"2,keyasint,omitempty"`
	Head    []byte          `cbor:"3,keyasint,omitempty"`
	Content []byte          `cbor:"4,keyasint,omitempty"`
	Refs    map[string]Name `cbor:"5,keyasint,omitempty"`
	Card    *Card           `cbor:"6,keyasint,omitempty"`
	Mode    *Mode           `cbor:"7,keyasint,omitempty"`
}

// Name is what a message is called everywhere.
type Name struct {
	From   string `cbor:"1,keyasint,omitempty"`
	Origin int    `cbor:"2,keyasint,omitempty"`
	Tag    uint32 `cbor:"3,keyasint,omitempty"`
}

// Card is the face of a user.
type Card struct {
	User    string `cbor:"1,keyasint,omitempty"`
	Version int64  `cbor:"2,keyasint,omitempty"`
	Public  []byte `cbor:"3,keyasint,omitempty"`
	Auth    int    `cbor:"4,keyasint,omitempty"`
	Sig     []byte `cbor:"5,keyasint,omitempty"`
}

// Mode is what a user wants, and gives the other.
type Mode struct {
	Want  int  `cbor:"1,keyasint,omitempty"`
	Given int  `cbor:"2,keyasint,omitempty"`
	Ended bool `cbor:"3,keyasint,omitempty"`
}

// Usual are the rights J, R, W, P, A, D.
const Usual = 1 | 2 | 4 | 8 | 16 | 64

// Marks are the last messages received and read.
type Marks struct {
	Recv *Name `cbor:"1,keyasint,omitempty"`
	Read *Name `cbor:"2,keyasint,omitempty"`
}

// Cast is what may get lost.
type Cast struct {
	Presence *Presence `cbor:"1,keyasint,omitempty"`
	Note     *Note     `cbor:"2,keyasint,omitempty"`
}

// Presence tells who is online.
type Presence struct {
	Users  []Status `cbor:"1,keyasint,omitempty"`
	Digest bool     `cbor:"2,keyasint,omitempty"`
	Watch  bool     `cbor:"3,keyasint,omitempty"`
}

// Status of a user.
type Status struct {
	User   string `cbor:"1,keyasint,omitempty"`
	Online bool   `cbor:"2,keyasint,omitempty"`
	UA     string `cbor:"3,keyasint,omitempty"`
}

// Note is a note that is not kept.
type Note struct {
	Topic string `cbor:"1,keyasint,omitempty"`
	From  string `cbor:"2,keyasint,omitempty"`
	What  string `cbor:"3,keyasint,omitempty"`
}

// Ask is a question. Later is one that no node knows yet.
type Ask struct {
	Ping    *Ping    `cbor:"1,keyasint,omitempty"`
	Card    string   `cbor:"2,keyasint,omitempty"`
	History *History `cbor:"4,keyasint,omitempty"`
	Resume  *Compare `cbor:"10,keyasint,omitempty"`
	Later   string   `cbor:"99,keyasint,omitempty"`
}

// Answer to a question.
type Answer struct {
	Failed  bool     `cbor:"1,keyasint,omitempty"`
	Fault   int      `cbor:"2,keyasint,omitempty"`
	Reason  string   `cbor:"3,keyasint,omitempty"`
	Ping    *Ping    `cbor:"5,keyasint,omitempty"`
	Card    *Card    `cbor:"6,keyasint,omitempty"`
	Posts   []Post   `cbor:"9,keyasint,omitempty"`
	Compare *Compare `cbor:"15,keyasint,omitempty"`
}

// Ping comes back as it is.
type Ping struct {
	Data []byte `cbor:"1,keyasint,omitempty"`
}

// History asks for messages.
type History struct {
	Topic string `cbor:"1,keyasint,omitempty"`
	Low   int    `cbor:"2,keyasint,omitempty"`
	High  int    `cbor:"3,keyasint,omitempty"`
	Limit int    `cbor:"4,keyasint,omitempty"`
	Of    string `cbor:"5,keyasint,omitempty"`
}

// Compare is what two compare of whom one was set back.
type Compare struct {
	Topics []TopicState `cbor:"1,keyasint,omitempty"`
	More   string       `cbor:"2,keyasint,omitempty"`
}

// TopicState is where a topic stands.
type TopicState struct {
	Topic string `cbor:"1,keyasint,omitempty"`
	Mine  int    `cbor:"2,keyasint,omitempty"`
	Yours int    `cbor:"3,keyasint,omitempty"`
}

var encoding, _ = cbor.CoreDetEncOptions().EncMode() // the options are right as they come

// Short is an id as self writes it to peer (spec/link.md#ids).
func Short(id, self, peer string) string {
	bare, node, _ := strings.Cut(id, "@")
	switch node {
	case self:
		return bare
	case peer:
		return bare + "@"
	}
	return id
}

// Full is the id that speaker has written to hearer.
func Full(short, speaker, hearer string) string {
	bare, node, at := strings.Cut(short, "@")
	switch {
	case !at:
		return bare + "@" + speaker
	case node == "":
		return bare + "@" + hearer
	}
	return short
}

// Pair is the topic of two users.
func Pair(a, b string) string { return "p2p:" + min(a, b) + "," + max(a, b) }

// laneOf is the lane of a topic (spec/link.md#lanes).
func laneOf(topic string) int {
	h := fnv.New32a()
	h.Write([]byte(topic))
	return int(h.Sum32() % lanes)
}
