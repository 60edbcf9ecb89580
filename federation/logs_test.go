package federation_test

import (
	"context"

	"parley/federation"
	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
)

// follows makes a book replicate groups: at the home their events are in the store, a
// follower counts them.
type follows struct {
	pieces int
	revs   map[protocol.TopicID]uint64
	broken int // pieces that do not follow
}

// Behind implements federation.Logs.
func (b *book) Behind(to protocol.Node) (all []store.Follower, err error) {
	err = b.n.db.View(func(tx store.Tx) error {
		all = nil
		for f, err := range tx.FollowedBy(to) {
			if err != nil {
				return err
			}
			h, err := tx.Head(f.Topic)
			if err != nil {
				return err
			}
			if h.Rev > f.Rev {
				all = append(all, *f)
			}
		}
		return nil
	})
	return all, err
}

// Page implements federation.Logs.
func (b *book) Page(_ protocol.Node, group protocol.TopicID, after uint64, size int) (*s2s.Log, error) {
	l := &s2s.Log{Group: group, After: after}
	err := b.n.db.View(func(tx store.Tx) error {
		for e, err := range tx.EventsAfter(group, after) {
			if err != nil {
				return err
			}
			if size -= 100; size < 0 {
				break
			}
			l.Events = append(l.Events, s2s.Event{At: e.TS.UnixMilli(), Message: &s2s.GroupMessage{Seq: e.Seq, Content: e.Body}})
		}
		return nil
	})
	return l, err
}

// Follow implements federation.Logs.
func (b *book) Follow(_ context.Context, _ federation.Peer, l *s2s.Log) (*s2s.LogAck, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.revs == nil {
		b.revs = map[protocol.TopicID]uint64{}
	}
	b.pieces++
	have := b.revs[l.Group]
	if l.After > have {
		b.broken++
		return &s2s.LogAck{Group: l.Group, Rev: have, Reset: true}, nil
	}
	b.revs[l.Group] = max(have, l.After+uint64(len(l.Events)))
	return &s2s.LogAck{Group: l.Group, Rev: b.revs[l.Group]}, nil
}

// Followed implements federation.Logs.
func (b *book) Followed(from federation.Peer, a *s2s.LogAck) error {
	return b.n.db.Update(func(tx store.Tx) error {
		return tx.PutFollower(&store.Follower{Topic: a.Group, Node: from.Name, Rev: a.Rev})
	})
}
