package node

import (
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/net/publicsuffix"

	"parley/federation"
	"parley/protocol"
	"parley/protocol/s2s"
	"parley/reputation"
	"parley/store"
)

// standing is what the node thinks of others: the engine of package reputation, fed
// with what happens here, and asked when a stranger comes.
type standing struct {
	n *Node

	wall, began time.Time // of the start, by the wall clock and by the steady one

	mu     sync.Mutex
	e      *reputation.Engine
	asking map[protocol.Node]time.Time // others are asked about, until
	said   answers

	complaints map[protocol.UserID]int // guarded by mu
	lists      lists
}

// Names of what is kept in the store.
const (
	valueStanding = "standing"
	valueIgnored  = "standing ignored" // until when silence has been counted
)

const (
	standingPeriod = 5 * time.Minute     // between two looks at the clock, and saves
	ignoredAfter   = 3 * 24 * time.Hour  // a first contact found no reaction
	strangerLife   = 30 * 24 * time.Hour // after which one is dropped
	askingTime     = 45 * time.Second    // for what others think
	askingPause    = 2 * time.Second     // until a first contact that waits for it may come again
)

// newStanding reads what was known at the last stop.
func newStanding(n *Node) (*standing, error) {
	began := n.wall()
	dated := reputation.Config{Wall: func(time.Time) time.Time { return n.wall() }}
	s := &standing{n: n, e: reputation.New(dated, began), wall: began, began: time.Now(), asking: map[protocol.Node]time.Time{},
		said: answers{of: map[question]answered{}}, complaints: map[protocol.UserID]int{}, lists: lists{good: map[string]*reputation.List{}}}
	var saved []byte
	err := n.store.View(func(tx store.Tx) (err error) {
		saved, err = tx.Value(valueStanding)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	var state reputation.State
	if err := json.Unmarshal(saved, &state); err != nil {
		n.log.Error("what was known of other nodes cannot be read, and is forgotten", "err", err)
		return s, nil
	}
	s.e.Import(s.now(), state)
	return s, nil
}

// now is the wall clock's time of the start, and what has passed since by the steady one: a
// clock that is set while the node runs does not count.
func (s *standing) now() time.Time { return s.wall.Add(time.Since(s.began)) }

// save keeps what is known.
func (s *standing) save() error {
	s.mu.Lock()
	state, err := json.Marshal(s.e.Export(s.now()))
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return s.n.store.Update(func(tx store.Tx) error { return tx.PutValue(valueStanding, state) })
}

// with runs f on the engine and logs what it changed by itself.
func (s *standing) with(f func(e *reputation.Engine, now time.Time)) {
	s.mu.Lock()
	f(s.e, s.now())
	changes := s.e.Changes()
	s.mu.Unlock()
	for _, c := range changes {
		s.n.log.Info("standing of a node has changed", "peer", c.Peer, "what", c.What)
		s.n.setPace(c.Peer)
	}
}

// sender is what is known of a peer before its behaviour is.
func sender(p federation.Peer) reputation.Sender {
	s := senderIn(p.Name, reputation.PrefixOf(p.Addr))
	if p.Proof == federation.ByKeyName {
		s.Domain, s.Proof = "", reputation.ProofKey
	}
	return s
}

// senderIn is what a name tells, and that it is of a network.
func senderIn(name protocol.Node, network netip.Prefix) reputation.Sender {
	s := senderOf(name)
	s.Prefix = network
	return s
}

// senderOf is what a name tells.
func senderOf(name protocol.Node) reputation.Sender {
	s := reputation.Sender{Name: name, Proof: reputation.ProofDomain}
	if federation.KeyOf(name) != nil {
		s.Proof = reputation.ProofKey
		return s
	}
	domain, err := publicsuffix.EffectiveTLDPlusOne(string(name))
	if err != nil { // a bare word, or a public suffix itself
		domain = string(name)
	}
	s.Domain = domain
	return s
}

// A waiting error says that a post may come again later.
type waiting struct {
	after  time.Duration
	reason string
}

// Error implements error.
func (w *waiting) Error() string { return w.reason }

// verdict is what a peer is told.
func (w *waiting) verdict(n uint64) s2s.Verdict {
	return s2s.Verdict{N: n, Outcome: s2s.Later, Fault: protocol.TooMany, Reason: w.reason,
		Wait: uint32(max(w.after, time.Second) / time.Second)}
}

// knock decides about the first contact of a remote user. If others are to be asked about
// a node that is new, it waits for what they say.
func (s *standing) knock(from federation.Peer, user protocol.UserID, vouchers [][]byte) (undo func(), err error) {
	knocks := s.n.metrics.knocks
	if s.trusts(from.Name) {
		knocks.WithLabelValues("admitted").Inc()
		return func() {}, nil
	}
	admit, w := s.listed(from.Name)
	switch {
	case w != nil:
		knocks.WithLabelValues("listed").Inc()
		return nil, w
	case admit:
		knocks.WithLabelValues("admitted").Inc()
		return func() {}, nil
	}
	who := sender(from)
	if w := s.hold(who, vouchers); w != nil {
		knocks.WithLabelValues("held").Inc()
		return nil, w
	}
	var v reputation.Verdict
	s.with(func(e *reputation.Engine, now time.Time) { v = e.FirstContact(now, who, user) })
	if v.Action == reputation.Wait {
		knocks.WithLabelValues("later").Inc()
		return nil, &waiting{v.After, v.Reason.String()}
	}
	knocks.WithLabelValues("admitted").Inc()
	return func() {
		s.with(func(e *reputation.Engine, now time.Time) { e.Refund(now, who, user, v) })
	}, nil
}

// trusts reports whether the operator lets in whoever comes from a node.
func (s *standing) trusts(name protocol.Node) bool {
	if slices.Contains(s.n.cfg.Trusted, name) {
		return true
	}
	p, err := s.peer(name)
	return err == nil && p.Access == store.AccessAllow
}

// peer is the record of another node.
func (s *standing) peer(name protocol.Node) (p *store.Peer, err error) {
	err = s.n.store.View(func(tx store.Tx) (err error) {
		p, err = tx.Peer(name)
		return err
	})
	return p, err
}

// outward decides whether one of our users may write to a stranger of another node.
func (s *standing) outward(id protocol.UserID) error {
	u, err := s.n.lookUp(id)
	if err != nil {
		return err
	}
	var v reputation.OutVerdict
	s.with(func(e *reputation.Engine, now time.Time) { v, _ = e.Outbound(now, u.ID, now.Sub(u.Created)) })
	switch v {
	case reputation.OutLimited:
		return &protocol.Error{Fault: protocol.TooMany, What: "new contacts on other nodes"}
	case reputation.OutSuspended:
		return &protocol.Error{Fault: protocol.Denied, What: "complaints from other nodes"}
	}
	return nil
}

// observe takes down what a user of another node has done to one of ours.
// It returns what counted of it.
func (s *standing) observe(remote protocol.UserID, ev reputation.Event, by protocol.UserID) (mass float64) {
	r, err := s.reporter(by)
	if err != nil {
		s.n.log.Error("evidence about another node is lost", "err", err)
		return 0
	}
	who := s.known(remote.Node())
	r.Whom = remote
	s.with(func(e *reputation.Engine, now time.Time) { mass = e.Observe(now, who, ev, r) })
	s.n.metrics.evidence.WithLabelValues(ev.String()).Inc()
	return mass
}

// known is a peer as it was seen last.
func (s *standing) known(name protocol.Node) reputation.Sender {
	who := senderOf(name)
	p, err := s.peer(name)
	if err == nil && len(p.Addrs) > 0 {
		if a, err := netip.ParseAddrPort(p.Addrs[0]); err == nil {
			who.Prefix = reputation.PrefixOf(a.Addr())
		}
	}
	return who
}

// partnersMatter is from how many conversations on more do not add to a user's word.
const partnersMatter = 5

// reporter is who stands behind an event.
func (s *standing) reporter(u protocol.UserID) (r reputation.Reporter, err error) {
	if u == "" {
		return r, nil
	}
	err = s.n.store.View(func(tx store.Tx) error {
		user, err := tx.User(u)
		if err != nil {
			return err
		}
		r = reputation.Reporter{User: u, Age: s.n.cfg.Clock.Since(user.Created)}
		for sub, err := range tx.SubsOf(u) {
			if err != nil {
				return err
			}
			if sub.Topic.Kind() == protocol.KindP2P && sub.Live() {
				if r.Partners++; r.Partners == partnersMatter {
					break
				}
			}
		}
		return nil
	})
	return r, err
}
