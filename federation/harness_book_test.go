package federation_test

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"parley/federation"
	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
)

// book is a node without chats: per topic a list of messages. It implements
// federation.Handler and Logs. A message's content is its number in its topic and
// author's order; what is lost, doubled or out of order is found by look.
type book struct {
	n *node

	mu      sync.Mutex
	ends    map[string][]federation.End // by topic and number
	refuse  func(p *s2s.Post) *s2s.Verdict
	fault   func() error
	heard   []*s2s.Cast
	reaches []uint8 // as peers have said
	links   []federation.LinkState
	again   int // known names passed over
	compare int
	fetch   bool // when compared
	follows
}

func topic(from, to protocol.Node, i int) protocol.TopicID {
	return protocol.P2P(user(from, i), user(to, i))
}

func user(n protocol.Node, i int) protocol.UserID { return protocol.NewUserID(uint64(i), n) }

// write posts message k of topic i to another node.
func (n *node) write(to *node, i, k int) {
	n.w.Helper()
	if err := n.tryWrite(to, i, k); err != nil {
		n.w.Fatal(err)
	}
}

func (n *node) tryWrite(to *node, i, k int) error {
	t := topic(n.name, to.name, i)
	err := n.db.Update(func(tx store.Tx) error {
		m := &store.Message{From: user(n.name, i), TS: time.Now(), Origin: k, Tag: uint32(k), Content: fmt.Appendf(nil, "%100d", k)}
		if err := tx.Append(t, m); err != nil {
			return err
		}
		return n.mesh.Post(tx, to.name, "", &s2s.Post{From: m.From, To: user(to.name, i), At: m.TS.UnixMilli(),
			Message: &s2s.Message{Origin: k, Tag: m.Tag, Content: m.Content}})
	})
	if err == nil {
		n.mesh.Wake(to.name)
	}
	return err
}

// Deliver implements federation.Handler.
func (b *book) Deliver(_ context.Context, from federation.Peer, lane store.Lane, in []federation.Incoming) ([]s2s.Verdict, error) {
	b.mu.Lock()
	fault, refuse := b.fault, b.refuse
	b.mu.Unlock()
	if fault != nil {
		if err := fault(); err != nil {
			return nil, err
		}
	}
	var vs []s2s.Verdict
	again := 0
	err := b.n.db.Update(func(tx store.Tx) error {
		vs, again = nil, 0
		for _, e := range in {
			v := s2s.Verdict{N: e.N}
			if e.Post != nil {
				var r *s2s.Verdict
				if refuse != nil {
					r = refuse(e.Post)
				}
				if r != nil {
					v = *r
					v.N = e.N
				} else if old, err := b.apply(tx, e.Post); err != nil {
					return err
				} else if old {
					again++
				}
			}
			if err := federation.Record(tx, from.Name, lane, v); err != nil {
				return err
			}
			if vs = append(vs, v); v.Outcome == s2s.Later {
				break
			}
		}
		return nil
	})
	b.mu.Lock()
	b.again += again
	b.mu.Unlock()
	return vs, err
}

func (b *book) apply(tx store.Tx, p *s2s.Post) (again bool, err error) {
	m := p.Message
	if m == nil {
		return false, nil
	}
	switch seq, err := tx.Named(p.TopicID(), p.From, m.Origin, m.Tag); {
	case err != nil:
		return false, err
	case seq != 0:
		return true, nil
	}
	return false, tx.Append(p.TopicID(), &store.Message{
		From: p.From, TS: time.UnixMilli(p.At), Origin: m.Origin, Tag: m.Tag, Content: m.Content,
	})
}

// Returned implements federation.Handler.
func (b *book) Returned(_ context.Context, to protocol.Node, ends []federation.Ending, settle func(store.Tx) error) error {
	if err := b.n.db.Update(settle); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range ends {
		if b.ends == nil {
			b.ends = map[string][]federation.End{}
		}
		k := string(e.Post.TopicID())
		if m := e.Post.Message; m != nil {
			k = fmt.Sprint(k, " ", m.Origin)
		}
		b.ends[k] = append(b.ends[k], e.How)
	}
	return nil
}

// Hear implements federation.Handler.
func (b *book) Hear(_ federation.Peer, c *s2s.Cast) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.heard = append(b.heard, c)
}

// Answer implements federation.Handler.
func (b *book) Answer(_ context.Context, _ federation.Peer, a *s2s.Ask) (*s2s.Answer, io.ReadCloser) {
	switch {
	case a.File != nil:
		return &s2s.Answer{File: &s2s.FileInfo{Size: a.File.Length, Follow: a.File.Length}},
			io.NopCloser(io.LimitReader(zeros{}, a.File.Length))
	case a.Snapshot != "":
		ps, err := b.all()
		if err != nil {
			return &s2s.Answer{Failed: true}, nil
		}
		return &s2s.Answer{Posts: ps}, nil
	case a.Handle != "":
		return &s2s.Answer{Failed: true, Fault: protocol.NotFound, Reason: "nobody"}, nil
	}
	return &s2s.Answer{Opinion: a.Opinion}, nil
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// Linked implements federation.Handler.
func (b *book) Linked(_ federation.Peer, s federation.LinkState) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.links = append(b.links, s)
}

// Reaches implements federation.Handler.
func (b *book) Reaches(_ federation.Peer, class uint8) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reaches = append(b.reaches, class)
}

// Restored implements federation.Restorer: with fetch, what the peer has and this node
// lacks is put into the book.
func (b *book) Restored(ctx context.Context, p federation.Peer) error {
	b.mu.Lock()
	b.compare++
	fetch := b.fetch
	b.mu.Unlock()
	if !fetch {
		return nil
	}
	answer, _, err := b.n.mesh.Ask(ctx, p.Name, &s2s.Ask{Snapshot: protocol.NewGroupID(0, p.Name)})
	if err != nil {
		return err
	}
	return b.n.db.Update(func(tx store.Tx) error {
		for i := range answer.Posts {
			if _, err := b.apply(tx, &answer.Posts[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// all is every message that is here.
func (b *book) all() (ps []s2s.Post, err error) {
	err = b.n.db.View(func(tx store.Tx) error {
		ps = nil
		for i := range 3 {
			for _, other := range b.n.w.nodes {
				for m, err := range tx.History(topic(b.n.name, other.name, i), 0, 1<<30) {
					if err != nil {
						return err
					}
					to := user(b.n.name, i)
					if m.From == to {
						to = user(other.name, i)
					}
					ps = append(ps, s2s.Post{From: m.From, To: to, At: m.TS.UnixMilli(),
						Message: &s2s.Message{Origin: m.Origin, Tag: m.Tag, Content: m.Content}})
				}
			}
		}
		return nil
	})
	slices.Reverse(ps)
	return ps, err
}
