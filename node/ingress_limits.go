package node

import (
	"errors"
	"math"
	"sync"
	"time"

	"parley/federation"
	"parley/protocol"
	"parley/protocol/s2s"
	"parley/reputation"
	"parley/store"
)

// What other nodes may cost us, before the work is done. Two things bound it: how much
// is read of a link at all, and what may be done of that to whom nobody here has answered
// (spec/reputation.md#other-limits). Who is over it waits; nothing is lost.

// Pace is how many posts, questions and casts of a node are read in a second, and how
// many bytes of them. Zero: no limit.
type Pace struct{ Posts, Bytes int }

// The paces, by what a node is to us.
const (
	paceBarred   = iota // closed, and nobody here talks with it
	paceStranger        // nobody here talks with it
	pacePartner         // somebody does, or it is known
	paceFree            // the operator trusts it
)

// defaultPaces of strangers and partners; the barred have a quarter of a stranger's.
var (
	defaultStranger = Pace{Posts: 40, Bytes: 1 << 20}
	defaultPartner  = Pace{Posts: 4000, Bytes: 64 << 20}
)

// paces are those of the nodes that are linked.
type paces struct {
	mu       sync.Mutex
	partners map[protocol.Node]bool // with whom somebody talks, as far as seen on this link
	set      map[protocol.Node]int  // what was told to the links
}

func newPaces() *paces {
	return &paces{partners: map[protocol.Node]bool{}, set: map[protocol.Node]int{}}
}

// partner notes that somebody here talks with a node; it reports whether that is news.
func (p *paces) partner(name protocol.Node) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	news := !p.partners[name]
	p.partners[name] = true
	return news
}

// forget drops what was seen on a link that is over.
func (p *paces) forget(name protocol.Node) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.partners, name)
	delete(p.set, name)
}

// next notes the pace of a node; it reports whether the link is to be told.
func (p *paces) next(name protocol.Node, pace int) (change bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	was, ok := p.set[name]
	p.set[name] = pace
	return !ok || was != pace
}

func (p *paces) isPartner(name protocol.Node) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.partners[name]
}

// metPartner raises the pace of a node with which somebody here talks.
func (n *Node) metPartner(name protocol.Node) {
	if n.paces.partner(name) {
		n.setPace(name)
	}
}

// setPace tells the link to a node how fast it is read.
func (n *Node) setPace(name protocol.Node) {
	if n.cfg.Network == nil || !n.cfg.Network.Linked(name) {
		return
	}
	pace := n.paceOf(name)
	if !n.paces.next(name, pace) {
		return
	}
	var l Pace
	switch f := &n.cfg.Federation; pace {
	case paceBarred:
		l = Pace{max(1, f.Stranger.Posts/4), max(1, f.Stranger.Bytes/4)}
	case paceStranger:
		l = f.Stranger
	case pacePartner:
		l = f.Partner
	}
	n.cfg.Network.Limit(name, s2s.Limits{Posts: l.Posts, Bytes: l.Bytes})
}

func (n *Node) paceOf(name protocol.Node) int {
	if n.standing.trusts(name) {
		return paceFree
	}
	class := reputation.Stranger
	n.standing.with(func(e *reputation.Engine, now time.Time) { class = e.Class(now, name) })
	switch {
	case class == reputation.Allowed:
		return paceFree
	case class == reputation.Known || n.paces.isPartner(name):
		return pacePartner
	case class == reputation.Closed || class == reputation.Denied:
		return paceBarred
	}
	return paceStranger
}

var _ federation.Gate = (*Node)(nil)

// Screen implements federation.Gate: what nobody here has asked for is counted, and may
// have to wait.
func (n *Node) Screen(from federation.Peer, p *s2s.Post) s2s.Verdict {
	free, err := n.isAwaited(from, p)
	if err != nil { // a fault of ours, which applying the post will find, too
		n.log.Error("a post of another node is let pass uncounted", "peer", from.Name, "err", err)
		return s2s.Verdict{}
	}
	if free {
		return s2s.Verdict{}
	}
	w := n.standing.use(from, reputation.Posts, 1)
	if w == nil {
		w = n.standing.use(from, reputation.Bytes, float64(postSize(p)))
	}
	if w != nil {
		return w.verdict(p.N)
	}
	return s2s.Verdict{}
}

// isAwaited reports whether a post belongs to what somebody here has agreed to: a
// conversation that was answered or begun here, or a group that is here.
func (n *Node) isAwaited(from federation.Peer, p *s2s.Post) (yes bool, err error) {
	id := p.TopicID()
	switch id.Kind() {
	case protocol.KindP2P:
		err = n.store.View(func(tx store.Tx) error {
			s, err := tx.Sub(id, p.To)
			yes = err == nil && s.Live() && s.Want.Has(protocol.Write)
			return err
		})
		if yes {
			n.metPartner(from.Name)
		}
	case protocol.KindGroup:
		err = n.store.View(func(tx store.Tx) (err error) {
			if id.Home() == n.name {
				_, err = tx.Follower(id, from.Name)
			} else {
				_, err = tx.Topic(id)
			}
			yes = err == nil && (id.Home() == n.name || id.Home() == from.Name)
			return err
		})
	default: // of users who are known here; of others it is passed over
		return true, nil
	}
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return yes, err
}

// postSize is about how many bytes a post takes here.
func postSize(p *s2s.Post) int {
	size := 100
	card := func(c *s2s.Card) {
		if c != nil {
			size += len(c.Public)
		}
	}
	switch {
	case p.Message != nil:
		size += len(p.Message.Head) + len(p.Message.Content)
		card(p.Message.Card)
	case p.Mode != nil:
		for _, v := range p.Mode.Vouchers {
			size += len(v)
		}
		card(p.Mode.Card)
	case p.Aux != nil:
		size += len(p.Aux.JSON)
	case p.Invite != nil:
		size += len(p.Invite.Group.Public)
		for i := range p.Invite.Members {
			card(p.Invite.Members[i].Card)
		}
	case p.Command != nil:
		size += len(p.Command.Request)
	}
	return size
}

// use counts what a peer does at our cost; not nil: it has to wait.
func (s *standing) use(from federation.Peer, u reputation.Use, times float64) *waiting {
	var v reputation.Verdict
	s.with(func(e *reputation.Engine, now time.Time) { v = e.Use(now, sender(from), u, times) })
	if v.Action == reputation.Admit || s.trusts(from.Name) {
		return nil
	}
	s.n.metrics.limited.WithLabelValues(u.String(), v.Reason.String()).Inc()
	return &waiting{v.After, u.String() + ": " + v.Reason.String()}
}

// answer is what a peer is told that asked too much.
func (w *waiting) answer() *s2s.Answer {
	return &s2s.Answer{Failed: true, Fault: protocol.TooMany, Reason: w.reason, Wait: uint32(math.Ceil(max(w.after, time.Second).Seconds()))}
}

// joins counts a command by which a user becomes a member of a group here.
func (n *Node) joins(from federation.Peer, q *request, id protocol.TopicID) *waiting {
	if q.in.Sub == nil {
		return nil
	}
	err := n.store.View(func(tx store.Tx) error {
		s, err := tx.Sub(id, q.who.User)
		if err == nil && !s.Live() {
			err = store.ErrNotFound
		}
		return err
	})
	if !errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return n.standing.use(from, reputation.Joins, 1)
}
