package node

import (
	"errors"
	"strings"

	"parley/protocol"
	"parley/store"
)

// cutOwn takes "me:usr…" apart.
func cutOwn(id protocol.TopicID) (prefix string, u protocol.UserID, ok bool) {
	prefix, user, ok := strings.Cut(string(id), ":")
	return prefix, protocol.UserID(user), ok
}

// tellContacts tells those who are online, have a conversation with u and may see u's
// presence; it returns those whose presence u sees. Who they are is read from the store each time: it is always right, and
// only contacts that are online cost more than a key.
func (n *Node) tellContacts(u protocol.UserID, p protocol.Pres) (seen []protocol.UserID) {
	var to []protocol.UserID
	sees := protocol.Join | protocol.Presence
	err := n.store.View(func(tx store.Tx) error {
		to, seen = to[:0], seen[:0]
		for s, err := range tx.SubsOf(u) {
			if err != nil {
				return err
			}
			if s.Topic.Kind() != protocol.KindP2P || !s.Live() {
				continue
			}
			peer := s.Topic.Peer(u)
			if n.hub(peer) == nil && !n.userOnline(peer) {
				continue
			}
			theirs, err := tx.Sub(s.Topic, peer)
			if errors.Is(err, store.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			if !theirs.Live() {
				continue
			}
			if theirs.Mode().Has(sees) && !n.silences(peer, p.What) {
				to = append(to, peer)
			}
			if s.Mode().Has(sees) && n.userOnline(peer) {
				seen = append(seen, peer)
			}
		}
		return nil
	})
	if err != nil {
		n.log.Error("presence not told", "err", err)
		return nil
	}
	p.Topic, p.Src = "me", string(u)
	n.tellAbroad(u, p)
	packet := (&protocol.Response{Pres: &p}).Encode()
	for _, peer := range to {
		n.onMe(peer, "", func(s *session) { s.queue(packet) })
	}
	return seen
}

// subscription is one line of the list on me; nil if there is nothing to show.
func (n *Node) subscription(tx store.Tx, s *store.Sub, opts *protocol.GetOpts) (*protocol.SubDesc, error) {
	d := &protocol.SubDesc{Topic: s.Topic.Name(s.User), Updated: protocol.Ptr(s.Updated)}
	if s.Reader {
		d.Topic = s.Topic.ChannelName()
	}
	if !s.Live() {
		if opts == nil || opts.IfModifiedSince == nil || !modifiedSince(opts, s.Ended) {
			return nil, nil
		}
		d.Deleted = protocol.Ptr(s.Ended)
		return d, nil
	}
	head, err := tx.Head(s.Topic)
	if err != nil {
		return nil, err
	}
	rec, err := tx.Topic(s.Topic)
	if err != nil {
		return nil, err
	}
	d.Acs = protocol.NewAcs(s.Want, s.Given)
	d.Touched = protocol.Ptr(latest(head.Touched, rec.Created))
	mode := s.Mode()
	if !s.Given.Has(protocol.Join|protocol.Read) && s.Topic.Kind() == protocol.KindGroup {
		return d, nil
	}
	marks, err := tx.Marks(s.Topic, s.User)
	if err != nil {
		return nil, err
	}
	d.Seq, d.Read, d.Recv, d.Clear = head.Seq, marks.Read, marks.Recv, s.DelID
	sees := mode.Has(protocol.Join | protocol.Presence)
	changed := s.Updated
	switch s.Topic.Kind() {
	case protocol.KindP2P:
		if err := n.peerDesc(tx, s, d, sees, opts); err != nil {
			return nil, err
		}
	case protocol.KindGroup:
		d.IsChan, d.SubCount = rec.Channel, head.Subs
		d.Online = sees && !s.Reader && n.isOnline(s.Topic)
		if modifiedSince(opts, latest(rec.Updated, s.Updated)) {
			d.Public, d.Trusted = rec.Public, rec.Trusted
		}
	}
	if modifiedSince(opts, changed) {
		d.Private = s.Private
	}
	return d, nil
}

// peerDesc fills in what a user sees of the other in a conversation of two.
func (n *Node) peerDesc(tx store.Tx, s *store.Sub, d *protocol.SubDesc, sees bool, opts *protocol.GetOpts) error {
	id := s.Topic.Peer(s.User)
	peer, err := tx.User(id)
	if errors.Is(err, store.ErrNotFound) || err == nil && peer.State == store.StateDeleted {
		return nil
	}
	if err != nil {
		return err
	}
	if modifiedSince(opts, latest(peer.Updated, s.Updated)) {
		d.Public, d.Trusted = peer.Public, peer.Trusted
	}
	theirs, err := tx.Sub(s.Topic, id)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if !sees || err != nil || !theirs.Live() {
		return nil
	}
	if n.userOnline(id) {
		d.Online = true
		return nil
	}
	seen, err := tx.Seen(id)
	if errors.Is(err, store.ErrNotFound) || err == nil && seen.When.IsZero() {
		return nil
	}
	if err == nil {
		d.Seen = &protocol.Seen{When: protocol.At(seen.When), UA: seen.UA}
	}
	return err
}

// recordSeen keeps, at shutdown, when the users who are online were last seen.
func (n *Node) recordSeen() {
	n.mu.Lock()
	seen := map[protocol.UserID]string{}
	for u, h := range n.users {
		if h.online.Load() {
			ua := ""
			if p := h.ua.Load(); p != nil {
				ua = *p
			}
			seen[u] = ua
		}
	}
	n.mu.Unlock()
	if len(seen) == 0 {
		return
	}
	now := n.wall()
	err := n.store.Update(func(tx store.Tx) error {
		for u, ua := range seen {
			if err := tx.PutSeen(u, store.Seen{When: now, UA: ua}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		n.log.Error("last seen not stored", "err", err)
	}
}
