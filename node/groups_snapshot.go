package node

import (
	"cmp"
	"slices"

	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
)

// Snapshots of groups whose home is here.

// pageMembers is how many members are in a page of a snapshot, so that with the longest
// ids, and the faces that go along, it fits into a frame.
const pageMembers = 4000

// page leaves of a snapshot the members after one, up to a page.
func page(s *s2s.Snapshot, after protocol.UserID) {
	slices.SortFunc(s.Members, func(a, b s2s.Membership) int { return cmp.Compare(a.User, b.User) })
	s.Members = slices.DeleteFunc(s.Members, func(m s2s.Membership) bool { return m.User <= after })
	if s.More = len(s.Members) > pageMembers; s.More {
		s.Members = s.Members[:pageMembers]
	}
}

// answerSnapshot gives a follower the group as it is, in pages if it can take them.
func (n *Node) answerSnapshot(from protocol.Node, a *s2s.Ask) *s2s.Answer {
	group := a.Snapshot
	var s *s2s.Snapshot
	err := n.store.View(func(tx store.Tx) error {
		if _, err := tx.Follower(group, from); err != nil {
			return err
		}
		bare, err := n.bare(tx, group, from)
		if err == nil {
			s, _, err = n.snapshot(tx, group, bare)
		}
		return err
	})
	if err != nil {
		return failed(err)
	}
	if a.Pages {
		page(s, a.After)
	}
	return &s2s.Answer{Snapshot: s}
}
