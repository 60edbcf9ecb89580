package federation

import (
	"context"
	"sync"

	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
)

// Bounds of the logs of groups that are sent.
const (
	pieceBytes = 64 << 10
	maxPieces  = 4 // of a group, not acknowledged
)

// following is how far the logs of groups that the peer follows have been sent on this
// link. How far they have got is in the store, and nothing else: a follower that is away
// costs no room.
type following struct {
	l *link

	mu     sync.Mutex
	dirty  bool // guarded by mu, as what follows: followers are to be read
	groups map[protocol.TopicID]*progress
}

// progress of one group.
type progress struct {
	sent   uint64
	ends   []uint64 // of pieces that are not acknowledged
	behind bool     // there may be more to send
}

func newFollowing(l *link) *following {
	return &following{l: l, dirty: true, groups: map[protocol.TopicID]*progress{}}
}

// look has the followers read again.
func (f *following) look() {
	f.mu.Lock()
	f.dirty = true
	f.mu.Unlock()
}

// refresh reads which groups are behind. f.mu is held.
func (f *following) refresh() error {
	if !f.dirty {
		return nil
	}
	all, err := f.l.m.logs.Behind(f.l.peer.Name)
	if err != nil {
		return err
	}
	f.dirty = false
	for _, r := range all {
		g := f.groups[r.Topic]
		if g == nil {
			g = &progress{sent: r.Rev}
			f.groups[r.Topic] = g
		}
		g.behind = true
	}
	return nil
}

// next is a piece for a lane; nil if there is none, or the peer has enough to do.
func (f *following) next(lane store.Lane) (*s2s.Log, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.refresh(); err != nil {
		return nil, err
	}
	for t, g := range f.groups {
		if !g.behind || len(g.ends) >= maxPieces || LaneOf(t) != lane {
			continue
		}
		piece, err := f.l.m.logs.Page(f.l.peer.Name, t, g.sent, pieceBytes)
		if err != nil {
			return nil, err
		}
		if piece == nil || len(piece.Events) == 0 {
			g.behind = false
			if len(g.ends) == 0 {
				delete(f.groups, t)
			}
			continue
		}
		g.sent = piece.After + uint64(len(piece.Events))
		g.ends = append(g.ends, g.sent)
		return piece, nil
	}
	return nil, nil
}

// answered takes what the peer says of a group.
func (f *following) answered(a *s2s.LogAck) error {
	if err := f.l.m.logs.Followed(f.l.peer, a); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	g := f.groups[a.Group]
	switch {
	case g == nil:
	case a.Stop:
		delete(f.groups, a.Group)
	case a.Reset:
		delete(f.groups, a.Group)
		f.dirty = true
	default:
		for len(g.ends) > 0 && g.ends[0] <= a.Rev {
			g.ends = g.ends[1:]
		}
		if len(g.ends) == 0 && !g.behind {
			delete(f.groups, a.Group)
		}
	}
	f.l.out[LaneOf(a.Group)].look()
	return nil
}

// piece sends a piece of a log, if there is one.
func (s *sender) piece() (busy bool, err error) {
	p, err := s.l.follow.next(s.lane)
	if err != nil || p == nil {
		return false, err
	}
	s.l.p.counts.pieces.Add(1)
	if err := s.write(&s2s.Line{Log: p}); err != nil {
		return false, err
	}
	s.l.p.watch(true, "log", p.Group, s.w.last)
	return true, nil
}

// followed applies a piece of a log of the peer's. A fault of ours makes the peer wait.
func (l *link) followed(lane store.Lane, p *s2s.Log) error {
	if LaneOf(p.Group) != lane {
		return closing(CloseProtocol, "log of a group in lane %d", lane)
	}
	if err := p.Check(l.peer.Name); err != nil { // without an answer no more of it comes
		l.m.quiet.warn(l.m.log, "piece of a group's log not taken", l.peer.Name, err)
		return nil
	}
	var a *s2s.LogAck
	err := l.into[lane].persist(func() (err error) {
		a, err = l.m.logs.Follow(l.ctx, l.peer, p)
		return err
	})
	if err != nil {
		return err
	}
	if a != nil {
		l.control.logAck(a)
	}
	return nil
}

// noLogs is a node without groups.
type noLogs struct{}

func (noLogs) Behind(protocol.Node) ([]store.Follower, error) { return nil, nil }
func (noLogs) Page(protocol.Node, protocol.TopicID, uint64, int) (*s2s.Log, error) {
	return nil, nil
}
func (noLogs) Follow(context.Context, Peer, *s2s.Log) (*s2s.LogAck, error) { return nil, nil }
func (noLogs) Followed(Peer, *s2s.LogAck) error                            { return nil }
