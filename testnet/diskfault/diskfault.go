// Package diskfault makes the disk of another process slow or full, as that process sees it:
// the kernel asks here about each system call that writes at a place of a file or makes
// files durable (seccomp_unotify(2), Linux 5.9 on amd64 and arm64; no rights are needed).
// The process is the real program, on a real file system.
package diskfault

import (
	"errors"
	"sync"
	"time"
)

// Faults are what is wrong with a disk.
type Faults struct {
	Delay time.Duration // each time that something is made durable: fsync, fdatasync
	Full  bool          // what is written at a place of a file, or made durable, is refused: ENOSPC
}

// A Disk is one whose faults can be changed. It may have several processes, also one after
// the other.
type Disk struct {
	watches sync.WaitGroup // one for each process

	mu  sync.Mutex
	now Faults // guarded by mu
}

// Set changes what is wrong.
func (d *Disk) Set(f Faults) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.now = f
}

// Wait returns when all processes on the disk have ended.
func (d *Disk) Wait() { d.watches.Wait() }

func (d *Disk) faults() Faults {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.now
}

// ErrUnsupported is returned where disks cannot be made faulty.
var ErrUnsupported = errors.New("diskfault: faulty disks need Linux 5.9 on amd64 or arm64")
