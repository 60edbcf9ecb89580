package protocol

import "time"

// Clock is where a node reads what time it is, for what it keeps, sends to others, or
// compares with what was kept or sent. nil is the machine's clock, which may be wrong and
// may be set at any moment: durations are measured by time.Since and timers instead.
type Clock func() time.Time

// Now is the time without a monotonic reading: two of them compare as what is on the disk
// or comes from another node does.
func (c Clock) Now() time.Time {
	if c == nil {
		return time.Now().Round(0)
	}
	return c().Round(0)
}

// Since is how long ago t was by the clock; Until, how far ahead it is.
func (c Clock) Since(t time.Time) time.Duration { return c.Now().Sub(t) }

// Until is the opposite of Since.
func (c Clock) Until(t time.Time) time.Duration { return t.Sub(c.Now()) }
