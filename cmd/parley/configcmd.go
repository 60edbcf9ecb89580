package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"parley/cmd/parley/config"
)

func newConfig() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check the settings, or print what can be set",
		Long: `Settings are read from the file named by --config, else from parley.toml in the data
directory, if it is there. Without any, a node on this machine alone works.`,
	}
	check := &cobra.Command{
		Use:     "check",
		Short:   "Tell what is wrong with the settings",
		Example: "  parley config check --data /var/lib/parley\n  parley config check --config new.toml",
		Args:    cobra.NoArgs,
		RunE:    checkConfig,
	}
	addSettings(check, dataFlags)
	reference := &cobra.Command{
		Use:   "reference",
		Short: "Print what can be set, as Markdown",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file := stringFlag(cmd, "output"); file != "" {
				return os.WriteFile(file, []byte(config.Reference()), 0o644)
			}
			_, err := fmt.Fprint(cmd.OutOrStdout(), config.Reference())
			return err
		},
	}
	reference.Flags().String("output", "", "`file` to write instead of standard output")
	cmd.AddCommand(check, reference)
	return cmd
}

func checkConfig(cmd *cobra.Command, _ []string) error {
	s, err := settingsOf(cmd)
	if err != nil {
		return err
	}
	if s.File == "" {
		fmt.Fprintf(cmd.OutOrStdout(), "there is no settings file; the defaults are good (parley init writes a file)\n")
		return nil
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s is good\n", s.File)
	return nil
}
