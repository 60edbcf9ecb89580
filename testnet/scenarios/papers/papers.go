// Package papers repeats published experiments in our setting, and puts what came out
// beside what was published. Where the two differ, it says why.
package papers

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
)

// Paper is one experiment.
type Paper struct {
	Name        string
	Title       string
	About       string
	Differences string
	run         func(ctx context.Context, seed uint64, runs int, progress func(done, all int)) ([]Line, error)
}

// Line is one setting: what we measured, and what was published of it, with where from;
// empty if nothing was that we could read.
type Line struct {
	Setting   string  `json:"setting"`
	Measure   string  `json:"measure"`
	Ours      float64 `json:"ours"`
	Published string  `json:"published,omitempty"`
}

// All are the experiments.
func All() []Paper { return []Paper{eigenTrust, kademlia} }

// Run repeats an experiment; each figure is the mean of so many runs. progress is told how
// many of the lines are done.
func (p *Paper) Run(ctx context.Context, seed uint64, runs int, progress func(done, all int)) ([]Line, error) {
	lines, err := p.run(ctx, seed, runs, progress)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.Name, err)
	}
	return lines, nil
}

// Table writes the lines for people.
func (p *Paper) Table(out io.Writer, lines []Line) error {
	fmt.Fprintf(out, "%s\n%s\n\n", p.Title, p.About)
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "setting\tmeasure\tours\tpublished")
	for _, l := range lines {
		fmt.Fprintf(t, "%s\t%s\t%.3f\t%s\n", l.Setting, l.Measure, l.Ours, l.Published)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "\n%s\n", p.Differences)
	return err
}
