// Command parley runs a node and looks after it. Each command is in a file of
// its own name.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

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
	said := &sink{to: out}
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
	root.SetOut(said)
	root.SetErr(errs)
	cmd, err := execute(ctx, root, args)
	if err == nil {
		err, started = said.err, true
	}
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
		if cmd.Runnable() {
			fmt.Fprintln(errs, "Usage:", cmd.UseLine())
		}
		fmt.Fprintf(errs, "Run \"%s --help\" for how it is used.\n", cmd.CommandPath())
		return exitUsage
	}
	return exitFailed
}

// execute runs the command of the arguments. A command that is only there for those
// below it prints its help for whatever is not one of them, and calls that good; a
// misspelt word in a script must not pass for one that was done.
func execute(ctx context.Context, root *cobra.Command, args []string) (*cobra.Command, error) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd(args...)
	cmd, rest, err := root.Find(args)
	if err == nil && cmd.Name() == "help" {
		if cmd, rest, err = root.Find(rest); err != nil {
			return cmd, err
		}
	}
	if err == nil && !cmd.Runnable() && !slices.Contains(rest, "--help") && !slices.Contains(rest, "-h") {
		if err := misspelt(cmd, rest); err != nil {
			return cmd, err
		}
	}
	return root.ExecuteContextC(ctx)
}

// misspelt says which word of the arguments is no command below cmd.
func misspelt(cmd *cobra.Command, args []string) error {
	i := slices.IndexFunc(args, func(a string) bool { return !strings.HasPrefix(a, "-") })
	if i < 0 {
		return nil
	}
	cmd.SuggestionsMinimumDistance = 2
	if like := cmd.SuggestionsFor(args[i]); len(like) > 0 {
		return fmt.Errorf("unknown command %q for %q; did you mean %q?", args[i], cmd.CommandPath(), like[0])
	}
	return fmt.Errorf("unknown command %q for %q", args[i], cmd.CommandPath())
}

// sink remembers that it could not write: a full disk must not pass for a good end.
type sink struct {
	to  io.Writer
	err error
}

// Write implements io.Writer.
func (s *sink) Write(p []byte) (int, error) {
	n, err := s.to.Write(p)
	if err != nil && s.err == nil {
		s.err = err
	}
	return n, err
}

// untilStopped is for commands that make processes and directories of their own, which
// must be gone after Ctrl-C and after a plain kill.
func untilStopped(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
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
		Version:       thisBuild().String(),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetVersionTemplate("{{.Version}}\n")
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
