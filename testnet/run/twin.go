package run

import (
	"context"

	"parley/testnet/model"
)

// twins are how many simulations of a scenario there are.
const twins = 5

// twin lets package model simulate the scenario, if it is to, for figures to compare.
func (r *runner) twin() error {
	f := r.res.Figures
	f["model_spam"], f["model_late"] = 0, 0
	if !r.plan.Model {
		return nil
	}
	t := r.modelled()
	for i := range twins {
		t.Seed = r.plan.Seed + uint64(i)
		res, err := t.Run(context.Background())
		if err != nil {
			return err
		}
		f["model_spam"] += float64(res.Spam) / twins
		f["model_late"] += res.LateContacts / twins
	}
	return nil
}

// modelled is the plan in the words of the model.
func (r *runner) modelled() model.Twin {
	p, s := r.plan, &r.plan.Strangers
	t := model.Twin{
		Age: p.Age.Duration, Length: p.Duration.Duration,
		Habits: model.Habits{Reply: s.Reply, Report: s.Report, Block: s.Block, SpamReply: s.SpamReply, SpamReport: s.SpamReport,
			SpamBlock: s.SpamBlock, ReplyAfter: s.After.Duration, ReportAfter: s.After.Duration},
	}
	if len(p.Jobs) > 0 {
		t.Rate = 24 / p.Jobs[0].Every.Hours()
	}
	users := make([]int, len(p.Net))
	for _, u := range p.People {
		users[u.Node]++
	}
	honest := map[int]int{} // numbers in the model by those in the plan
	for i, n := range users {
		switch {
		case n == 0:
		case r.strangers.roles[i] == Bad:
			t.Spammers = append(t.Spammers, n)
		default:
			honest[i] = len(t.Sizes)
			t.Sizes = append(t.Sizes, n)
		}
	}
	if len(p.Assaults) > 0 {
		t.SpamEvery, t.SpamFrom = p.Assaults[0].Every.Duration, p.Assaults[0].From.Duration
	}
	for _, pair := range p.Pairs {
		a, okA := honest[p.People[pair[0]].Node]
		b, okB := honest[p.People[pair[1]].Node]
		if okA && okB && a != b && p.Age.Duration > 0 {
			t.Friends = append(t.Friends, [2]int{a, b})
		}
	}
	return t
}
