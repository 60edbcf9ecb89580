package reputation

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

// cheap are identities of one network, each with a key of its own.
func cheap(i int) Sender {
	s := domain(i)
	s.Domain, s.Prefix, s.Proof = "", netip.MustParsePrefix("203.0.113.0/24"), ProofKey
	return s
}

// TestNearTold: a witness tells of a network when three have filed something of identities there,
// each of another one; less with time, and not at all on the word of those who are not trusted.
func TestNearTold(t *testing.T) {
	w := newWorld(t, Config{})
	all := w.friends(maxFilers + 2)
	bad := func() uint8 {
		n := w.Asked(w.now, cheap(99), "asker.example").Near
		if n[0] != (Near{})[0] || n[1].Good != 0 {
			t.Errorf("%+v", n)
		}
		return n[1].Bad
	}
	file := func(by Sender, i int) {
		x := cheap(i)
		w.TakeFiled(w.now, by.Name, x, Statement{By: by.Name, About: x.Name, Kind: Filed, Bad: 3, Lately: 3})
	}
	for i := range 20 { // one who files much, and strangers
		file(all[0], 100+i)
		file(domain(300+i), 100+i)
	}
	if got := bad(); got != 0 {
		t.Errorf("on one word: %d", got)
	}
	file(all[1], 101)
	file(all[2], 102)
	if got := bad(); got != 1 {
		t.Errorf("of three: %d", got)
	}
	for i, f := range all {
		file(f, 200+i)
	}
	w.Import(w.now, w.Export(w.now))
	if got := bad(); got != 4 { // 15·0.6
		t.Errorf("of all: %d", got)
	}
	w.pass(14 * dayLong)
	if got := bad(); got != 2 {
		t.Errorf("two weeks later: %d", got)
	}
	if g := w.group(w.clock.at, groupKey{prefix: cheap(0).Prefix}); len(g.Filers) != maxFilers {
		t.Errorf("%d filers are remembered", len(g.Filers))
	}
}

// TestNearHeard: what two witnesses say of a network closes its strangers for some days, without
// more questions; one counts nothing, and who is known is not stopped.
func TestNearHeard(t *testing.T) {
	w := newWorld(t, Config{Users: 50_000})
	f := w.friends(3)
	answers := func(bad uint8, by ...Sender) (all []Answer) {
		for _, s := range by {
			a := Answer{By: s.Name}
			a.Near[1].Bad = bad
			all = append(all, a)
		}
		return all
	}
	known := cheap(1)
	w.see(known, Reply, 8)
	w.Learn(w.now, cheap(2), nil, answers(5, f[0], domain(900))...)
	w.want(cheap(3), Admit, ReasonStranger)
	w.Learn(w.now, cheap(2), nil, answers(3, f...)...) // 4 of three at 0.6, but one
	w.want(cheap(4), Wait, ReasonClosed)
	if ask := w.Plan(w.now, cheap(5), nil, rand.New(rand.NewPCG(1, 2))); len(ask) > 0 {
		t.Errorf("%v are asked about one of a bad network", ask)
	}
	w.want(known, Admit, ReasonKnown)
	w.pass(dayLong)
	w.want(cheap(6), Wait, ReasonClosed)
	w.pass(3 * dayLong)
	w.want(cheap(7), Admit, ReasonStranger)
	if n := w.Asked(w.now, cheap(8), f[0].Name).Near; n != (Near{}) {
		t.Errorf("hearsay is told: %+v", n)
	}
}

// TestHold: a stranger of whom others were asked waits, and they are asked again, so that who
// comes to all in the same minute is seen to. Who is known does not wait, nor does anybody where
// nobody answers.
func TestHold(t *testing.T) {
	w := newWorld(t, Config{Users: 50_000})
	f := w.friends(4)
	ask := func(x Sender) int { return len(w.Plan(w.now, x, nil, rand.New(rand.NewPCG(1, 2)))) }
	count := func(x Sender, asked uint8) {
		var all []Answer
		for _, s := range f {
			all = append(all, Answer{By: s.Name, Asked: asked})
		}
		w.Learn(w.now, x, nil, all...)
	}
	calm, hasty, lonely := domain(50), domain(51), domain(52)
	for _, x := range []Sender{calm, hasty, lonely} {
		if n := ask(x); n != 4 {
			t.Fatalf("%d are asked", n)
		}
	}
	count(calm, 1)
	count(hasty, 1)
	w.Learn(w.now, lonely, nil)
	w.want(lonely, Admit, ReasonStranger)
	w.pass(20 * time.Second)
	if v := w.contact(calm); v.Reason != ReasonAsking || v.After < 24*time.Second || v.After > 26*time.Second {
		t.Errorf("after 20 s: %+v", v)
	}
	if n := ask(calm); n != 0 {
		t.Errorf("%d are asked before the time", n)
	}
	w.Import(w.now, w.Export(w.now))
	w.pass(26 * time.Second)
	for _, x := range []Sender{calm, hasty} {
		if n := ask(x); n != 4 {
			t.Errorf("%d are asked again", n)
		}
	}
	count(calm, 1)
	count(hasty, 11)
	w.want(calm, Admit, ReasonStranger)
	w.want(hasty, Wait, ReasonFan)
	if n := ask(calm); n != 0 {
		t.Errorf("%d are asked for the third time", n)
	}
	late := domain(53)
	ask(late)
	count(late, 1)
	w.pass(20 * time.Minute) // or it could be asked about long before it comes to all
	if n := ask(late); n != 4 {
		t.Errorf("%d are asked when it comes back late", n)
	}
	count(late, 1)
	w.want(late, Wait, ReasonAsking)
	w.pass(7 * time.Hour) // another bout; known by now
	w.see(calm, Reply, 1)
	ask(calm)
	count(calm, 1)
	w.want(calm, Admit, ReasonKnown)
	if h := w.find(calm.Name).Hold; h != Settled {
		t.Errorf("one that is known is held: %d", h)
	}
}
