package bolt

import (
	"errors"
	"iter"

	"parley/protocol"
	"parley/store"
)

// Topic implements store.Topics.
func (x *tx) Topic(t protocol.TopicID) (*store.Topic, error) {
	return get[store.Topic](x.bucket(bktTopics), key(string(t)))
}

// PutTopic implements store.Topics.
func (x *tx) PutTopic(t *store.Topic) error {
	k := key(string(t.ID))
	if x.bucket(bktGone).Get(k) != nil {
		return store.ErrExists
	}
	var old []string
	was, err := x.Topic(t.ID)
	switch {
	case err == nil:
		old = was.Tags
	case !errors.Is(err, store.ErrNotFound):
		return err
	}
	if err := x.retag(string(t.ID), old, t.Tags); err != nil {
		return err
	}
	return putRecord(x.bucket(bktTopics), k, t)
}

// DeleteTopic implements store.Topics.
func (x *tx) DeleteTopic(t protocol.TopicID) error {
	was, err := x.Topic(t)
	if err != nil {
		return err
	}
	if err := x.retag(string(t), was.Tags, nil); err != nil {
		return err
	}
	if t.Kind() == protocol.KindGroup {
		if err := x.bucket(bktGone).Put(key(string(t)), nothing); err != nil {
			return err
		}
	}
	if err := x.unlinkAll(prefixOf("m", string(t))); err != nil {
		return err
	}
	if err := x.unlinkAll(linkKey(store.RefTopic(t), "")); err != nil {
		return err
	}
	prefix := prefixOf(string(t))
	scan(x.bucket(bktSubs), prefix, func(k, _ []byte) bool {
		err = errors.Join(err, x.bucket(bktSubsOf).Delete(key(string(k[len(prefix):]), string(t))))
		return true
	})
	for _, b := range [][]byte{bktSubs, bktMarks, bktHidden, bktMessages, bktNames, bktDels, bktEvents} {
		err = errors.Join(err, wipe(x.bucket(b), prefix))
	}
	return errors.Join(err, x.bucket(bktHeads).Delete(key(string(t))), x.bucket(bktTopics).Delete(key(string(t))))
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
	return x.bucket(bktHeads).Put(key(string(t)), encodeHead(h))
}

// AllTopics implements store.Topics.
func (x *tx) AllTopics() iter.Seq2[*store.Topic, error] {
	return records[store.Topic](x.bucket(bktTopics), nil)
}

// Sub implements store.Subs.
func (x *tx) Sub(t protocol.TopicID, u protocol.UserID) (*store.Sub, error) {
	return get[store.Sub](x.bucket(bktSubs), key(string(t), string(u)))
}

// PutSub implements store.Subs.
func (x *tx) PutSub(s *store.Sub) error {
	if err := x.recount(s.Topic, s.User, s); err != nil {
		return err
	}
	if err := x.bucket(bktSubsOf).Put(key(string(s.User), string(s.Topic)), nothing); err != nil {
		return err
	}
	return putRecord(x.bucket(bktSubs), key(string(s.Topic), string(s.User)), s)
}

// recount keeps Head.Subs of a group when a subscription becomes s, nil if it goes.
func (x *tx) recount(t protocol.TopicID, u protocol.UserID, s *store.Sub) error {
	if t.Kind() != protocol.KindGroup {
		return nil
	}
	old, err := x.Sub(t, u)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	was, is := counts(old), counts(s)
	if was == is {
		return nil
	}
	h, err := x.Head(t)
	if err != nil {
		return err
	}
	h.Subs += is - was
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
	k := key(string(t), string(u))
	var err error
	for _, b := range [][]byte{bktSubs, bktMarks, bktHidden} {
		err = errors.Join(err, x.bucket(b).Delete(k))
	}
	return errors.Join(err, x.bucket(bktSubsOf).Delete(key(string(u), string(t))))
}

// SubsTo implements store.Subs.
func (x *tx) SubsTo(t protocol.TopicID) iter.Seq2[*store.Sub, error] {
	return records[store.Sub](x.bucket(bktSubs), prefixOf(string(t)))
}

// SubsOf implements store.Subs.
func (x *tx) SubsOf(u protocol.UserID) iter.Seq2[*store.Sub, error] {
	return func(yield func(*store.Sub, error) bool) {
		for t, err := range suffixes(x.bucket(bktSubsOf), prefixOf(string(u))) {
			var s *store.Sub
			if err == nil {
				s, err = x.Sub(protocol.TopicID(t), u)
			}
			if !yield(s, err) || err != nil {
				return
			}
		}
	}
}

// Marks implements store.Subs.
func (x *tx) Marks(t protocol.TopicID, u protocol.UserID) (store.Marks, error) {
	raw := x.bucket(bktMarks).Get(key(string(t), string(u)))
	if raw == nil {
		return store.Marks{}, nil
	}
	r := reader{b: raw}
	m := store.Marks{Recv: int(r.uvarint()), Read: int(r.uvarint())}
	if r.bad {
		return m, errBroken
	}
	return m, nil
}

// PutMarks implements store.Subs.
func (x *tx) PutMarks(t protocol.TopicID, u protocol.UserID, m store.Marks) error {
	return x.bucket(bktMarks).Put(key(string(t), string(u)), encodeMarks(m))
}
