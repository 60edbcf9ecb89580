package node

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"parley/store"
)

// metrics are what an operator watches; README and spec name them.
type metrics struct {
	sessions   *prometheus.GaugeVec
	requests   *prometheus.CounterVec
	answers    *prometheus.CounterVec
	latency    *prometheus.HistogramVec
	published  prometheus.Counter
	delivered  prometheus.Counter
	refused    prometheus.Counter
	throttled  prometheus.Counter
	malformed  prometheus.Counter
	slow       prometheus.Counter
	hints      prometheus.Counter
	queueFull  prometheus.Counter
	panics     prometheus.Counter
	knocks     *prometheus.CounterVec
	limited    *prometheus.CounterVec
	inquiries  prometheus.Counter
	opinions   *prometheus.CounterVec
	filings    *prometheus.CounterVec
	evidence   *prometheus.CounterVec
	complaints *prometheus.CounterVec
	forged     prometheus.Counter
	rewritten  prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, n *Node) *metrics {
	if reg == nil {
		reg = prometheus.NewRegistry()
	}
	f := promauto.With(reg)
	counter := func(name, help string) prometheus.Counter {
		return f.NewCounter(prometheus.CounterOpts{Name: "parley_" + name, Help: help})
	}
	m := &metrics{
		sessions:  f.NewGaugeVec(prometheus.GaugeOpts{Name: "parley_sessions", Help: "Open client sessions."}, []string{"proto"}),
		requests:  f.NewCounterVec(prometheus.CounterOpts{Name: "parley_requests_total", Help: "Requests of clients."}, []string{"verb"}),
		answers:   f.NewCounterVec(prometheus.CounterOpts{Name: "parley_answers_total", Help: "Answers to clients by class of code."}, []string{"code"}),
		published: counter("messages_published_total", "Messages stored and acknowledged."),
		delivered: counter("messages_delivered_total", "Copies of messages queued for sessions."),
		refused:   counter("sessions_refused_total", "Connections refused because of a limit."),
		throttled: counter("requests_throttled_total", "Requests refused because of a session's rate."),
		malformed: counter("requests_malformed_total", "Packets that could not be parsed."),
		slow:      counter("sessions_slow_total", "Sessions closed because they did not read."),
		hints:     counter("hints_dropped_total", "Typing and the like not told to sessions that are behind."),
		panics:    counter("panics_total", "Faults of the node that ended one topic or request; please report them."),
		queueFull: counter("topic_queue_full_total", "Requests refused because a topic's queue was full."),
		forged:    counter("messages_forged_total", "Messages of groups of other nodes that are not shown, since their authors did not sign them."),
		rewritten: counter("group_logs_rewritten_total", "Groups of other nodes that are not followed any more, since their homes told another history than before."),
		inquiries: counter("inquiries_total", "Times that other nodes were asked about one that is new."),
		filings: f.NewCounterVec(prometheus.CounterOpts{Name: "parley_filings_total",
			Help: "Blame of third nodes filed with witnesses: ours with others, theirs here."}, []string{"whose", "outcome"}),
		evidence: f.NewCounterVec(prometheus.CounterOpts{Name: "parley_evidence_total",
			Help: "What was seen of other nodes, by kind."}, []string{"event"}),
		complaints: f.NewCounterVec(prometheus.CounterOpts{Name: "parley_complaints_total",
			Help: "Reports passed on to other nodes, and theirs about users of this one."}, []string{"what"}),
		opinions: f.NewCounterVec(prometheus.CounterOpts{Name: "parley_opinions_total",
			Help: "Questions of other nodes about third ones, by what became of them."}, []string{"answer"}),
		knocks: f.NewCounterVec(prometheus.CounterOpts{Name: "parley_knocks_total",
			Help: "First contacts of other nodes' users, by what became of them."}, []string{"verdict"}),
		limited: f.NewCounterVec(prometheus.CounterOpts{Name: "parley_peers_limited_total",
			Help: "What other nodes were told to do later, by what it was and why."}, []string{"use", "reason"}),
		latency: f.NewHistogramVec(prometheus.HistogramOpts{Name: "parley_request_seconds", Help: "From reading a request to its answer.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 3, 11)}, []string{"verb"}),
	}
	f.NewGaugeFunc(prometheus.GaugeOpts{Name: "parley_topics_live", Help: "Topics in memory."}, func() float64 {
		n.mu.Lock()
		defer n.mu.Unlock()
		return float64(len(n.topics))
	})
	f.NewGaugeFunc(prometheus.GaugeOpts{Name: "parley_users_online", Help: "Users with a session."}, func() float64 {
		n.mu.Lock()
		defer n.mu.Unlock()
		return float64(len(n.users))
	})
	if st, ok := n.store.(store.Measured); ok {
		storeMetrics(f, st)
	}
	return m
}

// storeMetrics shows how the disk does.
func storeMetrics(f promauto.Factory, st store.Measured) {
	gauge := func(name, help string, v func(store.Stats) float64) {
		f.NewGaugeFunc(prometheus.GaugeOpts{Name: "parley_store_" + name, Help: help}, func() float64 { return v(st.Stats()) })
	}
	counter := func(name, help string, v func(store.Stats) float64) {
		f.NewCounterFunc(prometheus.CounterOpts{Name: "parley_store_" + name, Help: help}, func() float64 { return v(st.Stats()) })
	}
	counter("commits_total", "Transactions written to the disk.", func(s store.Stats) float64 { return float64(s.Commits) })
	counter("updates_total", "Changes in them.", func(s store.Stats) float64 { return float64(s.Updates) })
	counter("commit_seconds_total", "Time spent on them.", func(s store.Stats) float64 { return s.CommitTime.Seconds() })
	counter("failed_commits_total", "Transactions that the disk refused.", func(s store.Stats) float64 { return float64(s.Failed) })
	gauge("waiting", "Changes that wait for the disk.", func(s store.Stats) float64 { return float64(s.Waiting) })
	gauge("bytes", "Size of the database.", func(s store.Stats) float64 { return float64(s.Size) })
}
