package run

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"parley/federation/vnet"
	"parley/testnet/checks"
	"parley/testnet/cluster"
	"parley/testnet/vtime"
)

// Sample is where things stand at a moment. Counts are since the beginning.
type Sample struct {
	At                          float64 // seconds since the beginning
	Begun, Accepted, Refused    int
	Expected, Delivered         int
	P50, P99                    float64 // seconds, of copies heard since the last sample; 0: none
	Waiting                     int     // posts in outboxes
	Up, Links, Online           int
	Spam                        int // messages of spammers that have arrived
	Strangers                   int // first contacts of others that wait
	Packets, PacketsLost, Bytes uint64
	Sent                        [Sorts]cluster.Count
}

// Sorts of frames.
const (
	Messages  = iota // of conversations, and logs of groups
	State            // marks, modes, cards and so on: what else must not get lost
	Ephemeral        // presence, typing
	Questions        // and their answers
	Sorts
)

// SortNames are the sorts in words.
var SortNames = [Sorts]string{"messages", "state", "presence", "questions"}

// sortOf sorts a kind of frame.
func sortOf(kind string) int {
	switch what, _, _ := strings.Cut(kind, " "); {
	case what == "log", kind == "post message", kind == "post command":
		return Messages
	case what == "cast":
		return Ephemeral
	case what == "ask":
		return Questions
	}
	return State
}

// sample takes samples until the scenario ends, or is stopped.
func (r *runner) sample(ctx context.Context, stop context.CancelFunc) error {
	if err := r.take(); err != nil {
		return err
	}
	for vtime.Sleep(ctx, r.plan.Sample.Duration) {
		if err := r.take(); err != nil {
			return err
		}
		if r.clock.Stopped() {
			r.res.Interrupted = true
			stop()
		}
	}
	return r.take()
}

// watch takes samples meanwhile; the first function ends that, the second waits for it.
func (r *runner) watch(ctx context.Context) (stop func(), wait func() error) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	var err error
	wg.Go(func() {
		for vtime.Sleep(ctx, r.plan.Sample.Duration) {
			if err = r.take(); err != nil {
				return
			}
		}
	})
	return cancel, func() error { wg.Wait(); return err }
}

// take takes one sample.
func (r *runner) take() error {
	now := r.c.Ledger.Now()
	s := Sample{
		At: r.since(), Begun: now.Begun, Accepted: now.Accepted, Refused: now.Refused, Expected: now.Expected, Delivered: now.Delivered,
		P50: quantile(now.Late, .5), P99: quantile(now.Late, .99),
	}
	for i, m := range r.c.Machines {
		if m.Up() {
			s.Up++
		}
		for flow, n := range m.Sent() {
			c, before := &s.Sent[sortOf(flow.Kind)], r.prepared[i][flow]
			c.Frames, c.Bytes = c.Frames+n.Frames-before.Frames, c.Bytes+n.Bytes-before.Bytes
		}
		s.Links += m.Links()
		waiting, err := m.Waiting()
		if err != nil {
			return fmt.Errorf("outbox of %s: %w", m.Name, err)
		}
		s.Waiting += waiting
	}
	for _, u := range r.c.Users() {
		if u.SignedIn() {
			s.Online++
		}
	}
	s.Spam, s.Strangers = r.strangers.now()
	net := r.c.Net.Stats()
	s.Packets, s.Bytes, s.PacketsLost = packets(&net)-packets(&r.quiet), net.Bytes-r.quiet.Bytes, lost(&net)-lost(&r.quiet)
	r.mu.Lock()
	r.res.Samples = append(r.res.Samples, s)
	r.mu.Unlock()
	if r.live != nil {
		r.live.look(r, &s)
	}
	r.clock.Reached(time.Duration(s.At * float64(time.Second)))
	return nil
}

func packets(s *vnet.Stats) (all uint64) {
	for _, n := range s.Packets {
		all += n
	}
	return all
}

func lost(s *vnet.Stats) uint64 { return packets(s) - s.Of(vnet.Sent) }

// quantile of values; 0 if there are none.
func quantile(all []float64, q float64) float64 {
	if len(all) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(all))
	return s[min(int(q*float64(len(s))), len(s)-1)]
}

