package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"parley/cmd/parley/config"
	"parley/federation"
	"parley/protocol"
)

func newInit() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "init --data DIR --name NAME",
		Short: "Make the data directory of a new node",
		Long: `Make the data directory of a new node: its key, and parley.toml with every setting
explained and at its default. Nothing that is there is overwritten.

The name becomes part of every address of the node's users, and cannot be changed
later. Without a DNS name of your own, "localhost" serves this machine alone.`,
		Example: "  parley init --data /var/lib/parley --name chat.example.org",
		Args:    cobra.NoArgs,
		RunE:    runInit,
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().String("data", config.DefaultData, "`directory` to make")
	cmd.Flags().String("name", config.DefaultName, "`name` of the node")
	must(cmd.MarkFlagDirname("data"))
	must(cmd.RegisterFlagCompletionFunc("name", cobra.NoFileCompletions))
	return cmd
}

func runInit(cmd *cobra.Command, _ []string) error {
	name, err := protocol.ParseNode(stringFlag(cmd, "name"))
	if err != nil {
		return &config.Problem{Flag: "--name", Text: err.Error()}
	}
	data := dataDir(stringFlag(cmd, "data"))
	if data == "" {
		return &config.Problem{Flag: "--data", Text: "must not be empty"}
	}
	settings := data.path(config.FileName)
	for _, file := range []string{settings, data.key(), data.db()} {
		if _, err := os.Lstat(file); err == nil {
			return fmt.Errorf("%s is there already, and nothing was changed; choose another directory with --data", file)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return data.explain(err)
		}
	}
	if _, err := data.create(); err != nil {
		return err
	}
	key, err := federation.CreateKey(data.key())
	if err != nil {
		return err
	}
	text := config.Template(map[string]string{"node.name": string(name), "node.data": "."})
	if err := writeNew(settings, text); err != nil {
		return err
	}
	welcome(cmd.OutOrStdout(), name, key, data, settings)
	return nil
}

// writeNew writes a file that must not be there.
func writeNew(file, text string) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Sync(), f.Close())
}

func welcome(w io.Writer, name protocol.Node, key *federation.Key, data dataDir, settings string) {
	fmt.Fprintf(w, `node  %s
key   %s
data  %s

Next:
  edit %s: as it is, clients reach the node from this machine only (http.listen)
  parley config check --data %s
  parley serve --data %s
Keep a copy of %s in a safe place: with it goes the node's identity.
`, name, key.Pin(), data, settings, quoteArg(string(data)), quoteArg(string(data)), data.key())
}
