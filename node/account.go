package node

import (
	"context"
	"errors"
	"time"

	"parley/protocol"
	"parley/store"
)

// requestTime bounds what a request about an account may take: clients give up
// after 5 s, but a new account should not be lost to a slow disk.
const requestTime = 20 * time.Second

// caller says who asks, for what accounts answer.
func (s *session) caller(who Identity) caller {
	return caller{Identity: who, lang: s.profile.Load().lang, origin: s.origin}
}

// acc makes an account or changes how it is entered.
func (s *session) acc(in *protocol.Request, now time.Time) {
	q := &request{s: s, in: in, id: in.Acc.ID, who: s.who, at: now}
	if in.Extra != nil {
		q.files = fileIDs(s.n.name, in.Extra.Attachments)
	}
	ctx, cancel := context.WithTimeout(s.n.ctx, requestTime)
	defer cancel()
	rep, err := s.n.accounts.acc(ctx, s.caller(s.who), in.Acc, q.files)
	q.answer(rep, err)
}

// login makes the session that of a user.
func (s *session) login(in *protocol.Request, now time.Time) {
	q := &request{s: s, in: in, id: in.Login.ID, who: s.who, at: now}
	ctx, cancel := context.WithTimeout(s.n.ctx, requestTime)
	defer cancel()
	rep, err := s.n.accounts.login(ctx, s.caller(s.who), in.Login)
	q.answer(rep, err)
}

// answer tells a client what came of a request about an account, and the user's
// other sessions that something has changed.
func (q *request) answer(rep reply, err error) {
	if err != nil {
		q.refuse(err)
		return
	}
	if rep.login.User != "" && q.s.who.User == "" {
		q.s.signIn(rep.login)
		if err := q.s.n.accounts.stillGood(rep.login.User, rep.epoch); err != nil {
			q.refuse(err)
			q.s.close(CloseNormal)
			return
		}
	}
	text := rep.text
	if text == "" {
		text = okText(rep.code)
	}
	q.s.reply(&protocol.Ctrl{ID: q.id, Topic: q.name, Code: rep.code, Text: text, Params: rep.params})
	if rep.evict != "" {
		q.s.n.evictOthers(rep.evict, q.s)
	}
	if rep.changed != "" { // a confirmed address is a tag
		q.s.n.broadcast(rep.changed, "", &protocol.Response{Pres: &protocol.Pres{Topic: "me", What: "tags"}}, nil)
	}
}

// Authenticate tells whose secret it is; for requests outside of sessions.
func (n *Node) Authenticate(ctx context.Context, scheme string, secret []byte, o Origin) (Identity, error) {
	return n.accounts.authenticate(ctx, scheme, secret, o)
}

// deleteAccount answers {del user}: one's own, or any for root.
func (n *Node) deleteAccount(q *request) {
	u := q.who.User
	if q.in.Del.User != "" {
		id, err := protocol.ParseUserID(q.in.Del.User, n.name)
		if err != nil {
			q.refuse(protocol.Malformed)
			return
		}
		u = id
	}
	if u != q.who.User && q.s.who.Level != store.LevelRoot {
		q.refuse(protocol.Denied)
		return
	}
	if err := n.removeUser(n.ctx, u, q.in.Del.Hard); err != nil {
		q.refuse(err)
		return
	}
	q.ok(200, nil)
	n.evictUser(u, "account deleted")
}

// removeUser deletes an account with everything that it owns: groups, files,
// credentials, subscriptions. What others received in conversations stays theirs,
// as with mail, unless hard.
//
// The account goes in one transaction, so that nobody can enter it any more; its
// topics then go one by one. removeLeftovers finishes what a crash interrupts.
func (n *Node) removeUser(_ context.Context, u protocol.UserID, hard bool) error {
	if n.remote(u) {
		return protocol.NotFound
	}
	var told []protocol.Node
	err := n.store.Update(func(tx store.Tx) error {
		user, err := tx.User(u)
		if err != nil {
			return err
		}
		if user.State == store.StateDeleted {
			return protocol.NotFound
		}
		if told, err = n.tellEnd(tx, u, hard); err != nil {
			return err
		}
		return n.accounts.erase(tx, u, hard)
	})
	if errors.Is(err, store.ErrNotFound) {
		return protocol.NotFound
	}
	if err != nil {
		return err
	}
	n.wakeNodes(told)
	return n.removeTopics(u, hard, false)
}

