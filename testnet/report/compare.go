package report

import (
	"maps"
	"math"
	"slices"
)

// Difference is a figure of two runs.
type Difference struct {
	Figure string  `json:"figure"`
	A      float64 `json:"a"`
	B      float64 `json:"b"`
	// Change is (B-A)/A; infinite if A is 0 and B is not.
	Change float64 `json:"change"`
}

// Compare sets the figures of two runs side by side, sorted by name.
func Compare(a, b *Summary) []Difference {
	names := maps.Clone(a.Figures)
	maps.Copy(names, b.Figures)
	var all []Difference
	for _, n := range slices.Sorted(maps.Keys(names)) {
		d := Difference{Figure: n, A: a.Figures[n], B: b.Figures[n]}
		switch {
		case d.A != 0:
			d.Change = (d.B - d.A) / d.A
		case d.B != 0:
			d.Change = math.Inf(1)
		}
		all = append(all, d)
	}
	return all
}
