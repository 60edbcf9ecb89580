package node

import (
	"errors"
	"slices"
	"time"

	"parley/federation"
	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
)

// What users show of themselves, and that they are no more, goes to every node with
// which they share a topic, in the transaction of the change.

// valueCard is the name under which the signed card of a remote user is kept, without
// what the user's record has.
func valueCard(u protocol.UserID) string { return "card\x00" + string(u) }

// keptCard is the card of a remote user as its node has signed it; nil if none is known.
func keptCard(tx store.Tx, u *store.User) (*s2s.Card, error) {
	b, err := tx.Value(valueCard(u.ID))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	c := new(s2s.Card)
	if err := s2s.Unmarshal(b, c); err != nil {
		return nil, err
	}
	c.User, c.Public = u.ID, u.Public
	return c, nil
}

// putCard keeps what a card says, unless a newer one is known. It reports whether
// the user's face has changed. That the card is of the user's node is for the caller
// to know.
func putCard(tx store.Tx, c *s2s.Card, now time.Time) (changed bool, err error) {
	if len(c.Public) > maxField {
		return false, protocol.TooLarge
	}
	if !isFace(c.Public) {
		return false, protocol.Malformed
	}
	u, err := tx.User(c.User)
	if errors.Is(err, store.ErrNotFound) {
		u, err = shadow(c.User, now), nil
	}
	if err != nil || u.State == store.StateDeleted {
		return false, err
	}
	known, err := keptCard(tx, u)
	if err != nil || known != nil && c.Version <= known.Version {
		return false, err
	}
	if changed = string(u.Public) != string(c.Public); changed {
		u.Public, u.Updated = c.Public, now // clients ask by this node's clock
	}
	u.Defacs.Auth = c.Auth & protocol.ModeP2P
	u.Level = levelOf(c)
	rest := *c
	rest.Public = nil
	b, err := s2s.Marshal(&rest)
	if err != nil {
		return false, err
	}
	if err := errors.Join(tx.PutUser(u), tx.PutValue(valueCard(u.ID), b)); err != nil {
		return false, err
	}
	return changed, showFace(tx, u, now)
}

// levelOf is that of the user of a card.
func levelOf(c *s2s.Card) store.Level {
	if c.Guest {
		return store.LevelAnon
	}
	return store.LevelAuth
}

// cardOf makes the card of one of our users.
func (n *Node) cardOf(u *store.User) *s2s.Card {
	c := &s2s.Card{User: u.ID, Version: latest(u.Updated, u.Created).UnixMilli(), Public: u.Public, Auth: u.Defacs.Auth,
		Guest: u.Level == store.LevelAnon}
	c.Sig = n.cfg.Network.Sign(c.Signed())
	return c
}

// anyCard is the card of a user, ours or not, for a third node; nil if there is none.
func (n *Node) anyCard(tx store.Tx, u *store.User) (*s2s.Card, error) {
	if n.remote(u.ID) {
		return keptCard(tx, u)
	}
	return n.cardOf(u), nil
}

// since is a time after an earlier one, as cards count: in milliseconds.
func since(before, now time.Time) time.Time {
	if now.UnixMilli() > before.UnixMilli() {
		return now
	}
	return before.Add(time.Millisecond)
}

// acquainted are the nodes with whose users a user of ours shares a topic, or has
// accepted to.
func (n *Node) acquainted(tx store.Tx, u protocol.UserID) ([]protocol.Node, error) {
	all := map[protocol.Node]bool{}
	for s, err := range tx.SubsOf(u) {
		switch {
		case err != nil:
			return nil, err
		case !s.Live():
		case s.Topic.Kind() == protocol.KindP2P:
			if to := n.other(s.Topic); to != "" && s.Want.Has(protocol.Write) {
				all[to] = true
			}
		case s.Topic.Kind() == protocol.KindGroup && !s.Reader:
			if err := n.nodesIn(tx, s.Topic, all); err != nil {
				return nil, err
			}
		}
	}
	return sortedNodes(all, n.name), nil
}

// nodesIn adds the nodes of a group's home and members.
func (n *Node) nodesIn(tx store.Tx, g protocol.TopicID, all map[protocol.Node]bool) error {
	all[g.Home()] = true
	for m, err := range tx.SubsTo(g) {
		if err != nil {
			return err
		}
		if m.Live() && !m.Reader {
			all[m.User.Node()] = true
		}
	}
	return nil
}

