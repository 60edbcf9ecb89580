package model

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"parley/protocol"
	"parley/reputation"
)

// How people and nodes are. Rates and shares are those of honest users, if not said
// otherwise.
const (
	contactsADay  = 0.3 // first contacts a user begins with users of other nodes
	inCircle      = 0.6 // of them, to nodes of the same circle
	circleSize    = 40  // nodes
	freeKeys      = 0.2 // of the nodes have no domain
	perNetwork    = 3   // nodes in a /24 on average
	newUsers      = 15  // of 100 users have a young account, and one partner
	pReply        = 0.6
	pReport       = 0.003 // of a first contact of an honest user, by mistake
	pBlock        = 0.01
	pReplySpam    = 0.005
	pReportSpam   = 0.10
	pBlockSpam    = 0.20
	moreBursts    = 3.5 // of a conversation on average, after the first; one a day
	burstLength   = 8   // messages
	expiry        = 5 * day
	ignoredAfter  = 3 * day
	turnPeriod    = 12 * time.Hour // in which an engine must be called
	strictBefore  = day            // before the attack, from when on policies decide
	ripeAge       = 60 * day       // of users when the model begins
	newcomerPeers = 3              // conversations of a newcomer's users with each other
)

// role is what a node is there for.
type role uint8

const (
	honest role = iota
	camouflaged
	spammer
)

// node is one node of the federation.
type node struct {
	id     int
	name   protocol.Node
	sender reputation.Sender
	users  int
	circle int
	role   role
	joined time.Duration
	gone   bool
	gate   gate

	team      int  // colluders praise each other; 0: none
	spams     bool // now
	fallen    bool // was honest once
	bad       int  // hijacked or spamming accounts of an otherwise honest node
	liar      bool
	slandered bool
	newcomer  bool
	eclipsed  bool // cannot reach the honest who might advise it
	half      int  // of a partition
	watched   bool
	since     time.Duration
}

// world is one simulation.
type world struct {
	cfg    Config
	rng    *rand.Rand
	now    time.Duration
	start  time.Duration // of the attack
	end    time.Duration
	queue  queue
	nodes  []*node
	byName map[protocol.Node]*node
	circle []targets
	all    targets
	gates  func(*node) gate
	parted bool
	meter  meter
	habits Habits
	rate   float64 // first contacts a day that an honest user begins
	newOf  uint32  // of 100 users have a young account
	// strictAlways lets policies decide from the beginning on, quietUntil is when the honest
	// begin to write.
	strictAlways bool
	quietUntil   time.Duration
	notes        []func() string // what a result says besides the table
}

// targets are nodes as receivers, by number of users.
type targets struct {
	nodes []*node
	upto  []float64
	sum   float64
}

func (t *targets) add(n *node) {
	t.sum += float64(n.users)
	t.nodes, t.upto = append(t.nodes, n), append(t.upto, t.sum)
}

func (t *targets) pick(rng *rand.Rand) *node {
	i, _ := slices.BinarySearch(t.upto, rng.Float64()*t.sum)
	return t.nodes[min(i, len(t.nodes)-1)]
}

// epoch is when every simulation begins.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func (w *world) wall() time.Time { return epoch.Add(w.now) }

// emptyWorld has no nodes.
func emptyWorld(cfg Config, p Policy) *world {
	w := &world{cfg: cfg, rng: rand.New(rand.NewPCG(cfg.Seed, 77)), byName: map[protocol.Node]*node{},
		start: cfg.Warm, end: cfg.Warm + cfg.Length, meter: newMeter(cfg.Length), habits: habits(), rate: contactsADay, newOf: newUsers,
		circle: make([]targets, 1)}
	w.gates = p.gates(w)
	return w
}

func newWorld(cfg Config, p Policy) *world {
	w := emptyWorld(cfg, p)
	w.circle = make([]targets, max(1, cfg.Nodes/circleSize))
	for i := range cfg.Nodes {
		users := max(3, int(float64(cfg.Users)/math.Pow(float64(i+1), 0.75)))
		proof := reputation.ProofDomain
		if w.rng.Float64() < freeKeys {
			proof = reputation.ProofKey
		}
		w.join(&node{users: users, circle: w.rng.IntN(len(w.circle))}, w.identity(proof, 0, 0))
	}
	return w
}

