package cluster

import "time"

// clock is the wall clock of the machine, which may be wrong. It outlives the node.
func (m *Machine) clock() time.Time { return time.Now().Add(m.Ahead()) }

// Ahead is by how much the machine's clock is ahead of the right time.
func (m *Machine) Ahead() time.Duration { return time.Duration(m.off.Load()) }

// SetClock sets the machine's clock, ahead of the right time or, below 0, behind it. A node
// that runs is not told; its timers go on.
func (m *Machine) SetClock(ahead time.Duration) { m.off.Store(int64(ahead)) }
