package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"parley/testnet/siege"
)

func newBenchRogue() *cobra.Command {
	var cfg siege.Config
	cmd := &cobra.Command{
		Use:   "rogue",
		Short: "What a misbehaving peer can do to a node",
		Long: `Run a node, and beside it a peer that breaks the rules over real links. Each attack is
shown with how the node has refused it and what that has cost the node. The exit code
is 1 if one got through. Linux only.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runRogue(cmd, cfg) },
	}
	cmd.Flags().StringVar(&cfg.Temp, "temp", "", "directory for the node's data (default: the system's)")
	addJSON(cmd)
	return cmd
}

func runRogue(cmd *cobra.Command, cfg siege.Config) error {
	var err error
	if cfg.Binary, err = os.Executable(); err != nil {
		return err
	}
	ctx, stop := untilStopped(cmd)
	defer stop()
	all, err := siege.Run(ctx, cfg)
	if err != nil {
		return err
	}
	if boolFlag(cmd, "json") {
		err = printJSON(cmd.OutOrStdout(), all)
	} else {
		err = siege.Table(cmd.OutOrStdout(), all)
	}
	if err != nil {
		return err
	}
	passed := 0
	for _, r := range all {
		if r.Failure != "" {
			passed++
		}
	}
	if passed > 0 {
		return fmt.Errorf("%d attacks were not refused, see above", passed)
	}
	return nil
}
