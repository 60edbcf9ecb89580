package node

import (
	"slices"
	"strings"
	"time"

	"parley/protocol"
	"parley/reputation"
)

// What operators see of other nodes' standing, and say about it.

// Standings are the peers of whom there is evidence, or an operator's word, in the
// order of their names.
func (n *Node) Standings() []reputation.Peer {
	var all []reputation.Peer
	n.standing.with(func(e *reputation.Engine, now time.Time) {
		state := e.Export(now)
		all = append(state.Peers, state.Strangers...)
	})
	slices.SortFunc(all, func(a, b reputation.Peer) int { return strings.Compare(string(a.Name), string(b.Name)) })
	return all
}

// ExplainStanding says on one screen what is known of a node, and what follows.
func (n *Node) ExplainStanding(peer protocol.Node) string {
	var text string
	n.standing.with(func(e *reputation.Engine, now time.Time) { text = e.Explain(now, peer) })
	switch pin, which := n.standing.lists.said(peer, n.wall()); pin {
	case reputation.Allow:
		text += "list           allowed by " + which + ", unless you say otherwise\n"
	case reputation.Deny:
		text += "list           denied by " + which + ", unless you say otherwise\n"
	}
	return text
}

// SetStanding gives the operator's word about a node.
func (n *Node) SetStanding(peer protocol.Node, pin reputation.Pin) error {
	return n.standing.keep(func(e *reputation.Engine, now time.Time) { e.Set(now, n.standing.known(peer), pin) })
}

// TrustStanding makes a node, or makes it no more, one whose word about others counts
// while this node is young.
func (n *Node) TrustStanding(peer protocol.Node, on bool) error {
	return n.standing.keep(func(e *reputation.Engine, now time.Time) { e.Anchor(now, n.standing.known(peer), on) })
}

// ForgetStanding drops what is known of a node.
func (n *Node) ForgetStanding(peer protocol.Node) error {
	return n.standing.keep(func(e *reputation.Engine, now time.Time) { e.Forget(now, peer) })
}

// Pardon drops the complaints of other nodes about one of our users.
func (n *Node) Pardon(u protocol.UserID) error {
	return n.standing.keep(func(e *reputation.Engine, _ time.Time) { e.Pardon(u) })
}

// ExportStanding is everything that is known, to be kept or moved.
func (n *Node) ExportStanding() reputation.State {
	var state reputation.State
	n.standing.with(func(e *reputation.Engine, now time.Time) { state = e.Export(now) })
	return state
}

// ImportStanding replaces everything that is known.
func (n *Node) ImportStanding(state reputation.State) error {
	return n.standing.keep(func(e *reputation.Engine, now time.Time) { e.Import(now, state) })
}

// keep runs f and stores what came of it.
func (s *standing) keep(f func(e *reputation.Engine, now time.Time)) error {
	s.with(f)
	return s.save()
}
