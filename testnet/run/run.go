// Package run carries out scenarios: it makes the cluster that a plan describes, lets its
// users and faults act, takes samples, judges, and writes a directory with all of it.
package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"parley/federation"
	"parley/federation/dht"
	"parley/federation/vnet"
	"parley/testnet/checks"
	"parley/testnet/cluster"
	"parley/testnet/scenario"
	"parley/testnet/vtime"
)

// Options of a run.
type Options struct {
	Real bool
	// Binary, if not empty, is of parley: nodes are processes of their own, with their data
	// in Dir. It needs Real, and a plan that is for that (scenario.Apart).
	Binary, Dir string
	Pace        float64 // how much faster than the wall's clock at most; 0: as fast as can be
	Version     string  // of parley
	// Times of links and posts; zero: those of every node.
	Times federation.Times
}

// Result is what came of a run.
type Result struct {
	Plan        *scenario.Plan
	Options     Options
	Began       time.Time // on the wall
	Interrupted bool
	Figures     map[string]float64
	Checks      []CheckResult
	Invariants  []checks.Invariant
	Examples    []string
	Samples     []Sample
	Faults      []Fault
	Events      []Event
	Nodes       []NodeResult
	Times       []float64 // seconds of all deliveries, sorted
}

// CheckResult is a condition and whether it held.
type CheckResult struct {
	That  string `json:"that"`
	About string `json:"about,omitempty"`
	Holds bool   `json:"holds"`
	Error string `json:"error,omitempty"`
}

// Fault is what was wrong for some time, in seconds since the beginning.
type Fault struct {
	From, To float64
	Kind     string
	Text     string
}

// Event is something that happened.
type Event struct {
	At   float64 `json:"t"` // seconds since the beginning
	Kind string  `json:"kind"`
	Text string  `json:"text,omitempty"`
	// Of messages.
	Message *int     `json:"message,omitempty"`
	User    string   `json:"user,omitempty"`
	Took    *float64 `json:"took,omitempty"` // seconds
}

// NodeResult is what became of one node.
type NodeResult struct {
	Name, Region string
	Users        int
	Starts       int
	Sent         map[cluster.Flow]cluster.Count
	Role         Role
	Known        int // nodes that know something of it, in the end of the scenario
	FriendsOf    int // of those, who have had good conversations with it, and have not closed it
	ClosedBy     int // of those, who admit no first contacts of it
}

// Failed reports whether a condition did not hold, or an invariant is broken.
func (r *Result) Failed() bool {
	return slices.ContainsFunc(r.Checks, func(c CheckResult) bool { return !c.Holds }) ||
		slices.ContainsFunc(r.Invariants, func(i checks.Invariant) bool { return i.Verdict == checks.Broken })
}

// ErrInterrupted is returned by Run if it was stopped before the scenario began.
var ErrInterrupted = errors.New("interrupted before the scenario began")

// runner is a run that goes on.
type runner struct {
	plan     *scenario.Plan
	clock    *vtime.Clock
	live     *Live // nil: nobody looks on
	c        *cluster.Cluster
	usual    vnet.Link
	res      *Result
	prepared []map[cluster.Flow]cluster.Count // what nodes had sent when the scenario began
	quiet    vnet.Stats                       // of the network then
	starts   []int                            // of nodes, beside the first, before that

	mu      sync.Mutex
	users   []*cluster.User       // guarded by mu; by number in the plan; nil: not there yet
	numbers map[*cluster.User]int // guarded by mu; in the plan
	start   time.Time             // guarded by mu
	active  []*scenario.Step      // guarded by mu; faults of the network
	disks   []cluster.Disk        // guarded by mu
	events  []Event               // guarded by mu
	faults  []*Fault              // guarded by mu

	strangers strangers
}

// Run carries out a plan. The error is about the run itself; what is wrong with the
// federation is in the result. It may be stopped through the clock.
func Run(p *scenario.Plan, clock *vtime.Clock, o Options) (*Result, error) {
	return newRunner(p, clock, o).carryOut()
}

func newRunner(p *scenario.Plan, clock *vtime.Clock, o Options) *runner {
	return &runner{
		plan: p, clock: clock, numbers: map[*cluster.User]int{}, users: make([]*cluster.User, len(p.People)), usual: p.Link.Over(vnet.Link{}),
		res: &Result{Plan: p, Options: o, Began: time.Now(), Figures: map[string]float64{}}, disks: make([]cluster.Disk, len(p.Net)), starts: make([]int, len(p.Net)),
		strangers: newStrangers(p),
	}
}

// The collector may let garbage grow to some times what is in use, in percent, up to a
// goal for all memory, in bytes; members of a DHT need more.
const (
	gcPercent     = 300
	softMemory    = 1700 << 20
	softMemoryDHT = 2430 << 20
)

