package reputation

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"parley/protocol"
)

// used is how many of n tries pass, one every step.
func (w *world) used(s Sender, u Use, n int, step time.Duration) (passed int) {
	for range n {
		if w.Use(w.now, s, u, 1).Action == Admit {
			passed++
		}
		w.pass(step)
	}
	return passed
}

// TestUse: a stranger is slow, a friend fast, the closed slower still; the wait that is
// told is enough and no more than that.
func TestUse(t *testing.T) {
	w := newWorld(t, Config{Users: 500})
	stranger, friend, bad := domain(1), domain(2), domain(3)
	w.see(friend, Reply, 12)
	w.see(bad, Report, 3)
	for _, c := range []struct {
		s           Sender
		burst, most int
		why         Reason
	}{{stranger, 30, 30, ReasonRate}, {friend, 382, 383, ReasonRate}, {bad, 7, 7, ReasonRate}} {
		if n := w.used(c.s, Posts, 1000, 0); n < c.burst || n > c.most {
			t.Errorf("%s: %d posts at once, want %d…%d", c.s.Name, n, c.burst, c.most)
		}
		v := w.Use(w.now, c.s, Posts, 1)
		if v.Action != Wait || v.Reason != c.why || v.After <= 0 || v.After > 5*time.Second {
			t.Fatalf("%s: %+v", c.s.Name, v)
		}
		w.pass(v.After / 2)
		if v := w.Use(w.now, c.s, Posts, 1); v.Action != Wait {
			t.Errorf("%s: %+v after half of the wait", c.s.Name, v)
		}
		w.pass(v.After - v.After/2)
		if v := w.Use(w.now, c.s, Posts, 1); v.Action != Admit {
			t.Errorf("%s: %+v after the wait", c.s.Name, v)
		}
	}
	if n := w.used(stranger, Joins, 600, time.Minute); n < 40+199 || n > 40+200 {
		t.Errorf("%d groups joined in 10 hours", n)
	}
	w.Set(w.now, stranger, Deny)
	if v := w.Use(w.now, stranger, Lookups, 1); v.Reason != ReasonDenied || v.After != MaxWait {
		t.Errorf("denied: %+v", v)
	}
	w.Set(w.now, stranger, Allow)
	if n := w.used(stranger, Lookups, 5000, 0); n != 5000 {
		t.Errorf("allowed: %d", n)
	}
}

// TestUseLarge: what is more than a peer can ever have passes when it has all, and no
// oftener.
func TestUseLarge(t *testing.T) {
	w := newWorld(t, Config{})
	s := domain(1)
	if v := w.Use(w.now, s, Bytes, 1<<20); v.Action != Admit {
		t.Fatalf("%+v", v)
	}
	v := w.Use(w.now, s, Bytes, 1<<20)
	if v.Action != Wait || v.After < 15*time.Second || v.After > 17*time.Second {
		t.Fatalf("%+v", v)
	}
	w.pass(v.After)
	if v := w.Use(w.now, s, Bytes, 1<<20); v.Action != Admit {
		t.Errorf("%+v", v)
	}
}

// TestUseCrowd: fresh identities under one parent domain, in one network, or anywhere,
// get together what a few get; those who are known do not notice.
func TestUseCrowd(t *testing.T) {
	anywhere := func(i int) Sender { return domain(i) }
	parent := func(i int) Sender {
		s := domain(i)
		s.Domain = "evil.example"
		return s
	}
	network := func(i int) Sender {
		s := domain(i)
		s.Prefix = netip.MustParsePrefix("192.0.2.0/24")
		return s
	}
	free := func(i int) Sender {
		s := domain(i)
		s.Name, s.Domain, s.Proof = protocol.Node(fmt.Sprintf("k%d.alt", i)), "", ProofKey
		return s
	}
	for _, c := range []struct {
		name string
		of   func(int) Sender
		want int
		why  Reason
	}{{"a parent domain", parent, 120, ReasonGroup}, {"a network", network, 120, ReasonGroup},
		{"everywhere", anywhere, 960, ReasonPool}, {"free keys", free, 960, ReasonPool}} {
		w := newWorld(t, Config{Users: 500, MaxStrangers: 100, MaxGroups: 20_000})
		friend := domain(30_001)
		w.see(friend, Reply, 12)
		passed, why := 0, Reason(0)
		for i := range 10_000 {
			if v := w.Use(w.now, c.of(i), Lookups, 1); v.Action == Admit {
				passed++
			} else {
				why = v.Reason
			}
		}
		if passed != c.want || why != c.why {
			t.Errorf("%s: %d of 10,000 pass, the others %q; want %d, %q", c.name, passed, why, c.want, c.why)
		}
		if n := w.used(friend, Lookups, 100, 0); n != 100 {
			t.Errorf("%s: a friend has %d of 100", c.name, n)
		}
	}
}

func BenchmarkUseKnown(b *testing.B) {
	w := newWorld(b, Config{Users: 5000})
	const peers = 1000
	var senders [peers]Sender
	for i := range senders {
		senders[i] = domain(i)
		w.see(senders[i], Reply, 20)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		w.now = w.now.Add(time.Millisecond)
		if v := w.Use(w.now, senders[i%peers], Posts, 1); v.Reason != ReasonKnown {
			b.Fatal(v)
		}
	}
}

// TestVerdictsAllocateNothing for peers that are known.
func TestVerdictsAllocateNothing(t *testing.T) {
	w := newWorld(t, Config{Users: 5000})
	s := domain(1)
	w.see(s, Reply, 20)
	user := protocol.UserID("usr1@" + string(s.Name))
	w.FirstContact(w.now, s, user)
	n := testing.AllocsPerRun(1000, func() {
		w.now = w.now.Add(time.Minute)
		v := w.FirstContact(w.now, s, user)
		w.Refund(w.now, s, user, v)
		w.Use(w.now, s, Posts, 1)
		w.Use(w.now, s, Bytes, 1000)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestProvider tells that one /32 of IPv6 cannot empty the strangers' pool by its many
// networks, nor what strangers share besides; and that IPv4 has no such bound.
func TestProvider(t *testing.T) {
	from := func(i int, addr string) Sender {
		s := domain(i)
		s.Prefix = PrefixOf(netip.MustParseAddr(addr))
		return s
	}
	for _, c := range []struct {
		name, addrs string
		reason      Reason
	}{
		{"a /32 of IPv6", "2001:db8:%x::1", ReasonGroup},
		{"many /32", "2001:%x::1", ReasonPool},
		{"a /16 of IPv4", "192.0.%d.1", ReasonPool},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, Config{Users: 2000})
			last := func(try func(Sender) Verdict) (v Verdict, i int) {
				for ; i < 250; i++ {
					if v = try(from(i, fmt.Sprintf(c.addrs, i+1))); v.Action == Wait {
						break
					}
				}
				return v, i
			}
			if v, n := last(w.contact); v.Action != Wait || v.Reason != c.reason {
				t.Errorf("after %d first contacts: %q, want %q", n, v.Reason, c.reason)
			}
			v, n := last(func(s Sender) Verdict { return w.Use(w.now, s, Posts, 30) })
			if v.Action != Wait || v.Reason != c.reason {
				t.Errorf("after the posts of %d: %q, want %q", n, v.Reason, c.reason)
			}
			if v := w.Use(w.now, from(999, "2001:dead::1"), Posts, 30); (v.Action == Admit) != (c.reason == ReasonGroup) {
				t.Errorf("posts of others: %d %q", v.Action, v.Reason)
			}
		})
	}
}
