package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Duration is a time span, written "30s", "1h30m" or "14d". It is a struct so
// that a bare number in a file is an error, not nanoseconds.
type Duration struct{ time.Duration }

const day = 24 * time.Hour

// UnmarshalText reads a span; days may be added to Go's units, alone.
func (d *Duration) UnmarshalText(text []byte) error {
	s := string(text)
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseFloat(days, 64)
		if err != nil || n < 0 || n > math.MaxInt64/float64(day) {
			return errDuration(s)
		}
		d.Duration = time.Duration(n * float64(day))
		return nil
	}
	v, err := time.ParseDuration(s)
	if err != nil || v < 0 {
		return errDuration(s)
	}
	d.Duration = v
	return nil
}

func errDuration(s string) error {
	return fmt.Errorf(`%q is not a time span; write for example "30s", "5m", "2h" or "14d"`, s)
}

// String writes the span as short as it can be read again.
func (d Duration) String() string {
	v := d.Duration
	if v >= day && v%day == 0 {
		return strconv.FormatInt(int64(v/day), 10) + "d"
	}
	s := v.String() // "1h0m0s"
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Size is a number of bytes, written "512", "64KiB", "32MiB" or "1GB".
type Size int64

var units = []struct {
	suffix string
	bytes  int64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12},
	{"B", 1},
}

// UnmarshalText reads a size.
func (z *Size) UnmarshalText(text []byte) error {
	s, unit := string(text), int64(1)
	for _, u := range units {
		if rest, ok := strings.CutSuffix(s, u.suffix); ok {
			s, unit = strings.TrimSpace(rest), u.bytes
			break
		}
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || !(n >= 0) || n*float64(unit) >= math.MaxInt64 {
		return fmt.Errorf(`%q is not a size; write for example "64KiB", "32MiB" or "2GB"`, text)
	}
	*z = Size(n * float64(unit))
	return nil
}

// String writes the size in the largest binary unit that needs no fraction.
func (z Size) String() string {
	for _, u := range []int{3, 2, 1, 0} {
		if n := int64(z) / units[u].bytes; n > 0 && int64(z)%units[u].bytes == 0 {
			return strconv.FormatInt(n, 10) + units[u].suffix
		}
	}
	return strconv.FormatInt(int64(z), 10)
}