// count makes the figures of the end.
func (r *runner) count(out *cluster.Outcome) error {
	if err := r.take(); err != nil {
		return err
	}
	last := r.res.Samples[len(r.res.Samples)-1]
	deliveries, answers := r.c.Ledger.Times()
	now := r.c.Ledger.Now()
	slices.Sort(deliveries)
	f := r.res.Figures
	for name, n := range map[string]int{
		"accepted": last.Accepted, "refused": last.Refused, "unanswered": last.Begun - last.Accepted - last.Refused,
		"delivered": last.Delivered, "expected": last.Expected, "lost": out.Lost, "doubled": out.Doubled,
		"bounced": out.Bounced, "unconfirmed": out.Unconfirmed, "contradictions": out.Contradictions,
		"reordered": out.Reordered, "forged": out.Forged, "diverged": out.Diverged, "waiting": out.Waiting,
		"presence_wrong": out.Wrong, "nodes": len(r.plan.Net), "users": len(r.c.Users()),
	} {
		f[name] = float64(n)
	}
	f["latency_p50"], f["latency_p90"], f["latency_p99"] = quantile(deliveries, .5), quantile(deliveries, .9), quantile(deliveries, .99)
	f["latency_max"], f["latency_mean"] = quantile(deliveries, 1), mean(deliveries)
	f["accept_p50"], f["accept_p99"] = quantile(answers, .5), quantile(answers, .99)
	f["packets"], f["packets_lost"], f["bytes"] = float64(last.Packets), float64(last.PacketsLost), float64(last.Bytes)
	f["bytes_message"] = float64(last.Bytes) / float64(max(now.ExpectedApart, 1))
	for _, n := range last.Sent {
		f["frames"] += float64(n.Frames)
		f["frame_bytes"] += float64(n.Bytes)
	}
	f["posts"], f["casts"] = float64(last.Sent[Messages].Frames+last.Sent[State].Frames), float64(last.Sent[Ephemeral].Frames)
	f["restarts"], f["presence_notices"], f["sign_ins"] = 0, 0, 0
	for _, u := range r.c.Users() {
		f["presence_notices"] += float64(u.Notices())
		f["sign_ins"] += float64(u.SignIns())
	}
	f["dns_questions"], f["dht_known"] = float64(r.c.Asked()), 0
	for _, m := range r.c.Machines {
		f["dht_known"] += float64(m.Known()) / float64(len(r.c.Machines))
	}
	r.res.Times, r.res.Examples = deliveries, out.Examples
	r.nodes()
	r.res.Invariants = out.Invariants(r.tried(out))
	return nil
}

// nodes notes what became of each.
func (r *runner) nodes() {
	for i, n := range r.plan.Net {
		m := r.c.Machines[i]
		res := NodeResult{Name: n.Name, Region: n.Region, Starts: m.Starts() - r.starts[i], Sent: m.Sent(),
			Role: r.strangers.roles[i], Known: r.strangers.known[i], FriendsOf: r.strangers.friends[i], ClosedBy: r.strangers.closed[i]}
		for flow, c := range res.Sent {
			before := r.prepared[i][flow]
			res.Sent[flow] = cluster.Count{Frames: c.Frames - before.Frames, Bytes: c.Bytes - before.Bytes}
		}
		for _, u := range r.plan.People {
			if u.Node == i {
				res.Users++
			}
		}
		r.res.Figures["restarts"] += float64(max(m.Starts()-1-r.starts[i], 0))
		r.res.Nodes = append(r.res.Nodes, res)
	}
}

// tried is what there was in the run that could break an invariant.
func (r *runner) tried(out *cluster.Outcome) checks.Tried {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.faults {
		r.res.Faults = append(r.res.Faults, *f)
	}
	r.res.Events = r.events
	t := checks.Tried{Copies: int(r.res.Figures["expected"]), Faults: len(r.faults), Groups: len(r.plan.Rooms),
		Presence: out.Presence, Wrong: out.Wrong, Waiting: out.Waiting}
	t.LogFrames, t.LogPerNode = r.crossings()
	for _, e := range r.events {
		if e.Kind == "kill" {
			t.Kills++
		}
	}
	return t
}

func mean(all []float64) float64 {
	sum := 0.0
	for _, x := range all {
		sum += x
	}
	return sum / float64(max(len(all), 1))
}

// judge looks whether the conditions hold.
func (r *runner) judge() {
	for _, m := range r.plan.Must {
		holds, err := m.Expr.Holds(r.res.Figures)
		c := CheckResult{That: m.That, About: m.About, Holds: holds}
		if err != nil {
			c.Error = err.Error()
		}
		r.res.Checks = append(r.res.Checks, c)
	}
}

// crossings is how many frames of groups' logs crossed links, and how many of them a
// message needed for one node, at most and rounded: a frame carries one or more entries.
func (r *runner) crossings() (frames, perNode int) {
	said := map[cluster.Flow]map[int]int{} // by home and follower
	for _, room := range r.c.Rooms() {
		if !room.IsGroup() {
			continue
		}
		home := room.Members[0].Machine()
		for n := range room.Nodes() {
			k := cluster.Flow{To: n, Kind: "log"}
			if said[k] == nil {
				said[k] = map[int]int{}
			}
			said[k][home] += r.c.Ledger.AcceptedIn(room.Ledger())
		}
	}
	for i, m := range r.c.Machines {
		for flow, c := range m.Sent() {
			if flow.Kind != "log" {
				continue
			}
			n := c.Frames - r.prepared[i][flow].Frames
			frames += n
			if all := said[flow][i]; all > 0 {
				perNode = max(perNode, int(math.Round(float64(n)/float64(all))))
			}
		}
	}
	return frames, perNode
}
