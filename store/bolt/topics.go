package bolt

import (
	"fmt"
	"iter"

	"parley/protocol"
	"parley/store"
)

// Topic implements store.Topics.
func (x *tx) Topic(t protocol.TopicID) (*store.Topic, error) {
	return record[store.Topic](x, bktTopics, key(string(t)))
}

// PutTopic implements store.Topics.
func (x *tx) PutTopic(t *store.Topic) error {
	if x.gone(t.ID) {
		return fmt.Errorf("%w: %s was deleted", store.ErrExists, t.ID)
	}
	was, err := orNil(x.Topic(t.ID))
	if err != nil {
		return err
	}
	var old []string
	if was != nil {
		old = was.Tags
	} else if err := x.grow(); err != nil {
		return err
	}
	if err := x.retag(string(t.ID), old, t.Tags); err != nil {
		return err
	}
	return x.putRecord(bktTopics, key(string(t.ID)), t)
}

// gone reports whether a group was deleted.
func (x *tx) gone(t protocol.TopicID) bool { return x.bucket(bktGone).Get(key(string(t))) != nil }

// DeleteTopic implements store.Topics.
func (x *tx) DeleteTopic(t protocol.TopicID) error {
	was, err := orNil(x.Topic(t))
	if err != nil {
		return err
	}
	if was == nil && x.bucket(bktHeads).Get(key(string(t))) == nil {
		return store.ErrNotFound
	}
	if err := x.eraseTopic(t, was); err != nil {
		return err
	}
	if t.Kind() != protocol.KindGroup {
		return nil
	}
	return x.put(bktGone, key(string(t)), nothing)
}

// Prune implements store.Replicas.
func (x *tx) Prune(t protocol.TopicID) error {
	was, err := x.Topic(t)
	if err != nil {
		return err
	}
	return x.eraseTopic(t, was)
}

// eraseTopic removes all of a topic; was is its description, or nil.
func (x *tx) eraseTopic(t protocol.TopicID, was *store.Topic) error {
	if was != nil {
		if err := x.retag(string(t), was.Tags, nil); err != nil {
			return err
		}
		if err := x.del(bktTopics, key(string(t))); err != nil {
			return err
		}
	}
	for _, refs := range [][]byte{refsTo(t), linkKey(store.RefTopic(t), "")} {
		if err := x.unlinkAll(refs); err != nil {
			return err
		}
	}
	prefix := prefixOf(string(t))
	for k := range all(x.bucket(bktSubs), prefix) {
		if err := x.del(bktSubsOf, key(string(k[len(prefix):]), string(t))); err != nil {
			return err
		}
	}
	for _, b := range ofTopics {
		if err := x.wipe(b, prefix); err != nil {
			return err
		}
	}
	return x.del(bktHeads, key(string(t)))
}

// Head implements store.Topics.
func (x *tx) Head(t protocol.TopicID) (store.Head, error) {
	raw := x.bucket(bktHeads).Get(key(string(t)))
	if raw == nil {
		return store.Head{}, nil
	}
	return decodeHead(raw)
}

func (x *tx) putHead(t protocol.TopicID, h store.Head) error {
	return x.put(bktHeads, key(string(t)), encodeHead(h))
}

// AllTopics implements store.Topics.
func (x *tx) AllTopics() iter.Seq2[*store.Topic, error] {
	return records(all(x.bucket(bktTopics), nil), decodeNew[store.Topic])
}

// Sub implements store.Subs.
func (x *tx) Sub(t protocol.TopicID, u protocol.UserID) (*store.Sub, error) {
	return record[store.Sub](x, bktSubs, key(string(t), string(u)))
}

// PutSub implements store.Subs.
func (x *tx) PutSub(s *store.Sub) error {
	if err := x.recount(s.Topic, s.User, s); err != nil {
		return err
	}
	if err := x.put(bktSubsOf, key(string(s.User), string(s.Topic)), nothing); err != nil {
		return err
	}
	return x.putRecord(bktSubs, key(string(s.Topic), string(s.User)), s)
}

// recount keeps Head.Subs of a group when a subscription becomes s, nil if it goes.
func (x *tx) recount(t protocol.TopicID, u protocol.UserID, s *store.Sub) error {
	if t.Kind() != protocol.KindGroup {
		return nil
	}
	old, err := orNil(x.Sub(t, u))
	if err != nil {
		return err
	}
	by := counts(s) - counts(old)
	if by == 0 {
		return nil
	}
	h, err := x.Head(t)
	if err != nil {
		return err
	}
	h.Subs += by
	return x.putHead(t, h)
}

// counts is 1 for a live subscription that is given Join.
func counts(s *store.Sub) int {
	if s == nil || !s.Live() || !s.Given.Has(protocol.Join) {
		return 0
	}
	return 1
}

// DeleteSub implements store.Subs.
func (x *tx) DeleteSub(t protocol.TopicID, u protocol.UserID) error {
	if err := x.recount(t, u, nil); err != nil {
		return err
	}
	if err := x.del(bktSubs, key(string(t), string(u))); err != nil {
		return err
	}
	if err := x.del(bktSubsOf, key(string(u), string(t))); err != nil {
		return err
	}
	if err := x.del(bktMarks, key(string(t), string(u))); err != nil {
		return err
	}
	return x.unhide(t, u)
}

// SubsTo implements store.Subs.
func (x *tx) SubsTo(t protocol.TopicID) iter.Seq2[*store.Sub, error] {
	return records(all(x.bucket(bktSubs), prefixOf(string(t))), decodeNew[store.Sub])
}

// SubsOf implements store.Subs.
func (x *tx) SubsOf(u protocol.UserID) iter.Seq2[*store.Sub, error] {
	prefix := prefixOf(string(u))
	return records(all(x.bucket(bktSubsOf), prefix), func(k, _ []byte) (*store.Sub, error) {
		return x.Sub(protocol.TopicID(k[len(prefix):]), u)
	})
}

// Marks implements store.Subs.
func (x *tx) Marks(t protocol.TopicID, u protocol.UserID) (store.Marks, error) {
	raw := x.bucket(bktMarks).Get(key(string(t), string(u)))
	if raw == nil {
		return store.Marks{}, nil
	}
	return decodeMarks(raw)
}

// PutMarks implements store.Subs.
func (x *tx) PutMarks(t protocol.TopicID, u protocol.UserID, m store.Marks) error {
	return x.put(bktMarks, key(string(t), string(u)), encodeMarks(m))
}
