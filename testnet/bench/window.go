package bench

import (
	"runtime"
	"sync/atomic"
	"time"

	"parley/testnet"
)

// window is the measured part of a run: opened after the warm-up, closed when the
// load ends. What happens outside of it is not counted.
type window struct {
	pids     []int
	prefix   string       // of the names of its metrics
	from, to atomic.Int64 // nanoseconds of clock, 0: not yet

	start        time.Time
	before       testnet.Usage
	mine         testnet.Usage
	busy, all    float64
	cpu, mineCPU float64 // seconds used in the window by the server and by us
	hostBusy     float64 // part of all cores
	sec          float64
	rss          float64 // KiB at the end
	epoch        time.Time
}

func newWindow(t *target) *window { return &window{pids: t.pids, epoch: t.epoch} }

// clock is the run's monotonic clock in nanoseconds, never 0.
func (t *target) clock() int64 { return int64(time.Since(t.epoch)) + 1 }

func (w *window) open() error {
	var err error
	if w.before, err = testnet.ReadUsage(w.pids...); err != nil {
		return err
	}
	if w.mine, err = testnet.OwnUsage(); err != nil {
		return err
	}
	w.busy, w.all = hostTicks()
	w.start = time.Now()
	w.from.Store(int64(time.Since(w.epoch)) + 1)
	return nil
}

func (w *window) close() error {
	w.to.Store(int64(time.Since(w.epoch)) + 1)
	w.sec = max(time.Since(w.start), time.Microsecond).Seconds() // no division by zero
	after, err := testnet.ReadUsage(w.pids...)
	if err != nil {
		return err
	}
	mine, err := testnet.OwnUsage()
	if err != nil {
		return err
	}
	busy, all := hostTicks()
	if all > w.all {
		w.hostBusy = (busy - w.busy) / (all - w.all)
	}
	w.cpu = after.CPU - w.before.CPU
	w.mineCPU = mine.CPU - w.mine.CPU
	w.rss = after.RSS
	return nil
}

// covers tells whether the moment t lies in the window.
func (w *window) covers(t int64) bool {
	from, to := w.from.Load(), w.to.Load()
	return from != 0 && t >= from && (to == 0 || t <= to)
}

// report adds the window's metrics; ops is the number of operations in it, each a
// what.
func (w *window) report(r *Run, ops float64, what string) {
	aside := func(name, unit string, v float64) { r.aside(w.prefix+name, unit, v) }
	if len(w.pids) > 0 && ops > 0 {
		r.add(w.prefix+"cpu per "+what, "us", w.cpu*1e6/ops)
	}
	aside("window", "s", w.sec)
	if len(w.pids) > 0 {
		aside("server cpu", "s", w.cpu)
		aside("server rss", "MiB", w.rss/1024)
	}
	aside("own cpu", "s", w.mineCPU)
	aside("host busy", "%", w.hostBusy*100)
	if len(w.pids) > 0 && w.sec > 0 {
		known := (w.cpu + w.mineCPU) / w.sec / float64(runtime.NumCPU())
		aside("other load", "%", max(0, w.hostBusy-known)*100)
	}
}
