package reputation

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"parley/protocol"

	"pgregory.net/rapid"
)

func TestTrust(t *testing.T) {
	near(t, "nobody", trustOf(0.49, 0, 0, 0), 0)
	near(t, "half", trustOf(4, 0, 0, 0), 0.5)
	near(t, "with complaints", trustOf(4, 4, 0, 0), 0.25)
	near(t, "wrong twice", trustOf(4, 0, 0, 2), 0.5/16) // q = 2/8
	near(t, "twelve of twelve right", trustOf(12, 0, 12, 0), 0.75)
}

// say makes statements of peers about another, as of 40 days.
func say(kind Kind, of Sender, by ...Sender) (all []Statement) {
	for _, r := range by {
		all = append(all, Statement{By: r.Name, About: of.Name, Kind: kind, Good: 5, Days: 6})
	}
	return all
}

// answer are those who were asked and say something.
func answer(told []Statement) (all []Answer) {
	for _, s := range told {
		all = append(all, Answer{By: s.By, Told: s})
	}
	return all
}

// friends are peers that are trusted ½ or more.
func (w *world) friends(n int) (all []Sender) {
	for i := range n {
		all = append(all, domain(500+i))
		w.see(all[i], Reply, 6)
	}
	return all
}

// TestVouched: a stranger with the word of two peers that it carries is known at once if
// a third has seen it too, and each lends what the formula says.
func TestVouched(t *testing.T) {
	w := newWorld(t, Config{Users: 500})
	f := w.friends(3)
	x := domain(1)
	w.Learn(w.now, x, say(Carried, x, f[0], f[1]), answer(say(Told, x, f[2]))...)
	p := w.find(x.Name)
	near(t, "lent", p.Loan, 3) // min(0.6·2, 1) from each
	near(t, "age", math.Round(w.clock.at.since(p.Aged)), 32)
	w.want(x, Admit, ReasonKnown)
	near(t, "out", w.find(f[0].Name).Lent, 1)
	w.Learn(w.now, x, say(Carried, x, f[0], f[1]), answer(say(Told, x, f[2]))...) // again: not twice
	near(t, "out", w.find(f[0].Name).Lent, 1)
	near(t, "lent", p.Loan, 3)
	w.see(x, Reply, 1) // own evidence replaces the loan
	near(t, "out", w.find(f[0].Name).Lent, 0)
	near(t, "right", w.find(f[0].Name).Right, 1.0/3)
}

// TestOneLiar cannot age an identity, nor introduce more than one fresh one in two days,
// nor can strangers vouch.
func TestOneLiar(t *testing.T) {
	w := newWorld(t, Config{Users: 500})
	liar := w.friends(1)[0]
	known := 0.0
	for i := range 50 {
		x := domain(i)
		w.Learn(w.now, x, append(say(Carried, x, liar), say(Carried, x, domain(900), domain(901))...), answer(say(Told, x, liar))...)
		p := w.find(x.Name)
		known += p.Loan
		if w.clock.at.since(p.Aged) > 0.01 {
			t.Fatal("aged by one")
		}
	}
	near(t, "lent to 50 fresh identities", known, 1)
}

// TestLiability: who vouches for a spammer loses its own standing, and its word.
func TestLiability(t *testing.T) {
	w := newWorld(t, Config{Users: 500})
	f := w.friends(2)
	x := domain(1)
	w.Learn(w.now, x, nil, answer(say(Told, x, f...))...)
	before, _ := w.trust(w.clock.at, f[0].Name)
	w.see(x, Report, 1)
	r := w.find(f[0].Name)
	near(t, "wrong", r.Wrong, 1.5)
	near(t, "P", r.P, 3) // 6 − 2·3/2
	after, _ := w.trust(w.clock.at, f[0].Name)
	near(t, "trust", after, trustOf(3, 0, 0, 1.5))
	if after > before/4 {
		t.Errorf("trust %v, was %v", after, before)
	}
	if !w.find(x.Name).Closed {
		t.Error("a loan outweighs a report")
	}
}

