package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/spf13/cobra"

	"parley/testnet/report"
	"parley/testnet/scenarios"
)

// scaleRuns are what is measured if nothing else is said.
var scaleRuns = []string{"scale", "scale-dht", "scale-dht-200", "scale-1000"}

// scaled is what a run took.
type scaled struct {
	Name    string  `json:"name"`
	Nodes   float64 `json:"nodes"`
	Virtual float64 `json:"virtual_seconds"`
	CPU     float64 `json:"cpu_seconds"`
	Real    float64 `json:"real_seconds"`
	RSS     float64 `json:"rss_bytes"`
	Copies  float64 `json:"delivered"`
	Good    bool    `json:"good"`
}

func newTestnetScale() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "scale [scenario...]",
		Short: "Measure what scenarios take of this machine",
		Long: `Run scenarios, each in a process of its own, and print what they took: virtual time,
CPU time, time on the wall, memory at most. Without names, those that are made for it.
A quiet machine gives figures that can be compared.`,
		Example:           "  parley testnet scale\n  parley testnet scale partition churn --json",
		ValidArgsFunction: cobra.FixedCompletions(scenarios.Names(), cobra.ShellCompDirectiveDefault),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = scaleRuns
			}
			return runScale(cmd, args)
		},
	}
	cmd.Flags().String("dir", "runs", "`directory` for what came of runs")
	addJSON(cmd)
	return cmd
}

func runScale(cmd *cobra.Command, names []string) error {
	var all []scaled
	good := true
	for _, name := range names {
		s, err := scaleOne(cmd, name)
		if err != nil {
			return cannot(cmd, err)
		}
		good = good && s.Good
		all = append(all, s)
	}
	var err error
	if boolFlag(cmd, "json") {
		err = printJSON(cmd.OutOrStdout(), all)
	} else {
		t := newTable(cmd.OutOrStdout(), "SCENARIO", "NODES", "DELIVERED", "VIRTUAL", "CPU", "WALL", "FASTER", "MEMORY", "CHECKS")
		for _, s := range all {
			verdict := "hold"
			if !s.Good {
				verdict = "FAIL"
			}
			t.row(s.Name, fmt.Sprint(s.Nodes), report.Value("delivered", s.Copies), report.Value("seconds", s.Virtual), report.Value("machine_cpu", s.CPU),
				report.Value("machine_seconds", s.Real), fmt.Sprintf("%.0fx", s.Virtual/max(s.Real, 0.001)), report.Value("machine_rss", s.RSS), verdict)
		}
		err = t.flush()
	}
	if err == nil && !good {
		err = silent{exitFailed}
	}
	return err
}

// scaleOne runs one in another process: memory is not given back.
func scaleOne(cmd *cobra.Command, name string) (scaled, error) {
	self, err := os.Executable()
	if err != nil {
		return scaled{}, err
	}
	var out, errs bytes.Buffer
	child := exec.CommandContext(cmd.Context(), self, "testnet", "run", name, "--json", "--dir", stringFlag(cmd, "dir"))
	child.Stdout, child.Stderr = &out, &errs
	var failed *exec.ExitError
	if err := child.Run(); err != nil && !(errors.As(err, &failed) && failed.ExitCode() == exitFailed) {
		return scaled{}, fmt.Errorf("%s: %w: %s", name, err, bytes.TrimSpace(errs.Bytes()))
	}
	var s report.Summary
	if err := json.Unmarshal(out.Bytes(), &s); err != nil {
		return scaled{}, fmt.Errorf("%s: %w", name, err)
	}
	f := s.Figures
	return scaled{s.Name, f["nodes"], f["seconds"], f["machine_cpu"], f["machine_seconds"], f["machine_rss"], f["delivered"], s.Good}, nil
}
