package node

import (
	"context"
	"errors"
	"time"

	"parley/federation"
	"parley/protocol"
	"parley/protocol/s2s"
	"parley/reputation"
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

// ends are our user and the other's, of a conversation with another node's user.
func (n *Node) ends(t protocol.TopicID) (local, remote protocol.UserID) {
	local, remote = t.Peers()
	if n.remote(local) {
		local, remote = remote, local
	}
	return local, remote
}

// remoteDefacs is what a user of another node gives to strangers, until it has said so.
var remoteDefacs = store.Defacs{Auth: protocol.ModeP2P, Anon: protocol.ModeP2P}

// shadow is the record of a remote user of whom nothing is known but the id.
func shadow(u protocol.UserID, now time.Time) *store.User {
	return &store.User{ID: u, Level: store.LevelAuth, Created: now, Defacs: remoteDefacs}
}

// askTime is how long a client waits for another node.
const askTime = 3 * time.Second

// ask puts a question whose answer is all in one frame.
func (n *Node) ask(ctx context.Context, to protocol.Node, a *s2s.Ask) (*s2s.Answer, error) {
	answer, body, err := n.cfg.Network.Ask(ctx, to, a)
	if body != nil {
		body.Close()
	}
	return answer, err
}

// meet makes sure that a remote user with whom one of ours begins a conversation is
// known: NotFound if the other's node says that there is no such user. A node that
// cannot be reached is given the benefit of the doubt: the messages will wait.
func (n *Node) meet(by, u protocol.UserID) error {
	if n.cfg.Network == nil {
		return protocol.NotFound
	}
	err := n.store.View(func(tx store.Tx) error {
		if _, err := tx.Sub(protocol.P2P(by, u), by); !errors.Is(err, store.ErrNotFound) {
			return err // they have met
		}
		known, err := tx.User(u)
		if err == nil && known.State == store.StateDeleted {
			return protocol.NotFound
		}
		return err
	})
	if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	c := n.finds.card(u)
	if c == nil {
		if c, err = n.askCard(by, u); err != nil || c == nil {
			return err
		}
	}
	return n.store.Update(func(tx store.Tx) error {
		_, err := putCard(tx, c, n.wall())
		return err
	})
}

// askCard asks the node of a user for the card; nil if it cannot be had in time. Errors:
// NotFound, TooMany (by this user).
func (n *Node) askCard(by, u protocol.UserID) (*s2s.Card, error) {
	if n.cfg.Network.Away(u.Node()) {
		return nil, nil
	}
	if !n.standing.trusts(u.Node()) && !n.finds.users.allow(time.Now(), string(by)) {
		return nil, protocol.TooMany
	}
	ctx, stop := context.WithTimeout(n.outside, askTime)
	defer stop()
	a, err := n.ask(ctx, u.Node(), &s2s.Ask{Card: u})
	switch {
	case errors.Is(err, protocol.NotFound), errors.Is(err, protocol.Denied):
		return nil, protocol.NotFound // which of both is not told
	case err != nil:
		n.log.Debug("a user of another node is not known yet", "peer", u.Node(), "err", err)
		return nil, nil
	case a.Card == nil || a.Card.User != u:
		return nil, protocol.NotFound
	}
	return a.Card, nil
}

// answerCard gives a peer the card of one of our users.
func (n *Node) answerCard(from federation.Peer, u protocol.UserID) *s2s.Answer {
	if w := n.standing.use(from, reputation.Lookups, 1); w != nil {
		return w.answer()
	}
	user, err := n.lookUp(u)
	if err == nil && !n.approachable(user) {
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