// removeTopics ends every subscription of a deleted user, through the topics so that
// those who are there are told. It may wait until that is done.
func (n *Node) removeTopics(u protocol.UserID, hard, wait bool) error {
	var subs []store.Sub
	err := n.store.View(func(tx store.Tx) error {
		subs = subs[:0]
		for s, err := range tx.SubsOf(u) {
			if err != nil {
				return err
			}
			subs = append(subs, *s)
		}
		return nil
	})
	if err != nil {
		return err
	}
	var done []<-chan error
	for _, s := range subs {
		if s.Topic.Kind() == protocol.KindNone {
			continue
		}
		d := newDeparture(u, hard)
		n.sendAlways(s.Topic, d)
		done = append(done, d.done)
	}
	for _, d := range done {
		if wait {
			err = errors.Join(err, <-d)
		}
	}
	return err
}

// removeLeftovers ends the subscriptions that a crash left to deleted users; called
// once at start.
func (n *Node) removeLeftovers() error {
	var left []protocol.UserID
	err := n.store.View(func(tx store.Tx) error {
		left = left[:0]
		for u, err := range tx.AllUsers() {
			if err != nil {
				return err
			}
			if u.State != store.StateDeleted {
				continue
			}
			for s, err := range tx.SubsOf(u.ID) {
				if err != nil {
					return err
				}
				if s.Live() {
					left = append(left, u.ID)
					break
				}
			}
		}
		return nil
	})
	for _, u := range left {
		err = errors.Join(err, n.removeTopics(u, false, false))
	}
	return err
}

// departure is the event by which a deleted user leaves a room.
type departure struct {
	user protocol.UserID
	hard bool
	done chan error // has room for one
}

func newDeparture(u protocol.UserID, hard bool) departure {
	return departure{u, hard, make(chan error, 1)}
}

// absent implements refusal: who is in no topic need not leave it.
func (e departure) absent(err error) {
	if errors.Is(err, protocol.NotFound) {
		err = nil
	}
	e.done <- err
}

// room is how events reach what rooms have in common.
func (r *room) asRoom() *room { return r }

func (e departure) apply(t *topic) { e.done <- e.leave(t) }

func (e departure) leave(t *topic) error {
	k, ok := t.kind.(interface{ asRoom() *room })
	if !ok {
		return nil
	}
	r := k.asRoom()
	m := r.members[e.user]
	if m == nil {
		return nil
	}
	if f, ok := k.(*follower); ok {
		return f.lose(m)
	}
	err := r.depart(m, e.hard)
	if err != nil {
		r.n.log.Error("deleted user's subscription not removed", "topic", t.id, "user", e.user, "err", err)
	}
	return err
}

// depart ends the subscription of a deleted user. What the user owned goes: the own
// notes, the own groups, and if so asked the own conversations.
func (r *room) depart(m *member, hard bool) error {
	kind := r.t.id.Kind()
	q := &request{who: Identity{User: m.sub.User}, at: r.n.wall()}
	if kind == protocol.KindSelf || m.mode().Has(protocol.Owner) || kind == protocol.KindP2P && hard {
		err := r.update(func(tx store.Tx) error {
			if err := r.log(tx, q, eventEnd, nil); err != nil {
				return err
			}
			return tx.DeleteTopic(r.t.id)
		})
		if err == nil {
			r.end()
		}
		return err
	}
	if !m.live() {
		return nil
	}
	if err := r.endSub(q, m); err != nil {
		return err
	}
	r.putOut(q, m, func() {})
	return nil
}

// lose ends the subscription of a deleted user of ours to a group of another node. The
// home is told that the user is no more, and tells of all others.
func (f *follower) lose(m *member) error {
	if !m.live() || f.n.remote(m.sub.User) {
		return nil
	}
	q := &request{who: Identity{User: m.sub.User}, at: f.n.wall()}
	ended := m.sub
	ended.Ended, ended.Updated = q.at, q.at
	if err := f.update(func(tx store.Tx) error { return tx.PutSub(&ended) }); err != nil {
		return err
	}
	m.sub = ended
	f.putOut(q, m, func() {})
	f.prune()
	return nil
}
