package protocol

import (
	"math"
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

// Numbers up to top make all small sets likely.
const top = 24

// drawn is a client's list of ranges and the numbers that it means.
func drawn(t *rapid.T, label string) (Ranges, map[int]bool) {
	t.Helper()
	set := map[int]bool{}
	var rs []Range
	for range rapid.IntRange(0, 6).Draw(t, label) {
		r := Range{Low: rapid.IntRange(1, top-1).Draw(t, "low")}
		if rapid.Bool().Draw(t, "long") {
			r.Hi = rapid.IntRange(r.Low+1, top).Draw(t, "hi")
		}
		for n := r.Low; n < r.End(); n++ {
			set[n] = true
		}
		rs = append(rs, r)
	}
	got, err := NewRanges(rs)
	if err != nil {
		t.Fatal(err)
	}
	return got, set
}

// is checks that rs is in order and means what set does.
func is(t *rapid.T, what string, rs Ranges, set map[int]bool) {
	t.Helper()
	last := 0
	for _, r := range rs {
		if r.Low <= last || r.Hi <= r.Low { // touching ranges would be one
			t.Fatalf("%s: %v is out of order", what, rs)
		}
		last = r.Hi
	}
	n := 0
	for i := range top + 2 {
		if rs.Contains(i) != set[i] {
			t.Fatalf("%s: %v contains %d: %v", what, rs, i, !set[i])
		}
		if set[i] {
			n++
		}
	}
	if rs.Len() != n {
		t.Fatalf("%s: %v has %d numbers, want %d", what, rs, rs.Len(), n)
	}
}

// TestRangesModel compares sets of ranges with sets of numbers.
func TestRangesModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, as := drawn(t, "a")
		b, bs := drawn(t, "b")
		low, high := rapid.IntRange(0, top+1).Draw(t, "clip from"), rapid.IntRange(0, top+1).Draw(t, "clip to")
		union, clip, minus := map[int]bool{}, map[int]bool{}, map[int]bool{}
		for n := range top + 2 {
			union[n] = as[n] || bs[n]
			clip[n] = as[n] && low <= n && n < high
			minus[n] = as[n] && !bs[n]
		}
		before := append(Ranges(nil), a...)
		is(t, "union", a.Union(b), union)
		is(t, "clip", a.Clip(low, high), clip)
		is(t, "minus", a.Minus(b), minus)
		if len(a) > 0 && !reflect.DeepEqual(a, before) {
			t.Fatalf("operations changed %v to %v", before, a)
		}
		is(t, "a", a, as)
		again, err := NewRanges(a.Wire())
		if err != nil || len(a) > 0 && !reflect.DeepEqual(again, a) {
			t.Fatalf("%v is written %v and read %v, %v", a, a.Wire(), again, err)
		}
	})
}

func TestRangesAtTheEdge(t *testing.T) {
	const last = math.MaxInt - 1
	rs, err := NewRanges([]Range{{Low: last}, {Low: 1}})
	if err != nil || !rs.Contains(last) || rs.Contains(last-1) || rs.Len() != 2 {
		t.Errorf("%v, %v", rs, err)
	}
	if got := rs.Clip(2, math.MaxInt); len(got) != 1 || got[0].Low != last {
		t.Errorf("clipped %v", got)
	}
	var none Ranges
	if none.Contains(1) || none.Len() != 0 || len(none.Union(nil)) != 0 || len(none.Minus(rs)) != 0 || len(none.Wire()) != 0 {
		t.Error("the empty set is not empty")
	}
}