func (r *runner) carryOut() (*Result, error) {
	if !r.res.Options.Real && r.live == nil {
		// What runs in a bubble waits for one another: a second processor only costs.
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	}
	if os.Getenv("GOGC") == "" {
		defer debug.SetGCPercent(debug.SetGCPercent(gcPercent))
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		most := int64(softMemory)
		if len(r.plan.DHT.Nodes) > 0 {
			most = softMemoryDHT
		}
		defer debug.SetMemoryLimit(debug.SetMemoryLimit(most))
	}
	before := machineNow()
	err := r.clock.Run(r.run)
	r.res.machine(before)
	if err == nil {
		err = r.twin()
	}
	if err == nil {
		r.judge()
	}
	return r.res, err
}

// run is the whole run, inside of virtual time.
func (r *runner) run(ctx context.Context) (err error) {
	if r.live != nil { // clients outside look at dates
		vtime.Sleep(ctx, time.Until(r.res.Began))
	}
	began := time.Now()
	r.start = began
	if r.c, err = cluster.New(r.config()); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.c.Close()) }()
	for i, m := range r.c.Machines {
		r.plan.Net[i].Domain = m.Name // that of a key is known only now
		m.ShiftClock(r.plan.Net[i].Ahead, 0)
	}
	if err := r.arrive(ctx, func(n scenario.Node) bool { return n.Join == 0 }); err != nil {
		return err
	}
	if err := r.makeRooms(ctx); err != nil {
		return err
	}
	if err := r.c.Strangers(); err != nil {
		return err
	}
	if err := r.age(ctx); err != nil {
		return err
	}
	for _, m := range r.c.Machines {
		r.prepared = append(r.prepared, m.Sent())
	}
	r.quiet = r.c.Net.Stats()
	r.mu.Lock()
	r.start = time.Now()
	r.events = nil // of the preparations
	r.mu.Unlock()
	err = r.act(ctx)
	r.live.leave()
	if err != nil {
		return err
	}
	if err := r.finish(ctx); err != nil {
		return err
	}
	r.res.Figures["seconds"] = time.Since(began).Seconds()
	return nil
}

// config is the cluster of the plan.
func (r *runner) config() cluster.Config {
	var hosts []cluster.Host
	for i, n := range r.plan.Net {
		faulty := slices.ContainsFunc(r.plan.Timeline, func(s scenario.Step) bool { return s.OfDisk() && slices.Contains(s.Nodes, i) })
		hosts = append(hosts, cluster.Host{Name: n.Domain, IPv6: n.IPv6, Find: ways[n.Find], Reports: n.Reports, Faulty: faulty})
	}
	cfg := cluster.Config{
		Seed: r.plan.Seed, Hosts: hosts, Link: r.link, Times: r.res.Options.Times, Registers: cluster.Registers{
			TTL: r.plan.DNS.TTL.Duration, Latency: r.plan.DNS.Latency.Duration, Bootstrap: r.plan.DHT.Bootstrap,
			Table: dht.Table{Refresh: r.plan.DHT.Refresh.Duration, Conns: r.plan.DHT.Connections, Grace: r.plan.DHT.Grace.Duration},
		},
		Note:  func(kind, text string) { r.event(Event{Kind: kind, Text: text}) },
		Heard: r.heard,
	}
	if o := &r.res.Options; o.Binary != "" {
		cfg.Processes = &cluster.Processes{Binary: o.Binary, Dir: o.Dir}
	}
	if r.live != nil {
		cfg.Door, cfg.Files = r.live.door, r.live.Files
	}
	return cfg
}

// ways are those of a plan in those of a cluster.
var ways = map[scenario.Finding]cluster.Finding{
	scenario.BySettings: cluster.BySettings, scenario.ByDNS: cluster.ByDNS, scenario.ByWeb: cluster.ByWeb, scenario.ByKey: cluster.ByKey,
}

// since is the time in the scenario, in seconds.
func (r *runner) since() float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Since(r.start).Seconds()
}

