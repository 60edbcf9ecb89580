package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"parley/testnet/live"
	"parley/testnet/report"
	lab "parley/testnet/run"
	"parley/testnet/scenario"
	"parley/testnet/vtime"
)

// forEver is how long a federation goes on that is kept up.
const forEver = 10 * 365 * 24 * time.Hour

// pageTimeout bounds a request to the live page.
const pageTimeout = time.Minute

func newTestnetUp() *cobra.Command {
	var f testnetFlags
	var port int
	cmd := &cobra.Command{
		Use:   "up scenario",
		Short: "Keep a federation up, with its nodes open to clients on this machine",
		Long: `Run a scenario at the pace of real time, or a multiple of it, until Ctrl-C. Each node
is a real one inside of the emulated network, and can be reached from this machine by
browsers and other Tinode clients: the page at the first address lists them, and shows
nodes, links, traffic and standing. The scenario's users and events are there, too.

Faults can be made meanwhile, from another terminal: see "parley testnet cut", "kill",
"restart", "event", "heal". After Ctrl-C what is on its way may arrive, replicas are
compared, and a report is written, as by "parley testnet run".`,
		Example: "  parley testnet up hello\n  parley testnet up my.toml --pace 10x --port 7000",
		Args:    cobra.ExactArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return runUp(cmd, args[0], f, port) },
	}
	fl := cmd.Flags()
	fl.Uint64Var(&f.seed, "seed", 0, "from what all chance comes, instead of the scenario's own")
	fl.IntVar(&f.nodes, "nodes", 0, "how many nodes there are, by changing the largest of the [[nodes]]")
	fl.StringVar(&f.pace, "pace", "1x", "how much faster than real time it goes")
	fl.StringVar(&f.dir, "dir", "runs", "`directory` for what came of runs")
	fl.IntVar(&port, "port", 6100, "of the page, on loopback; nodes have the next ones. 0: any that are free")
	fl.BoolVar(&f.json, "json", false, "print the summary as JSON in the end")
	return cmd
}

func runUp(cmd *cobra.Command, name string, f testnetFlags, port int) error {
	changes := append(f.changes(cmd), scenario.WithDuration(scenario.Duration{Duration: forEver}))
	plan, err := loadScenario(name, changes...)
	if err != nil {
		return cannot(cmd, err)
	}
	pace, err := paceOf(f.pace)
	if err != nil {
		return cannot(cmd, err)
	}
	listeners, err := listenAll(cmd.Context(), port, len(plan.Net)+1)
	if err != nil {
		return cannot(cmd, err)
	}
	files, err := os.MkdirTemp("", "parley-testnet-")
	if err != nil {
		return cannot(cmd, err)
	}
	defer os.RemoveAll(files)
	fed := lab.NewLive(plan, pace, listeners[1:])
	fed.Files = files
	res, err := keepUp(cmd, fed, listeners[0], f.dir)
	if err != nil {
		return cannot(cmd, err)
	}
	return finishRun(cmd, res, f)
}

// keepUp runs a federation with its page until it is interrupted.
func keepUp(cmd *cobra.Command, fed *lab.Live, l net.Listener, dir string) (*lab.Result, error) {
	handle := live.NewHandle("http://" + l.Addr().String() + "/")
	remove, err := handle.Write(dir)
	if err != nil {
		return nil, err
	}
	defer remove()
	page := &http.Server{Handler: handle.Handler(fed), ReadTimeout: pageTimeout, WriteTimeout: pageTimeout}
	clock := vtime.NewClock(vtime.Options{})
	var wg sync.WaitGroup
	wg.Go(func() { _ = page.Serve(l) }) // ends with Close
	ctx, stop := untilStopped(cmd)
	defer stop()
	ended := make(chan struct{})
	wg.Go(func() {
		select {
		case <-ctx.Done():
			fmt.Fprintln(cmd.ErrOrStderr(), "\nending; what is on its way may arrive")
			clock.Stop()
			stop() // the next interrupt ends the program
		case <-ended:
		}
	})
	fmt.Fprintf(cmd.OutOrStdout(), "%s\n", handle.URL)
	res, err := fed.Run(clock, lab.Options{Version: buildVersion()})
	close(ended)
	err = errors.Join(err, page.Close())
	wg.Wait()
	return res, err
}

// listenAll opens so many ports on loopback, from the first on.
func listenAll(ctx context.Context, first, n int) (all []net.Listener, err error) {
	defer func() {
		if err != nil {
			for _, l := range all {
				l.Close()
			}
		}
	}()
	for i := range n {
		port := 0
		if first > 0 {
			port = first + i
		}
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			return all, fmt.Errorf("%w; choose other ports with --port", err)
		}
		all = append(all, l)
	}
	return all, nil
}

