package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"
)

// must stops the program on an error that only a mistake in this program makes.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// fields is strings.Fields, as completions.
func fields(s string) []cobra.Completion { return strings.Fields(s) }

// quoteArg writes a word so that a shell reads it as one.
func quoteArg(s string) string {
	const safe = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:@%+="
	if s != "" && strings.Trim(s, safe) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// printJSON writes v for programs, and people who look at what they get.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// clean replaces what would do something to a terminal: names are users' choice.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '�'
	}, s)
}

// when is a time as people read it, in their time zone.
func when(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.Local().Format("2006-01-02 15:04")
}

// maxCell bounds a cell of a table, in characters.
const maxCell = 60

// table aligns columns.
type table struct{ w *tabwriter.Writer }

func newTable(w io.Writer, heads ...string) *table {
	t := &table{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
	t.row(heads...)
	return t
}

// row adds a line; errors are those of flush.
func (t *table) row(cells ...string) {
	for i, c := range cells {
		if r := []rune(clean(c)); len(r) > maxCell {
			cells[i] = string(r[:maxCell-1]) + "…"
		} else {
			cells[i] = cmp.Or(string(r), "-")
		}
	}
	fmt.Fprintln(t.w, strings.Join(cells, "\t"))
}

func (t *table) flush() error { return t.w.Flush() }

// bytesOf writes a number of bytes for people.
func bytesOf(n int64) string {
	for _, u := range []struct {
		size int64
		name string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n >= u.size {
			return fmt.Sprintf("%.1f %s", float64(n)/float64(u.size), u.name)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}

func addJSON(cmd *cobra.Command) { cmd.Flags().Bool("json", false, "print JSON") }

func boolFlag(cmd *cobra.Command, name string) bool {
	v, err := cmd.Flags().GetBool(name)
	must(err)
	return v
}
