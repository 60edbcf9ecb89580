package node

import (
	"parley/protocol"
	"parley/store"
)

// sys takes reports for the operators: anybody publishes, only root users read.
type sys struct{ *room }

func newSys(t *topic) kind {
	s := &sys{newRoom(t)}
	s.room.policy = s
	return s
}

// load implements kind.
func (s *sys) load(tx store.Tx) error {
	if err := s.room.load(tx); err != nil || s.rec != nil {
		return err
	}
	s.rec = &store.Topic{ID: protocol.Sys}
	return nil
}

// admit implements policy.
func (s *sys) admit(q *request, in *protocol.Sub) error {
	if q.who.Level != store.LevelRoot {
		return protocol.Denied
	}
	sub := newSub(s.t.id, q.who.User, protocol.ModeSysRoot, protocol.ModeSysRoot, q.at)
	rec := *s.rec
	if rec.Created.IsZero() {
		rec.Created, rec.Updated = q.at, q.at
	}
	err := s.update(func(tx store.Tx) error {
		if err := tx.PutTopic(&rec); err != nil {
			return err
		}
		return tx.PutSub(&sub)
	})
	if err == nil {
		s.rec = &rec
		s.members[q.who.User] = &member{sub: sub}
	}
	return err
}

// pubs handles {pub}: a report needs no subscription.
func (s *sys) pubs(qs []*request) {
	for _, q := range qs {
		if s.at(q) != nil {
			s.room.pubs([]*request{q})
			continue
		}
		m, err := s.compose(q, q.in.Pub)
		if err == nil {
			err = s.take(q, m)
		}
		if err != nil {
			q.refuse(err)
		}
	}
}

// take stores a report and answers. What its author has reported already is counted with
// the first report, as long as that is there; if nothing else is in it, it is no message.
func (s *sys) take(q *request, m *store.Message) error {
	said := s.n.accusations(m.Content)
	fresh, first, err := s.unsaid(m.From, said)
	if err != nil {
		return err
	}
	count := func(tx store.Tx) error { return countAgain(tx, m, said) }
	if len(said) > 0 && len(fresh) == 0 {
		if err := s.update(count); err != nil {
			return err
		}
		q.ok(202, map[string]any{"seq": first})
		return nil
	}
	s.also = count
	if err := s.room.store([]*pending{{q: q, r: s.room, m: m}}); err != nil {
		return err
	}
	q.ok(202, map[string]any{"seq": m.Seq})
	s.n.reported(q.who.User, fresh)
	s.deliver(m, nil)
	return nil
}

// pub implements verbs.
func (s *sys) pub(q *request, _ *protocol.Pub) { s.pubs([]*request{q}) }

// get implements verbs: for others than root the topic is not there.
func (s *sys) get(q *request, in *protocol.GetQuery) {
	if s.member(q.who.User) == nil {
		q.refuse(protocol.NotFound)
		return
	}
	s.room.get(q, in)
}

// set implements verbs.
func (s *sys) set(q *request, in *protocol.SetQuery) {
	if s.member(q.who.User) == nil {
		q.unchanged("not modified")
		return
	}
	s.room.set(q, in)
}

// name implements policy.
func (s *sys) name(protocol.UserID, bool) string { return "sys" }

// card implements policy.
func (s *sys) card(store.Tx, protocol.UserID) (card, error) { return card{}, nil }

// grant implements policy.
func (s *sys) grant(_ *request, _ *member, want, given protocol.Mode) (protocol.Mode, protocol.Mode, error) {
	return want & protocol.ModeSysRoot, given, nil
}

// invite implements policy.
func (s *sys) invite(*request, *member, protocol.UserID, string) error { return protocol.Denied }

// transfer implements policy.
func (s *sys) transfer(*request, *member, protocol.Mode) error { return protocol.Denied }

// offers implements policy.
func (s *sys) offers(Identity) protocol.Mode { return protocol.None }

// wants implements policy.
func (s *sys) wants(*member) protocol.Mode { return protocol.ModeSysRoot }