// identity makes up what is known of a node before its behaviour is. parent and network
// are numbers of a parent domain and a /24 that it shares with others; 0 means one of
// its own domain, and an honest hosting network.
func (w *world) identity(proof reputation.Proof, parent, network int) reputation.Sender {
	id := len(w.nodes)
	s := reputation.Sender{Proof: proof}
	switch {
	case proof == reputation.ProofKey:
		s.Name = protocol.Node(fmt.Sprintf("key%d.alt", id))
	case parent != 0:
		s.Domain = fmt.Sprintf("parent%d.example", parent)
		s.Name = protocol.Node(fmt.Sprintf("n%d.%s", id, s.Domain))
	default:
		s.Domain = fmt.Sprintf("node%d.example", id)
		s.Name = protocol.Node(s.Domain)
	}
	top := byte(10)
	if network == 0 {
		network = w.rng.IntN(max(1, w.cfg.Nodes/perNetwork))
	} else {
		top = 11
	}
	s.Prefix = netip.PrefixFrom(netip.AddrFrom4([4]byte{top, byte(network >> 8), byte(network), 0}), 24)
	return s
}

// join lets a node begin.
func (w *world) join(n *node, s reputation.Sender) *node {
	n.id, n.name, n.sender, n.joined = len(w.nodes), s.Name, s, w.now
	n.gate = w.gates(n)
	w.nodes = append(w.nodes, n)
	w.byName[n.name] = n
	if n.role == honest {
		w.all.add(n)
		w.circle[n.circle].add(n)
		w.meter.users += n.users
	}
	if n.role != spammer {
		w.nextContact(n)
	}
	w.turn(n)
	return n
}

// turn lets a node look after what it knows.
func (w *world) turn(n *node) {
	if !n.gone {
		n.gate.turn()
		w.after(turnPeriod, func() { w.turn(n) })
	}
}

func (w *world) at(t time.Duration, do func()) { w.queue.push(t, do) }

func (w *world) after(d time.Duration, do func()) { w.queue.push(w.now+d, do) }

// random is an exponentially distributed time.
func (w *world) random(mean time.Duration) time.Duration {
	return time.Duration(w.rng.ExpFloat64() * float64(mean))
}

// run plays an attack.
func (w *world) run(ctx context.Context, a Attack) error {
	w.at(w.start, w.newcomers)
	return w.play(ctx, a)
}

// play is run without newcomers.
func (w *world) play(ctx context.Context, a Attack) error {
	a.plan(w)
	for i := 0; len(w.queue.heap) > 0; i++ {
		if i%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		e := w.queue.pop()
		if e.at > w.end {
			break
		}
		w.now = e.at
		e.do()
	}
	w.now = w.end
	return nil
}

// newcomers are honest nodes that join when the attack begins: sizes of newcomers.
func (w *world) newcomers() {
	for _, users := range []int{10, 10, 10, 10, 10, 10, 30, 30, 30, 30, 100, 100, 100, 100, 300, 300} {
		w.join(&node{users: users, circle: w.rng.IntN(len(w.circle)), newcomer: true}, w.identity(reputation.ProofDomain, 0, 0))
	}
}

// reach reports whether a node can ask or write to another now.
func (w *world) reach(from, to *node) bool { return !to.gone && !(w.parted && from.half != to.half) }

// user is the id of a user of a node.
func (n *node) user(i int) protocol.UserID {
	return protocol.UserID("usr" + strconv.Itoa(i) + "@" + string(n.name))
}

// reporter is what a node knows of one of its own users.
func (w *world) reporter(n *node, user int) reputation.Reporter {
	r := reputation.Reporter{User: n.user(user), Age: ripeAge + w.now, Partners: 5}
	switch h := uint32(user)*2654435761 ^ uint32(n.id)*40503; {
	case n.joined > 0:
		r.Age, r.Partners = w.now-n.joined, newcomerPeers
	case h%100 < w.newOf:
		r.Age, r.Partners = 3*day, 1
	}
	return r
}
