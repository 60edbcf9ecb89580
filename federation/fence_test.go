package federation

import (
	"errors"
	"net"
	"net/netip"
	"testing"
)

func TestFence(t *testing.T) {
	public := []string{"1.1.1.1", "8.8.8.8", "192.0.1.1", "100.63.0.1", "100.128.0.1", "2606:4700::1", "::ffff:1.1.1.1", "64:ff9b::8.8.8.8"}
	private := []string{"10.1.2.3", "172.31.0.1", "192.168.0.1", "100.64.0.1", "fd00::1", "::ffff:10.0.0.1", "64:ff9b::10.0.0.1"}
	loopback := []string{"127.0.0.1", "127.255.0.1", "::1", "::ffff:127.0.0.1", "64:ff9b::127.0.0.1"}
	never := []string{
		"0.0.0.0", "0.1.2.3", "::", "::ffff:0.0.0.0", "169.254.169.254", "fe80::1", "fe80::1%eth0", "2606:4700::1%x",
		"224.0.0.1", "239.1.1.1", "255.255.255.255", "240.0.0.1", "ff02::1", "ff0e::1", "192.0.2.1", "198.51.100.1", "203.0.113.1",
		"198.18.0.1", "192.0.0.8", "192.88.99.1", "2001::1", "2001:db8::1", "2002:7f00:1::", "3fff::1", "4000::1",
		"64:ff9b:1::1", "::127.0.0.1", "fec0::1", "100::1",
	}
	strict, open, local := NewFence("chat.example.org", false), NewFence("chat.example.org", true), NewFence("a.localhost", false)
	for _, c := range []struct {
		what                      string
		addrs                     []string
		inStrict, inOpen, inLocal bool
	}{
		{"public", public, true, true, false},
		{"private", private, false, true, false},
		{"loopback", loopback, false, false, true},
		{"never", never, false, false, false},
	} {
		for _, s := range c.addrs {
			a := netip.MustParseAddr(s)
			for name, f := range map[string]struct {
				Fence
				want bool
			}{"strict": {strict, c.inStrict}, "open": {open, c.inOpen}, "local": {local, c.inLocal}} {
				err := f.Check(a)
				if (err == nil) != f.want || err != nil && !errors.Is(err, ErrFenced) {
					t.Errorf("%s address %s, fence %s: %v", c.what, a, name, err)
				}
			}
		}
	}
	if err := (Fence{}).Check(netip.Addr{}); err == nil {
		t.Error("no address at all passes")
	}
}

func TestFenceFilters(t *testing.T) {
	mixed := []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:1"), netip.MustParseAddrPort("1.1.1.1:0"), netip.MustParseAddrPort("1.1.1.1:7")}
	got, err := Fence{}.Filter(mixed)
	if err != nil || len(got) != 1 || got[0] != mixed[2] {
		t.Errorf("%v, %v", got, err)
	}
	if got, err = (Fence{}).Filter(mixed[:1]); !errors.Is(err, ErrFenced) || got != nil {
		t.Errorf("%v, %v", got, err)
	}
}

// A name that resolves to loopback is stopped at the moment of dialling.
func TestFenceStopsADialer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d := net.Dialer{Control: Fence{}.Control}
	if _, err := d.DialContext(t.Context(), "tcp", l.Addr().String()); !errors.Is(err, ErrFenced) {
		t.Errorf("dial: %v", err)
	}
	d.Control = Fence{Loopback: true}.Control
	c, err := d.DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}
