package s2s

import "parley/protocol"

// Cast is something that may get lost: what is true now heals it. One of its fields
// is set.
type Cast struct {
	Presence *Presence `cbor:"1,keyasint,omitempty"`
	Note     *Note     `cbor:"2,keyasint,omitempty"`
	Here     *Here     `cbor:"3,keyasint,omitempty"`
	Call     *Call     `cbor:"4,keyasint,omitempty"` // on the reliable stream
}

// Presence tells of users of the speaker's node. Digest: these and no others are
// online. Watch: the other is to tell, in turn, of its users whom these may see.
type Presence struct {
	Users  []Status `cbor:"1,keyasint,omitempty"`
	Digest bool     `cbor:"2,keyasint,omitempty"`
	Watch  bool     `cbor:"3,keyasint,omitempty"`
}

// Status of one user. To, if set, is the only one to be told.
type Status struct {
	User   protocol.UserID   `cbor:"1,keyasint,omitempty"`
	Online bool              `cbor:"2,keyasint,omitempty"`
	UA     string            `cbor:"3,keyasint,omitempty"`
	Seen   int64             `cbor:"4,keyasint,omitempty"` // ms since 1970
	To     []protocol.UserID `cbor:"5,keyasint,omitempty"`
}

// Note passes on a client's {note} that is not kept: typing.
type Note struct {
	Topic protocol.TopicID `cbor:"1,keyasint,omitempty"`
	From  protocol.UserID  `cbor:"2,keyasint,omitempty"`
	What  string           `cbor:"3,keyasint,omitempty"`
	Event string           `cbor:"4,keyasint,omitempty"`
	Of    *Name            `cbor:"5,keyasint,omitempty"` // the message that is meant
	Data  []byte           `cbor:"6,keyasint,omitempty"` // JSON
}

// Here tells which members are in a group's room: a follower tells of its users, the
// home of all. All: these and no others.
type Here struct {
	Group protocol.TopicID  `cbor:"1,keyasint,omitempty"`
	On    []protocol.UserID `cbor:"2,keyasint,omitempty"`
	Off   []protocol.UserID `cbor:"3,keyasint,omitempty"`
	All   bool              `cbor:"4,keyasint,omitempty"`
}

// Call passes on a {note what=call}.
type Call struct {
	Topic   protocol.TopicID `cbor:"1,keyasint,omitempty"`
	From    protocol.UserID  `cbor:"2,keyasint,omitempty"`
	Of      Name             `cbor:"3,keyasint"` // the message that began it
	Event   string           `cbor:"4,keyasint,omitempty"`
	Payload []byte           `cbor:"5,keyasint,omitempty"`
}
