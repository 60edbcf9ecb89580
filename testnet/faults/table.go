package faults

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// FigureTable prints figures.
func FigureTable(w io.Writer, all []Figure) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "two nodes together\tparley\t\tgoal\tXMPP (measured 2026-11)\t")
	for _, f := range all {
		fmt.Fprintf(t, "%s\t%.4g\t%s\t%s\t%s\t\n", f.What, f.Value, f.Unit, f.Goal, f.XMPP)
	}
	return t.Flush()
}

// orderOf marks where order is not promised.
func orderOf(r *Result) string {
	if r.Unordered {
		return fmt.Sprintf("(%d)", r.Disordered)
	}
	return fmt.Sprint(r.Disordered)
}

// Table prints results, and beside them what was measured on XMPP servers.
func Table(w io.Writer, all []*Result) error {
	known := map[string]Case{}
	for _, c := range Cases() {
		known[c.Name] = c
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "case\tsent\tlost\tdoubled\tdelivered and bounced\tout of order\tbounced\tall there after\tsender's memory\t")
	for _, r := range all {
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%s\t%d\t%v\t%+.1f MiB\t\n", r.Case, r.Sent, r.Lost, r.Doubled, r.Both,
			orderOf(r), r.Bounced, r.Took.Round(100*time.Millisecond), float64(r.Growth)/(1<<20))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w, "\nThe same on Prosody 0.12 and ejabberd 23.01 (two servers on one machine, measured 2026-11):")
	for _, r := range all {
		for _, server := range []string{"Prosody", "ejabberd"} {
			if text := known[r.Case].XMPP[server]; text != "" {
				fmt.Fprintf(w, "  %-17s %-9s %s\n", r.Case, server, text)
			}
		}
	}
	return nil
}
