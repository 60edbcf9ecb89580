package node

import (
	"encoding/json"

	"parley/protocol"
	"parley/store"
)

// The events of a group's log, by which followers on other nodes will keep up.
// Append only.
const (
	eventMessage uint8 = iota + 1 // Seq only
	eventDelete
	eventSub
	eventOwner
	eventDesc
	eventTags
	eventAux
	eventEnd
)

type subEvent struct {
	User        protocol.UserID
	Want, Given protocol.Mode `json:",omitempty"`
	Ended       bool          `json:",omitempty"`
	// Sig is the home's of a user of another node over the own wish, At its time; ms
	// since 1970.
	Sig []byte `json:",omitempty"`
	At  int64  `json:",omitempty"`
}

type deleteEvent struct {
	ID     int
	Ranges protocol.Ranges
	Sig    []byte `json:",omitempty"` // as in subEvent
	At     int64  `json:",omitempty"`
}

type ownerEvent struct{ From, To protocol.UserID }

type descEvent struct {
	Public, Trusted json.RawMessage `json:",omitempty"`
	Defacs          store.Defacs
}

type tagsEvent struct{ Tags []string }

type auxEvent struct{ Aux json.RawMessage }

// log appends an event of a group in the transaction of its effect; other topics
// have no log.
func (r *room) log(tx store.Tx, q *request, kind uint8, body any) error {
	if !r.keepsLog() {
		return nil
	}
	e := &store.Event{TS: q.at, Kind: kind, By: q.who.User}
	if body != nil {
		var err error
		if e.Body, err = json.Marshal(body); err != nil {
			return err
		}
	}
	if err := r.alert(tx); err != nil {
		return err
	}
	return tx.AppendEvent(r.t.id, e)
}

// keepsLog reports whether this is a group at home.
func (r *room) keepsLog() bool {
	return r.t.id.Kind() == protocol.KindGroup && r.t.id.Home() == r.n.name
}

// alert has the group's followers told of what this transaction appends to the log.
func (r *room) alert(tx store.Tx) error {
	if r.n.cfg.Network == nil {
		return nil
	}
	for f, err := range tx.FollowersOf(r.t.id) {
		if err != nil {
			return err
		}
		r.peers = append(r.peers, f.Node)
	}
	return nil
}

// logMessage appends the event of a message, which bears its seq only.
func (r *room) logMessage(tx store.Tx, m *store.Message) error {
	if !r.keepsLog() {
		return nil
	}
	e := &store.Event{TS: m.TS, Kind: eventMessage, By: m.From, Seq: m.Seq}
	if r.remote != nil {
		e.Body = r.remote.Sig
	}
	if err := r.alert(tx); err != nil {
		return err
	}
	return tx.AppendEvent(r.t.id, e)
}
