package federation

import (
	"cmp"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"

	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
)

// counters of a peer since the process has begun to know it.
type counters struct {
	posts, acked, refused, later, expired atomic.Uint64 // ours
	taken                                 atomic.Uint64 // the peer's
	pieces, casts, dropped                atomic.Uint64
	asks, asked                           atomic.Uint64

	controlIn, controlOut, postsIn, postsOut atomic.Uint64 // bytes of frames
	castsIn, castsOut, asksIn, asksOut       atomic.Uint64
}

// PeerState is what a peer is at the moment.
type PeerState string

// The states.
const (
	StateUp      PeerState = "up"      // there is a link
	StateDialing PeerState = "dialing" // something waits, and an attempt is due
	StateWaiting PeerState = "waiting" // something waits for the next attempt
	StateIdle    PeerState = "idle"    // nothing waits
)

// Volume is bytes of frames, without what QUIC adds.
type Volume struct{ In, Out uint64 }

// PeerStats are figures of one peer. Counts are since the process began to know it.
type PeerStats struct {
	Name  protocol.Node
	State PeerState
	Since time.Time // of the state; zero if never linked
	Next  time.Time // attempt
	Error string    // the last

	Failures int
	Proof    Proof             // of the link
	Key      ed25519.PublicKey // of the link
	Addr     string            // of the link
	Build    string            // that the peer tells
	Ahead    time.Duration     // the peer's clock of ours, when the link began; below 0: it is behind

	Queued, Bytes uint64    // posts that are not settled
	Parked        uint64    // of them
	Oldest        time.Time // of them; zero: none

	Sent, Acked, Refused, Later, Expired uint64 // posts to the peer
	Taken                                uint64 // posts of the peer
	Pieces, Casts, Dropped, Asks, Asked  uint64

	Control, Posts, Presence, Questions Volume
}

// Stats are figures of all peers, by name.
func (m *Mesh) Stats() ([]PeerStats, error) {
	peers := m.remotes()
	all := make([]PeerStats, 0, len(peers))
	for _, p := range peers {
		s, err := p.stats()
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b PeerStats) int { return cmp.Compare(a.Name, b.Name) })
	return all, nil
}

func (p *remote) stats() (PeerStats, error) {
	c := &p.counts
	traffic := func(in, out *atomic.Uint64) Volume { return Volume{in.Load(), out.Load()} }
	s := PeerStats{
		Name: p.name, State: StateIdle,
		Sent: c.posts.Load(), Acked: c.acked.Load(), Refused: c.refused.Load(), Later: c.later.Load(),
		Expired: c.expired.Load(), Taken: c.taken.Load(), Pieces: c.pieces.Load(),
		Casts: c.casts.Load(), Dropped: c.dropped.Load(), Asks: c.asks.Load(), Asked: c.asked.Load(),
		Control: traffic(&c.controlIn, &c.controlOut), Posts: traffic(&c.postsIn, &c.postsOut),
		Presence: traffic(&c.castsIn, &c.castsOut), Questions: traffic(&c.asksIn, &c.asksOut),
	}
	if err := p.m.cfg.Store.View(func(tx store.Tx) error { return p.queues(tx, &s) }); err != nil {
		return s, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s.Since, s.Next, s.Error, s.Failures = p.since, p.next, p.lastErr, p.row
	switch {
	case p.link != nil:
		l := p.link
		s.State, s.Proof, s.Key, s.Addr, s.Build, s.Ahead = StateUp, l.peer.Proof, l.peer.Key, l.conn.Peer().Addr.String(), printable(l.theirs.Build), l.ahead
		s.Next = time.Time{}
	case (s.Queued > 0 || p.wanted > 0) && p.next.After(time.Now()):
		s.State = StateWaiting
	case s.Queued > 0 || p.wanted > 0:
		s.State = StateDialing
	}
	return s, nil
}

// queues adds up what waits.
func (p *remote) queues(tx store.Tx, s *PeerStats) error {
	for l := range store.Lane(s2s.Lanes) {
		for _, l := range []store.Lane{l, parkedLane(l)} {
			q, err := tx.Queue(p.name, l)
			if err != nil {
				return err
			}
			s.Queued, s.Bytes = s.Queued+q.Last-q.Settled, s.Bytes+q.Bytes
			if l >= s2s.Lanes {
				s.Parked += q.Last - q.Settled
			}
			for post, err := range tx.Posts(p.name, l, q.Settled) {
				if err != nil {
					return err
				}
				if s.Oldest.IsZero() || post.At.Before(s.Oldest) {
					s.Oldest = post.At
				}
				break
			}
		}
	}
	return nil
}

// Bounds of saying the same thing.
const (
	quietFor  = 10 * time.Minute
	quietMost = 1024 // things remembered
)

// quiet says the same thing of the same peer once in a while.
type quiet struct {
	mu   sync.Mutex
	said map[string]time.Time // guarded by mu
}

func (q *quiet) warn(log *slog.Logger, what string, n protocol.Node, err error, args ...any) {
	reason := err.Error()
	if e, ok := errors.AsType[*ClosedError](err); ok {
		reason = fmt.Sprint(e.Code)
	}
	key := what + "\x00" + string(n) + "\x00" + reason
	q.mu.Lock()
	now := time.Now()
	if at, ok := q.said[key]; ok && now.Sub(at) < quietFor {
		q.mu.Unlock()
		return
	}
	if q.said == nil || len(q.said) >= quietMost {
		q.said = map[string]time.Time{}
	}
	q.said[key] = now
	q.mu.Unlock()
	log.Warn(what, append([]any{"peer", n, "error", err}, args...)...)
}

// printable makes text for a log or a screen of what a peer says: short and in one line.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s[:min(len(s), maxText)])
	return strings.ToValidUTF8(s, "")
}

// maxText is how much of what a peer says for people is shown, in bytes.
const maxText = 200
