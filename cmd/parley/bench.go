package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"parley/cmd/parley/config"
	"parley/testnet"
	"parley/testnet/bench"
)

// benchFlags are what the command line of "parley bench" says.
type benchFlags struct {
	quick    bool
	repeat   int
	duration time.Duration
	settle   time.Duration
	users    int
	inflight int
	size     int
	rate     float64
	json     string
	profile  string
	temp     string
	url      string
	key      string
	prefix   string
	pids     []int
}

func newBenchCmd() *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{
		Use:   "bench [case or scenario...]",
		Short: "Measure this node, or another server of the protocol",
		Long: `Measure what a node does: sessions, messages, fan-out, history, logins, presence.
Each case starts a node of its own with an empty store, loads it over WebSocket as
clients do, checks that nothing was lost, doubled or out of order, and counts the
CPU time that the node took. Figures of other servers stand beside, with where they
are from. The exit code is 1 if a promise was broken.

` + benchCases() + `
With --url a server that runs already is measured. Its accounts are made through
the protocol, so sign-up must be open and unlimited enough; CPU time and memory are
counted if --pid tells its processes, which must run on this machine. Linux only.`,
		Example: `  parley bench --quick
  parley bench p2p fanout --repeat 3 --json bench.json
  parley bench p2p --url ws://127.0.0.1:6070/v0/channels --pid 1234 --pid 1200`,
		ValidArgs: benchNames(),
		RunE: func(cmd *cobra.Command, names []string) error {
			return runBench(cmd, names, f)
		},
	}
	fl := cmd.Flags()
	fl.BoolVar(&f.quick, "quick", false, "about a second for each case: a look, not a record")
	fl.IntVar(&f.repeat, "repeat", 1, "runs of each case, of which the median is shown")
	fl.DurationVar(&f.duration, "duration", 0, "length of the measured window, instead of the case's own")
	fl.DurationVar(&f.settle, "settle", 0, "how long sessions of connect are idle before memory is read, instead of the case's own")
	fl.IntVar(&f.users, "users", 0, "sessions, pairs, members, readers or contacts, instead of the case's own")
	fl.IntVar(&f.inflight, "inflight", 0, "unacknowledged messages of a sender, or handshakes at once, instead of the case's own")
	fl.IntVar(&f.size, "size", 0, "bytes of a message, instead of the case's own")
	fl.Float64Var(&f.rate, "rate", 0, "messages a second of all senders, instead of the case's own")
	fl.StringVar(&f.json, "json", "", "write everything to this file (\"-\": standard output, no table)")
	fl.StringVar(&f.profile, "profiles", "", "directory for CPU and heap profiles of the node in each case")
	fl.StringVar(&f.temp, "temp", "", "directory for the nodes' data, on the disk to be measured (default: the system's)")
	fl.StringVar(&f.url, "url", "", "measure this server, such as ws://127.0.0.1:6060/v0/channels")
	fl.StringVar(&f.key, "api-key", "", "API key for --url (default: that of the public clients)")
	fl.StringVar(&f.prefix, "prefix", "bench", "with which the logins of accounts begin")
	cmd.AddCommand(newBenchFaults(), newBenchLinks(), newBenchReputation(), newBenchPapers(), newBenchRogue())
	fl.IntSliceVar(&f.pids, "pid", nil, "processes behind --url, whose CPU time and memory are counted with their children's")
	return cmd
}

func benchNames() []cobra.Completion {
	seen := map[string]bool{}
	var names []cobra.Completion
	for _, c := range bench.Cases() {
		for _, n := range []string{c.Name, c.Scenario} {
			if !seen[n] {
				seen[n] = true
				names = append(names, n)
			}
		}
	}
	return names
}

func benchCases() string {
	var b strings.Builder
	for _, c := range bench.Cases() {
		fmt.Fprintf(&b, "  %-13s %s\n", c.Name, c.About)
	}
	return b.String()
}

func runBench(cmd *cobra.Command, names []string, f benchFlags) error {
	cfg := bench.Config{Repeat: f.repeat, URL: f.url, APIKey: f.key, Prefix: f.prefix, PIDs: f.pids,
		Dial: testnet.Dialer, Log: cmd.ErrOrStderr(), Temp: f.temp, Profiles: f.profile}
	var err error
	if cfg.Cases, err = bench.Select(names); err != nil {
		return &config.Problem{Text: fmt.Sprintf("%v; see \"parley bench --help\"", err)}
	}
	if err := f.check(cmd); err != nil {
		return err
	}
	for i := range cfg.Cases {
		cfg.Cases[i] = f.adjust(cfg.Cases[i])
	}
	if cfg.URL == "" {
		if cfg.Binary, err = os.Executable(); err != nil {
			return err
		}
	}
	if f.profile != "" {
		if err := os.MkdirAll(f.profile, 0o755); err != nil {
			return err
		}
	}
	ctx, stop := untilStopped(cmd)
	defer stop()
	rep, err := bench.Execute(ctx, cfg)
	if err != nil {
		return err
	}
	if err := writeReport(cmd.OutOrStdout(), rep, f.json); err != nil {
		return err
	}
	if n := rep.Violations(); n > 0 {
		return fmt.Errorf("%d broken promises, see above", n)
	}
	return nil
}

// check says which flag makes no sense, before the minutes that a run takes.
func (f benchFlags) check(cmd *cobra.Command) error {
	for name, v := range map[string]float64{"repeat": float64(f.repeat), "duration": f.duration.Seconds(), "settle": f.settle.Seconds(),
		"users": float64(f.users), "inflight": float64(f.inflight), "size": float64(f.size), "rate": f.rate} {
		if v <= 0 && cmd.Flags().Changed(name) {
			return &config.Problem{Flag: "--" + name, Text: "must be more than 0"}
		}
	}
	if len(f.pids) > 0 && f.url == "" {
		return &config.Problem{Flag: "--pid", Text: "tells the processes behind --url, which is missing"}
	}
	if f.json != "" && f.json != "-" {
		if info, err := os.Stat(filepath.Dir(f.json)); err != nil || !info.IsDir() {
			return &config.Problem{Flag: "--json", Text: filepath.Dir(f.json) + " is no directory"}
		}
	}
	return nil
}

// adjust applies the flags to a case.
func (f benchFlags) adjust(c bench.Case) bench.Case {
	if f.quick {
		c = c.Quick()
	}
	if f.duration > 0 {
		c.Duration = f.duration
	}
	if f.settle > 0 {
		c.Settle = f.settle
	}
	if f.users > 0 {
		c.Users = f.users
	}
	if f.inflight > 0 {
		c.Inflight = f.inflight
	}
	if f.size > 0 {
		c.Size = f.size
	}
	if f.rate > 0 {
		c.Rate = f.rate
	}
	return c
}

func writeReport(out io.Writer, rep *bench.Report, file string) error {
	if file == "-" {
		return rep.JSON(out)
	}
	if file != "" {
		w, err := os.Create(file)
		if err != nil {
			return err
		}
		if err := rep.JSON(w); err != nil {
			w.Close()
			return err
		}
		if err := w.Close(); err != nil {
			return err
		}
	}
	return rep.Table(out)
}
