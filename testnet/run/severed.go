package run

import (
	"context"
	"slices"
	"time"

	"parley/testnet/cluster"
	"parley/testnet/scenario"
	"parley/testnet/vtime"
)

// severed is of a first contact between two nodes that could not reach each other when it
// was begun. No node is to blame for that: what counts is how long it takes afterwards.
type severed struct {
	is            bool
	whole, linked time.Time // since when packets pass, and there was a link; zero: not yet; guarded by strangers.mu
}

// severed reports whether packets do not pass between two nodes, one way or both.
func (r *runner) severed(a, b int) bool { return r.link(a, b).Cut || r.link(b, a).Cut }

// healed reports whether two nodes were kept from each other, for a while that was over at
// a time.
func (r *runner) healed(a, b int, at time.Time) bool {
	since := at.Sub(r.start)
	return slices.ContainsFunc(r.plan.Timeline, func(s scenario.Step) bool {
		return s.For.Duration > 0 && s.At.Duration+s.For.Duration <= since && (s.Cuts(a, b) || s.Cuts(b, a))
	})
}

// lookAgain is how often it is looked whether two nodes have found each other again.
const lookAgain = time.Minute

// rejoin waits until there is a link again between the nodes of two users.
func (r *runner) rejoin(ctx context.Context, s *stranger, u, v *cluster.User) bool {
	for r.severed(u.Machine(), v.Machine()) {
		if !vtime.Sleep(ctx, lookAgain) {
			return false
		}
	}
	r.noteSevered(&s.severed.whole)
	from, to := r.c.Machines[u.Machine()], r.c.Machines[v.Machine()]
	for !from.Linked(to) && !v.Approached(u) {
		if !vtime.Sleep(ctx, lookAgain) {
			return false
		}
	}
	r.noteSevered(&s.severed.linked)
	return true
}

func (r *runner) noteSevered(at *time.Time) {
	r.strangers.mu.Lock()
	defer r.strangers.mu.Unlock()
	*at = time.Now()
}

// took is how long the first contact has taken from when there was a link on, and from when
// packets passed on; 0 where that has not come.
func (s *severed) took(arrived, now time.Time) (linked, whole time.Duration) {
	if arrived.IsZero() {
		arrived = now
	}
	if !s.linked.IsZero() {
		linked = arrived.Sub(s.linked)
	}
	if !s.whole.IsZero() {
		whole = arrived.Sub(s.whole)
	}
	return linked, whole
}
