package run

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"slices"
	"sync"
	"time"

	"parley/node"
	"parley/node/httpd"
	"parley/node/web"
	"parley/testnet/cluster"
	"parley/testnet/scenario"
	"parley/testnet/vtime"
)

// Live is a run whose nodes let clients from outside in, which takes orders, and tells
// where things stand. It goes on until the clock is stopped, or the scenario ends.
type Live struct {
	// Files is a directory for what users upload; "": they cannot.
	Files string

	plan  *scenario.Plan
	pace  float64
	gate  *vtime.Gate
	ports []*vtime.Port

	mu     sync.Mutex
	orders []order  // guarded by mu
	over   bool     // guarded by mu: no orders any more
	state  View     // guarded by mu
	before [][]uint // bytes from node to node at the last sample; of the sampler
}

// order is something to do to the federation.
type order struct {
	step *scenario.Step // nil: heal
	done chan error     // has room for the answer
}

// View is where things stand.
type View struct {
	Name   string      `json:"name"`
	About  string      `json:"about,omitempty"`
	At     float64     `json:"t"` // seconds since the beginning; 0: people still meet
	Pace   float64     `json:"pace"`
	Nodes  []NodeState `json:"nodes"`
	Ways   []Way       `json:"ways"`
	Faults []string    `json:"faults"` // that last
	Recent []Moment    `json:"recent"`
	Logins []string    `json:"logins"` // "alice@a"
}

// NodeState is that of a node.
type NodeState struct {
	Name     string  `json:"name"`
	URL      string  `json:"url"`
	Up       bool    `json:"up"`
	Users    int     `json:"users"`
	Waiting  int     `json:"waiting"`
	Standing float64 `json:"standing"` // what others think of it, 0 to 1; -1: nothing
}

// Way is what goes from a node to another, by number.
type Way struct {
	From   int  `json:"from"`
	To     int  `json:"to"`
	Linked bool `json:"linked"`
	Bytes  uint `json:"bytes"` // of frames, since the last sample
}

// Moment is a sample for a chart.
type Moment struct {
	At        float64 `json:"t"`
	Accepted  int     `json:"accepted"`
	Delivered int     `json:"delivered"`
	Waiting   int     `json:"waiting"`
	P50       float64 `json:"p50"`
	P99       float64 `json:"p99"`
}

// maxRecent is how many samples are shown.
const maxRecent = 300

// NewLive takes a listener on this machine for each node of the plan.
func NewLive(p *scenario.Plan, pace float64, listeners []net.Listener) *Live {
	l := &Live{plan: p, pace: pace, gate: vtime.NewGate(pace)}
	l.state = View{Name: p.Name, About: p.About, Pace: pace}
	for i, n := range p.Net {
		l.ports = append(l.ports, l.gate.Port(listeners[i]))
		l.state.Nodes = append(l.state.Nodes, NodeState{Name: n.Name, URL: "http://" + listeners[i].Addr().String() + "/", Standing: -1})
	}
	for _, u := range p.People {
		l.state.Logins = append(l.state.Logins, u.Name)
	}
	return l
}

// Run carries out the plan.
func (l *Live) Run(clock *vtime.Clock, o Options) (*Result, error) {
	r := newRunner(l.plan, clock, o)
	r.live = l
	defer l.gate.Close()
	return r.carryOut()
}

// View is where things stood at the last sample.
func (l *Live) View() View {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state
}

// ErrOver is returned for orders when the scenario has not begun, or has ended.
var ErrOver = errors.New("the scenario has not begun, or has ended")

// Do makes an event happen now: the text of one in a scenario, without its header.
func (l *Live) Do(ctx context.Context, event string) error {
	step, err := l.plan.Inject(event)
	if err != nil {
		return err
	}
	return l.order(ctx, step)
}

// Heal ends all that is wrong and starts all nodes.
func (l *Live) Heal(ctx context.Context) error { return l.order(ctx, nil) }

func (l *Live) order(ctx context.Context, s *scenario.Step) error {
	o := order{step: s, done: make(chan error, 1)}
	l.mu.Lock()
	over := l.over || l.state.At == 0 || len(l.orders) >= maxOrders
	if !over {
		l.orders = append(l.orders, o)
	}
	l.mu.Unlock()
	if over {
		return ErrOver
	}
	select {
	case err := <-o.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Of orders.
const (
	maxOrders  = 100
	orderEvery = 20 * time.Millisecond // inside
)

// attend lets clients in and carries out orders until ctx ends. What follows is called
// inside of virtual time.
func (l *Live) attend(ctx context.Context, r *runner) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { l.gate.Open(ctx) })
	var all faults
	all.renew(ctx)
	defer func() { all.end() }()
	for vtime.Sleep(ctx, orderEvery) {
		l.mu.Lock()
		orders := l.orders
		l.orders = nil
		l.mu.Unlock()
		for _, o := range orders {
			if o.step == nil {
				all.end()
				all.renew(ctx)
				o.done <- r.heal()
				continue
			}
			life := all.ctx
			wg.Go(func() {
				if err := r.step(life, o.step); err != nil {
					r.event(Event{Kind: "order failed", Text: err.Error()})
				}
			})
			o.done <- nil
		}
	}
	return nil
}

