package run

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"parley/protocol"
	"parley/testnet/cluster"
	"parley/testnet/model"
	"parley/testnet/scenario"
	"parley/testnet/vtime"
)

// attack is an assault that goes on.
type attack struct {
	r   *runner
	a   *scenario.Assault
	all *errgroup.Group
	ctx context.Context // of the scenario: what has begun goes on when the assault has ended
}

// assault lets attackers attack.
func (r *runner) assault(ctx context.Context, all *errgroup.Group, a *scenario.Assault) {
	k := &attack{r, a, all, ctx}
	switch a.Kind {
	case "whitewasher":
		k.begin("", func(ctx context.Context, dice *rand.Rand) error {
			for _, n := range a.Nodes {
				turn, cancel := context.WithTimeout(ctx, a.Keep.Duration)
				k.spam(turn, k.usersOf(n), dice)
				cancel()
			}
			return nil
		})
	case "mixed":
		for _, u := range a.Who {
			k.begin(fmt.Sprint("user ", u), func(ctx context.Context, dice *rand.Rand) error {
				k.spam(ctx, []int{u}, dice)
				return nil
			})
		}
	default:
		for _, n := range a.Nodes {
			k.begin(fmt.Sprint("node ", n), func(ctx context.Context, dice *rand.Rand) error {
				switch {
				case a.Lies():
					return k.lie(ctx, n)
				case a.Kind == "flood":
					k.flood(ctx, n, dice)
					return nil
				}
				k.spam(ctx, k.usersOf(n), dice)
				return nil
			})
		}
	}
}

// begin lets one attacker attack for as long as the assault goes on.
func (k *attack) begin(name string, do func(ctx context.Context, dice *rand.Rand) error) {
	dice := k.r.plan.Dice("attack " + k.a.Kind + " " + name)
	k.all.Go(func() error {
		if !vtime.Sleep(k.ctx, k.a.From.Duration) {
			return nil
		}
		ctx, cancel := context.WithTimeout(k.ctx, k.a.Until.Duration-k.a.From.Duration)
		defer cancel()
		return do(ctx, dice)
	})
}

func (k *attack) usersOf(n int) (users []int) {
	for _, u := range k.a.Who {
		if k.r.plan.People[u].Node == n {
			users = append(users, u)
		}
	}
	return users
}

// spam lets users write to strangers until ctx ends.
func (k *attack) spam(ctx context.Context, who []int, dice *rand.Rand) {
	for len(who) > 0 && vtime.Sleep(ctx, exponential(dice, k.a.Every.Duration)) {
		for range 20 { // attempts to find one
			s := &stranger{from: who[dice.IntN(len(who))], to: k.a.To[dice.IntN(len(k.a.To))], spam: true}
			if k.r.plan.People[s.from].Node != k.r.plan.People[s.to].Node && k.r.approach(k.ctx, k.all, s, k.a.Kind != "mixed") {
				break
			}
		}
	}
}

// flood lets a node ask the others in turn, for as long as ctx lives.
func (k *attack) flood(ctx context.Context, n int, dice *rand.Rand) {
	from := k.r.c.Machines[n]
	for i := 0; vtime.Sleep(ctx, exponential(dice, k.a.Every.Duration)); i++ {
		to := k.r.c.Machines[i%len(k.r.c.Machines)]
		if to == from {
			continue
		}
		refused, err := from.Question(ctx, to, protocol.Node(fmt.Sprintf("n%d.example", dice.Uint32())))
		if err != nil {
			continue // one of the two is down, or cannot be reached
		}
		k.r.strangers.mu.Lock()
		k.r.strangers.questions++
		if !refused {
			k.r.strangers.served++
		}
		k.r.strangers.mu.Unlock()
	}
}

// lie lets a node tell bad things, or good ones.
func (k *attack) lie(ctx context.Context, liar int) error {
	tell := k.r.c.Machines[liar].Slander
	if k.a.Kind == "praise" {
		tell = k.r.c.Machines[liar].Praise
	}
	var of []*cluster.Machine
	for _, n := range k.a.Targets {
		of = append(of, k.r.c.Machines[n])
	}
	for {
		if err := tell(of...); err != nil && k.r.c.Machines[liar].Up() {
			return err
		}
		if !vtime.Sleep(ctx, k.a.Every.Duration) {
			return nil
		}
	}
}

