package cluster

import "time"

// wrong is how a machine's clock goes wrong: by so much at a moment, and by so much more
// each day from then on.
type wrong struct {
	since        time.Time
	ahead, daily time.Duration
}

func (w *wrong) at(now time.Time) time.Duration {
	if w == nil {
		return 0
	}
	return w.ahead + time.Duration(now.Sub(w.since).Hours()/24*float64(w.daily))
}

// clock is the wall clock of the machine, which may be wrong.
func (m *Machine) clock() time.Time {
	now := time.Now()
	return now.Add(m.wrong.Load().at(now))
}

// Ahead is by how much the machine's clock is ahead of the right time; below 0: behind it.
func (m *Machine) Ahead() time.Duration { return m.wrong.Load().at(time.Now()) }

// ShiftClock sets the machine's clock ahead of what it shows by a step or, below 0, back,
// and lets it gain so much more a day than it does. A node that runs is not told, and its
// timers go on; one that is started later finds the clock as it is.
func (m *Machine) ShiftClock(step, daily time.Duration) {
	for {
		old, now := m.wrong.Load(), time.Now()
		next := &wrong{since: now, ahead: old.at(now) + step, daily: daily}
		if old != nil {
			next.daily += old.daily
		}
		if m.wrong.CompareAndSwap(old, next) {
			return
		}
	}
}
