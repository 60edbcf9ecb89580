package s2s

import "parley/protocol"

// Ask is a question; it has a stream of its own, on which the answer comes. One of
// its fields is set.
type Ask struct {
	Ping     *Ping            `cbor:"1,keyasint,omitempty"`
	Card     protocol.UserID  `cbor:"2,keyasint,omitempty"` // the face of a user
	Handle   string           `cbor:"3,keyasint,omitempty"` // "alice": who is it?
	History  *History         `cbor:"4,keyasint,omitempty"`
	File     *File            `cbor:"5,keyasint,omitempty"`
	Opinion  []byte           `cbor:"6,keyasint,omitempty"` // see spec/reputation.md
	Command  *Command         `cbor:"7,keyasint,omitempty"`
	Snapshot protocol.TopicID `cbor:"8,keyasint,omitempty"`
	Keys     bool             `cbor:"9,keyasint,omitempty"` // the node's keys, present and past
	Resume   *Compare         `cbor:"10,keyasint,omitempty"`
	// Pages: a Snapshot may come in pieces, of members after After, in order.
	Pages bool            `cbor:"11,keyasint,omitempty"`
	After protocol.UserID `cbor:"12,keyasint,omitempty"`
	// Group: what strangers see of one, whose members the asker need not know.
	Group protocol.TopicID `cbor:"13,keyasint,omitempty"`
}

// Answer to an Ask. With Fault it has failed. A file's bytes follow the frame.
type Answer struct {
	Failed   bool           `cbor:"1,keyasint,omitempty"`
	Fault    protocol.Fault `cbor:"2,keyasint,omitempty"`
	Reason   string         `cbor:"3,keyasint,omitempty"`
	Wait     uint32         `cbor:"4,keyasint,omitempty"` // seconds before asking again
	Ping     *Ping          `cbor:"5,keyasint,omitempty"`
	Card     *Card          `cbor:"6,keyasint,omitempty"`
	Group    *Group         `cbor:"7,keyasint,omitempty"` // the handle is a group's; what strangers see of one
	History  []Event        `cbor:"8,keyasint,omitempty"`
	Posts    []Post         `cbor:"9,keyasint,omitempty"` // history of a conversation of two
	File     *FileInfo      `cbor:"10,keyasint,omitempty"`
	Opinion  []byte         `cbor:"11,keyasint,omitempty"`
	Result   *Result        `cbor:"12,keyasint,omitempty"`
	Snapshot *Snapshot      `cbor:"13,keyasint,omitempty"`
	Keys     []Statement    `cbor:"14,keyasint,omitempty"`
	Compare  *Compare       `cbor:"15,keyasint,omitempty"`
}

// Ping is answered with the same bytes.
type Ping struct {
	Data []byte `cbor:"1,keyasint,omitempty"`
}

// History asks for messages: of a group by number, of a conversation of two those of
// one user by Origin.
type History struct {
	Topic protocol.TopicID `cbor:"1,keyasint,omitempty"`
	Low   int              `cbor:"2,keyasint,omitempty"`
	High  int              `cbor:"3,keyasint,omitempty"` // not included
	Limit int              `cbor:"4,keyasint,omitempty"`
	Of    protocol.UserID  `cbor:"5,keyasint,omitempty"` // of a conversation of two: the author
}

// Compare is what two nodes compare after one of them was set back: per shared topic
// the last Origin of each side's user, or the revision of a group.
type Compare struct {
	Topics []TopicState `cbor:"1,keyasint,omitempty"`
	More   string       `cbor:"2,keyasint,omitempty"` // go on after this topic
}

// TopicState is where a topic stands.
type TopicState struct {
	Topic protocol.TopicID `cbor:"1,keyasint,omitempty"`
	Mine  int              `cbor:"2,keyasint,omitempty"` // last Origin of the speaker's user
	Yours int              `cbor:"3,keyasint,omitempty"` // of the other's, as the speaker has it
	Rev   uint64           `cbor:"4,keyasint,omitempty"`
}

// File asks for bytes of a file by its id, which is the right to have it.
type File struct {
	ID     string `cbor:"1,keyasint,omitempty"`
	Offset int64  `cbor:"2,keyasint,omitempty"`
	Length int64  `cbor:"3,keyasint,omitempty"` // 0: to the end
}

// FileInfo describes a file; its bytes follow.
type FileInfo struct {
	Size   int64  `cbor:"1,keyasint,omitempty"`
	MIME   string `cbor:"2,keyasint,omitempty"`
	Name   string `cbor:"3,keyasint,omitempty"`
	SHA256 []byte `cbor:"4,keyasint,omitempty"`
	Follow int64  `cbor:"5,keyasint,omitempty"` // bytes that follow
}

// Result of a command: the {ctrl} that a client gets.
type Result struct {
	Code   int    `cbor:"1,keyasint,omitempty"`
	Text   string `cbor:"2,keyasint,omitempty"`
	Params []byte `cbor:"3,keyasint,omitempty"` // JSON object
	Rev    uint64 `cbor:"4,keyasint,omitempty"` // the effect is in the log at
}

// Statement is something signed: Body is deterministic CBOR of what Kind says, Sig
// is over [StatementPrefix], Kind and Body.
type Statement struct {
	Kind string `cbor:"1,keyasint,omitempty"`
	Body []byte `cbor:"2,keyasint,omitempty"`
	Key  []byte `cbor:"3,keyasint,omitempty"` // Ed25519
	Sig  []byte `cbor:"4,keyasint,omitempty"`
}
