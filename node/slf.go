package node

import (
	"parley/protocol"
	"parley/store"
)

// slf is a user's notes to oneself; it comes into being when first attached to.
type slf struct{ *room }

func newSelf(t *topic) kind {
	s := &slf{newRoom(t)}
	s.room.policy = s
	return s
}

// admit implements policy.
func (s *slf) admit(q *request, in *protocol.Sub) error {
	sub := newSub(s.t.id, q.who.User, protocol.ModeSelf, protocol.ModeSelf, q.at)
	var err error
	if sub.Private, err = privateOf(in); err != nil {
		return err
	}
	rec := &store.Topic{ID: s.t.id, Created: q.at, Updated: q.at, Owner: q.who.User,
		Defacs: store.Defacs{Auth: protocol.ModeSelf}}
	err = s.update(func(tx store.Tx) error {
		if err := tx.PutTopic(rec); err != nil {
			return err
		}
		return tx.PutSub(&sub)
	})
	if err == nil {
		s.rec = rec
		s.members[q.who.User] = &member{sub: sub}
	}
	return err
}

// del implements verbs: the notes may be thrown away, not left.
func (s *slf) del(q *request, in *protocol.Del) {
	if in.What == "sub" {
		q.refuse(protocol.Denied)
		return
	}
	s.room.del(q, in)
}

// name implements policy.
func (s *slf) name(protocol.UserID, bool) string { return "slf" }

// card implements policy.
func (s *slf) card(store.Tx, protocol.UserID) (card, error) { return card{}, nil }

// grant implements policy.
func (s *slf) grant(_ *request, _ *member, want, given protocol.Mode) (protocol.Mode, protocol.Mode, error) {
	if !want.Has(protocol.Owner) {
		return 0, 0, protocol.Denied
	}
	return want & protocol.ModeSelf, given, nil
}

// invite implements policy.
func (s *slf) invite(*request, *member, protocol.UserID, string) error { return protocol.Denied }

// transfer implements policy.
func (s *slf) transfer(*request, *member, protocol.Mode) error { return protocol.Denied }

// offers implements policy.
func (s *slf) offers(Identity) protocol.Mode { return protocol.ModeSelf }

// wants implements policy.
func (s *slf) wants(*member) protocol.Mode { return protocol.ModeSelf }
