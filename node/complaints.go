package node

import (
	"errors"
	"time"

	"parley/federation"
	"parley/protocol"
	"parley/protocol/s2s"
	"parley/reputation"
	"parley/store"
)

// Reports of our users about those of other nodes are passed on to these, if the operator
// wants it: how many, never by whom. Those of other nodes about our users may end their
// first contacts abroad (spec/reputation.md#own-users).

// maxComplaints is about how many users complaints are gathered until they are passed on.
const maxComplaints = 1024

// leastReport is from which mass on a report is passed on: that of an account that has been
// here for a while.
const leastReport = -0.05

// complain gathers a complaint. They go out every few minutes, together, so that the time
// does not tell who has complained.
func (s *standing) complain(about protocol.UserID) {
	if !s.n.cfg.Federation.PassReports {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.complaints[about]; ok || len(s.complaints) < maxComplaints {
		s.complaints[about]++
	}
}

// passOn sends what was gathered.
func (s *standing) passOn() {
	s.mu.Lock()
	all := s.complaints
	s.complaints = map[protocol.UserID]int{}
	s.mu.Unlock()
	for u, count := range all {
		err := s.n.store.Update(func(tx store.Tx) error {
			p := &s2s.Post{At: s.n.wall().UnixMilli(), Report: &s2s.Report{User: u, Count: count}}
			return s.n.cfg.Network.Post(tx, u.Node(), "", p)
		})
		if err != nil {
			s.n.log.Warn("reports are not passed on", "peer", u.Node(), "err", err)
			continue
		}
		s.n.cfg.Network.Wake(u.Node())
		s.n.log.Info("reports are passed on to the node of whom they are about", "peer", u.Node(), "user", u, "count", count)
		s.n.metrics.complaints.WithLabelValues("passed on").Inc()
	}
}

// receiveReport takes that users of another node complain of one of ours. What is answered
// does not tell whether there is such a user.
func (n *Node) receiveReport(from federation.Peer, r *s2s.Report, record func(store.Tx) error) error {
	u, err := n.lookUp(r.User)
	switch {
	case errors.Is(err, protocol.NotFound), err == nil && n.remote(u.ID):
		return n.store.Update(record)
	case err != nil:
		return err
	}
	heard := false
	n.standing.with(func(e *reputation.Engine, now time.Time) { heard = e.Complain(now, from.Name, u.ID) })
	what := "ignored"
	if heard {
		what = "heard"
	}
	n.metrics.complaints.WithLabelValues(what).Inc()
	n.log.Info("another node complains about a user of this one", "peer", from.Name, "user", u.ID, "heard", heard)
	return n.store.Update(record)
}
