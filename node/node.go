// Package node is a node: sessions, topics and accounts.
//
// A packet of a client goes session → verb table → topic → one store
// transaction → fan-out to sessions. A topic is an actor: one goroutine at a time
// owns its state, and it lives only while there is something to do. One file
// holds one verb or one kind of topic.
package node

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"parley/protocol"
	"parley/store"
)

// Node serves the users of one name. Make it with New, start it with Run.
type Node struct {
	cfg      Config
	name     protocol.Node
	store    store.Store
	log      *slog.Logger
	accounts *accounts
	metrics  *metrics
	gate     *gate
	learnt   *learnt
	standing *standing
	vouchers vouchers
	uploads  *uploadLimits
	spending *quota // of bytes, by user
	finds    *finds
	relayed  *relayed
	imports  *imports
	exports  *exports
	paces    *paces

	ctx  context.Context // ends when the node does
	stop context.CancelFunc
	// outside ends when shutdown begins: nobody waits for other nodes any more.
	outside     context.Context
	stopOutside context.CancelFunc
	wg          sync.WaitGroup // every goroutine of the node

	mu       sync.Mutex // guards the rest
	stopping bool
	topics   map[protocol.TopicID]*topic
	sessions map[*session]struct{}
	users    map[protocol.UserID]*hub
}

// Identity is who speaks, zero before login.
type Identity struct {
	User  protocol.UserID
	Level store.Level
}

// New makes a node of its parts. Nothing runs before Run, but the methods for
// operators (admin.go) work.
func New(cfg Config) (*Node, error) {
	if cfg.Store == nil || cfg.Passwords == nil || cfg.Tokens == nil {
		return nil, errors.New("node: Store, Passwords and Tokens are required")
	}
	cfg.setDefaults()
	n := &Node{
		cfg:      cfg,
		name:     cfg.Store.Meta().Node,
		store:    cfg.Store,
		log:      cfg.Log,
		topics:   map[protocol.TopicID]*topic{},
		sessions: map[*session]struct{}{},
		users:    map[protocol.UserID]*hub{},
		gate:     newGate(cfg.Limits),
		learnt:   newLearnt(),
	}
	n.ctx, n.stop = context.WithCancel(context.Background())
	n.outside, n.stopOutside = context.WithCancel(n.ctx)
	n.accounts = newAccounts(cfg, n.name)
	n.uploads = newUploadLimits(&cfg)
	n.spending = newQuota(float64(cfg.Limits.UserBytes), userBurst*cfg.Limits.UserBytes)
	n.finds = newFinds()
	n.relayed = &relayed{n: n}
	n.imports = newImports(n)
	n.exports = newExports()
	n.paces = newPaces()
	n.metrics = newMetrics(cfg.Metrics, n)
	n.vouchers = vouchers{asked: map[protocol.Node]time.Time{}, of: map[protocol.Node]voucher{}}
	var err error
	n.standing, err = newStanding(n)
	return n, err
}

// Name of the node.
func (n *Node) Name() protocol.Node { return n.name }

// wall is the time by which the node stamps what it keeps and what it sends.
func (n *Node) wall() time.Time { return n.cfg.Clock.Now() }

// Limits in force, with defaults filled in.
func (n *Node) Limits() Limits { return n.cfg.Limits }

// janitorPeriod is how often idle topics and unused files are looked for.
const janitorPeriod = 30 * time.Second

// Run keeps the node alive until ctx ends, then closes all sessions and returns
// when every goroutine of the node has ended.
func (n *Node) Run(ctx context.Context) error {
	if n.enter() {
		if err := n.removeLeftovers(); err != nil {
			n.log.Error("removing what deleted users left failed", "err", err)
		}
		n.wg.Done()
	}
	tick := time.NewTicker(janitorPeriod)
	defer tick.Stop()
	if n.cfg.Network != nil {
		n.standing.tellReach()
		n.start(n.standing.readLists)
	}
	tend := time.NewTicker(standingPeriod)
	defer tend.Stop()
	for {
		select {
		case now := <-tick.C:
			n.evictTopics(now)
			if _, err := n.collectFiles(n.wall()); err != nil {
				n.log.Warn("collecting unused files failed", "err", err)
			}
		case <-tend.C:
			if n.cfg.Network != nil {
				n.standing.tend()
			}
		case <-ctx.Done():
			n.shutdown()
			return nil
		}
	}
}

// drainTime is how long topics may take at the end to answer what they have accepted.
const drainTime = 2 * time.Second

