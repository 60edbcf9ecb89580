// Command parley runs a node and looks after it. Each command is in a file of
// its own name.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"parley/cmd/parley/config"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2 // called or configured wrongly
)

func main() { os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// run is main without the process.
func run(ctx context.Context, args []string, in io.Reader, out, errs io.Writer) int {
	root := newRoot()
	started := false // the command's own code was reached: its call was good
	each(root, func(c *cobra.Command) {
		if do := c.RunE; do != nil {
			c.RunE = func(c *cobra.Command, args []string) error {
				started = true
				return do(c, args)
			}
		}
	})
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errs)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	if quiet := (silent{}); errors.As(err, &quiet) {
		return quiet.code
	}
	fmt.Fprintln(errs, "parley:", err)
	if problem := new(config.Problem); errors.As(err, &problem) {
		return exitUsage
	}
	if !started {
		fmt.Fprintf(errs, "Run \"%s --help\" for how it is used.\n", cmd.CommandPath())
		return exitUsage
	}
	return exitFailed
}

// each calls do for a command and all below it.
func each(c *cobra.Command, do func(*cobra.Command)) {
	do(c)
	for _, sub := range c.Commands() {
		each(sub, do)
	}
}

// silent ends the program with a code when all has been said.
type silent struct{ code int }

// Error implements error.
func (s silent) Error() string { return fmt.Sprintf("exit status %d", s.code) }

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "parley",
		Short: "A messenger node for clients of the Tinode protocol",
		Long: `Parley is a messenger node. Clients of the Tinode protocol (web, Android, iOS)
connect to it; it keeps everything in one directory and needs no other server.

The first steps:

  parley serve                    a node on this machine, at http://127.0.0.1:6060/
  parley user add alice           an account; or sign up on that page
  parley demo                     two nodes that talk to each other

A node for others, at a name of its own:

  parley init --data /var/lib/parley --name chat.example.org
  parley config check --data /var/lib/parley
  parley serve --data /var/lib/parley

Exit codes: 0 good, 1 failed, 2 called or configured wrongly.`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
	root.AddGroup(
		&cobra.Group{ID: "run", Title: "To run a node:"},
		&cobra.Group{ID: "keep", Title: "To look after it (whether it runs or not):"},
	)
	inGroup(root, "run", newServe(), newDemo(), newInit(), newConfig(), newCheck(), newKey())
	inGroup(root, "keep", newUser(), newGroup(), newPeer(), newReport(), newReputation(), newBackup(), newRestore())
	root.AddCommand(newTestnet(), newBenchCmd(), newVersion())
	return root
}

func inGroup(root *cobra.Command, group string, commands ...*cobra.Command) {
	for _, c := range commands {
		c.GroupID = group
	}
	root.AddCommand(commands...)
}