// sortedNodes are the names in a set, but one.
func sortedNodes(set map[protocol.Node]bool, but protocol.Node) []protocol.Node {
	var all []protocol.Node
	for name := range set {
		if name != but && name != "" {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return all
}

// tellNodes queues a post about a user as such for all nodes that know the user, and
// returns whom to wake. A newer one takes the place of one that was not sent yet. A
// node that takes no more, or is not wanted, goes without it: its queue must not keep
// users here from changing.
func (n *Node) tellNodes(tx store.Tx, u protocol.UserID, p *s2s.Post) ([]protocol.Node, error) {
	if n.cfg.Network == nil {
		return nil, nil
	}
	all, err := n.acquainted(tx, u)
	if err != nil {
		return nil, err
	}
	var told []protocol.Node
	for _, to := range all {
		err := n.cfg.Network.Post(tx, to, "user\x00"+string(u), p)
		switch protocol.FaultOf(err) {
		case protocol.Full, protocol.Denied:
			n.log.Warn("a node is not told of a user's change", "peer", to, "err", err)
			continue
		}
		if err != nil {
			return nil, err
		}
		told = append(told, to)
	}
	return told, nil
}

// tellFace queues the card of a user of ours.
func (n *Node) tellFace(tx store.Tx, u *store.User) ([]protocol.Node, error) {
	if n.cfg.Network == nil {
		return nil, nil
	}
	return n.tellNodes(tx, u.ID, &s2s.Post{From: u.ID, At: n.wall().UnixMilli(), Card: n.cardOf(u)})
}

// tellEnd queues that a user of ours is no more.
func (n *Node) tellEnd(tx store.Tx, u protocol.UserID, erase bool) ([]protocol.Node, error) {
	if n.cfg.Network == nil {
		return nil, nil
	}
	t := &s2s.Tombstone{User: u, Erase: erase, At: n.wall().UnixMilli()}
	t.Sig = n.cfg.Network.Sign(t.Signed())
	return n.tellNodes(tx, u, &s2s.Post{From: u, At: t.At, Tombstone: t})
}

// wakeNodes lets what was queued for nodes go, once it is on the disk.
func (n *Node) wakeNodes(to []protocol.Node) {
	if len(to) > 0 {
		n.cfg.Network.Wake(to...)
	}
}

// receiveUser applies a post about a user as such. Only the user's node may say
// anything of one; record runs when nothing is left to do.
func (n *Node) receiveUser(from federation.Peer, p *s2s.Post, record func(store.Tx) error) error {
	switch {
	case p.Card != nil:
		return n.receiveCard(from, p.Card, record)
	case p.Tombstone != nil:
		return n.receiveTombstone(from, p.Tombstone, record)
	case p.Report != nil:
		return n.receiveReport(from, p.Report, record)
	}
	return protocol.Unsupported
}

func (n *Node) receiveCard(from federation.Peer, c *s2s.Card, record func(store.Tx) error) error {
	if c.User.Node() != from.Name {
		return protocol.Denied
	}
	changed := false
	err := n.store.Update(func(tx store.Tx) (err error) {
		changed = false
		if _, err := tx.User(c.User); errors.Is(err, store.ErrNotFound) {
			return record(tx) // nobody here knows the user
		}
		if changed, err = putCard(tx, c, n.wall()); err != nil {
			return err
		}
		return record(tx)
	})
	if err == nil && changed {
		n.tellContacts(c.User, protocol.Pres{What: "upd"})
	}
	return err
}

// receiveTombstone ends what is known of a user: profile and presence go, the user
// leaves topics, and with Erase conversations go, as if the account had been one of
// this node. A crash on the way has it all done again.
func (n *Node) receiveTombstone(from federation.Peer, t *s2s.Tombstone, record func(store.Tx) error) error {
	if t.User.Node() != from.Name {
		return protocol.Denied
	}
	err := n.store.Update(func(tx store.Tx) error {
		u, err := tx.User(t.User)
		if err != nil {
			return err
		}
		u.State, u.Public, u.Trusted, u.Updated = store.StateDeleted, nil, nil, n.wall()
		return errors.Join(tx.SetLinks(store.RefUser(u.ID), nil), tx.PutUser(u))
	})
	if errors.Is(err, store.ErrNotFound) {
		return n.store.Update(record)
	}
	if err != nil {
		return err
	}
	n.learn(s2s.Status{User: t.User})
	if err := n.removeTopics(t.User, t.Erase, true); err != nil {
		return err
	}
	return n.store.Update(record)
}