// TestBlame: one voice of others counts nothing, several close a stranger, but not an
// established peer.
func TestBlame(t *testing.T) {
	w := newWorld(t, Config{Users: 500})
	f := w.friends(4)
	blame := func(x Sender, by ...Sender) {
		all := say(Told, x, by...)
		for i := range all {
			all[i].Good, all[i].Bad, all[i].Lately = 0, 5, 5
		}
		w.Learn(w.now, x, nil, answer(all)...)
	}
	x, good := domain(1), domain(2)
	blame(x, f[0])
	near(t, "blame of one", w.find(x.Name).Blame, 0)
	blame(x, f[:3]...)
	near(t, "blame of three", w.find(x.Name).Blame, 2*0.6*4)
	w.Learn(w.now, x, nil) // cut off from everybody
	near(t, "blame, after silence", w.find(x.Name).Blame, 2*0.6*4)
	w.want(x, Wait, ReasonClosed)
	near(t, "its neighbours", w.prior(w.clock.at, &x), 0.5) // hearsay does not taint them
	w.see(good, Reply, 6)
	blame(good, f...)
	w.want(good, Admit, ReasonKnown)
}

func TestPlan(t *testing.T) {
	w := newWorld(t, Config{Users: 500})
	rng := rand.New(rand.NewPCG(1, 2))
	x := domain(1)
	if got := w.Plan(w.now, x, nil, rng); len(got) != 0 {
		t.Errorf("asks %v, knowing nobody", got)
	}
	w.Forget(w.now, x.Name)
	f := w.friends(20)
	w.topAt = 0
	ask := w.Plan(w.now, x, nil, rng)
	if slices.Sort(ask); len(ask) != maxAsked || len(slices.Compact(slices.Clone(ask))) != len(ask) {
		t.Errorf("asks %v", ask)
	}
	if again := w.Plan(w.now, x, nil, rng); again != nil {
		t.Errorf("asks again at once: %v", again)
	}
	w.pass(6 * time.Hour)
	if again := w.Plan(w.now, x, nil, rng); len(again) != 6 {
		t.Errorf("asks %v after 6 hours", again)
	}
	poor := domain(2)
	for part := range w.pools {
		w.pools[part].Bucket = Bucket{At: w.clock.at}
	}
	if got := w.Plan(w.now, poor, nil, rng); got != nil {
		t.Errorf("asks %v though the pool is empty", got)
	}
	if got := w.Plan(w.now, poor, say(Carried, poor, f[0]), rng); len(got) != 6 {
		t.Errorf("asks %v about a peer that is vouched for", got)
	}
	rounds := 0
	for i := range 500 {
		y := domain(3000 + i)
		if w.Plan(w.now, y, say(Carried, y, f[0]), rng) != nil {
			rounds++
		}
	}
	if rounds == 0 || rounds > askBurst {
		t.Errorf("%d rounds at once", rounds)
	}
}

// TestOwners: of one parent domain at most three are asked or lend.
func TestOwners(t *testing.T) {
	w := newWorld(t, Config{Users: 500})
	for i := range 30 {
		s := domain(500 + i)
		s.Domain = "host.example"
		w.see(s, Reply, 9)
	}
	if n := len(w.recommenders(w.clock.at)); n != perOwner {
		t.Errorf("%d recommenders of one owner", n)
	}
}

// TestWitnesses: nodes that know different peers meet at the same witnesses, those of the widest
// reach; each of these is asked about its part of all, and about one for weeks.
func TestWitnesses(t *testing.T) {
	wide := make([]Sender, 12)
	one, other := newWorld(t, Config{}), newWorld(t, Config{})
	for i := range wide {
		wide[i] = domain(100 + i)
		for _, w := range []*world{one, other} {
			w.see(wide[i], Reply, 6)
			w.Reaches(w.now, wide[i], 9)
		}
	}
	for i := range 30 {
		one.see(domain(200+i), Reply, 6)
		other.see(domain(300+i), Reply, 6)
	}
	ask := func(w *world, about string, day int) []protocol.Node {
		return w.witnesses(w.clock.now(w.now), int64(day)*24*3600, protocol.Node(about))
	}
	hits, met, stayed, all := map[protocol.Node]int{}, 0, 0, 0
	for i := range 200 {
		x := fmt.Sprint("x", i, ".example")
		mine, later := ask(one, x, 100), ask(one, x, 101)
		for _, n := range ask(other, x, 100) {
			all++
			if hits[n]++; slices.Contains(mine, n) {
				met++
			}
			if slices.Contains(later, n) {
				stayed++
			}
		}
	}
	if met < all*95/100 || stayed < all*85/100 {
		t.Errorf("of %d witnesses two nodes have %d in common, %d a day later", all, met, stayed)
	}
	for _, s := range wide {
		if n := hits[s.Name]; n < 50 || n > 120 {
			t.Errorf("%s is a witness %d times of %d, want about %d", s.Name, n, all, all/len(wide))
		}
	}
}

