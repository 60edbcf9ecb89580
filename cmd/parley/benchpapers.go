package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"parley/cmd/parley/config"
	"parley/testnet/scenarios/papers"
)

func newBenchPapers() *cobra.Command {
	var seed uint64
	var runs int
	cmd := &cobra.Command{
		Use:   "papers [name...]",
		Short: "Repeat published experiments and compare",
		Long: `Repeat experiments of published papers in our setting, and print what came out beside
what was published, and why the two differ.

` + paperList(),
		Example: "  parley bench papers eigentrust\n  parley bench papers --runs 1 --json",
		RunE: func(cmd *cobra.Command, names []string) error {
			some, err := chosen(papers.All(), names, func(p papers.Paper) string { return p.Name }, "paper")
			if err != nil {
				return err
			}
			if runs < 1 {
				return &config.Problem{Flag: "--runs", Text: "at least one run is needed"}
			}
			return runPapers(cmd, some, seed, runs)
		},
	}
	cmd.Flags().Uint64Var(&seed, "seed", 1, "of the randomness")
	cmd.Flags().IntVar(&runs, "runs", 5, "runs of which each figure is the mean")
	addJSON(cmd)
	return cmd
}

func paperList() (text string) {
	for _, p := range papers.All() {
		text += fmt.Sprintf("%s\n  %s\n", p.Name, p.Title)
	}
	return text
}

func runPapers(cmd *cobra.Command, some []papers.Paper, seed uint64, runs int) error {
	ctx, stop := untilStopped(cmd)
	defer stop()
	of := map[string][]papers.Line{}
	for i := range some {
		p := &some[i]
		lines, err := p.Run(ctx, seed, runs, func(done, all int) {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s: %d of %d\n", p.Name, done, all)
		})
		if err != nil {
			return err
		}
		of[p.Name] = lines
		if !boolFlag(cmd, "json") {
			if err := p.Table(cmd.OutOrStdout(), lines); err != nil {
				return err
			}
		}
	}
	if boolFlag(cmd, "json") {
		return printJSON(cmd.OutOrStdout(), of)
	}
	return nil
}
