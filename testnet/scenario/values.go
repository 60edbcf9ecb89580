package scenario

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Duration is a time span, written "30s", "1h30m" or "14d".
type Duration struct{ time.Duration }

const day = 24 * time.Hour

// ParseDuration reads a span; days may be added to Go's units, alone.
func ParseDuration(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseFloat(days, 64)
		if err == nil && n >= 0 && n <= math.MaxInt64/float64(day) {
			return time.Duration(n * float64(day)), nil
		}
	} else if v, err := time.ParseDuration(s); err == nil && v >= 0 {
		return v, nil
	}
	return 0, fmt.Errorf(`%q is not a time span; write for example "30s", "5m", "2h" or "14d"`, s)
}

// UnmarshalText reads a span.
func (d *Duration) UnmarshalText(text []byte) (err error) {
	d.Duration, err = ParseDuration(string(text))
	return err
}

// MarshalText writes it so that it can be read again.
func (d Duration) MarshalText() ([]byte, error) { return []byte(Short(d.Duration)), nil }

// Size is a number of bytes, written "512", "64KiB" or "2MB".
type Size int64

// Rate is a number of bits a second, written "64kbit", "10Mbit" or "1Gbit".
type Rate float64

var (
	sizeUnits = map[string]float64{"": 1, "B": 1, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
	rateUnits = map[string]float64{"": 1, "bit": 1, "kbit": 1e3, "Mbit": 1e6, "Gbit": 1e9}
)

// quantity reads a number and its unit.
func quantity(s string, units map[string]float64) (float64, bool) {
	i := strings.LastIndexAny(s, "0123456789.") + 1
	unit, known := units[strings.TrimSpace(s[i:])]
	n, err := strconv.ParseFloat(s[:i], 64)
	return n * unit, known && err == nil && n >= 0 && n*unit < math.MaxInt64
}

// ParseSize reads a size, in bytes.
func ParseSize(s string) (float64, error) {
	n, ok := quantity(s, sizeUnits)
	if !ok {
		return 0, fmt.Errorf(`%q is not a size; write for example "512", "64KiB" or "2MB"`, s)
	}
	return n, nil
}

// UnmarshalText reads a size.
func (z *Size) UnmarshalText(text []byte) error {
	n, err := ParseSize(string(text))
	*z = Size(n)
	return err
}

// MarshalText writes it so that it can be read again.
func (z Size) MarshalText() ([]byte, error) { return strconv.AppendInt(nil, int64(z), 10), nil }

// UnmarshalText reads a rate.
func (r *Rate) UnmarshalText(text []byte) error {
	n, ok := quantity(string(text), rateUnits)
	if !ok {
		return fmt.Errorf(`%q is not a rate; write for example "64kbit", "10Mbit" or "1Gbit"`, text)
	}
	*r = Rate(n)
	return nil
}

// MarshalText writes it so that it can be read again.
func (r Rate) MarshalText() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(r), 'g', -1, 64), nil
}

// Short writes a time span without what is zero in it: "1h", "5m", "30s".
func Short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
