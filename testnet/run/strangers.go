package run

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"parley/protocol"
	"parley/protocol/client"
	"parley/testnet/cluster"
	"parley/testnet/scenario"
	"parley/testnet/vtime"
)

// Role is what a node is in a scenario with attackers.
type Role uint8

// Roles.
const (
	Good Role = iota
	Bad       // spams, or did
	Liar
	Slandered
)

// strangers are the first contacts of a run.
type strangers struct {
	roles []Role // by node
	// By node, see NodeResult; written by reckon.
	known, friends, closed []int

	mu    sync.Mutex
	all   []*stranger     // guarded by mu
	tried map[[2]int]bool // guarded by mu; users
	// Of floods, guarded by mu: questions, and those that were not too many.
	questions, served float64
	// Guarded by mu: spam that the spammer's own node did not let out, and users whom it
	// lets write to no strangers of other nodes any more.
	held      int
	suspended map[int]bool
}

// stranger is one first contact.
type stranger struct {
	from, to int // users
	spam     bool
	repents  bool // of a node that has spammed
	begun    time.Time
	arrived  time.Time // zero: not yet; guarded by strangers.mu
	severed  severed   // of one that was begun while the two nodes could not reach each other
}

// now is how much spam has arrived, and what of others waits.
func (x *strangers) now() (spam, waiting int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, s := range x.all {
		switch {
		case s.spam && !s.arrived.IsZero():
			spam++
		case !s.spam && s.arrived.IsZero():
			waiting++
		}
	}
	return spam, waiting
}

// begin claims that two users have not written to each other before.
func (x *strangers) begin(from, to int) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	pair := [2]int{min(from, to), max(from, to)}
	if x.tried[pair] {
		return false
	}
	x.tried[pair] = true
	return true
}

// hold notes that a spammer's own node did not let it write; it may try again.
func (x *strangers) hold(from, to int, suspended bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.held++
	if suspended {
		x.suspended[from] = true
	}
	delete(x.tried, [2]int{min(from, to), max(from, to)})
}

// age makes the federation as old as it is to be, and lets those write to each other who
// know each other across nodes.
func (r *runner) age(ctx context.Context) error {
	if r.plan.Age.Duration == 0 {
		return nil
	}
	if r.res.Options.Real {
		return errors.New("a federation can have an age in virtual time only")
	}
	ctx, cancel := context.WithTimeout(ctx, r.plan.Age.Duration+prepareTime)
	defer cancel()
	if err := r.c.Age(ctx, r.plan.Age.Duration); err != nil {
		return fmt.Errorf("age of the federation: %w", err)
	}
	for i, m := range r.c.Machines {
		r.starts[i] = max(m.Starts()-1, 0)
	}
	for turn := range 2 {
		var all errgroup.Group
		all.SetLimit(meetings)
		for _, room := range r.c.Rooms() {
			if !room.IsGroup() && len(room.Nodes()) == 2 {
				all.Go(func() error {
					_, err := room.Members[turn].Write(ctx, room, 0)
					return err
				})
			}
		}
		if err := all.Wait(); err != nil {
			return err
		}
		if _, err := r.c.Settle(ctx, time.Minute); err != nil {
			return err
		}
	}
	return nil
}

// newStrangers makes those of a run that begins.
func newStrangers(p *scenario.Plan) strangers {
	n := len(p.Net)
	return strangers{roles: rolesOf(p), known: make([]int, n), friends: make([]int, n), closed: make([]int, n), tried: map[[2]int]bool{}, suspended: map[int]bool{}}
}

// rolesOf are what nodes are.
func rolesOf(p *scenario.Plan) []Role {
	roles := make([]Role, len(p.Net))
	for i := range p.Assaults {
		a := &p.Assaults[i]
		for _, n := range a.Nodes {
			roles[n] = Bad
			if !a.Spam() {
				roles[n] = Liar
			}
		}
		for _, n := range a.Targets {
			if a.Kind == "slander" {
				roles[n] = Slandered
			}
		}
	}
	return roles
}

