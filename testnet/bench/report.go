package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Report is the outcome of all cases.
type Report struct {
	Started time.Time         `json:"started"`
	URL     string            `json:"url,omitempty"` // of a server that ran already
	Version string            `json:"server_version"`
	Build   string            `json:"server_build"`
	Host    map[string]string `json:"host"`
	Cases   []*Result         `json:"cases"`
}

// Result is the outcome of one case.
type Result struct {
	Case    Case      `json:"case"`
	Summary []Figure  `json:"summary"`
	Runs    []*Run    `json:"runs"`
	Peers   []Compare `json:"peers,omitempty"`
}

// Figure is the median of one metric over the runs of a case, with its range.
type Figure struct {
	Metric
	Min float64 `json:"min"`
	Max float64 `json:"max"`
}

// Metric is one number. In a Figure it is the median.
type Metric struct {
	Name  string  `json:"name"`
	Unit  string  `json:"unit"`
	Value float64 `json:"value"`
	// Aside says that it is there to judge the others by.
	Aside bool `json:"aside,omitempty"`
}

// Run is the outcome of one repetition.
type Run struct {
	Metrics    []Metric       `json:"metrics"`
	Violations map[string]int `json:"violations"` // broken promises; empty if all is well
	Notes      map[string]int `json:"notes"`      // harmless counts, such as refusals
}

func newRun() *Run { return &Run{Violations: map[string]int{}, Notes: map[string]int{}} }

func (r *Run) add(name, unit string, v float64) {
	r.Metrics = append(r.Metrics, Metric{Name: name, Unit: unit, Value: v})
}

func (r *Run) aside(name, unit string, v float64) {
	r.Metrics = append(r.Metrics, Metric{Name: name, Unit: unit, Value: v, Aside: true})
}

// violation counts n breaches of a promise; n = 0 adds nothing.
func (r *Run) violation(what string, n int) {
	if n != 0 {
		r.Violations[what] += n
	}
}

func (r *Run) note(what string, n int) {
	if n != 0 {
		r.Notes[what] += n
	}
}

// latencies adds percentiles, by nearest rank, of samples in nanoseconds.
func (r *Run) latencies(name string, ns []int64) {
	if len(ns) == 0 {
		return
	}
	slices.Sort(ns)
	at := func(p float64) float64 { return float64(ns[int(math.Ceil(p*float64(len(ns))))-1]) / 1e6 }
	r.add(name+" p50", "ms", at(0.50))
	r.add(name+" p99", "ms", at(0.99))
	r.add(name+" max", "ms", at(1))
}

// summarize computes the medians.
func (res *Result) summarize() {
	values := map[string][]float64{}
	for _, r := range res.Runs {
		for _, m := range r.Metrics {
			if values[m.Name] == nil {
				res.Summary = append(res.Summary, Figure{Metric: m})
			}
			values[m.Name] = append(values[m.Name], m.Value)
		}
	}
	for i := range res.Summary {
		f := &res.Summary[i]
		v := values[f.Name]
		slices.Sort(v)
		f.Value = (v[(len(v)-1)/2] + v[len(v)/2]) / 2
		f.Min, f.Max = v[0], v[len(v)-1]
	}
}

// Violations counts the broken promises of all runs.
func (rep *Report) Violations() int {
	n := 0
	for _, res := range rep.Cases {
		for _, r := range res.Runs {
			for _, v := range r.Violations {
				n += v
			}
		}
	}
	return n
}

// JSON writes everything.
func (rep *Report) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(rep)
}

// Table writes the figures, those of peers beside them.
func (rep *Report) Table(w io.Writer) error {
	fmt.Fprintf(w, "server %s, protocol %s; %s, %s cores, %s\n", rep.Build, rep.Version,
		rep.Host["cpu"], rep.Host["cores"], rep.Host["kernel"])
	peers := Peers()
	for _, res := range rep.Cases {
		fmt.Fprintf(w, "\n%s: %s\n", res.Case.Name, res.Case.About)
		if err := res.table(w, peers); err != nil {
			return err
		}
		res.remarks(w)
	}
	for _, p := range peers {
		fmt.Fprintf(w, "\n%s: %s\n", p.Name, p.Provenance)
	}
	return nil
}

func (res *Result) table(w io.Writer, peers []Peer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "\tmedian\tmin\tmax\tunit\t")
	for _, p := range peers {
		fmt.Fprintf(t, "%s\tours/theirs\t", p.Name)
	}
	fmt.Fprintln(t)
	for _, f := range res.Summary {
		if f.Aside {
			continue
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t", f.Name, round(f.Value), round(f.Min), round(f.Max), f.Unit)
		for _, p := range peers {
			if theirs := p.figures(res.Case)[f.Name]; theirs != 0 {
				fmt.Fprintf(t, "%s\t%s\t", round(theirs), round(f.Value/theirs))
			} else {
				fmt.Fprint(t, "\t\t")
			}
		}
		fmt.Fprintln(t)
	}
	return t.Flush()
}

func (res *Result) remarks(w io.Writer) {
	var aside []string
	for _, f := range res.Summary {
		if f.Aside {
			aside = append(aside, fmt.Sprintf("%s %s %s", f.Name, round(f.Value), f.Unit))
		}
	}
	fmt.Fprintf(w, "  (%s)\n", strings.Join(aside, ", "))
	for i, r := range res.Runs {
		for what, n := range r.Violations {
			fmt.Fprintf(w, "BROKEN PROMISE in run %d: %s, %d times\n", i+1, what, n)
		}
		for what, n := range r.Notes {
			fmt.Fprintf(w, "note on run %d: %s, %d times\n", i+1, what, n)
		}
	}
}

func (r *Run) String() string {
	var b strings.Builder
	for _, m := range r.Metrics {
		fmt.Fprintf(&b, " %s %s %s,", m.Name, round(m.Value), m.Unit)
	}
	if len(r.Violations) > 0 {
		fmt.Fprintf(&b, " BROKEN=%v", r.Violations)
	}
	return b.String()
}

func hostFacts() map[string]string {
	return map[string]string{"cpu": cpuModel(), "cores": fmt.Sprint(runtime.NumCPU()), "kernel": kernel(), "go": runtime.Version()}
}

// round prints about four significant digits.
func round(v float64) string {
	switch a := math.Abs(v); {
	case a >= 1000:
		return fmt.Sprintf("%.0f", v)
	case a >= 100:
		return fmt.Sprintf("%.1f", v)
	case a >= 1:
		return fmt.Sprintf("%.2f", v)
	default:
		return fmt.Sprintf("%.4g", v)
	}
}
