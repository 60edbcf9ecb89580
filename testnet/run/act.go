package run

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"parley/federation/vnet"
	"parley/testnet/cluster"
	"parley/testnet/names"
	"parley/testnet/scenario"
	"parley/testnet/vtime"
)

// link is what the network is like now between two nodes.
func (r *runner) link(from, to int) vnet.Link {
	l := r.usual
	for i := range r.plan.Rules {
		if rule := &r.plan.Rules[i]; rule.Fits(from, to) {
			l = rule.Link.Over(r.usual)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.active {
		switch {
		case s.Cuts(from, to):
			l.Cut = true
		case s.Do == "link" && s.Rule.Fits(from, to):
			l = s.Rule.Link.Over(l)
		}
	}
	return l
}

// job lets users do their work.
func (r *runner) job(ctx context.Context, all *errgroup.Group, no int) {
	j, life := &r.plan.Jobs[no], ctx
	for _, i := range j.Who {
		dice := r.plan.Dice(fmt.Sprint("job ", no, " ", r.plan.People[i].Name))
		all.Go(func() error {
			if !vtime.Sleep(ctx, j.From.Duration) {
				return nil
			}
			ctx, cancel := context.WithTimeout(ctx, j.Until.Duration-j.From.Duration)
			defer cancel()
			for vtime.Sleep(ctx, exponential(dice, j.Every.Duration)) {
				if j.Kind == "meet" {
					r.meetStranger(life, all, j, i, dice)
				} else if err := r.work(ctx, j, i, dice); err != nil && ctx.Err() == nil {
					return err
				}
			}
			return nil
		})
	}
}

// exponential draws a time between two events of a Poisson process.
func exponential(dice *rand.Rand, mean time.Duration) time.Duration {
	return time.Duration(dice.ExpFloat64() * float64(mean))
}

// work does one piece of it.
func (r *runner) work(ctx context.Context, j *scenario.Job, i int, dice *rand.Rand) error {
	u := r.user(i)
	if u == nil {
		return nil // not there yet
	}
	if j.Kind == "presence" {
		u.SignOff()
		vtime.Sleep(ctx, exponential(dice, j.Away.Duration))
		u.SignIn()
		return nil
	}
	room := r.roomFor(j, i, dice)
	if room == nil || !u.Wanted() {
		return nil // knows nobody, or is away
	}
	_, err := u.Write(ctx, room, int(j.Size))
	return err
}

// roomFor chooses where to write.
func (r *runner) roomFor(j *scenario.Job, i int, dice *rand.Rand) *cluster.Room {
	u := r.user(i)
	var fit []*cluster.Room
	for _, room := range u.Rooms() {
		if room.IsGroup() != (j.Kind == "group") {
			continue
		}
		if j.To != nil && !slices.ContainsFunc(room.Members, func(m *cluster.User) bool { return m != u && j.To.Has(r.planNo(m)) }) {
			continue
		}
		fit = append(fit, room)
	}
	if len(fit) == 0 {
		return nil
	}
	return fit[dice.IntN(len(fit))]
}

// user is one of the plan; nil if not there yet.
func (r *runner) user(i int) *cluster.User {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.users[i]
}

// planNo is the number of a user in the plan.
func (r *runner) planNo(u *cluster.User) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.numbers[u]
}

// step carries out an event, waits, and undoes it.
func (r *runner) step(ctx context.Context, s *scenario.Step) error {
	if !vtime.Sleep(ctx, s.At.Duration) {
		return nil
	}
	f := r.begin(s)
	defer r.end(f)
	life := ctx
	if s.For.Duration > 0 {
		var cancel context.CancelFunc
		life, cancel = context.WithTimeout(ctx, s.For.Duration)
		defer cancel()
	}
	switch s.Do {
	case "partition", "cut", "link":
		r.setActive(s, true)
		<-life.Done()
		r.setActive(s, false)
		return nil
	case "sign-off":
		r.signOff(s, false)
		<-life.Done()
		r.signOff(s, true)
		return nil
	case "dns-failure":
		r.failDNS(s, names.Failure(s.Answer))
		<-life.Done()
		r.failDNS(s, "")
		return nil
	case "slow-disk", "full-disk":
		r.disk(s, true)
		<-life.Done()
		r.disk(s, false)
		return nil
	case "jump":
		r.shift(s, s.Clock, 0)
		return nil
	case "skew":
		r.shift(s, s.Clock, 0)
		<-life.Done()
		r.shift(s, -s.Clock, 0)
		return nil
	case "drift":
		r.shift(s, 0, s.Clock)
		<-life.Done()
		r.shift(s, 0, -s.Clock)
		return nil
	}
	return r.machines(ctx, life, s)
}

// begin and end note how long something is wrong.
func (r *runner) begin(s *scenario.Step) *Fault {
	f := &Fault{From: r.since(), Kind: s.Do, Text: s.Text}
	r.event(Event{Kind: "fault", Text: s.Text})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = append(r.faults, f)
	return f
}

func (r *runner) end(f *Fault) {
	at := r.since()
	r.event(Event{Kind: "fault over", Text: f.Text})
	r.mu.Lock()
	defer r.mu.Unlock()
	f.To = at
}

func (r *runner) setActive(s *scenario.Step, on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.active = slices.DeleteFunc(r.active, func(a *scenario.Step) bool { return a == s })
	if on {
		r.active = append(r.active, s)
	}
}

func (r *runner) signOff(s *scenario.Step, in bool) {
	for _, i := range s.Users {
		u := r.user(i)
		switch {
		case u == nil:
		case in:
			u.SignIn()
		default:
			u.SignOff()
		}
	}
}

// failDNS breaks zones, or makes them well again.
func (r *runner) failDNS(s *scenario.Step, how names.Failure) {
	for _, i := range s.Nodes {
		r.c.FailDNS(i, how)
	}
}

// disk makes disks slow or full, or well again.
func (r *runner) disk(s *scenario.Step, bad bool) {
	for _, i := range s.Nodes {
		r.mu.Lock()
		d := &r.disks[i]
		switch {
		case s.Do == "full-disk":
			d.Full = bad
		case bad:
			d.Delay = s.Delay.Duration
		default:
			d.Delay = 0
		}
		now := *d
		r.mu.Unlock()
		r.c.Machines[i].Disk(func(d *cluster.Disk) { *d = now })
	}
}

// shift sets clocks, or how much they gain each day.
func (r *runner) shift(s *scenario.Step, step, daily time.Duration) {
	for _, i := range s.Nodes {
		r.c.Machines[i].ShiftClock(step, daily)
	}
}

// machines ends and starts nodes, each by itself.
func (r *runner) machines(ctx, life context.Context, s *scenario.Step) error {
	all, ctx := errgroup.WithContext(ctx)
	for _, i := range s.Nodes {
		m := r.c.Machines[i]
		all.Go(func() error {
			switch s.Do {
			case "start":
				return m.Start()
			case "churn":
				return r.churn(life, m, s, r.plan.Dice(fmt.Sprint("churn ", s.At, " ", m.Name)))
			}
			if err := r.down(m, s.Do == "kill"); err != nil || s.For.Duration == 0 {
				return err
			}
			<-life.Done()
			if ctx.Err() != nil {
				return nil // in the end all are started
			}
			r.event(Event{Kind: "start", Text: string(m.Name)})
			return m.Start()
		})
	}
	return all.Wait()
}

func (r *runner) down(m *cluster.Machine, kill bool) error {
	if kill {
		r.event(Event{Kind: "kill", Text: string(m.Name)})
		return m.Kill()
	}
	r.event(Event{Kind: "stop", Text: string(m.Name)})
	return m.Stop()
}

// churn lets a node come and go until life ends.
func (r *runner) churn(life context.Context, m *cluster.Machine, s *scenario.Step, dice *rand.Rand) error {
	for vtime.Sleep(life, exponential(dice, s.Up.Duration)) {
		if err := r.down(m, true); err != nil {
			return err
		}
		vtime.Sleep(life, exponential(dice, s.Down.Duration))
		r.event(Event{Kind: "start", Text: string(m.Name)})
		if err := m.Start(); err != nil {
			return err
		}
	}
	return nil
}
