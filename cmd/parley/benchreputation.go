package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"parley/cmd/parley/config"
	"parley/testnet/model"
)

// reputationFlags are what the command line of "parley bench reputation" says.
type reputationFlags struct {
	cfg      model.Config
	days     int
	warm     int
	policies []string
}

func newBenchReputation() *cobra.Command {
	var f reputationFlags
	cmd := &cobra.Command{
		Use:   "reputation [attack...]",
		Short: "Attack a simulated federation that uses the reputation engine",
		Long: `Simulate a federation of nodes whose users write to each other, each with the engine
of package reputation, attack it, and count what gets through, whom it delays, and what
asking others costs. Beside it stand baselines. No link, store or client takes part, so
that there can be 100,000 nodes. The same seed gives the same figures.

Attacks:
` + attackList() + `
Policies:
` + policyList(),
		Example: `  parley bench reputation --nodes 200 --days 5
  parley bench reputation spammer traitor --policy parley,local --json
  parley bench reputation spammer --nodes 100000 --warm 3 --days 2 --policy parley`,
		ValidArgs: attackNames(),
		RunE: func(cmd *cobra.Command, attacks []string) error {
			return runReputation(cmd, f, attacks)
		},
	}
	fl := cmd.Flags()
	fl.IntVar(&f.cfg.Nodes, "nodes", 1000, "honest nodes")
	fl.IntVar(&f.cfg.Users, "users", 1500, "users of the largest node; the others have less")
	fl.IntVar(&f.warm, "warm", 20, "days before the attack in which the honest make acquaintance")
	fl.IntVar(&f.days, "days", 10, "days of the attack")
	fl.Uint64Var(&f.cfg.Seed, "seed", 1, "of the randomness")
	fl.IntVar(&f.cfg.Workers, "workers", 0, "simulations at once (default: one a processor)")
	fl.StringSliceVar(&f.policies, "policy", nil, "only these policies")
	addJSON(cmd)
	return cmd
}

func attackList() (text string) {
	for _, a := range model.Attacks() {
		text += fmt.Sprintf("  %-17s  %s\n", a.Name, a.About)
	}
	return text
}

func policyList() (text string) {
	for _, p := range model.Policies() {
		text += fmt.Sprintf("  %-10s  %s\n", p.Name, p.About)
	}
	return text
}

func attackNames() (names []cobra.Completion) {
	for _, a := range model.Attacks() {
		names = append(names, a.Name)
	}
	return names
}

// chosen are those of all that are named; all if none is.
func chosen[T any](all []T, names []string, name func(T) string, what string) ([]T, error) {
	if len(names) == 0 {
		return all, nil
	}
	var some []T
	for _, n := range names {
		before := len(some)
		for _, v := range all {
			if name(v) == n {
				some = append(some, v)
			}
		}
		if len(some) == before {
			return nil, &config.Problem{Text: fmt.Sprintf("there is no %s %q; see \"--help\"", what, n)}
		}
	}
	return some, nil
}

func runReputation(cmd *cobra.Command, f reputationFlags, attacks []string) (err error) {
	cfg := f.cfg
	if cfg.Nodes < 20 || cfg.Users < 3 || f.warm < 4 || f.days < 1 || cfg.Seed == 0 {
		return &config.Problem{Text: "needed: 20 nodes, 3 users, 4 days before the attack, 1 day of it, and a seed above 0"}
	}
	const day = 24 * time.Hour
	cfg.Warm, cfg.Length = time.Duration(f.warm)*day, time.Duration(f.days)*day
	if cfg.Attacks, err = chosen(model.Attacks(), attacks, func(a model.Attack) string { return a.Name }, "attack"); err != nil {
		return err
	}
	if cfg.Policies, err = chosen(model.Policies(), f.policies, func(p model.Policy) string { return p.Name }, "policy"); err != nil {
		return err
	}
	cfg.Progress = func(done, all int, r *model.Result) {
		fmt.Fprintf(cmd.ErrOrStderr(), "%d of %d: %s, %s, %.1f s\n", done, all, r.Attack, r.Policy, r.Seconds)
	}
	ctx, stop := untilStopped(cmd)
	defer stop()
	all, err := model.Run(ctx, cfg)
	if err != nil {
		return err
	}
	if boolFlag(cmd, "json") {
		return printJSON(cmd.OutOrStdout(), all)
	}
	return model.Table(cmd.OutOrStdout(), all)
}
