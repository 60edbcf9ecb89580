package model

import (
	"fmt"
	"io"
	"math"
	"text/tabwriter"
)

// Table writes results for people, those of one attack together.
func Table(out io.Writer, all []*Result) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "attack\tpolicy\tspam/user/day\tlate\tlate FC\tnew late FC\theld FC\treturned\tlost\tthrottled\trecovered\tfull rate\tasks/FC\tbytes/FC\t")
	for i, r := range all {
		name := ""
		if i == 0 || all[i-1].Attack != r.Attack {
			name = r.Attack
		}
		fmt.Fprintf(t, "%s\t%s\t%.4f\t%s\t%s\t%s\t%s\t%d\t%d\t%s\t%s\t%s\t%.1f\t%.0f\t\n", name, r.Policy, r.SpamUserDay, percent(r.Late),
			percent(r.LateContacts), percent(r.LateNew), percent(r.Held), r.Returned, r.Lost, r.Throttle, r.Recover, r.FullRate, r.Asks, r.Bytes)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, r := range all {
		for _, n := range r.Notes {
			fmt.Fprintf(out, "%s, %s: %s\n", r.Attack, r.Policy, n)
		}
	}
	_, err := fmt.Fprint(out, legend)
	return err
}

const legend = `
spam/user/day: spam delivered, by honest users. late: of all messages of honest users, those
delayed > 60 s. late FC: of first contacts between established honest nodes; new late FC: of
those of nodes that joined when the attack began. held FC: of all honest first contacts, those
delayed by less, while others are asked. returned: first contacts of the honest that
went back to their authors after 5 days. throttled: until spam stays below a tenth of its
peak; recovered: until nodes that were harmed, or repent, write without delay; full rate: the
same of newcomers (median). asks, bytes: opinions asked for, by first contact delivered.
`

func percent(v float64) string { return fmt.Sprintf("%.2f %%", 100*v) }

// String is hours and days as people read them.
func (h Hours) String() string {
	switch v := float64(h); {
	case math.IsNaN(v):
		return "-"
	case math.IsInf(v, 1):
		return "never"
	case v < 48:
		return fmt.Sprintf("%.0f h", v)
	default:
		return fmt.Sprintf("%.1f d", v/24)
	}
}