// faults are those that were ordered since the last healing.
type faults struct {
	ctx context.Context
	end context.CancelFunc
}

func (f *faults) renew(ctx context.Context) { f.ctx, f.end = context.WithCancel(ctx) }

// heal ends what is wrong with the network, disks and zones, and starts all nodes.
func (r *runner) heal() error {
	r.event(Event{Kind: "heal"})
	r.mu.Lock()
	r.active = nil
	clear(r.disks)
	r.mu.Unlock()
	var errs []error
	for i, m := range r.c.Machines {
		m.Disk(nil)
		r.c.FailDNS(i, "")
		if r.plan.Net[i].Join == 0 {
			errs = append(errs, m.Start())
		}
	}
	return errors.Join(errs...)
}

// leave ends what has to do with outside: the rest of the run is nobody's. l may be nil.
func (l *Live) leave() {
	if l == nil {
		return
	}
	l.mu.Lock()
	l.over = true
	orders := l.orders
	l.orders = nil
	l.mu.Unlock()
	for _, o := range orders {
		o.done <- ErrOver
	}
	l.gate.Shut()
}

// look takes in where things stand.
func (l *Live) look(r *runner, s *Sample) {
	nodes, ways := l.nodes(r), l.ways(r)
	r.mu.Lock()
	var faults []string
	for _, f := range r.faults {
		if f.To == 0 {
			faults = append(faults, f.Text)
		}
	}
	r.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state.At, l.state.Nodes, l.state.Ways, l.state.Faults = s.At, nodes, ways, faults
	recent := append(slices.Clone(l.state.Recent), Moment{s.At, s.Accepted, s.Delivered, s.Waiting, s.P50, s.P99})
	l.state.Recent = recent[max(0, len(recent)-maxRecent):]
}

func (l *Live) nodes(r *runner) []NodeState {
	all := slices.Clone(l.View().Nodes)
	sum, count := make([]float64, len(all)), make([]float64, len(all))
	byName := map[string]int{}
	for i, m := range r.c.Machines {
		byName[string(m.Name)] = i
	}
	for _, m := range r.c.Machines {
		for name, x := range m.Standings() {
			if i, known := byName[string(name)]; known {
				sum[i], count[i] = sum[i]+x, count[i]+1
			}
		}
	}
	for i, m := range r.c.Machines {
		n := &all[i]
		n.Up, n.Users, n.Standing = m.Up(), 0, -1
		n.Waiting, _ = m.Waiting() // of the last moment before the node ended: 0
		if count[i] > 0 {
			n.Standing = sum[i] / count[i]
		}
	}
	for _, u := range r.c.Users() {
		if u.SignedIn() {
			all[u.Machine()].Users++
		}
	}
	return all
}

func (l *Live) ways(r *runner) []Way {
	n := len(r.c.Machines)
	byName := map[string]int{}
	for i, m := range r.c.Machines {
		byName[string(m.Name)] = i
	}
	now := make([][]uint, n)
	var all []Way
	for i, m := range r.c.Machines {
		now[i] = make([]uint, n)
		for flow, c := range m.Sent() {
			now[i][byName[string(flow.To)]] += uint(c.Bytes)
		}
		for j, to := range r.c.Machines {
			w := Way{From: i, To: j, Linked: i != j && m.Linked(to), Bytes: now[i][j]}
			if l.before != nil {
				w.Bytes -= l.before[i][j]
			}
			if w.Linked || w.Bytes > 0 {
				all = append(all, w)
			}
		}
	}
	l.before = now
	return all
}

// door implements cluster.Config.Door: the port of a machine with the node's web server.
func (l *Live) door(machine int, n *node.Node) (cluster.Door, error) {
	port := l.ports[machine]
	s, err := httpd.New(httpd.Config{Node: n, Listener: port.Listen(), Web: web.FS})
	if err != nil {
		return nil, err
	}
	return &door{s, port}, nil
}

type door struct {
	*httpd.Server
	port *vtime.Port
}

// Drop implements cluster.Door.
func (d *door) Drop() { d.port.Drop() }

// MarshalJSON writes lists that are empty as such.
func (s View) MarshalJSON() ([]byte, error) {
	type bare View
	for _, list := range []*[]string{&s.Faults, &s.Logins} {
		if *list == nil {
			*list = []string{}
		}
	}
	return json.Marshal(bare(s))
}
