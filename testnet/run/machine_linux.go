package run

import (
	"syscall"
	"time"
)

// usage is what the process has used.
type usage struct {
	wall time.Time
	cpu  time.Duration
	rss  int64 // bytes, at most
}

func machineNow() usage {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return usage{wall: time.Now()}
	}
	return usage{time.Now(), time.Duration(u.Utime.Nano() + u.Stime.Nano()), u.Maxrss << 10}
}
