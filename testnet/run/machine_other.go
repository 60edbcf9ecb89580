//go:build !linux

package run

import "time"

// usage is what the process has used.
type usage struct {
	wall time.Time
	cpu  time.Duration
	rss  int64 // bytes, at most
}

func machineNow() usage { return usage{wall: time.Now()} }