func (r *runner) event(e Event) {
	e.At = r.since()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

func (r *runner) heard(u *cluster.User, m *checks.Message) {
	took := time.Since(m.Begun).Seconds()
	r.event(Event{Kind: "heard", Message: &m.ID, User: u.Name, Took: &took})
}

// meetings are how many introductions go on at once.
const meetings = 64

// prepareTime bounds how long accounts and contacts may take to be made.
const prepareTime = 30 * time.Minute

// arrive starts nodes, makes their users, and lets those meet who know each other and are
// there.
func (r *runner) arrive(ctx context.Context, which func(scenario.Node) bool) error {
	ctx, cancel := context.WithTimeout(ctx, prepareTime)
	defer cancel()
	var all errgroup.Group
	all.SetLimit(meetings)
	newcomers := map[int]bool{}
	for i, n := range r.plan.Net {
		if which(n) {
			if err := r.c.Machines[i].Start(); err != nil {
				return err
			}
			if len(r.plan.DHT.Nodes) > 0 {
				vtime.Sleep(ctx, r.plan.DHT.Spread.Duration/time.Duration(len(r.plan.Net)))
			}
		}
	}
	if err := r.c.Join(ctx); err != nil {
		return err
	}
	for i, u := range r.plan.People {
		if !which(r.plan.Net[u.Node]) {
			continue
		}
		newcomers[i] = true
		all.Go(func() error {
			if r.clock.Stopped() {
				return ErrInterrupted
			}
			made, err := r.c.NewUser(ctx, u.Node, u.Login)
			r.mu.Lock()
			defer r.mu.Unlock()
			r.users[i], r.numbers[made] = made, i
			return err
		})
	}
	if err := all.Wait(); err != nil {
		return err
	}
	return r.meet(ctx, newcomers)
}

// meet lets the newcomers meet those whom they know.
func (r *runner) meet(ctx context.Context, newcomers map[int]bool) error {
	var all errgroup.Group
	all.SetLimit(meetings)
	for _, pair := range r.plan.Pairs {
		a, b := r.user(pair[0]), r.user(pair[1])
		if a == nil || b == nil || !newcomers[pair[0]] && !newcomers[pair[1]] {
			continue
		}
		all.Go(func() error {
			if r.clock.Stopped() {
				return ErrInterrupted
			}
			return r.c.Meet(ctx, a, b)
		})
	}
	return all.Wait()
}

// makeRooms makes the groups. All members must be there.
func (r *runner) makeRooms(ctx context.Context) error {
	for _, room := range r.plan.Rooms {
		var members []*cluster.User
		for _, i := range room.Members {
			if r.user(i) == nil {
				return fmt.Errorf("group %s: %s joins the federation later", room.Name, r.plan.People[i].Name)
			}
			members = append(members, r.user(i))
		}
		if _, err := r.c.NewGroup(ctx, room.Name, members...); err != nil {
			return err
		}
	}
	_, err := r.c.Settle(ctx, time.Minute)
	return err
}

// act lets users, faults and the sampler go on until the scenario ends.
func (r *runner) act(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.plan.Duration.Duration)
	defer cancel()
	all, ctx := errgroup.WithContext(ctx)
	for j := range r.plan.Jobs {
		r.job(ctx, all, j)
	}
	for i := range r.plan.Assaults {
		r.assault(ctx, all, &r.plan.Assaults[i])
	}
	for i := range r.plan.Timeline {
		all.Go(func() error { return r.step(ctx, &r.plan.Timeline[i]) })
	}
	for i, n := range r.plan.Net {
		if n.Join > 0 {
			all.Go(func() error { return r.join(ctx, i) })
		}
	}
	all.Go(func() error { return r.sample(ctx, cancel) })
	if r.live != nil {
		r.c.Ledger.Open()
		all.Go(func() error { return r.live.attend(ctx, r) })
	}
	return all.Wait()
}

// join starts a node that comes later.
func (r *runner) join(ctx context.Context, i int) error {
	n := r.plan.Net[i]
	if !vtime.Sleep(ctx, n.Join) {
		return nil
	}
	r.event(Event{Kind: "join", Text: n.Name})
	err := r.arrive(ctx, func(o scenario.Node) bool { return o.Name == n.Name })
	if ctx.Err() != nil {
		return nil // the scenario has ended meanwhile
	}
	return err
}

// finish ends faults, waits until all is delivered, and compares replicas.
func (r *runner) finish(ctx context.Context) error {
	r.mu.Lock()
	r.active = nil
	for _, f := range r.faults {
		if f.To == 0 {
			f.To = min(time.Since(r.start).Seconds(), r.plan.Duration.Seconds())
		}
	}
	clear(r.disks)
	r.mu.Unlock()
	for i, m := range r.c.Machines {
		m.Disk(nil)
		r.c.FailDNS(i, "")
	}
	r.event(Event{Kind: "end", Text: "the scenario ends; what is on its way may arrive"})
	if err := r.reckon(ctx); err != nil {
		return err
	}
	stop, watch := r.watch(ctx)
	ctx, cancel := context.WithTimeout(ctx, r.plan.Settle.Duration+prepareTime)
	defer cancel()
	out, err := r.c.Finish(ctx, r.plan.Settle.Duration)
	stop()
	if err := errors.Join(err, watch()); err != nil {
		return err
	}
	return r.count(out)
}

// machine notes what the run took of the machine.
func (r *Result) machine(before usage) {
	now := machineNow()
	r.Figures["machine_cpu"] = (now.cpu - before.cpu).Seconds()
	r.Figures["machine_rss"] = float64(now.rss)
	r.Figures["machine_seconds"] = now.wall.Sub(before.wall).Seconds()
}