// welcomeTime is how long after all nodes admit everybody the last first contact has
// arrived: what waits was told to wait for 6 hours at most.
const welcomeTime = 6*time.Hour + 15*time.Minute

// reckon makes the figures of strangers when the scenario has ended, and then lets all in
// who wait, to see whether anything was lost.
func (r *runner) reckon(ctx context.Context) error {
	r.standings()
	r.reckonContacts()
	r.reckonSpam()
	r.strangers.mu.Lock()
	r.res.Figures["questions"] = r.strangers.questions
	r.res.Figures["questions_served"] = r.strangers.served / max(r.strangers.questions, 1)
	r.strangers.mu.Unlock()
	r.res.Figures["contacts_lost"] = 0
	r.strangers.mu.Lock()
	all := slices.Clone(r.strangers.all)
	r.strangers.mu.Unlock()
	waits := slices.ContainsFunc(all, func(s *stranger) bool { return s.arrived.IsZero() })
	if !waits {
		return nil
	}
	for _, m := range r.c.Machines {
		if err := m.Start(); err != nil {
			return err
		}
	}
	for _, u := range r.c.Users() { // their links would cost more than all that waits
		u.SignOff()
	}
	if err := r.c.Welcome(); err != nil {
		return err
	}
	vtime.Sleep(ctx, welcomeTime)
	for _, s := range all {
		if u, v := r.user(s.from), r.user(s.to); !v.Approached(u) {
			r.res.Figures["contacts_lost"]++
			r.event(Event{Kind: "lost", Text: "first contact of " + u.Name, User: v.Name})
		}
	}
	return nil
}

// tally counts first contacts and those that are late.
type tally struct{ all, late float64 }

func (t *tally) add(late bool) {
	t.all++
	if late {
		t.late++
	}
}

func (t *tally) share() float64 { return t.late / max(t.all, 1) }

// late is from when on a first contact is delayed.
const late = time.Minute

func (r *runner) reckonContacts() {
	var all, newcomers, slandered, repenting, beside, cut, healed tally
	waiting, now := 0, time.Now()
	var recovered []float64
	r.strangers.mu.Lock()
	defer r.strangers.mu.Unlock()
	for _, s := range r.strangers.all {
		if s.spam {
			continue
		}
		took := s.arrived.Sub(s.begun)
		if s.arrived.IsZero() {
			waiting++
			took = now.Sub(s.begun)
		}
		from := r.plan.People[s.from].Node
		if r.healed(from, r.plan.People[s.to].Node, s.begun) {
			healed.add(took > late)
		}
		switch {
		case r.strangers.roles[from] == Liar: // makes friends to lie to
			continue
		case s.repents:
			if !r.attacking(from, s.begun) {
				repenting.add(took > late)
			}
			continue
		case r.mixed(from):
			beside.add(took > late)
			continue
		case s.severed.is:
			took, whole := s.severed.took(s.arrived, now)
			cut.add(took > late)
			recovered = append(recovered, whole.Seconds())
			continue
		case r.strangers.roles[from] == Slandered:
			slandered.add(took > late)
		case r.plan.Net[from].Join > 0:
			newcomers.add(took > late)
		}
		all.add(took > late)
	}
	f := r.res.Figures
	f["contacts"], f["contacts_late"], f["contacts_waiting"] = all.all, all.share(), float64(waiting)
	f["newcomers_late"], f["slandered_late"], f["traitors_late"] = newcomers.share(), slandered.share(), repenting.share()
	f["mixed_late"], f["healed_late"] = beside.share(), healed.share()
	f["contacts_cut"], f["cut_late"], f["cut_recovered"] = cut.all, cut.share(), quantile(recovered, .9)
}

