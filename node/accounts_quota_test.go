package node

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"parley/protocol"
)

func TestQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQuota(0.5, 2)
		if !q.allow(time.Now(), "a") || !q.allow(time.Now(), "a", "", "b") || q.allow(time.Now(), "a") {
			t.Error("not two of a at once")
		}
		if q.allow(time.Now(), "b", "a") || !q.allow(time.Now(), "b") || q.allow(time.Now(), "b") {
			t.Error("what a refused was taken from b, or not taken before")
		}
		time.Sleep(2 * time.Second)
		if !q.allow(time.Now(), "a") || q.allow(time.Now(), "a") {
			t.Error("not one of a every two seconds")
		}
		if !q.allow(time.Now()) || !q.allow(time.Now(), "") {
			t.Error("no key is limited")
		}
	})
}

func TestQuotaPending(t *testing.T) {
	q := newQuota(1e-9, 2)
	one, ok1 := q.begin(time.Now(), "a")
	two, ok2 := q.begin(time.Now(), "a")
	if _, ok := q.begin(time.Now(), "a"); !ok1 || !ok2 || ok {
		t.Fatal("attempts under way are not counted")
	}
	one(false)
	two(true)
	if three, ok := q.begin(time.Now(), "a"); !ok {
		t.Error("what did not fail was counted")
	} else {
		three(true)
	}
	if q.allow(time.Now(), "a") {
		t.Error("what failed was not counted")
	}
}

func TestQuotaForgets(t *testing.T) {
	q := newQuota(1e-9, 1)
	q.allow(time.Now(), "first")
	for i := range maxQuotas - 1 {
		q.allow(time.Now(), fmt.Sprint(i))
	}
	if q.allow(time.Now(), "first") {
		t.Error("forgotten too early")
	}
	q.allow(time.Now(), "one too many") // forgets "0", since first was just used
	if len(q.entries) != maxQuotas || q.order.Len() != maxQuotas {
		t.Errorf("%d entries, %d in order", len(q.entries), q.order.Len())
	}
	if !q.allow(time.Now(), "0") || q.allow(time.Now(), "first") {
		t.Error("not the least recently used was forgotten")
	}
}

func TestAddressKey(t *testing.T) {
	for _, c := range []struct{ home, addr, want string }{
		{"chat.example.org", "192.0.2.1", "addr 192.0.2.1"},
		{"chat.example.org", "::ffff:192.0.2.1", "addr 192.0.2.1"},
		{"chat.example.org", "2001:db8:1:2:3:4:5:6", "addr 2001:db8:1:2::"},
		{"chat.example.org", "127.0.0.1", "addr 127.0.0.1"},
		{"localhost", "127.0.0.1", ""},
		{"a.localhost", "::1", ""},
		{"localhost", "192.0.2.1", "addr 192.0.2.1"},
		{"notlocalhost", "127.0.0.1", "addr 127.0.0.1"},
	} {
		a := &accounts{home: protocol.Node(c.home)}
		if got := a.addressKey(Origin{Addr: netip.MustParseAddr(c.addr)}); got != c.want {
			t.Errorf("%s at %s: %q, want %q", c.addr, c.home, got, c.want)
		}
	}
	if got := new(accounts).addressKey(Origin{}); got != "" {
		t.Errorf("no address: %q", got)
	}
}