// TestReach: how many a node can tell of is how many it trusts, as a power of two.
func TestReach(t *testing.T) {
	w := newWorld(t, Config{})
	for _, c := range []struct{ friends, class int }{{0, 0}, {1, 1}, {2, 2}, {7, 3}, {8, 4}} {
		w.friends(c.friends)
		if got := w.Reach(w.now); int(got) != c.class {
			t.Errorf("of %d: class %d, want %d", c.friends, got, c.class)
		}
	}
	w.Reaches(w.now, domain(1), 200)
	if got := w.find(domain(1).Name).Reach; got != maxReach {
		t.Errorf("class %d is believed", got)
	}
}

// TestFan: of the nodes to which a stranger comes at once, as two witnesses say, about as many
// let it in as are allowed; those few of the floor do in any case, and an established one is let
// in by all.
func TestFan(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	in := func(fans, second uint8, established bool) (n int) {
		for range 500 {
			w := newWorld(t, Config{Users: 5000})
			x := domain(1)
			if established {
				w.see(x, Reply, 3)
			}
			f := w.friends(2)
			ask := func() Verdict {
				w.Plan(w.now, x, nil, rng)
				w.Learn(w.now, x, nil, Answer{By: f[0].Name, Asked: fans}, Answer{By: f[1].Name, Asked: second})
				return w.contact(x)
			}
			v := ask()
			if v.Reason == ReasonAsking {
				w.pass(v.After)
				v = ask()
			}
			switch {
			case v.Action == Admit:
				n++
			case v.Reason != ReasonFan || v.After != 2*time.Hour:
				t.Fatalf("%+v", v)
			}
		}
		return n
	}
	for _, c := range []struct {
		fans, second uint8
		established  bool
		least, most  int
	}{
		{3, 3, false, 500, 500}, // 4 nodes
		{4, 4, false, 280, 345}, // 8: 5 of 8
		{5, 5, false, 0, 9},     // 16: none but the floor
		{12, 12, false, 0, 9},
		{12, 0, false, 500, 500}, // one liar
		{12, 12, true, 500, 500},
	} {
		if n := in(c.fans, c.second, c.established); n < c.least || n > c.most {
			t.Errorf("%+v: %d of 500 let it in", c, n)
		}
	}
	for lot, held := range map[float64]bool{fanFloor: false, 1.1 * fanFloor: true} {
		if p := (&Peer{Fan: Fan{Fans: 1000, Lot: lot}}); p.hasty(false) != held {
			t.Errorf("who has drawn %.4f is held: %v", lot, !held)
		}
	}
}

func TestAnchorsFade(t *testing.T) {
	w := &world{TB: t, Engine: New(Config{}, epoch), now: epoch}
	a := domain(1)
	w.Anchor(w.now, a, true)
	for _, want := range []float64{0.5, 2.0 / 6, 0} {
		got, _ := w.trust(w.clock.now(w.now), a.Name)
		near(t, "trust in an anchor", got, want)
		w.pass(7 * dayLong)
	}
}

// TestOpinion: what is told is coarse, hides few users and operators' words, and never
// praises the closed.
func TestOpinion(t *testing.T) {
	w := newWorld(t, Config{})
	x := domain(1)
	opinion := func(k Kind) Statement {
		s, _ := w.Opinion(w.now, "self.example", x.Name, k)
		return s
	}
	w.see(x, Reply, 1)
	if s := opinion(Told); s.Good != 0 {
		t.Errorf("one user shows: %+v", s)
	}
	if s := opinion(Carried); s.Good != 1 || s.Expires-s.Issued != 86400 {
		t.Errorf("carried: %+v", s)
	}
	w.see(x, Reply, 5)
	w.pass(2 * dayLong)
	if s := opinion(Told); s.Good != 3 || s.Days != 2 || s.Bad != 0 {
		t.Errorf("told: %+v", s)
	}
	y := x
	x = domain(2)
	w.see(x, Report, 1)
	if s, ok := w.Opinion(w.now, "self.example", x.Name, Told); ok {
		t.Errorf("one reporter shows: %+v", s)
	}
	w.see(x, Report, 1)
	if s := opinion(Told); s.Bad != 3 || s.Good != 0 || s.Days != 0 {
		t.Errorf("blame: %+v", s)
	}
	w.Set(w.now, y, Deny)
	if s, _ := w.Opinion(w.now, "self.example", y.Name, Told); s.Good != 3 || s.Bad != 0 {
		t.Errorf("an operator's word shows: %+v", s)
	}
	if _, ok := w.Opinion(w.now, x.Name, x.Name, Told); ok {
		t.Error("it speaks of itself")
	}
}