// mixed reports whether some users of a node spam, and others do not.
func (r *runner) mixed(node int) bool {
	return slices.ContainsFunc(r.plan.Assaults, func(a scenario.Assault) bool {
		return a.Kind == "mixed" && slices.ContainsFunc(a.Who, func(u int) bool { return r.plan.People[u].Node == node })
	})
}

// attacking reports whether a node spams at a time.
func (r *runner) attacking(node int, at time.Time) bool {
	since := at.Sub(r.start)
	return slices.ContainsFunc(r.plan.Assaults, func(a scenario.Assault) bool {
		return a.Spam() && slices.Contains(a.Nodes, node) && since >= a.From.Duration && since < a.Until.Duration
	})
}

func (r *runner) reckonSpam() {
	f := r.res.Figures
	from, users := r.plan.Duration.Duration, 0
	for i := range r.plan.Assaults {
		if a := &r.plan.Assaults[i]; a.Spam() {
			from = min(from, a.From.Duration)
		}
	}
	for _, u := range r.plan.People {
		if r.strangers.roles[u.Node] != Bad {
			users++
		}
	}
	span := r.plan.Duration.Duration - from
	byHour := make([]int, int(span/time.Hour)+1)
	tried, came := 0, 0
	r.strangers.mu.Lock()
	for _, s := range r.strangers.all {
		if !s.spam {
			continue
		}
		tried++
		if h := int(s.arrived.Sub(r.start.Add(from)) / time.Hour); !s.arrived.IsZero() && h >= 0 && h < len(byHour) {
			came++
			byHour[h]++
		}
	}
	f["spam_held"] = float64(r.strangers.held)
	f["spam_suspended"] = float64(len(r.strangers.suspended))
	r.strangers.mu.Unlock()
	f["spam_newcomers"] = r.spamAtNewcomers(from)
	f["spam_tried"], f["spam"] = float64(tried), float64(came)
	f["spam_user_day"] = float64(came) / max(float64(users)*span.Hours()/24, 1e-9)
	switch h := float64(model.Throttled(byHour)); {
	case math.IsNaN(h):
		f["spam_throttled"] = 0
	default:
		f["spam_throttled"] = min(h*3600, span.Seconds())
	}
}

// spamAtNewcomers is how much spam users get a day whose nodes have joined during the
// scenario, from when there was an attack on.
func (r *runner) spamAtNewcomers(from time.Duration) float64 {
	came, days := 0, 0.0
	for _, u := range r.plan.People {
		if join := r.plan.Net[u.Node].Join; join > 0 && r.strangers.roles[u.Node] != Bad {
			days += (r.plan.Duration.Duration - max(from, join)).Hours() / 24
		}
	}
	r.strangers.mu.Lock()
	defer r.strangers.mu.Unlock()
	for _, s := range r.strangers.all {
		if s.spam && !s.arrived.IsZero() && r.plan.Net[r.plan.People[s.to].Node].Join > 0 {
			came++
		}
	}
	return float64(came) / max(days, 1e-9)
}

// befriended is the good evidence from which a node is no stranger in drawings.
const befriended = 0.5

// standings notes what nodes think of each other.
func (r *runner) standings() {
	n := len(r.plan.Net)
	x := &r.strangers
	at := map[string]int{}
	for i, node := range r.plan.Net {
		at[string(node.Domain)] = i
	}
	if len(r.plan.Assaults) > 0 || slices.ContainsFunc(r.plan.Jobs, func(j scenario.Job) bool { return j.Kind == "meet" }) {
		for i, m := range r.c.Machines {
			if x.roles[i] == Bad || x.roles[i] == Liar {
				continue // what they say does not count
			}
			for _, p := range m.Peers() {
				if about, ok := at[string(p.Name)]; ok {
					x.known[about]++
					switch {
					case p.Closed:
						x.closed[about]++
					case p.P >= befriended:
						x.friends[about]++
					}
				}
			}
		}
	}
	var good, bad tally
	for i := range n {
		t := &good
		if x.roles[i] == Bad {
			t = &bad
		}
		t.all, t.late = t.all+float64(x.known[i]), t.late+float64(x.closed[i])
	}
	r.res.Figures["closed_good"], r.res.Figures["closed_bad"] = good.share(), bad.share()
}
