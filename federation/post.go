package federation

import (
	"errors"

	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
)

// Post implements Network. It may run more than once for one commit.
func (m *Mesh) Post(tx store.Tx, to protocol.Node, key string, p *s2s.Post) error {
	if to == m.self || to == "" {
		return protocol.Errorf(protocol.Internal, "post to %q", to)
	}
	if r, err := tx.Peer(to); err == nil && r.Access == store.AccessDeny {
		return protocol.Errorf(protocol.Denied, "%s is not wanted here", to)
	} else if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	e, err := newEntry(m.codec(to), p)
	if err != nil {
		return err
	}
	if p.Tombstone == nil { // comes once of a user, and is not to be missed
		if err := m.room(tx, to, len(e)); err != nil {
			return err
		}
	}
	pr, t := m.peer(to), p.TopicID()
	lane := LaneOf(t)
	if aside, err := pr.parked.holds(tx, to, lane, t); err != nil {
		return err
	} else if aside {
		return tx.Enqueue(to, parkedLane(lane), &store.Post{Key: key, Body: e, At: m.cfg.Clock.Now()})
	}
	entry := &store.Post{Key: key, Body: e, At: m.cfg.Clock.Now()}
	if err := tx.Enqueue(to, lane, entry); err != nil {
		return err
	}
	if l := pr.current(); l != nil && l.out[lane].follows(entry.N) {
		return tx.Offer(to, lane, entry.N) // saves the sender a commit
	}
	return nil
}

// room fails if too much waits for the node.
func (m *Mesh) room(tx store.Tx, to protocol.Node, size int) error {
	var posts, bytes uint64
	for l := range store.Lane(s2s.Lanes) {
		for _, l := range []store.Lane{l, parkedLane(l)} {
			q, err := tx.Queue(to, l)
			if err != nil {
				return err
			}
			posts, bytes = posts+q.Last-q.Settled, bytes+q.Bytes
		}
	}
	if posts >= m.cfg.Queue.Posts || bytes+uint64(size) > m.cfg.Queue.Bytes {
		return protocol.Errorf(protocol.Full, "%d posts of %d bytes wait for %s", posts, bytes, to)
	}
	return nil
}
