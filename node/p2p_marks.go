package node

import (
	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
)

// How far each has received and read, in a conversation with a user of another node.

// tellMarks queues how far our user has come; not to a stranger.
func (r *room) tellMarks(tx store.Tx, m *member, old, now store.Marks) error {
	if r.n.other(r.t.id) == "" || r.n.remote(m.sub.User) || !r.confides() {
		return nil
	}
	return r.sendMarks(tx, old, now)
}

// sendMarks queues them as the last message of the other that is covered.
func (r *room) sendMarks(tx store.Tx, old, now store.Marks) error {
	p := r.envelope(r.n.wall())
	if p == nil {
		return nil
	}
	p.Marks = &s2s.Marks{}
	var err error
	if p.Marks.Recv, err = r.covered(tx, p.To, old.Recv, now.Recv); err != nil {
		return err
	}
	if p.Marks.Read, err = r.covered(tx, p.To, old.Read, now.Read); err != nil {
		return err
	}
	if p.Marks.Recv == nil && p.Marks.Read == nil {
		return nil
	}
	key := "marks\x00" + string(r.t.id)
	if p.Marks.Read == nil {
		key = "recv\x00" + string(r.t.id) // must not replace one that says more
	}
	return r.send(tx, key, p)
}

// covered names the last message of a user that a mark has newly passed, nil if none.
func (r *room) covered(tx store.Tx, by protocol.UserID, old, now int) (*s2s.Name, error) {
	for m, err := range tx.History(r.t.id, old+1, now+1) {
		if err != nil {
			return nil, err
		}
		if m.From == by {
			return nameOf(m), nil
		}
	}
	return nil, nil
}

// confides reports whether our user lets the other see presence, receipts and typing.
func (r *room) confides() bool {
	local, remote := r.ends()
	mine, theirs := r.members[local], r.members[remote]
	return mine.live() && theirs.live() && mine.sub.Want.Has(protocol.Write) && theirs.sub.Given.Has(protocol.Presence)
}

// receiveMarks moves how far the other has come.
func (p *p2p) receiveMarks(post *s2s.Post) error {
	m := p.members[post.From]
	if m == nil || !m.live() {
		return nil
	}
	marks := map[string]*s2s.Name{"recv": post.Marks.Recv, "read": post.Marks.Read}
	seqs := map[string]int{}
	err := p.n.store.View(func(tx store.Tx) error {
		for what, name := range marks {
			if name == nil {
				continue
			}
			seq, err := tx.Named(p.t.id, name.From, name.Origin, name.Tag)
			if err != nil {
				return err
			}
			seqs[what] = seq
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, what := range []string{"read", "recv"} {
		q := p.n.remoteRequest(post.From, &protocol.Request{Note: &protocol.Note{What: what, Seq: seqs[what]}})
		if err := p.mark(q, m, q.in.Note); err != nil {
			return err
		}
	}
	return nil
}
