package cluster

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestShiftClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &Machine{}
		ahead := func(want time.Duration) {
			t.Helper()
			if got := m.Ahead(); got != want || !m.clock().Equal(time.Now().Add(want)) {
				t.Errorf("%v ahead, want %v; it shows %v", got, want, m.clock())
			}
		}
		ahead(0)
		m.ShiftClock(time.Hour, 0)
		ahead(time.Hour)
		m.ShiftClock(0, 24*time.Minute) // one each hour
		time.Sleep(90 * time.Minute)
		ahead(61*time.Minute + 30*time.Second)
		m.ShiftClock(-2*time.Hour, 0)
		time.Sleep(30 * time.Minute)
		ahead(-58 * time.Minute)
		m.ShiftClock(0, -24*time.Minute)
		time.Sleep(48 * time.Hour)
		ahead(-58 * time.Minute)
	})
}
