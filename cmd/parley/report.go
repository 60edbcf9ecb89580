package main

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/spf13/cobra"

	"parley/node/httpd"
)

func newReport() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "report",
		Short: "Read what users have reported",
	}
	list := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List reports of abuse, newest first",
		Example: "  parley report list\n  parley report list --json | jq '.[].target'",
		Args:    cobra.NoArgs,
		RunE:    withOperator(listReports),
	}
	addJSON(list)
	addSettings(list, dataFlags)
	cmd.AddCommand(list)
	return cmd
}

func listReports(cmd *cobra.Command, o *operator, _ []string) error {
	reports := []httpd.AdminReport{}
	if err := o.Do(cmd.Context(), http.MethodGet, "/admin/reports", nil, &reports); err != nil {
		return err
	}
	if boolFlag(cmd, "json") {
		return printJSON(cmd.OutOrStdout(), reports)
	}
	if len(reports) == 0 {
		fmt.Fprintln(cmd.ErrOrStderr(), "no reports")
		return nil
	}
	t := newTable(cmd.OutOrStdout(), "NO", "WHEN", "TIMES", "FROM", "ACTION", "ABOUT")
	for _, r := range reports {
		if r.Action == "" && r.Target == "" { // not in the form of the clients
			r.Target = string(r.Content)
		}
		t.row(strconv.Itoa(r.Seq), when(r.When), strconv.Itoa(r.Times), r.From, r.Action, r.Target)
	}
	return t.flush()
}
