package main

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"parley/federation"
)

func newKey() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Print the pin of the node's key",
		Long: `Print the pin of the node's key: what the operators of other nodes compare, and
may configure, to be sure that they speak with this node. It is no secret; the key
itself, node.key in the data directory, is one. Keep a copy of it in a safe place.`,
		Example: "  parley key --data /var/lib/parley",
		Args:    cobra.NoArgs,
		RunE:    printKey,
	}
	addSettings(cmd, dataFlags)
	cmd.Flags().Bool("create", false, "make a key if there is none")
	return cmd
}

func printKey(cmd *cobra.Command, _ []string) error {
	s, err := settingsOf(cmd)
	if err != nil {
		return err
	}
	data := dataDir(s.Node.Data)
	key, err := federation.LoadKey(data.key())
	if errors.Is(err, fs.ErrNotExist) {
		create, err := cmd.Flags().GetBool("create")
		if err != nil {
			return err
		}
		if !create {
			return fmt.Errorf("there is no key in %s; say where the data is with --data", data)
		}
		if _, err := data.create(); err != nil {
			return err
		}
		if key, err = federation.CreateKey(data.key()); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	fmt.Fprintln(cmd.OutOrStdout(), key.Pin())
	return nil
}
