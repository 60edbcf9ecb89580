package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"time"

	"github.com/spf13/cobra"

	"parley/federation"
	"parley/protocol"
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
	cmd.Flags().Bool("name", false, "print the name that a node without DNS can have with this key")
	cmd.AddCommand(newRotate())
	return cmd
}

func newRotate() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Change the node's key, in two steps",
		Long: `Change the node's key so that other nodes follow. The first step makes the next key,
which the node then publishes beside the present one; add it to the DNS as is printed.
The second, with --finish, makes the present key state that the next one follows it,
and puts that in its place; it holds from the next start of the node. Between the two
let at least the TTL of your DNS records pass, unless there are none.`,
		Example: `  parley key rotate
  parley key rotate --finish`,
		Args: cobra.NoArgs,
		RunE: rotateKey,
	}
	addSettings(cmd, dataFlags)
	cmd.Flags().Bool("finish", false, "put the next key in the place of the present one")
	cmd.Flags().Bool("cancel", false, "throw the next key away")
	cmd.Flags().Bool("compromised", false, "the present key is in wrong hands: it revokes itself, and all that was derived from it ends, such as sign-ins")
	cmd.MarkFlagsMutuallyExclusive("finish", "cancel")
	return cmd
}

func rotateKey(cmd *cobra.Command, _ []string) error {
	s, err := settingsOf(cmd)
	if err != nil {
		return err
	}
	o, err := openOperator(cmd.Context(), s) // which node it is
	if err != nil {
		return err
	}
	name, running := protocol.Node(o.node), o.running
	if err := o.close(); err != nil {
		return err
	}
	data := dataDir(s.Node.Data)
	id, err := federation.LoadIdentity(string(data))
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	switch {
	case boolFlag(cmd, "cancel"):
		if err := id.Cancel(); err != nil {
			return err
		}
		fmt.Fprintf(out, "The key stays %s.\n", id.Key.Pin())
		return nil
	case boolFlag(cmd, "finish"):
		return finishRotation(out, id, name, boolFlag(cmd, "compromised"), running)
	}
	if err := id.Prepare(boolFlag(cmd, "compromised")); err != nil {
		return err
	}
	fmt.Fprintf(out, "The present key is %s, the next one is %s.\n", id.Key.Pin(), id.Next.Pin())
	if federation.ScopeOf(name) == federation.PublicScope {
		_, port, err := net.SplitHostPort(s.LinkAddress(string(name)))
		if err != nil {
			port = fmt.Sprint(federation.DefaultPort)
		}
		fmt.Fprintf(out, "If the DNS names the key, let it name both:\n%s\nThe node's web page does so within minutes. ", records(name, port, id.Public()...))
	}
	fmt.Fprintf(out, "Then run: parley key rotate --finish --data %s\n", quoteArg(string(data)))
	return nil
}

func finishRotation(out io.Writer, id *federation.Identity, name protocol.Node, compromised, running bool) error {
	old, err := id.Change(name, compromised, time.Now())
	if errors.Is(err, federation.ErrNoNext) {
		return fmt.Errorf("%w; run this without --finish first", err)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "The key is %s now. The old one is in %s; keep it in a safe, or remove it.\n", id.Key.Pin(), old)
	if running {
		fmt.Fprintln(out, "The node that runs goes on with the old one: start it again.")
	}
	return nil
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
		if !create && data.exists() {
			_, err := data.loadKey()
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
	if boolFlag(cmd, "name") {
		fmt.Fprintln(cmd.OutOrStdout(), federation.KeyName(key.Public()))
		return nil
	}
	fmt.Fprintln(cmd.OutOrStdout(), key.Pin())
	return nil
}