// shutdown refuses new sessions and requests, lets the topics answer what they have
// accepted, closes the sessions and waits.
func (n *Node) shutdown() {
	n.mu.Lock()
	n.stopping = true
	open := make([]*session, 0, len(n.sessions))
	for s := range n.sessions {
		open = append(open, s)
	}
	n.mu.Unlock()
	n.stopOutside()
	n.drain()
	for _, s := range open {
		s.close(CloseShutdown)
	}
	n.recordSeen()
	if n.cfg.Network != nil {
		if err := n.standing.save(); err != nil {
			n.log.Error("what is known of other nodes not stored", "err", err)
		}
	}
	n.wg.Wait()
	n.accounts.close()
	n.stop()
}

// drain waits until no topic has anything to do, for a bounded time.
func (n *Node) drain() {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for start := time.Now(); n.busy() && time.Since(start) < drainTime; {
		<-tick.C
	}
}

// busy reports whether any topic has something to do.
func (n *Node) busy() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, t := range n.topics {
		if t.isRunning() {
			return true
		}
	}
	return false
}

// isStopping reports whether shutdown has begun.
func (n *Node) isStopping() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.stopping
}

// enter counts the caller as one of the node's goroutines until it calls wg.Done;
// false once shutdown has begun. Whatever comes from outside (a connection, a
// timer, an operator) enters first, so that nothing starts behind shutdown's back.
func (n *Node) enter() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.stopping {
		return false
	}
	n.wg.Add(1)
	return true
}

// start runs fn as one of the node's goroutines; called by those that have entered.
func (n *Node) start(fn func()) { n.wg.Go(fn) }

// topic finds the live topic or makes it; it loads itself with its first event.
func (n *Node) topic(id protocol.TopicID) *topic {
	n.mu.Lock()
	defer n.mu.Unlock()
	t := n.topics[id]
	if t == nil {
		t = newTopic(n, id)
		n.topics[id] = t
	}
	return t
}

// live returns the topic if it is in memory.
func (n *Node) live(id protocol.TopicID) *topic {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.topics[id]
}

// send gives e to the topic, which is made live if need be. It reports false when
// the topic's queue is full and e may be refused.
func (n *Node) send(id protocol.TopicID, e event) bool {
	for {
		switch n.topic(id).push(e, n.cfg.Limits.TopicQueue) {
		case pushed:
			return true
		case full:
			n.metrics.queueFull.Inc()
			return false
		}
	}
}

// sendAlways gives e to the topic, however much waits for it.
func (n *Node) sendAlways(id protocol.TopicID, e event) {
	for n.topic(id).push(e, 0) != pushed {
	}
}

// tell gives e to the topic if it is live; such events are never refused.
func (n *Node) tell(id protocol.TopicID, e event) {
	if t := n.live(id); t != nil {
		t.push(e, 0)
	}
}

// evictTopics forgets topics that nobody has used for a while.
func (n *Node) evictTopics(now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for id, t := range n.topics {
		if t.retire(now.Add(-n.cfg.Limits.TopicIdle)) {
			delete(n.topics, id)
		}
	}
}

// drop forgets a retired topic.
func (n *Node) drop(t *topic) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.topics[t.id] == t {
		delete(n.topics, t.id)
	}
}

// random is a fresh 64-bit number for ids and message tags.
func random() uint64 { return rand.Uint64() } // ChaCha8 seeded by the system: unpredictable

func orDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

func (c *Config) setDefaults() {
	l := &c.Limits
	orDefault(&l.MaxMessage, 128<<10)
	orDefault(&l.MaxSubscribers, 512)
	orDefault(&l.MaxTags, 16)
	orDefault(&l.MaxFile, 32<<20)
	orDefault(&l.MaxGuestFile, 512<<10)
	orDefault(&l.GuestBytes, 256<<20)
	orDefault(&l.GuestRate, 0.01)
	orDefault(&l.GuestBurst, 10)
	orDefault(&l.UploadRate, 1)
	orDefault(&l.UploadBurst, 200)
	orDefault(&l.MaxHistory, 100)
	orDefault(&l.MaxSubs, 2000)
	orDefault(&l.SendQueue, 4<<20)
	orDefault(&l.TopicQueue, 256)
	orDefault(&l.SessionRate, 200)
	orDefault(&l.SessionBurst, 1000)
	orDefault(&l.UserBytes, 1<<20)
	orDefault(&l.LoginRate, 0.2)
	orDefault(&l.LoginBurst, 10)
	orDefault(&l.SignupRate, 1)
	orDefault(&l.SignupBurst, 100)
	orDefault(&l.MaxSessions, 100_000)
	orDefault(&l.PerAddress, 10_000)
	orDefault(&l.TopicIdle, 2*time.Minute)
	orDefault(&c.Calls.Timeout, 30*time.Second)
	orDefault(&c.UnusedFiles, time.Hour)
	orDefault(&c.Federation.FileCache, 1<<30)
	orDefault(&c.Federation.Stranger, defaultStranger)
	orDefault(&c.Federation.Partner, defaultPartner)
	orDefault(&c.Build, "dev")
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}
