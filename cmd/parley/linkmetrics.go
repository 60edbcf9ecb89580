package main

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"parley/federation"
)

// linkMetrics are figures of all links together: there may be very many peers.
type linkMetrics struct{ mesh *federation.Mesh }

var (
	descPeers    = linkDesc("peers", "Peers, by state.", "state")
	descQueued   = linkDesc("outbox_posts", "Posts that wait for other nodes, or for their answers.")
	descQueuedB  = linkDesc("outbox_bytes", "Bytes of them.")
	descParked   = linkDesc("outbox_parked", "Posts that a peer wants later.")
	descOldest   = linkDesc("outbox_oldest_seconds", "Age of the oldest of them.")
	descPosts    = linkDesc("posts_total", "Posts to other nodes by what became of them, and posts of theirs taken.", "outcome")
	descLinkByte = linkDesc("link_bytes_total", "Bytes of frames on links, without what QUIC adds.", "kind", "direction")
	descDropped  = linkDesc("casts_dropped_total", "Notices to other nodes that were dropped because too many waited.")
)

func linkDesc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("parley_"+name, help, labels, nil)
}

// Describe implements prometheus.Collector.
func (m linkMetrics) Describe(to chan<- *prometheus.Desc) { prometheus.DescribeByCollect(m, to) }

// Collect implements prometheus.Collector.
func (m linkMetrics) Collect(to chan<- prometheus.Metric) {
	all, err := m.mesh.Stats()
	if err != nil {
		to <- prometheus.NewInvalidMetric(descPeers, err)
		return
	}
	states := map[federation.PeerState]float64{federation.StateUp: 0, federation.StateDialing: 0, federation.StateWaiting: 0, federation.StateIdle: 0}
	var s federation.PeerStats
	for _, p := range all {
		states[p.State]++
		s.Queued, s.Bytes, s.Parked = s.Queued+p.Queued, s.Bytes+p.Bytes, s.Parked+p.Parked
		if !p.Oldest.IsZero() && (s.Oldest.IsZero() || p.Oldest.Before(s.Oldest)) {
			s.Oldest = p.Oldest
		}
		s.Sent, s.Acked, s.Refused, s.Later = s.Sent+p.Sent, s.Acked+p.Acked, s.Refused+p.Refused, s.Later+p.Later
		s.Expired, s.Taken, s.Dropped = s.Expired+p.Expired, s.Taken+p.Taken, s.Dropped+p.Dropped
		for _, v := range []struct {
			sum *federation.Volume
			add federation.Volume
		}{{&s.Control, p.Control}, {&s.Posts, p.Posts}, {&s.Presence, p.Presence}, {&s.Questions, p.Questions}} {
			v.sum.In += v.add.In
			v.sum.Out += v.add.Out
		}
	}
	for state, n := range states {
		to <- prometheus.MustNewConstMetric(descPeers, prometheus.GaugeValue, n, string(state))
	}
	to <- prometheus.MustNewConstMetric(descQueued, prometheus.GaugeValue, float64(s.Queued))
	to <- prometheus.MustNewConstMetric(descQueuedB, prometheus.GaugeValue, float64(s.Bytes))
	to <- prometheus.MustNewConstMetric(descParked, prometheus.GaugeValue, float64(s.Parked))
	oldest := 0.0
	if !s.Oldest.IsZero() {
		oldest = time.Since(s.Oldest).Seconds()
	}
	to <- prometheus.MustNewConstMetric(descOldest, prometheus.GaugeValue, oldest)
	for outcome, n := range map[string]uint64{"sent": s.Sent, "acknowledged": s.Acked, "refused": s.Refused, "later": s.Later, "expired": s.Expired, "taken": s.Taken} {
		to <- prometheus.MustNewConstMetric(descPosts, prometheus.CounterValue, float64(n), outcome)
	}
	for kind, v := range map[string]federation.Volume{"control": s.Control, "posts": s.Posts, "casts": s.Presence, "asks": s.Questions} {
		to <- prometheus.MustNewConstMetric(descLinkByte, prometheus.CounterValue, float64(v.In), kind, "in")
		to <- prometheus.MustNewConstMetric(descLinkByte, prometheus.CounterValue, float64(v.Out), kind, "out")
	}
	to <- prometheus.MustNewConstMetric(descDropped, prometheus.CounterValue, float64(s.Dropped))
}