// newTestnetOrders are the commands that tell a federation that is up what to do.
func newTestnetOrders() []*cobra.Command {
	var between string
	var oneWay bool
	var span string
	cut := &cobra.Command{
		Use: "cut node node", Short: "Cut the links between two nodes, or lists of them (a,b*)", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			between = fmt.Sprintf("do = \"partition\"\nsides = [%s, %s]\n", selection(args[0]), selection(args[1]))
			if oneWay {
				between = fmt.Sprintf("do = \"cut\"\nfrom = %s\nto = %s\n", selection(args[0]), selection(args[1]))
			}
			return order(cmd, between+lasting(span))
		},
	}
	cut.Flags().BoolVar(&oneWay, "one-way", false, "only packets from the first to the second are lost")
	cut.Flags().StringVar(&span, "for", "", "how long, in time of the federation; else until \"heal\"")
	nodes := func(use, short, do, defaultFor string) *cobra.Command {
		c := &cobra.Command{Use: use + " node...", Short: short, Args: cobra.MinimumNArgs(1)}
		length := c.Flags().String("for", defaultFor, "start them again so much later, in time of the federation")
		c.RunE = func(cmd *cobra.Command, args []string) error {
			return order(cmd, fmt.Sprintf("do = %q\nnodes = %s\n", do, selection(strings.Join(args, ",")))+lasting(*length))
		}
		return c
	}
	start := &cobra.Command{
		Use: "start node...", Short: "Start nodes that are down", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return order(cmd, fmt.Sprintf("do = \"start\"\nnodes = %s\n", selection(strings.Join(args, ","))))
		},
	}
	event := &cobra.Command{
		Use: "event toml", Short: "Make any event of a scenario happen, given by its keys", Args: cobra.ExactArgs(1),
		Example: `  parley testnet event 'do = "slow-disk"
  nodes = ["a"]
  delay = "500ms"
  for = "1m"'`,
		RunE: func(cmd *cobra.Command, args []string) error { return order(cmd, args[0]) },
	}
	heal := &cobra.Command{
		Use: "heal", Short: "End all that is wrong, and start all nodes", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return tell(cmd, "heal", "") },
	}
	all := []*cobra.Command{
		cut, nodes("kill", "End nodes without a word, as by a power cut", "kill", ""), nodes("stop", "Stop nodes in order", "stop", ""),
		start, nodes("restart", "Kill nodes and start them again", "kill", "1s"), event, heal, newTestnetStatus(),
	}
	for _, c := range all {
		c.Flags().String("dir", "runs", "`directory` of the runs of the federation that is up")
	}
	return all
}

func newTestnetStatus() *cobra.Command {
	c := &cobra.Command{
		Use: "status", Short: "Show the federation that is up", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, err := live.Read(stringFlag(cmd, "dir"))
			if err != nil {
				return cannot(cmd, err)
			}
			v, err := h.View(cmd.Context())
			if err != nil {
				return cannot(cmd, err)
			}
			if boolFlag(cmd, "json") {
				return printJSON(cmd.OutOrStdout(), v)
			}
			return printStatus(cmd, h, v)
		},
	}
	addJSON(c)
	return c
}

func printStatus(cmd *cobra.Command, h live.Handle, v *lab.View) error {
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "%s  %s  %.0f s at %gx\n", v.Name, h.URL, v.At, v.Pace)
	for _, f := range v.Faults {
		fmt.Fprintln(out, "  wrong:", f)
	}
	t := newTable(out, "NODE", "CLIENTS AT", "UP", "SIGNED IN", "TO SEND", "LINKS")
	links := make([]int, len(v.Nodes))
	for _, w := range v.Ways {
		if w.Linked {
			links[w.From]++
		}
	}
	for i, n := range v.Nodes {
		t.row(n.Name, n.URL, strconv.FormatBool(n.Up), strconv.Itoa(n.Users), strconv.Itoa(n.Waiting), strconv.Itoa(links[i]))
	}
	return t.flush()
}

// selection writes "a,b*" as a selection of a scenario.
func selection(list string) string {
	var all []string
	for _, s := range strings.Split(list, ",") {
		all = append(all, strconv.Quote(s))
	}
	return "[" + strings.Join(all, ", ") + "]"
}

func lasting(span string) string {
	if span == "" {
		return ""
	}
	return fmt.Sprintf("for = %q\n", span)
}

// order makes an event happen in the federation that is up.
func order(cmd *cobra.Command, event string) error { return tell(cmd, "event", event) }

func tell(cmd *cobra.Command, what, text string) error {
	h, err := live.Read(stringFlag(cmd, "dir"))
	if err == nil {
		err = h.Do(cmd.Context(), what, text)
	}
	return cannot(cmd, err)
}

// finishRun writes and prints what came of a run.
func finishRun(cmd *cobra.Command, res *lab.Result, f testnetFlags) error {
	dir, err := report.Write(f.dir, res)
	if err != nil {
		return cannot(cmd, err)
	}
	s := report.Summarize(res)
	s.Dir = dir
	if f.json {
		err = printJSON(cmd.OutOrStdout(), s)
	} else {
		err = printRun(cmd.OutOrStdout(), s)
	}
	if err == nil && !s.Good {
		err = silent{exitFailed}
	}
	return err
}

// changes are what the flags change in a scenario.
func (f *testnetFlags) changes(cmd *cobra.Command) []scenario.Change {
	var all []scenario.Change
	if f.apart {
		all = append(all, scenario.Apart())
	}
	if cmd.Flags().Changed("seed") {
		all = append(all, scenario.WithSeed(f.seed))
	}
	if f.nodes > 0 {
		all = append(all, scenario.WithNodes(f.nodes))
	}
	return all
}
