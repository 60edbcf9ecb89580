package node

import (
	"context"
	"errors"
	"time"

	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
)

// Users of other nodes have a record in the store, too: their card, as far as it is
// known. They have no login, no tags, and are never found by search.

// remote reports whether a user belongs to another node.
func (n *Node) remote(u protocol.UserID) bool { return u.Node() != n.name }

// other is the node at the other end of a conversation of two; "" if both users are
// of this one.
func (n *Node) other(t protocol.TopicID) protocol.Node {
	if t.Kind() != protocol.KindP2P {
		return ""
	}
	a, b := t.Peers()
	switch {
	case n.remote(a):
		return a.Node()
	case n.remote(b):
		return b.Node()
	}
	return ""
}

// remoteDefacs is what a user of another node gives to strangers, until it has said so.
var remoteDefacs = store.Defacs{Auth: protocol.ModeP2P}

// shadow is the record of a remote user of whom nothing is known but the id.
func shadow(u protocol.UserID, now time.Time) *store.User {
	return &store.User{ID: u, Level: store.LevelAuth, Created: now, Defacs: remoteDefacs}
}

// putCard keeps what a card says, unless a newer one is known. It reports whether
// the user's face has changed.
func putCard(tx store.Tx, c *s2s.Card, now time.Time) (changed bool, err error) {
	u, err := tx.User(c.User)
	if errors.Is(err, store.ErrNotFound) {
		u, err = shadow(c.User, now), nil
	}
	if err != nil {
		return false, err
	}
	version := time.UnixMilli(c.Version)
	if u.State == store.StateDeleted || !u.Updated.IsZero() && !version.After(u.Updated) {
		return false, nil
	}
	if len(c.Public) > maxField {
		return false, protocol.TooLarge
	}
	changed = string(u.Public) != string(c.Public)
	u.Public, u.Updated = c.Public, version
	u.Defacs.Auth = c.Auth & protocol.ModeP2P
	return changed, tx.PutUser(u)
}

// cardOf makes the card of one of our users.
func (n *Node) cardOf(u *store.User) *s2s.Card {
	return &s2s.Card{User: u.ID, Version: latest(u.Updated, u.Created).UnixMilli(), Public: u.Public, Auth: u.Defacs.Auth}
}

// askTime is how long a client waits for another node.
const askTime = 3 * time.Second

// meet makes sure that a remote user with whom a conversation is to begin is known:
// NotFound if its node says that there is no such user. A node that cannot be reached
// is given the benefit of the doubt: the messages will wait.
func (n *Node) meet(u protocol.UserID) error {
	if n.cfg.Network == nil {
		return protocol.NotFound
	}
	err := n.store.View(func(tx store.Tx) error {
		known, err := tx.User(u)
		if err == nil && known.State == store.StateDeleted {
			return protocol.NotFound
		}
		return err
	})
	if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if n.cfg.Network.Away(u.Node()) {
		return nil
	}
	ctx, stop := context.WithTimeout(n.ctx, askTime)
	defer stop()
	a, body, err := n.cfg.Network.Ask(ctx, u.Node(), &s2s.Ask{Card: u})
	if body != nil {
		body.Close()
	}
	switch {
	case errors.Is(err, protocol.NotFound), errors.Is(err, protocol.Denied):
		return err
	case err != nil: // not reached in time
		return nil
	case a.Card == nil || a.Card.User != u:
		return protocol.NotFound
	}
	return n.store.Update(func(tx store.Tx) error {
		_, err := putCard(tx, a.Card, time.Now())
		return err
	})
}

// answerCard gives a peer the card of one of our users.
func (n *Node) answerCard(u protocol.UserID) *s2s.Answer {
	user, err := n.lookUp(u)
	if err == nil && (n.remote(u) || !user.Defacs.Auth.Has(protocol.Join)) {
		err = protocol.NotFound
	}
	if err != nil {
		return failed(err)
	}
	return &s2s.Answer{Card: n.cardOf(user)}
}

// failed is the answer to a question that was not answered.
func failed(err error) *s2s.Answer {
	return &s2s.Answer{Failed: true, Fault: faultOf(err), Reason: faultOf(err).Text()}
}
