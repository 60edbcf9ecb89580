package protocol

import (
	"errors"
	"slices"
)

// Range is a run of sequence numbers, Low inclusive, Hi exclusive. Hi = 0 means
// Low alone, as clients write it (spec/client.md#ranges).
type Range struct {
	Low int `json:"low,omitempty"`
	Hi  int `json:"hi,omitempty"`
}

// End is the first number after the range.
func (r Range) End() int {
	if r.Hi == 0 {
		return r.Low + 1
	}
	return r.Hi
}

// Wire is r as clients expect it: a single number has no Hi.
func (r Range) Wire() Range {
	if r.Hi == r.Low+1 {
		r.Hi = 0
	}
	return r
}

// Ranges is a set of numbers: sorted, disjoint, not adjacent, Hi always set.
type Ranges []Range

// ErrRange is returned for ranges that are empty, negative or turned around.
var ErrRange = errors.New("malformed range")

// NewRanges checks and merges what a client wrote.
func NewRanges(rs []Range) (Ranges, error) {
	out := make(Ranges, 0, len(rs))
	for _, r := range rs {
		if r.Low < 1 || r.End() <= r.Low {
			return nil, ErrRange
		}
		out = append(out, Range{r.Low, r.End()})
	}
	return out.merge(), nil
}

func (rs Ranges) merge() Ranges {
	slices.SortFunc(rs, func(a, b Range) int { return a.Low - b.Low })
	out := rs[:0]
	for _, r := range rs {
		if n := len(out); n > 0 && r.Low <= out[n-1].Hi {
			out[n-1].Hi = max(out[n-1].Hi, r.Hi)
			continue
		}
		out = append(out, r)
	}
	return out
}

// Union returns the numbers of both sets.
func (rs Ranges) Union(more Ranges) Ranges {
	return append(slices.Clone(rs), more...).merge()
}

// Contains reports whether n is in the set.
func (rs Ranges) Contains(n int) bool {
	i, found := slices.BinarySearchFunc(rs, n, func(r Range, n int) int { return r.Low - n })
	return found || i > 0 && n < rs[i-1].Hi
}

// Clip returns the part of the set within [low, hi).
func (rs Ranges) Clip(low, hi int) Ranges {
	var out Ranges
	for _, r := range rs {
		if l, h := max(r.Low, low), min(r.Hi, hi); l < h {
			out = append(out, Range{l, h})
		}
	}
	return out
}

// Minus returns the numbers of rs that are not in less.
func (rs Ranges) Minus(less Ranges) Ranges {
	var out Ranges
	for _, r := range rs {
		low := r.Low
		for _, l := range less {
			if l.Hi <= low || l.Low >= r.Hi {
				continue
			}
			if l.Low > low {
				out = append(out, Range{low, l.Low})
			}
			low = l.Hi
		}
		if low < r.Hi {
			out = append(out, Range{low, r.Hi})
		}
	}
	return out
}

// Len counts the numbers.
func (rs Ranges) Len() int {
	n := 0
	for _, r := range rs {
		n += r.Hi - r.Low
	}
	return n
}

// Wire returns the set as clients expect it.
func (rs Ranges) Wire() []Range {
	out := make([]Range, len(rs))
	for i, r := range rs {
		out[i] = r.Wire()
	}
	return out
}