func TestMayAnswer(t *testing.T) {
	w := newWorld(t, Config{})
	n := 0
	for w.MayAnswer(w.now, domain(1).Name) {
		t.Fatal("a stranger may ask")
	}
	for w.see(domain(1), Reply, 1); w.MayAnswer(w.now, domain(1).Name) && n < 999; n++ {
	}
	if n != answerBurst {
		t.Errorf("%d questions at once", n)
	}
}

// TestLearnAnything: whatever is said, loans stay within what a peer and a recommender
// may have, and are the same after a restart.
func TestLearnAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(nil, Config{Users: 100})
		f := w.friends(6)
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			x := domain(rapid.IntRange(0, 5).Draw(t, "peer"))
			var said [2][]Statement
			for _, r := range f[:rapid.IntRange(0, 6).Draw(t, "speakers")] {
				k := rapid.IntRange(0, 1).Draw(t, "kind")
				said[k] = append(said[k], Statement{By: r.Name, About: x.Name, Kind: Kind(k + 1), Good: uint8(rapid.IntRange(0, 5).Draw(t, "good")),
					Bad: uint8(rapid.IntRange(0, 5).Draw(t, "bad")), Days: uint8(rapid.IntRange(0, 12).Draw(t, "days"))})
			}
			w.Learn(w.now, x, said[0], answer(said[1])...)
			w.see(x, Event(rapid.IntRange(0, len(events)-1).Draw(t, "event")), rapid.IntRange(0, 2).Draw(t, "times"))
			w.pass(time.Duration(rapid.IntRange(0, 60).Draw(t, "hours")) * time.Hour)
			for _, p := range w.peers.oldest {
				if p.Loan > loanPeer+1e-9 || p.Lent > loanCredit*longCap+6*loanCredit || p.P < 0 || p.Long < 0 || p.Blame > blameMost {
					t.Fatalf("%+v", p)
				}
			}
		}
		s := w.Export(w.now)
		again := New(w.cfg, w.now)
		again.Import(w.now, s)
		if !reflect.DeepEqual(again.Export(w.now), s) {
			t.Fatal("a restart changed something")
		}
	})
}

// TestCredit: what a recommender has out is bounded, whatever it praises, and comes back.
func TestCredit(t *testing.T) {
	w := newWorld(t, Config{Users: 500})
	r := domain(500)
	w.see(r, Reply, 1) // P* = 1, T = 0.2: it lends 0.4 each, 4 at most
	out := 0.0
	for i := range 20 {
		x := domain(i)
		w.find(r.Name).Introductions = Bucket{} // no newcomers' limit here
		w.Learn(w.now, x, say(Carried, x, r))
		out += w.find(x.Name).Loan
	}
	near(t, "lent to 20 peers", out, 4)
	w.pass(2 * dayLong)
	w.find(r.Name).Credit.decay(w.clock.at)
	near(t, "out after a half-life", w.find(r.Name).Lent, 2)
}

// TestBadIntroductions: who introduced a fresh identity that turned out bad introduces
// no other, though it still has tokens.
func TestBadIntroductions(t *testing.T) {
	w := newWorld(t, Config{Users: 500})
	r := w.friends(1)[0]
	w.see(r, Reply, 20)
	x, y := domain(1), domain(2)
	w.Learn(w.now, x, say(Carried, x, r))
	w.see(x, Block, 1)
	w.pass(4 * dayLong)
	w.Learn(w.now, y, say(Carried, y, r))
	near(t, "lent to the next", w.find(y.Name).Loan, 0)
	w.pass(30 * dayLong) // 3·2^(-34/14) < 1
	z := domain(3)
	w.Learn(w.now, z, say(Carried, z, r))
	if w.find(z.Name).Loan == 0 {
		t.Error("never forgiven")
	}
}

// TestWhoIsHeard: the closed and the denied neither vouch nor complain.
func TestWhoIsHeard(t *testing.T) {
	w := newWorld(t, Config{Users: 500})
	for i, silence := range []func(Sender){
		func(s Sender) { w.Set(w.now, s, Deny) },
		func(s Sender) { w.see(s, Report, 20) },
	} {
		s := domain(i)
		w.see(s, Reply, 12)
		if got, _ := w.trust(w.clock.at, s.Name); got == 0 || !w.Complain(w.now, s.Name, "usra") {
			t.Fatalf("%d: not heard before, trust %v", i, got)
		}
		silence(s)
		if got, _ := w.trust(w.clock.at, s.Name); got != 0 || w.Complain(w.now, s.Name, "usrb") {
			t.Errorf("%d: still heard, trust %v", i, got)
		}
	}
}
