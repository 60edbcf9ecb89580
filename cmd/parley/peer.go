package main

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"parley/cmd/parley/config"
	"parley/federation"
	"parley/node/httpd"
	"parley/protocol"
)

func newPeer() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "peer",
		Short: "See and steer which other nodes this one knows",
		Long: `See and steer which other nodes this one knows, while it runs or not. As a rule nothing
need be done: nodes find each other by their names, and prove them. A pin says by your
word which key a name has, and where it is: for nodes without DNS, or to be surer.`,
		Example: `  parley peer list
  parley peer ping chat.example.org
  parley peer pin chat.example.org host.example.org:7788 ed25519:…
  parley peer deny spam.example.org`,
	}
	pin := &cobra.Command{
		Use:   "pin NAME [HOST:PORT…] KEY",
		Short: "Bind a name to a key, and say where it is",
		Long: `Bind a name to a key, which "parley key" prints there, and say where it is. Whoever shows
another key is refused from then on, unless the pinned key has stated that it follows.
Without HOST:PORT the node is looked for as others are.`,
		Args: cobra.MinimumNArgs(2), RunE: withOperator(pinPeer),
	}
	unpin := &cobra.Command{
		Use: "unpin NAME", Short: "Take a pin back", Args: cobra.ExactArgs(1), RunE: withOperator(unpinPeer),
	}
	unpin.Flags().Bool("keys", false, "also forget which keys the name has had, and how they were proven")
	list := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the nodes that are known", Args: cobra.NoArgs, RunE: withOperator(listPeers),
	}
	show := &cobra.Command{
		Use: "show NAME", Short: "Show what is known of a node", Args: cobra.ExactArgs(1), RunE: withOperator(showPeer),
	}
	ping := &cobra.Command{
		Use: "ping NAME", Short: "Reach for a node, and say what happens on the way", Args: cobra.ExactArgs(1), RunE: withOperator(pingPeer),
	}
	addJSON(list)
	addJSON(show)
	addJSON(ping)
	cmd.AddCommand(list, show, pin, unpin,
		accessCommand("allow", "Talk with a node, also if this one is closed to others"),
		accessCommand("deny", "Do not talk with a node; what it sends is refused"),
		accessCommand("auto", "Take back what was allowed or denied"),
		ping)
	for _, c := range cmd.Commands() {
		addSettings(c, dataFlags)
	}
	return cmd
}

func accessCommand(word, short string) *cobra.Command {
	return &cobra.Command{
		Use: word + " NAME", Short: short, Args: cobra.ExactArgs(1),
		RunE: withOperator(func(cmd *cobra.Command, o *operator, args []string) error {
			return changedPeer(cmd, o, http.MethodPut, args[0], "/access", httpd.AdminAccess{Access: word})
		}),
	}
}

func peerPath(name, rest string) (string, error) {
	n, err := protocol.ParseNode(name)
	if err != nil {
		return "", &config.Problem{Flag: "NAME", Text: err.Error()}
	}
	return "/admin/peers/" + url.PathEscape(string(n)) + rest, nil
}

// changedPeer makes a change and shows what is known then.
func changedPeer(cmd *cobra.Command, o *operator, method, name, rest string, in any) error {
	path, err := peerPath(name, rest)
	if err != nil {
		return err
	}
	var p httpd.AdminPeer
	if err := o.Do(cmd.Context(), method, path, in, &p); err != nil {
		return err
	}
	printPeer(cmd.OutOrStdout(), p)
	return nil
}

func pinPeer(cmd *cobra.Command, o *operator, args []string) error {
	in := httpd.AdminPin{}
	for _, a := range args[1:] {
		if strings.HasPrefix(a, "ed25519:") {
			if in.Key != "" {
				return &config.Problem{Flag: "KEY", Text: "there can be one only"}
			}
			if _, err := federation.ParsePin(a); err != nil {
				return &config.Problem{Flag: "KEY", Text: fmt.Sprintf("%q is not \"ed25519:\" and 43 characters; \"parley key\" prints it at the other node", a)}
			}
			in.Key = a
		} else if err := federation.CheckHostPort(a); err != nil {
			return &config.Problem{Flag: "HOST:PORT", Text: err.Error()}
		} else {
			in.Addrs = append(in.Addrs, a)
		}
	}
	if in.Key == "" {
		return &config.Problem{Flag: "KEY", Text: `is missing; it begins with "ed25519:", and "parley key" prints it at the other node`}
	}
	return changedPeer(cmd, o, http.MethodPut, args[0], "/pin", in)
}

func unpinPeer(cmd *cobra.Command, o *operator, args []string) error {
	rest := "/pin"
	if boolFlag(cmd, "keys") {
		rest += "?keys=1"
	}
	return changedPeer(cmd, o, http.MethodDelete, args[0], rest, nil)
}

