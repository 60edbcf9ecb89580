package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"parley/testnet/diskfault"
	"parley/testnet/report"
	lab "parley/testnet/run"
	"parley/testnet/scenario"
	"parley/testnet/scenarios"
	"parley/testnet/vtime"
)

// testnetFlags are what the command line of "parley testnet run" says.
type testnetFlags struct {
	seed  uint64
	nodes int
	json  bool
	real  bool
	apart bool // nodes are processes
	pace  string
	dir   string
}

func newTestnet() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "testnet",
		Short: "Run whole federations on this machine, as experiments",
		Long: `Run federations of real nodes on an emulated network, in virtual time: an hour takes
as long as its work. A scenario says which nodes and users there are, what the network
is like, what goes wrong and when, and what must hold in the end.

  parley testnet list                    what comes with the program
  parley testnet run hello               one of them
  parley testnet show hello > my.toml    to begin one of your own
  parley testnet run my.toml
  parley testnet up my.toml              keep it up, for clients outside and faults by hand
  parley testnet reference               all that a scenario can say`,
	}
	cmd.AddCommand(newTestnetRun(), newTestnetUp(), newTestnetScale(), newTestnetList(), newTestnetShow(), newTestnetCompare(), newTestnetReference(), newTestnetOnDisk())
	cmd.AddCommand(newTestnetOrders()...)
	return cmd
}

// newTestnetOnDisk is how "parley testnet run --processes" starts nodes whose disks it makes
// slow or full; it is of no use by hand.
func newTestnetOnDisk() *cobra.Command {
	return &cobra.Command{
		Use: "on-disk command...", Hidden: true, DisableFlagParsing: true, Args: cobra.MinimumNArgs(1),
		Short: "Execute a command on a disk that can be made slow or full",
		RunE:  func(_ *cobra.Command, args []string) error { return diskfault.Exec(args) },
	}
}

func newTestnetRun() *cobra.Command {
	var f testnetFlags
	cmd := &cobra.Command{
		Use:   "run scenario",
		Short: "Run a scenario: a file, or the name of one that comes with the program",
		Long: `Run a scenario and write what came of it to DIR/<name>/<time>, with a link "latest":
report.html for people; scenario.toml, events.ndjson, metrics.csv, summary.json and
charts for all else. The first Ctrl-C ends the scenario early and still makes a report.

Exit codes: 0 all holds, 1 something that must hold does not, 2 it could not be run.`,
		Example: "  parley testnet run hello\n  parley testnet run my.toml --seed 7 --nodes 50\n  parley testnet run partition --json | jq .figures\n  parley testnet run restart --processes",
		Args:    cobra.ExactArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return scenarios.Names(), cobra.ShellCompDirectiveDefault
		},
		RunE: func(cmd *cobra.Command, args []string) error { return runTestnet(cmd, args[0], f) },
	}
	fl := cmd.Flags()
	fl.Uint64Var(&f.seed, "seed", 0, "from what all chance comes, instead of the scenario's own")
	fl.IntVar(&f.nodes, "nodes", 0, "how many nodes there are, by changing the largest of the [[nodes]]")
	fl.BoolVar(&f.json, "json", false, "print the summary as JSON")
	fl.BoolVar(&f.real, "real-time", false, "run in real time, not in virtual time")
	fl.BoolVar(&f.apart, "processes", false, "run each node as a process of its own, in real time; their data is kept if something fails")
	fl.StringVar(&f.pace, "pace", "", "go at most so much faster than real time, such as 10x")
	fl.StringVar(&f.dir, "dir", "runs", "`directory` for what came of runs")
	return cmd
}

// loadScenario reads a file, or one that comes with the program.
func loadScenario(name string, changes ...scenario.Change) (*scenario.Plan, error) {
	if !strings.ContainsAny(name, "./\\") {
		p, err := scenarios.Plan(name, changes...)
		if !errors.Is(err, fs.ErrNotExist) {
			return p, err
		}
		return nil, fmt.Errorf("there is no scenario %q; \"parley testnet list\" names them, and a file has a name with a dot", name)
	}
	return scenario.Load(name, changes...)
}

// cannot makes an error of one that is told, and ends the program with exitUsage.
func cannot(cmd *cobra.Command, err error) error {
	if err == nil {
		return nil
	}
	fmt.Fprintln(cmd.ErrOrStderr(), "parley:", err)
	return silent{exitUsage}
}

func runTestnet(cmd *cobra.Command, name string, f testnetFlags) error {
	plan, err := loadScenario(name, f.changes(cmd)...)
	if err != nil {
		return cannot(cmd, err)
	}
	o := lab.Options{Real: f.real || f.apart, Version: buildVersion()}
	if o.Pace, err = paceOf(f.pace); err != nil {
		return cannot(cmd, err)
	}
	if f.apart {
		if o.Binary, err = os.Executable(); err == nil {
			o.Dir, err = os.MkdirTemp("", "parley-"+plan.Name+"-")
		}
		if err != nil {
			return cannot(cmd, err)
		}
	}
	res, err := watched(cmd, plan, o)
	if err != nil {
		return cannot(cmd, err)
	}
	return errors.Join(finishRun(cmd, res, f), tidy(cmd, res, o.Dir))
}

// tidy removes the data of nodes that were processes, unless something has failed.
func tidy(cmd *cobra.Command, res *lab.Result, dir string) error {
	switch {
	case dir == "":
		return nil
	case res.Failed():
		fmt.Fprintln(cmd.ErrOrStderr(), "the data of the nodes is in", dir)
		return nil
	}
	return os.RemoveAll(dir)
}

