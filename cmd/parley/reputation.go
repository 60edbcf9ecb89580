package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"parley/cmd/parley/config"
	"parley/node/httpd"
	"parley/protocol"
)

func newReputation() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reputation",
		Short: "See and steer what this node thinks of others",
		Long: `See and steer what this node thinks of others, while it runs or not. It decides how
many new conversations users of another node may begin with yours; it does not slow
conversations that your users have answered. What is refused waits at the other node,
and comes later.`,
		Example: `  parley reputation list
  parley reputation explain spam.example.org
  parley reputation set spam.example.org deny
  parley reputation export > standing.json`,
	}
	cmd.AddCommand(
		&cobra.Command{Use: "list", Aliases: []string{"ls"}, Short: "List the nodes that have a standing here", Args: cobra.NoArgs, RunE: withOperator(listStandings)},
		&cobra.Command{Use: "explain NAME", Aliases: []string{"show"}, Short: "Say which evidence there is about a node, and which limit follows", Args: cobra.ExactArgs(1), RunE: withOperator(explainStanding)},
		&cobra.Command{Use: "set NAME auto|allow|deny", Short: "Give your word about a node; it goes before all evidence", Args: cobra.ExactArgs(2), RunE: withOperator(setStanding)},
		&cobra.Command{Use: "vouch NAME", Short: "Let a node's word about others count from the start, while this node is young", Args: cobra.ExactArgs(1), RunE: withOperator(vouchStanding)},
		&cobra.Command{Use: "forget NAME", Short: "Drop what is known of a node", Args: cobra.ExactArgs(1), RunE: withOperator(forgetStanding)},
		&cobra.Command{Use: "pardon USER", Short: "Let a user of yours begin conversations elsewhere again, after complaints", Args: cobra.ExactArgs(1), RunE: withOperator(pardonUser)},
		&cobra.Command{Use: "share", Short: "Print what you have said of nodes as a signed list, for other operators to follow", Args: cobra.NoArgs, RunE: withOperator(shareList)},
		&cobra.Command{Use: "export", Short: "Print everything that is known, as JSON", Args: cobra.NoArgs, RunE: withOperator(exportStanding)},
		&cobra.Command{Use: "import FILE", Short: "Replace everything that is known; \"-\" reads standard input", Args: cobra.ExactArgs(1), RunE: withOperator(importStanding)},
	)
	for _, c := range cmd.Commands() {
		switch c.Name() {
		case "list":
			addJSON(c)
		case "vouch":
			c.Flags().Bool("no", false, "no more")
		case "import":
			must(c.MarkZshCompPositionalArgumentFile(1))
		}
		addSettings(c, dataFlags)
	}
	return cmd
}

func standingPath(name string) (string, error) {
	n, err := protocol.ParseNode(name)
	if err != nil {
		return "", &config.Problem{Flag: "NAME", Text: err.Error()}
	}
	return "/admin/reputation/" + url.PathEscape(string(n)), nil
}

func listStandings(cmd *cobra.Command, o *operator, _ []string) error {
	all := []httpd.AdminStanding{}
	if err := o.Do(cmd.Context(), http.MethodGet, "/admin/reputation", nil, &all); err != nil {
		return err
	}
	if boolFlag(cmd, "json") {
		return printJSON(cmd.OutOrStdout(), all)
	}
	if len(all) == 0 {
		fmt.Fprintln(cmd.ErrOrStderr(), "no node has a standing yet")
		return nil
	}
	t := newTable(cmd.OutOrStdout(), "NODE", "SINCE", "GOOD", "BAD", "LENT", "BLAME", "YOUR WORD", "STATE")
	for _, s := range all {
		state := "open"
		switch {
		case s.Word == "allow":
			state = "allowed"
		case s.Word == "deny":
			state = "denied"
		case s.Closed:
			state = "closed"
		}
		number := func(v float64) string { return fmt.Sprintf("%.1f", v) }
		t.row(s.Peer, when(s.First), number(s.Good), number(s.Bad), number(s.Lent), number(s.Blame), s.Word, state)
	}
	return t.flush()
}

// explainedBy prints what is known of a node after a request about it.
func explainedBy(cmd *cobra.Command, o *operator, method, name string, in any) error {
	path, err := standingPath(name)
	if err != nil {
		return err
	}
	var e httpd.AdminExplained
	if err := o.Do(cmd.Context(), method, path, in, &e); err != nil {
		return err
	}
	_, err = io.WriteString(cmd.OutOrStdout(), e.Text)
	return err
}

func explainStanding(cmd *cobra.Command, o *operator, args []string) error {
	return explainedBy(cmd, o, http.MethodGet, args[0], nil)
}

func setStanding(cmd *cobra.Command, o *operator, args []string) error {
	if !slices.Contains([]string{"auto", "allow", "deny"}, args[1]) {
		return &config.Problem{Flag: "WORD", Text: fmt.Sprintf("%q is none of auto, allow, deny", args[1])}
	}
	return explainedBy(cmd, o, http.MethodPut, args[0], httpd.AdminWord{Word: args[1]})
}

func vouchStanding(cmd *cobra.Command, o *operator, args []string) error {
	on := !boolFlag(cmd, "no")
	return explainedBy(cmd, o, http.MethodPut, args[0], httpd.AdminWord{Anchor: &on})
}

func forgetStanding(cmd *cobra.Command, o *operator, args []string) error {
	return explainedBy(cmd, o, http.MethodDelete, args[0], nil)
}

func pardonUser(cmd *cobra.Command, o *operator, args []string) error {
	if err := o.Do(cmd.Context(), http.MethodDelete, "/admin/complaints/"+url.PathEscape(args[0]), nil, nil); err != nil {
		return explainUser(err, args[0])
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "complaints about %s are dropped\n", args[0])
	return err
}

func shareList(cmd *cobra.Command, o *operator, _ []string) error {
	var list httpd.AdminList
	if err := o.Do(cmd.Context(), http.MethodGet, "/admin/reputation-list", nil, &list); err != nil {
		return err
	}
	_, err := io.WriteString(cmd.OutOrStdout(), list.Text)
	return err
}

func exportStanding(cmd *cobra.Command, o *operator, _ []string) error {
	var state json.RawMessage
	if err := o.Do(cmd.Context(), http.MethodGet, "/admin/reputation-state", nil, &state); err != nil {
		return err
	}
	return printJSON(cmd.OutOrStdout(), state)
}

func importStanding(cmd *cobra.Command, o *operator, args []string) error {
	in := cmd.InOrStdin()
	if args[0] != "-" {
		f, err := os.Open(args[0])
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	if !json.Valid(text) {
		return fmt.Errorf("%s is not JSON, as \"parley reputation export\" prints it; nothing was changed", args[0])
	}
	all := []httpd.AdminStanding{}
	if err := o.Do(cmd.Context(), http.MethodPut, "/admin/reputation-state", json.RawMessage(text), &all); err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%d nodes have a standing now\n", len(all))
	return nil
}
