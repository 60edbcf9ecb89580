package federation

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"parley/protocol"
)

func TestRations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRations(RationLimits{PerSecond: 1, Burst: 3, ZonePerSecond: 1, ZoneBurst: 5, AtOnce: 2})
		take := func(from, name string) error {
			ctx := t.Context()
			if from != "" {
				ctx = CausedBy(ctx, netip.MustParseAddr(from))
			}
			done, err := r.Take(ctx, protocol.Node(name))
			if err == nil {
				done()
				done() // does no harm
			}
			return err
		}
		for i := range 3 {
			if err := take(fmt.Sprintf("192.0.2.%d", i), fmt.Sprintf("n%d.example", i)); err != nil {
				t.Fatal(err)
			}
		}
		if err := take("::ffff:192.0.2.200", "other.test"); !errors.Is(err, ErrRationed) {
			t.Errorf("a fourth of one /24: %v", err)
		}
		if err := take("", "other.test"); err != nil {
			t.Errorf("our own step: %v", err)
		}
		if err := take("198.51.100.1", "other.test"); err != nil {
			t.Errorf("another source: %v", err)
		}
		for i := range 5 {
			if err := take(fmt.Sprintf("2001:db8:%d::1", i), fmt.Sprintf("x%d.victim.example", i)); err != nil {
				t.Fatal(err)
			}
		}
		if err := take("2001:db8:77::1", "x9.victim.example"); !errors.Is(err, ErrRationed) {
			t.Errorf("a sixth about one zone: %v", err)
		}
		time.Sleep(time.Second)
		if err := take("192.0.2.9", "other.test"); err != nil {
			t.Errorf("a second later: %v", err)
		}
		time.Sleep(time.Minute)
		ctx := CausedBy(context.Background(), netip.MustParseAddr("192.0.2.1"))
		first, err1 := r.Take(ctx, "a.test")
		_, err2 := r.Take(ctx, "b.test")
		if _, err := r.Take(ctx, "c.test"); err1 != nil || err2 != nil || !errors.Is(err, ErrRationed) {
			t.Errorf("three at a time: %v, %v, %v", err1, err2, err)
		}
		first()
		time.Sleep(time.Minute)
		if _, err := r.Take(ctx, "d.test"); err != nil {
			t.Errorf("after one has ended: %v", err)
		}
	})
}

// Whoever has many networks does not fill our memory, nor use up others' rations.
func TestRationsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRationer(1, 2)
		refused := 0
		for i := range 2 * maxRations {
			if !r.allow(fmt.Sprint(i), time.Now()) {
				refused++
			}
		}
		if len(r.of) > maxRations || refused == 0 {
			t.Errorf("%d remembered, %d refused", len(r.of), refused)
		}
		time.Sleep(time.Minute)
		if !r.allow("new", time.Now()) || len(r.of) != 1 {
			t.Errorf("%d remembered after a minute", len(r.of))
		}
	})
}

func TestSources(t *testing.T) {
	for a, want := range map[string]string{
		"192.0.2.77": "192.0.2.0/24", "::ffff:192.0.2.77": "192.0.2.0/24",
		"2001:db8:1:2::3": "2001:db8:1::/48", "fe80::1%eth0": "fe80::/48",
	} {
		if got := Source(netip.MustParseAddr(a)); got.String() != want {
			t.Errorf("Source(%s) = %s, want %s", a, got, want)
		}
	}
	if got := Source(netip.Addr{}); got.IsValid() {
		t.Errorf("no address has source %s", got)
	}
}
