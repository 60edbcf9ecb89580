package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"parley/cmd/parley/config"
	"parley/testnet/faults"
)

func newBenchFaults() *cobra.Command {
	var cfg faults.Config
	var names []string
	cmd := &cobra.Command{
		Use:   "faults [case...]",
		Short: "What becomes of messages between two nodes when links and nodes fail",
		Long: `Run two nodes with a link through a relay that can be cut, let a user of one write to
a user of the other, and meanwhile kill and stop nodes and cut the link. Then what the
sender was told is compared with what the receiver has: nothing may be lost, doubled,
out of order, or delivered and reported as not. The exit code is 1 if something was.

` + faultCases(),
		Example: "  parley bench faults\n  parley bench faults peer-killed --json",
		RunE: func(cmd *cobra.Command, args []string) error {
			names = args
			return runFaults(cmd, cfg, names)
		},
	}
	cmd.Flags().Float64Var(&cfg.Scale, "scale", 1, "of messages and times")
	cmd.Flags().StringVar(&cfg.Temp, "temp", "", "directory for the nodes' data (default: the system's)")
	addJSON(cmd)
	return cmd
}

func faultCases() string {
	text := ""
	for _, c := range faults.Cases() {
		text += fmt.Sprintf("  %-17s %s\n", c.Name, c.About)
	}
	return text
}

func runFaults(cmd *cobra.Command, cfg faults.Config, names []string) error {
	for _, name := range names {
		found := false
		for _, c := range faults.Cases() {
			if c.Name == name {
				cfg.Cases, found = append(cfg.Cases, c), true
			}
		}
		if !found {
			return &config.Problem{Text: fmt.Sprintf("there is no case %q; see \"parley bench faults --help\"", name)}
		}
	}
	var err error
	if cfg.Binary, err = os.Executable(); err != nil {
		return err
	}
	cfg.Log = cmd.ErrOrStderr()
	ctx, stop := untilStopped(cmd)
	defer stop()
	all, err := faults.Run(ctx, cfg)
	if err != nil {
		return err
	}
	if boolFlag(cmd, "json") {
		err = printJSON(cmd.OutOrStdout(), all)
	} else {
		err = faults.Table(cmd.OutOrStdout(), all)
	}
	if err != nil {
		return err
	}
	broken := 0
	for _, r := range all {
		broken += r.Broken()
	}
	if broken > 0 {
		return fmt.Errorf("%d broken promises, see above", broken)
	}
	return nil
}

func newBenchLinks() *cobra.Command {
	var cfg faults.Config
	cmd := &cobra.Command{
		Use:   "links",
		Short: "How fast and how frugal two nodes are together",
		Long: `Run two nodes with a link, let users of one write to users of the other, come and go,
and join a group, and measure rate, latency, processor time and bytes on the wire.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runLinks(cmd, cfg) },
	}
	cmd.Flags().Float64Var(&cfg.Scale, "scale", 1, "of how much is done")
	cmd.Flags().StringVar(&cfg.Temp, "temp", "", "directory for the nodes' data (default: the system's)")
	addJSON(cmd)
	return cmd
}

func runLinks(cmd *cobra.Command, cfg faults.Config) error {
	var err error
	if cfg.Binary, err = os.Executable(); err != nil {
		return err
	}
	ctx, stop := untilStopped(cmd)
	defer stop()
	all, err := faults.Measure(ctx, cfg)
	if err != nil {
		return err
	}
	if boolFlag(cmd, "json") {
		return printJSON(cmd.OutOrStdout(), all)
	}
	return faults.FigureTable(cmd.OutOrStdout(), all)
}