// meetStranger lets a user write to a stranger who means well.
func (r *runner) meetStranger(ctx context.Context, all *errgroup.Group, j *scenario.Job, from int, dice *rand.Rand) {
	for range 20 { // attempts to find one
		to := dice.IntN(len(r.plan.People))
		node := r.plan.People[to].Node
		if j.To != nil && !j.To.Has(to) || node == r.plan.People[from].Node || r.strangers.roles[node] != Good && r.strangers.roles[node] != Slandered {
			continue
		}
		if r.approach(ctx, all, &stranger{from: from, to: to, repents: r.strangers.roles[r.plan.People[from].Node] == Bad}, false) {
			return
		}
	}
}

// approach lets a user write to another, if they do not know each other; its node lets it
// write to as many as it likes if it is unleashed.
func (r *runner) approach(ctx context.Context, all *errgroup.Group, s *stranger, unleashed bool) bool {
	u, v := r.user(s.from), r.user(s.to)
	if u == nil || v == nil || r.c.Room(u, v) != nil || !r.strangers.begin(s.from, s.to) {
		return false
	}
	s.begun, s.severed.is = time.Now(), r.severed(u.Machine(), v.Machine())
	err := u.Approach(ctx, v, "hello "+v.Name)
	if limited(err) && unleashed && r.c.Machines[u.Machine()].Unleash() == nil {
		err = u.Approach(ctx, v, "hello "+v.Name)
	}
	switch refusal := new(client.Error); {
	case limited(err) && s.spam:
		r.strangers.hold(s.from, s.to, errors.Is(err, protocol.Denied))
	case !limited(err) && errors.As(err, &refusal):
		r.event(Event{Kind: "refused", Text: fmt.Sprintf("%s to %s: %v", u.Name, v.Name, err)})
	}
	if err != nil {
		return true // its own node does not do it: it is down, or the user writes too much
	}
	r.strangers.mu.Lock()
	r.strangers.all = append(r.strangers.all, s)
	r.strangers.mu.Unlock()
	all.Go(func() error {
		r.follow(ctx, s, u, v)
		return nil
	})
	return true
}

// limited reports whether a node did not want its own user to write to so many.
func limited(err error) bool {
	return errors.Is(err, protocol.TooMany) || errors.Is(err, protocol.Denied)
}

// When it is looked whether a first contact has arrived: soon, since a minute is what
// counts, and then ever more seldom.
var looks = []time.Duration{time.Second, 4 * time.Second, 15 * time.Second, 38 * time.Second}

const seldom = 30 * time.Minute

// follow waits for a first contact to arrive, and lets the receiver react.
func (r *runner) follow(ctx context.Context, s *stranger, u, v *cluster.User) {
	if s.severed.is && !r.rejoin(ctx, s, u, v) {
		return
	}
	wait := looks[len(looks)-1]
	for i := 0; !v.Approached(u); i++ {
		if wait = min(2*wait, seldom); i < len(looks) {
			wait = looks[i]
		}
		if !vtime.Sleep(ctx, wait) {
			return
		}
	}
	r.strangers.mu.Lock()
	s.arrived = time.Now()
	r.strangers.mu.Unlock()
	if s.spam {
		r.event(Event{Kind: "spam", Text: u.Name, User: v.Name})
	}
	if err := r.react(ctx, s, u, v); err != nil && ctx.Err() == nil {
		r.event(Event{Kind: "reaction failed", Text: err.Error(), User: v.Name})
	}
}

// react lets the receiver of a first contact do as people do.
func (r *runner) react(ctx context.Context, s *stranger, u, v *cluster.User) error {
	p := &r.plan.Strangers
	reply, report, block := p.Reply, p.Report, p.Block
	if s.spam {
		reply, report, block = p.SpamReply, p.SpamReport, p.SpamBlock
	}
	dice := r.plan.Dice("stranger " + u.Name + " " + v.Name)
	x := dice.Float64()
	if x >= reply+report+block || !vtime.Sleep(ctx, exponential(dice, p.After.Duration)) {
		return nil
	}
	switch {
	case x < reply:
		return v.Answer(ctx, u, "hello "+u.Name)
	case x < reply+report:
		return errors.Join(v.Report(ctx, u), v.Block(ctx, u))
	}
	return v.Block(ctx, u)
}
