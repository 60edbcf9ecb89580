package node

import (
	"errors"
	"time"

	"parley/protocol"
	"parley/reputation"
	"parley/store"
)

// What happens in conversations with users of other nodes tells of those nodes.

// weigh takes a message of a conversation between nodes into account, once it is
// stored: an answer to a first contact, of ours or theirs, or that it goes on.
func (r *room) weigh(m *store.Message) {
	if m.From == "" || r.n.other(r.t.id) == "" {
		return
	}
	if !r.talk.known {
		if err := r.lastWords(m); err != nil {
			r.n.log.Error("evidence about another node is lost", "err", err)
			return
		}
	}
	local, remote := r.ends()
	own, other := &r.talk.mine, &r.talk.theirs // of the author
	if m.From != local {
		own, other = other, own
	}
	before, day := *own, m.TS.Truncate(24*time.Hour)
	*own = m.TS
	switch {
	case other.IsZero():
	case before.IsZero() && m.From == local:
		r.n.standing.observe(remote, reputation.Reply, local)
	case before.IsZero():
		r.n.standing.observe(remote, reputation.Answered, local)
	case before.Before(day) && !other.Before(day):
		r.n.standing.observe(remote, reputation.Burst, local)
	}
}

// talk is when each of two has last written.
type talk struct {
	known        bool
	mine, theirs time.Time
}

// lastWords finds in the history when each has last written before a message.
func (r *room) lastWords(before *store.Message) error {
	local, _ := r.ends()
	return r.n.store.View(func(tx store.Tx) error {
		r.talk = talk{known: true}
		for m, err := range tx.History(r.t.id, 1, before.Seq) {
			if err != nil {
				return err
			}
			switch {
			case m.From == "":
			case m.From == local && r.talk.mine.IsZero():
				r.talk.mine = m.TS
			case m.From != local && r.talk.theirs.IsZero():
				r.talk.theirs = m.TS
			}
			if !r.talk.mine.IsZero() && !r.talk.theirs.IsZero() {
				break
			}
		}
		return nil
	})
}

// blocked takes down that our user does not want to hear of the other any more.
func (r *room) blocked(m *member, old protocol.Mode) {
	if r.n.other(r.t.id) == "" || r.n.remote(m.sub.User) {
		return
	}
	if old.Has(protocol.Join) && !m.sub.Want.Has(protocol.Join) {
		_, remote := r.ends()
		r.n.standing.observe(remote, reputation.Block, m.sub.User)
	}
}

// reported takes down what one of our users has reported of users of other nodes.
func (n *Node) reported(by protocol.UserID, said []accusation) {
	for _, a := range said {
		u, err := protocol.ParseUserID(a.Target, n.name)
		if err == nil && a.Action == "report" && n.remote(u) {
			if n.standing.observe(u, reputation.Report, by) <= leastReport {
				n.standing.complain(u)
			}
		}
	}
}

// tend looks after what follows from the time: silence, and strangers whom nobody has
// answered for long. It also lets the engine's clock go on, and saves.
func (s *standing) tend() {
	s.with(func(e *reputation.Engine, now time.Time) { e.SetUsers(s.n.localUsers()) })
	s.tellReach()
	if err := s.silence(s.n.wall()); err != nil {
		s.n.log.Error("silence about strangers not counted", "err", err)
	}
	if err := s.n.forgetCommands(s.n.wall()); err != nil {
		s.n.log.Error("results of commands not dropped", "err", err)
	}
	if err := s.save(); err != nil {
		s.n.log.Error("what is known of other nodes not stored", "err", err)
	}
	s.n.start(s.gather)
	s.n.start(s.file)
	s.passOn()
	s.n.start(s.readLists)
}

// silence finds first contacts without a reaction.
func (s *standing) silence(now time.Time) error {
	var upto time.Time
	var ignored, old []store.Sub
	err := s.n.store.View(func(tx store.Tx) error {
		ignored, old = nil, nil
		raw, err := tx.Value(valueIgnored)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if len(raw) > 0 {
			if err := upto.UnmarshalText(raw); err != nil {
				return err
			}
		}
		for t, err := range tx.AllTopics() {
			if err != nil {
				return err
			}
			if s.n.other(t.ID) == "" || t.Created.After(now.Add(-ignoredAfter)) {
				continue
			}
			local, remote := s.n.ends(t.ID)
			mine, err := tx.Sub(t.ID, local)
			if errors.Is(err, store.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			if !mine.Live() || mine.Want != modeFirstWant {
				continue
			}
			if t.Created.After(upto.Add(-ignoredAfter)) {
				ignored = append(ignored, store.Sub{Topic: t.ID, User: remote})
			}
			if t.Created.Before(now.Add(-strangerLife)) {
				old = append(old, *mine)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, i := range ignored {
		s.observe(i.User, reputation.Ignored, i.Topic.Peer(i.User))
	}
	for _, o := range old {
		s.n.send(o.Topic, newDeparture(o.User, true))
	}
	text, err := now.MarshalText()
	if err != nil {
		return err
	}
	return s.n.store.Update(func(tx store.Tx) error { return tx.PutValue(valueIgnored, text) })
}

// localUsers is how many accounts there are here.
func (n *Node) localUsers() int {
	users := 0
	err := n.store.View(func(tx store.Tx) error {
		users = 0
		for u, err := range tx.AllUsers() {
			if err != nil {
				return err
			}
			if !n.remote(u.ID) && u.State == store.StateOK {
				users++
			}
		}
		return nil
	})
	if err != nil {
		n.log.Error("users not counted", "err", err)
	}
	return max(users, 1)
}
