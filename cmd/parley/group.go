package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"parley/node/httpd"
)

func newGroup() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "group",
		Short: "List groups, and give one another owner",
	}
	list := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the groups and channels of this node", Args: cobra.NoArgs,
		RunE: withOperator(listGroups),
	}
	addJSON(list)
	owner := &cobra.Command{
		Use:   "owner GROUP USER",
		Short: "Make a member the owner of a group, whose own is gone",
		Long: `Make a member the owner of a group of this node: the present one may be gone, with the
node that would have to act for the owner. The former owner stays a member. USER is a
login of this node, or the id of a member.`,
		Example: "  parley group owner grpV0Kq2m1JZcg@chat.example.org alice",
		Args:    cobra.ExactArgs(2),
		RunE:    withOperator(setOwner),
	}
	for _, c := range []*cobra.Command{list, owner} {
		addSettings(c, dataFlags)
		cmd.AddCommand(c)
	}
	return cmd
}

func listGroups(cmd *cobra.Command, o *operator, _ []string) error {
	groups := []httpd.AdminGroup{}
	if err := o.Do(cmd.Context(), http.MethodGet, "/admin/groups", nil, &groups); err != nil {
		return err
	}
	if boolFlag(cmd, "json") {
		return printJSON(cmd.OutOrStdout(), groups)
	}
	if len(groups) == 0 {
		fmt.Fprintln(cmd.ErrOrStderr(), "no groups")
		return nil
	}
	t := newTable(cmd.OutOrStdout(), "NAME", "MEMBERS", "MESSAGES", "LAST", "OWNER", "ID")
	for _, g := range groups {
		t.row(g.Name, strconv.Itoa(g.Members), strconv.Itoa(g.Messages), when(g.Touched), g.Owner, g.ID)
	}
	return t.flush()
}

func setOwner(cmd *cobra.Command, o *operator, args []string) error {
	err := o.Do(cmd.Context(), http.MethodPut, "/admin/groups/"+url.PathEscape(args[0])+"/owner", &httpd.AdminOwner{Owner: args[1]}, nil)
	if err == nil {
		fmt.Fprintf(cmd.OutOrStdout(), "%s belongs to %s\n", args[0], args[1])
	}
	return err
}