func listPeers(cmd *cobra.Command, o *operator, _ []string) error {
	all := []httpd.AdminPeer{}
	if err := o.Do(cmd.Context(), http.MethodGet, "/admin/peers", nil, &all); err != nil {
		return err
	}
	if boolFlag(cmd, "json") {
		return printJSON(cmd.OutOrStdout(), all)
	}
	if len(all) == 0 {
		fmt.Fprintln(cmd.ErrOrStderr(), "no other node is known yet")
		return nil
	}
	t := newTable(cmd.OutOrStdout(), "NODE", "LINK", "WAITING", "PROVEN", "YOUR WORD", "KNOWN SINCE")
	for _, p := range all {
		t.row(p.Name, linkWord(p), waitingWord(p), cmp.Or(p.Proof, "not yet"), p.Access, when(p.First))
	}
	return t.flush()
}

func showPeer(cmd *cobra.Command, o *operator, args []string) error {
	path, err := peerPath(args[0], "")
	if err != nil {
		return err
	}
	var p httpd.AdminPeer
	if err := o.Do(cmd.Context(), http.MethodGet, path, nil, &p); err != nil {
		return err
	}
	if boolFlag(cmd, "json") {
		return printJSON(cmd.OutOrStdout(), p)
	}
	printPeer(cmd.OutOrStdout(), p)
	return nil
}

func printPeer(w io.Writer, p httpd.AdminPeer) {
	line := func(what, value string) {
		if value != "" {
			fmt.Fprintf(w, "%-10s %s\n", what, value)
		}
	}
	line("node", p.Name)
	line("your word", p.Access)
	line("pin", p.Pin)
	line("at", strings.Join(p.Addrs, ", "))
	line("proven", strings.TrimSpace(cmp.Or(p.Proof, "not yet")+" "+unlessZero(p.Proven)))
	line("known", unlessZero(p.First))
	for _, k := range p.Keys {
		state := "in use"
		switch {
		case k.Revoked:
			state = "revoked " + when(k.Until)
		case !k.Until.IsZero():
			state = "until " + when(k.Until)
		}
		line("key", k.Key+" "+state)
	}
	line("link", linkWord(p))
	line("waiting", waitingWord(p))
	if l := p.Link; l != nil {
		line("there", strings.TrimSpace(l.Addr+" "+l.Build))
		line("clock", clockWord(l.Ahead))
		line("last error", clean(l.Error))
		line("posts", fmt.Sprintf("sent %d, acknowledged %d, refused %d, expired %d; taken %d",
			l.Posts.Sent, l.Posts.Acknowledged, l.Posts.Refused, l.Posts.Expired, l.Posts.Taken))
		t := l.Traffic
		line("traffic", fmt.Sprintf("out %s, in %s", bytesOf(int64(t.Control.Out+t.Posts.Out+t.Casts.Out+t.Asks.Out)),
			bytesOf(int64(t.Control.In+t.Posts.In+t.Casts.In+t.Asks.In))))
	}
}

// clockWord says how far the clock of a node is off, if that is worth a word.
func clockWord(ahead float64) string {
	off := time.Duration(ahead * float64(time.Second)).Round(time.Second)
	switch {
	case off.Abs() < time.Minute:
		return ""
	case off < 0:
		return (-off).String() + " behind this node's"
	}
	return off.String() + " ahead of this node's"
}

// linkWord says how the link with a node is.
func linkWord(p httpd.AdminPeer) string {
	switch {
	case p.Link != nil && p.Link.State == string(federation.StateUp):
		return "up since " + when(p.Link.Since)
	case p.Failures > 0:
		return fmt.Sprintf("failed %d times, next try %s", p.Failures, when(p.Next))
	case p.Link != nil:
		return p.Link.State
	}
	return ""
}

// waitingWord says how much waits for a node.
func waitingWord(p httpd.AdminPeer) string {
	if p.Link == nil || p.Link.Queue.Posts == 0 {
		return ""
	}
	q := p.Link.Queue
	text := fmt.Sprintf("%d posts, %s, since %s", q.Posts, bytesOf(int64(q.Bytes)), when(q.Oldest))
	if q.Parked > 0 {
		text += fmt.Sprintf("; %d of them parked", q.Parked)
	}
	return text
}

func unlessZero(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return when(t)
}

func pingPeer(cmd *cobra.Command, o *operator, args []string) error {
	path, err := peerPath(args[0], "/ping")
	if err != nil {
		return err
	}
	steps := []httpd.AdminStep{}
	if err := o.Do(cmd.Context(), http.MethodPost, path, nil, &steps); err != nil {
		return err
	}
	failed := len(steps) == 0 || steps[len(steps)-1].Err != ""
	if boolFlag(cmd, "json") {
		err = printJSON(cmd.OutOrStdout(), steps)
	} else {
		for _, s := range steps {
			mark := "+"
			if s.Err != "" {
				mark = "-"
			}
			text := strings.ReplaceAll(cmp.Or(s.Err, s.Text, "nothing"), "\n", "\n             ")
			fmt.Fprintf(cmd.OutOrStdout(), "%s %-10s %s (%s)\n", mark, s.What, text, s.Took.Round(10*time.Microsecond))
		}
	}
	if err == nil && failed {
		return silent{exitFailed}
	}
	return err
}