// paceOf reads "10x".
func paceOf(text string) (float64, error) {
	if text == "" {
		return 0, nil
	}
	var pace float64
	if err := json.Unmarshal([]byte(strings.TrimSuffix(text, "x")), &pace); err != nil || pace <= 0 {
		return 0, fmt.Errorf("--pace: %q is no pace; write for example 10x", text)
	}
	return pace, nil
}

// watched runs a plan with a progress line; the first interrupt ends it early.
func watched(cmd *cobra.Command, plan *scenario.Plan, o lab.Options) (*lab.Result, error) {
	clock := vtime.NewClock(vtime.Options{Real: o.Real, Pace: o.Pace})
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt, syscall.SIGTERM)
	bar := startProgress(cmd.ErrOrStderr(), clock, plan, interrupts)
	res, err := lab.Run(plan, clock, o)
	signal.Stop(interrupts)
	bar.stop()
	return res, err
}

// printRun prints what came of a run.
func printRun(out io.Writer, s *report.Summary) error {
	fmt.Fprintf(out, "%s, seed %d: %s\n\n", s.Name, s.Seed, s.About)
	for _, n := range []string{"accepted", "delivered", "latency_p50", "latency_p99", "latency_max", "bytes_message", "seconds", "machine_seconds", "machine_cpu", "machine_rss"} {
		fmt.Fprintf(out, "  %-16s %s\n", n, report.Value(n, s.Figures[n]))
	}
	fmt.Fprintln(out)
	for _, i := range s.Invariants {
		fmt.Fprintf(out, "  %-9s  %2d %s (%s)\n", i.Verdict, i.Number, i.Rule, i.Why)
	}
	for _, c := range s.Checks {
		verdict := "holds"
		if !c.Holds {
			verdict = "FAILS"
		}
		fmt.Fprintf(out, "  %-9s  %s\n", verdict, c.That)
	}
	for _, w := range s.Wrong {
		fmt.Fprintf(out, "  ! %s\n", w)
	}
	_, err := fmt.Fprintf(out, "\n%s/report.html\n", s.Dir)
	return err
}

func newTestnetList() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the scenarios that come with the program", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			type entry struct {
				Name  string `json:"name"`
				Nodes int    `json:"nodes"`
				Users int    `json:"users"`
				Time  string `json:"duration"`
				About string `json:"about"`
			}
			var all []entry
			t := newTable(cmd.OutOrStdout(), "NAME", "NODES", "USERS", "TIME", "ABOUT")
			for _, name := range scenarios.Names() {
				p, err := scenarios.Plan(name)
				if err != nil {
					return err
				}
				e := entry{name, len(p.Net), len(p.People), scenario.Short(p.Duration.Duration), p.About}
				all = append(all, e)
				t.row(e.Name, fmt.Sprint(e.Nodes), fmt.Sprint(e.Users), e.Time, e.About)
			}
			if boolFlag(cmd, "json") {
				return printJSON(cmd.OutOrStdout(), all)
			}
			return t.flush()
		},
	}
	addJSON(cmd)
	return cmd
}

func newTestnetShow() *cobra.Command {
	return &cobra.Command{
		Use: "show name", Short: "Print a scenario that comes with the program", Args: cobra.ExactArgs(1),
		ValidArgs: scenarios.Names(),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains(scenarios.Names(), args[0]) {
				return cannot(cmd, fmt.Errorf("there is no scenario %q; \"parley testnet list\" names them", args[0]))
			}
			text, err := scenarios.Text(args[0])
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(text)
			return err
		},
	}
}

func newTestnetCompare() *cobra.Command {
	cmd := &cobra.Command{
		Use: "compare run run", Short: "Set the figures of two runs side by side", Args: cobra.ExactArgs(2),
		Example: "  parley testnet compare runs/hello/latest runs/lossy/latest",
		RunE: func(cmd *cobra.Command, args []string) error {
			var s [2]*report.Summary
			for i := range s {
				var err error
				if s[i], err = report.Read(args[i]); err != nil {
					return cannot(cmd, err)
				}
			}
			all := report.Compare(s[0], s[1])
			if boolFlag(cmd, "json") {
				return printJSON(cmd.OutOrStdout(), finite(all))
			}
			t := newTable(cmd.OutOrStdout(), "FIGURE", s[0].Name, s[1].Name, "CHANGE")
			for _, d := range all {
				t.row(d.Figure, report.Value(d.Figure, d.A), report.Value(d.Figure, d.B), change(d.Change))
			}
			return t.flush()
		},
	}
	addJSON(cmd)
	return cmd
}

// finite makes numbers of what JSON has no numbers for.
func finite(all []report.Difference) []report.Difference {
	for i := range all {
		if math.IsInf(all[i].Change, 0) {
			all[i].Change = math.MaxFloat64
		}
	}
	return all
}

func change(c float64) string {
	switch {
	case c == 0:
		return "="
	case math.IsInf(c, 0):
		return "new"
	}
	return fmt.Sprintf("%+.1f%%", c*100)
}

func newTestnetReference() *cobra.Command {
	cmd := &cobra.Command{
		Use: "reference", Short: "Print all that a scenario can say, as Markdown", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file := stringFlag(cmd, "output"); file != "" {
				return os.WriteFile(file, []byte(scenario.Reference()), 0o644)
			}
			_, err := fmt.Fprint(cmd.OutOrStdout(), scenario.Reference())
			return err
		},
	}
	cmd.Flags().String("output", "", "`file` to write instead of standard output")
	return cmd
}
