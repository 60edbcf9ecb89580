package reputation

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"parley/protocol"

	"pgregory.net/rapid"
)

const dayLong = 24 * time.Hour

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// world is an engine of a node that is no newborn, with a clock.
type world struct {
	testing.TB
	*Engine
	now time.Time
	n   int
}

func newWorld(t testing.TB, cfg Config) *world {
	w := &world{TB: t, Engine: New(cfg, epoch), now: epoch}
	w.pass(30 * dayLong)
	return w
}

func (w *world) pass(d time.Duration) {
	for ; d > 0; d -= MaxStep {
		w.now = w.now.Add(min(d, MaxStep))
		w.clock.now(w.now)
	}
}

// contact tries a first contact of a user that never tried before.
func (w *world) contact(s Sender) Verdict {
	w.n++
	return w.FirstContact(w.now, s, protocol.UserID(fmt.Sprintf("usr%d@%s", w.n, s.Name)))
}

func (w *world) want(s Sender, a Action, r Reason) Verdict {
	w.Helper()
	v := w.contact(s)
	if v.Action != a || v.Reason != r {
		w.Fatalf("%s: verdict %d %q after %v, want %d %q\n%s", s.Name, v.Action, v.Reason, v.After, a, r, w.Explain(w.now, s.Name))
	}
	return v
}

// see files events of users of full standing, each of another one.
func (w *world) see(s Sender, ev Event, times int) {
	for range times {
		w.n++
		w.Observe(w.now, s, ev, Reporter{User: protocol.UserID(fmt.Sprint("usr", w.n)), Age: 99 * dayLong, Partners: 9})
	}
}

func domain(i int) Sender {
	return Sender{
		Name: protocol.Node(fmt.Sprintf("n%d.example", i)), Domain: fmt.Sprintf("n%d.example", i), Proof: ProofDomain,
		Prefix: PrefixOf(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 7})),
	}
}

func TestPrefixOf(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.77": "192.0.2.0/24", "::ffff:192.0.2.77": "192.0.2.0/24", "2001:db8:1:2::3": "2001:db8:1::/48",
	} {
		if got := PrefixOf(netip.MustParseAddr(in)).String(); got != want {
			t.Errorf("PrefixOf(%s) = %s, want %s", in, got, want)
		}
	}
	if PrefixOf(netip.Addr{}) != (netip.Prefix{}) {
		t.Error("the zero address has a prefix")
	}
}

// TestStranger: one first contact, then the wait that the verdict names is enough.
func TestStranger(t *testing.T) {
	w := newWorld(t, Config{Users: 500})
	s := domain(1)
	if v := w.want(s, Admit, ReasonStranger); v.Cost != 1 {
		t.Errorf("it cost %v of the pool", v.Cost)
	}
	w.want(s, Admit, ReasonStranger) // r₀ = 2
	v := w.want(s, Wait, ReasonRate)
	if v.After <= 0 || v.After > MaxWait {
		t.Fatalf("wait %v", v.After)
	}
	w.pass(12 * time.Hour)
	w.want(s, Admit, ReasonStranger)
}

func TestFriend(t *testing.T) {
	w := newWorld(t, Config{Users: 500})
	s := domain(1)
	w.want(s, Admit, ReasonStranger)
	w.see(s, Reply, 1)
	w.want(s, Admit, ReasonKnown)
	w.see(s, Reply, 60)
	w.pass(dayLong / 2)
	for range 3 {
		w.want(s, Admit, ReasonKnown)
	}
}

// TestBlatantSpammer: a report of a stranger closes it at once, and it stays closed for
// as long as the formulas say.
func TestBlatantSpammer(t *testing.T) {
	w := newWorld(t, Config{Users: 500})
	s := domain(1)
	w.want(s, Admit, ReasonStranger)
	w.see(s, Report, 1)
	if v := w.want(s, Wait, ReasonClosed); v.After != MaxWait {
		t.Errorf("wait %v", v.After)
	}
	// E = 1/(N+2) with N = 3·2^(-d/14) and prior (1)/(1·2^(-d/30)+2); it reopens at
	// max(.35, lo+.1), which needs N below .3 at the least: 46 days.
	w.pass(30 * dayLong)
	w.want(s, Wait, ReasonClosed)
	w.pass(60 * dayLong)
	w.want(s, Admit, ReasonStranger)
	c := w.Changes()
	if len(c) != 2 || !strings.HasPrefix(c[0].What, "closed: quality 0.") || !strings.HasPrefix(c[1].What, "reopened") {
		t.Errorf("changes %+v", c)
	}
}

// TestHysteresis: a known peer closes at lo and does not open before lo + 0.10.
func TestHysteresis(t *testing.T) {
	w := newWorld(t, Config{Users: 500})
	s := domain(1)
	w.see(s, Reply, 4)
	w.pass(10 * dayLong) // the fast window is empty enough
	for range 20 {
		w.see(s, Block, 1)
		if w.find(s.Name).Closed {
			break
		}
	}
	p := w.find(s.Name)
	st := w.standing(w.clock.at, p)
	if !p.Closed || st.Quality > st.Lo {
		t.Fatalf("not closed: %+v", st)
	}
	for range 400 {
		w.pass(6 * time.Hour)
		st = w.judge(w.clock.now(w.now), p)
		if p.Closed && st.Quality >= st.Lo+reopenBy && st.Phi > 0 || !p.Closed && st.Quality < st.Lo+reopenBy-1e-9 {
			t.Fatalf("closed %v at quality %v, lo %v", p.Closed, st.Quality, st.Lo)
		}
		if !p.Closed {
			return
		}
	}
	t.Fatal("never reopened")
}

// TestWhitewash: a thousand fresh keys of one network drink from one cup.
func TestWhitewash(t *testing.T) {
	w := newWorld(t, Config{Users: 500}) // S = 10, domains: 4 a day, a network: 1
	in := 0
	for i := range 1000 {
		s := domain(i)
		s.Prefix = domain(0).Prefix
		if w.contact(s).Action == Admit {
			in++
		}
	}
	if in == 0 || in > 3 { // burst of 12, a quarter of it
		t.Errorf("%d of 1000 identities of one network came in at once", in)
	}
	all := in
	for i := range 1000 {
		if w.contact(domain(2000+i)).Action == Admit {
			all++
		}
	}
	if all < 4 || all > 12 {
		t.Errorf("%d of 2000 strangers came in at once, the pool holds 12", all)
	}
	for i := range 1000 { // the flood has pushed out its own only
		if w.find(domain(2000+i).Name) == nil {
			t.Fatalf("stranger %d is forgotten", i)
		}
	}
	last := domain(999)
	last.Prefix = domain(0).Prefix
	w.contact(last)
	if w.find(last.Name) == nil {
		t.Error("the latest of a crowd is not remembered")
	}
	if n := len(w.strangers.m); n > 1000+maxCrowd {
		t.Errorf("%d strangers remembered, of one network at most %d", n, maxCrowd)
	}
}

// TestGroupTurnsBad: identities that were closed here spoil their parent domain for the
// next, and one that only has bad neighbours does not spoil it further.
func TestGroupTurnsBad(t *testing.T) {
	w := newWorld(t, Config{Users: 5000})
	same := func(i int) Sender { s := domain(i); s.Domain = "cheap.example"; return s }
	w.want(same(1), Admit, ReasonStranger)
	w.see(same(1), Report, 1)
	near(t, "prior", w.prior(w.clock.at, &Sender{Domain: "cheap.example", Proof: ProofDomain}), 1.0/3)
	for i := range 10 {
		w.want(same(10+i), Wait, ReasonClosed)
	}
	near(t, "prior", w.prior(w.clock.at, &Sender{Domain: "cheap.example", Proof: ProofDomain}), 1.0/3)
	for i := range 3 {
		w.see(same(30+i), Reply, 5)
	}
	near(t, "prior with good neighbours", w.prior(w.clock.at, &Sender{Domain: "cheap.example", Proof: ProofDomain}), 0.5)
	near(t, "prior with good neighbours of a key", w.prior(w.clock.at, &Sender{Domain: "cheap.example"}), 0.4)
}

// TestSlander: fresh accounts together, and any one account, have a bounded say.
func TestSlander(t *testing.T) {
	w := newWorld(t, Config{Users: 500})
	s := domain(1)
	w.see(s, Reply, 6)
	for i := range 200 {
		w.Observe(w.now, s, Report, Reporter{User: protocol.UserID(fmt.Sprint("fake", i)), Age: 9 * dayLong, Partners: 9})
	}
	near(t, "N by 200 fresh accounts", w.find(s.Name).N, lightBad)
	w.want(s, Admit, ReasonKnown)
	other := domain(2)
	w.see(other, Reply, 20)
	for range 50 {
		w.Observe(w.now, other, Report, Reporter{User: "usrangry", Age: 99 * dayLong, Partners: 9})
	}
	near(t, "N by one old account", w.find(other.Name).N, maxVoice)
	w.want(other, Admit, ReasonKnown)
}

func TestUserShare(t *testing.T) {
	w := newWorld(t, Config{Users: 500})
	s := domain(1)
	w.see(s, Reply, 200)
	for range userBurst {
		if v := w.FirstContact(w.now, s, "usrX@n1.example"); v.Action != Admit {
			t.Fatalf("%+v", v)
		}
	}
	v := w.FirstContact(w.now, s, "usrX@n1.example")
	if v.Action != Wait || v.Reason != ReasonUser || v.After != 144*time.Minute {
		t.Fatalf("%+v, want a tenth of a day", v)
	}
	w.want(s, Admit, ReasonKnown) // another user
	w.Refund(w.now, s, "usrX@n1.example", Verdict{})
	if v := w.FirstContact(w.now, s, "usrX@n1.example"); v.Action != Admit {
		t.Fatalf("after a refund: %+v", v)
	}
}

// TestRefund: what we could not deliver costs the peer nothing.
func TestRefund(t *testing.T) {
	w := newWorld(t, Config{Users: 50})
	s := domain(1)
	for range 100 {
		v := w.FirstContact(w.now, s, "usrX@n1.example")
		if v.Action != Admit {
			t.Fatalf("%+v\n%s", v, w.Explain(w.now, s.Name))
		}
		w.Refund(w.now, s, "usrX@n1.example", v)
	}
}

func TestPins(t *testing.T) {
	w := newWorld(t, Config{Users: 50})
	s := domain(1)
	w.see(s, Report, 3)
	w.Set(w.now, s, Allow)
	for range 99 {
		w.want(s, Admit, ReasonAllowed)
	}
	w.Set(w.now, s, Deny)
	w.want(s, Wait, ReasonDenied)
	w.Set(w.now, s, Auto)
	w.want(s, Wait, ReasonClosed)
	w.Forget(w.now, s.Name)
	if e := w.Explain(w.now, s.Name); !strings.Contains(e, "never seen") {
		t.Error(e)
	}
}

func TestOutbound(t *testing.T) {
	w := newWorld(t, Config{})
	try := func(u protocol.UserID, age time.Duration) (n int) {
		for n < 1000 {
			if v, _ := w.Outbound(w.now, u, age); v != OutAllowed {
				break
			}
			n++
		}
		return n
	}
	if n := try("usrold", 30*dayLong); n != 25 {
		t.Errorf("an old account: %d at once", n)
	}
	if n := try("usrnew", 0); n != 5 {
		t.Errorf("a new account: %d at once", n)
	}
	w.pass(dayLong / 2)
	if n := try("usrold", 30*dayLong); n != 25 {
		t.Errorf("half a day later: %d", n)
	}
	for i := range 3 {
		if w.Complain(w.now, domain(i).Name, "usrold") {
			t.Error("a stranger was heard")
		}
		w.see(domain(i), Reply, 3)
		w.Complain(w.now, domain(i).Name, "usrold")
		w.Complain(w.now, domain(i).Name, "usrold")
		w.pass(dayLong)
		v, _ := w.Outbound(w.now, "usrold", 30*dayLong)
		if (v == OutSuspended) != (i == 2) {
			t.Errorf("after complaints of %d nodes: %v", i+1, v)
		}
	}
	w.Pardon("usrold")
	if v, _ := w.Outbound(w.now, "usrold", 30*dayLong); v != OutAllowed {
		t.Errorf("pardoned: %v", v)
	}
}

// TestClock: a clock that jumps neither forgives nor condemns, and fills no bucket.
func TestClock(t *testing.T) {
	w := newWorld(t, Config{Users: 50})
	s, friend := domain(1), domain(2)
	w.see(s, Report, 1)
	w.see(friend, Reply, 10)
	before := *w.find(s.Name)
	for range 3 {
		w.now = w.now.Add(-50 * 365 * dayLong)
		w.want(s, Wait, ReasonClosed)
		w.want(friend, Admit, ReasonKnown)
	}
	w.now = w.now.Add(200 * 365 * dayLong)
	w.want(s, Wait, ReasonClosed)
	w.want(friend, Admit, ReasonKnown)
	if p := w.find(s.Name); p.N < before.N*0.95 || p.N > before.N {
		t.Errorf("N was %v and is %v", before.N, p.N)
	}
	// Two clocks that only differ in the size of their steps agree.
	a, b := newClock(epoch), newClock(epoch)
	for i := range 1000 {
		a.now(epoch.Add(time.Duration(i) * 7 * time.Microsecond))
	}
	if b.now(epoch.Add(999*7*time.Microsecond)) != a.at {
		t.Error("small steps get lost")
	}
	// Calls out of order by a little do not add time.
	at := a.at
	for range 100 {
		a.now(epoch)
		a.now(epoch.Add(999 * 7 * time.Microsecond))
	}
	if a.at != at {
		t.Errorf("%v passed", time.Duration(a.at-at))
	}
}

// TestRestart: a state survives JSON and import exactly; time away passes, within bounds.
func TestRestart(t *testing.T) {
	w := newWorld(t, Config{Users: 500})
	for i := range 20 {
		w.contact(domain(i))
		w.see(domain(i), []Event{Reply, Report, Block, Ignored}[i%4], i%7)
	}
	w.Set(w.now, domain(3), Deny)
	w.Outbound(w.now, "usra", 0)
	w.Complain(w.now, domain(8).Name, "usra")
	s := w.Export(w.now)
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var back State
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	again := New(w.cfg, w.now)
	again.Import(w.now, back)
	if got := again.Export(w.now); !reflect.DeepEqual(got, s) {
		t.Errorf("exported\n%+v\nwant\n%+v", got, s)
	}
	for _, c := range []struct{ away, passed time.Duration }{
		{time.Hour, time.Hour}, {-time.Hour, 0}, {-1e6 * time.Hour, 0}, {1e6 * time.Hour, MaxAway},
	} {
		again.Import(w.now.Add(c.away), back)
		if got := time.Duration(again.clock.at - s.At); got != c.passed {
			t.Errorf("away for %v: %v passed", c.away, got)
		}
	}
}

// TestExplain fits on a screen, names the evidence and what follows, and has no effect.
func TestExplain(t *testing.T) {
	w := newWorld(t, Config{Users: 500})
	s := domain(1)
	w.contact(s)
	w.see(s, Reply, 2)
	w.see(s, Block, 30)
	before := w.Export(w.now)
	text := w.Explain(w.now, s.Name)
	for _, want := range []string{"n1.example (closed)", "domain, prior 0.33", "10.0.1.0/24: 0.0 turned good, 1.0 bad",
		"good 2.00, bad 30.00", "1.00 from usr", "nothing", "closes below", "0% of full"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing", want)
		}
	}
	if n := strings.Count(text, "\n"); n > 24 {
		t.Errorf("%d lines", n)
	}
	if strings.Contains(text, "your word") {
		t.Error("nobody has said a word")
	}
	other := domain(2)
	for pin, want := range map[Pin]string{Deny: "your word      deny", Allow: "your word      allow"} {
		w.Set(w.now, other, pin)
		if text := w.Explain(w.now, other.Name); !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	w.Forget(w.now, other.Name)
	if t.Failed() {
		t.Log(text)
	}
	if !reflect.DeepEqual(w.Export(w.now), before) {
		t.Error("explaining changed something")
	}
}

// TestFlood: memory is bounded under a flood of identities, and friends, the closed and
// the operator's words outlast it.
func TestFlood(t *testing.T) {
	cfg := Config{Users: 500, MaxPeers: 100, MaxStrangers: 200, MaxGroups: 300, MaxAccounts: 50}
	w := newWorld(t, cfg)
	friend, foe, pinned := domain(1), domain(2), domain(3)
	w.see(friend, Reply, 8)
	w.see(foe, Report, 2)
	w.Set(w.now, pinned, Deny)
	for i := range 20_000 {
		s := domain(100 + i)
		w.contact(s)
		w.Observe(w.now, s, Violation, Reporter{})
		if i%20 == 0 {
			w.pass(time.Minute)
			w.see(s, Ignored, 1)
		}
		w.Outbound(w.now, protocol.UserID(fmt.Sprint("usr", i)), dayLong)
	}
	for what, n := range map[string][2]int{
		"peers": {len(w.peers.m), 100}, "strangers": {len(w.strangers.m), 200}, "groups": {len(w.groups.m), 300},
		"users": {len(w.users.m), 50}, "accounts": {len(w.accounts.m), 50}, "crowds": {len(w.crowds), 400},
	} {
		if n[0] > n[1] {
			t.Errorf("%d %s, at most %d", n[0], what, n[1])
		}
	}
	w.want(friend, Admit, ReasonKnown)
	w.want(foe, Wait, ReasonClosed)
	w.want(pinned, Wait, ReasonDenied)
}

// TestAnything drives the engine at random and holds it to its invariants after every
// step; the same steps give the same state.
func TestAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := Config{Users: rapid.IntRange(1, 5000).Draw(t, "users"), MaxPeers: 8, MaxStrangers: 6, MaxGroups: 10, MaxAccounts: 5}
		a, b := New(cfg, epoch), New(cfg, epoch)
		now := epoch
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			step := drawStep(t, &now)
			step(a)
			step(b)
			check(t, a)
			check(t, b)
		}
		if x, y := a.Export(now), b.Export(now); !reflect.DeepEqual(x, y) {
			t.Fatalf("two runs differ:\n%+v\n%+v", x, y)
		}
	})
}

func drawStep(t *rapid.T, now *time.Time) func(*Engine) {
	s := domain(rapid.IntRange(0, 15).Draw(t, "peer"))
	s.Proof = Proof(rapid.IntRange(0, 1).Draw(t, "proof"))
	if rapid.Bool().Draw(t, "shared") {
		s.Domain = "shared.example"
	}
	*now = now.Add(time.Duration(rapid.Int64Range(-int64(dayLong), int64(3*dayLong)).Draw(t, "pass")))
	at, user := *now, protocol.UserID(rapid.StringMatching("usr[a-h]").Draw(t, "user"))
	switch rapid.IntRange(0, 6).Draw(t, "do") {
	case 0, 1, 2:
		return func(e *Engine) { e.FirstContact(at, s, user) }
	case 3, 4:
		ev := Event(rapid.IntRange(0, len(events)-1).Draw(t, "event"))
		by := Reporter{User: user, Age: time.Duration(rapid.IntRange(0, 40).Draw(t, "age")) * dayLong, Partners: rapid.IntRange(0, 6).Draw(t, "partners")}
		return func(e *Engine) { e.Observe(at, s, ev, by) }
	case 5:
		return func(e *Engine) { e.Import(at, e.Export(at)) }
	}
	return func(e *Engine) { e.Outbound(at, user, dayLong); e.Complain(at, s.Name, user) }
}

func groupsOf(p *Peer) []groupKey {
	g := p.groups()
	return g[:]
}

func check(t *rapid.T, e *Engine) {
	if len(e.peers.m) > 8 || len(e.strangers.m) > 6 || len(e.groups.m) > 10 || len(e.users.m) > 5 || len(e.accounts.m) > 5 {
		t.Fatalf("tables overflow")
	}
	crowds := map[groupKey]int{}
	for _, p := range e.strangers.oldest {
		for _, k := range p.groups() {
			if !k.none() {
				crowds[k]++
			}
		}
	}
	for k, c := range e.crowds {
		for _, p := range c {
			if in, ok := e.strangers.peek(p.Name); !ok || in != p || !slices.Contains(groupsOf(p), k) {
				t.Fatalf("%s is counted with %v", p.Name, k)
			}
		}
		if crowds[k] != len(c) {
			t.Fatalf("crowd of %d, counted %d", crowds[k], len(c))
		}
		delete(crowds, k)
	}
	if len(crowds) > 0 {
		t.Fatalf("not counted: %v", crowds)
	}
	for _, p := range e.peers.oldest {
		if _, both := e.strangers.peek(p.Name); both {
			t.Fatalf("%s is in two tables", p.Name)
		}
		if p.P < 0 || p.N < 0 || p.Long < 0 || p.Long > longCap || p.LightBad > lightBad+1e-9 || p.LightGood > lightGood+1e-9 || p.Bucket.Tokens < 0 {
			t.Fatalf("%+v", p)
		}
		st := e.standing(e.clock.at, p)
		if !(st.Quality > 0 && st.Quality <= 1 && st.Phi >= 0 && st.Phi <= 1 && st.Prior >= priorLow && st.Prior <= priorDomain) {
			t.Fatalf("%+v", st)
		}
	}
}

// The verdict of a known peer is the way of every first contact that is no stranger's.
func BenchmarkVerdictKnown(b *testing.B) {
	w := newWorld(b, Config{Users: 5000})
	const peers = 1000
	var senders [peers]Sender
	var users [peers]protocol.UserID
	for i := range senders {
		senders[i] = domain(i)
		users[i] = protocol.UserID(fmt.Sprintf("usr%d@%s", i, senders[i].Name))
		w.see(senders[i], Reply, 20)
		w.FirstContact(w.now, senders[i], users[i])
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		w.now = w.now.Add(20 * time.Millisecond)
		v := w.FirstContact(w.now, senders[i%peers], users[i%peers])
		if v.Reason != ReasonKnown {
			b.Fatal(v)
		}
		w.Refund(w.now, senders[i%peers], users[i%peers], v) // so that the next is admitted too
	}
}

func BenchmarkVerdictStranger(b *testing.B) {
	w := newWorld(b, Config{Users: 5000})
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		w.now = w.now.Add(time.Second)
		w.FirstContact(w.now, domain(i%65536), "usrX")
	}
}

// TestYoungReceiver: a newborn knows nobody yet, so its pool is ten times larger and
// everybody's rate higher by 3; both end after two weeks.
func TestYoungReceiver(t *testing.T) {
	w := &world{TB: t, Engine: New(Config{Users: 500}, epoch), now: epoch}
	s := domain(1)
	for _, c := range []struct{ pool, rate float64 }{{40, 5}, {4 * 5.5, 3.5}, {4, 2}} { // 0.4·S, S = 10; r₀ = 2
		near(t, "pool of fresh domains", w.poolRate(w.clock.at, poolFresh), c.pool)
		st := w.standing(w.clock.at, w.meet(w.clock.at, &s))
		near(t, "rate", st.Rate, c.rate)
		w.pass(7 * dayLong)
	}
}

// TestPoolAdapts: what the pool let in and turned out bad makes it smaller, for a while.
func TestPoolAdapts(t *testing.T) {
	w := newWorld(t, Config{Users: 500})
	for i := range 3 {
		w.want(domain(i), Admit, ReasonStranger)
		w.see(domain(i), Report, 1)
	}
	near(t, "after three reports", w.poolRate(w.clock.at, poolFresh), 4*1.25/4)
	w.pass(7 * dayLong)
	near(t, "a week later", w.poolRate(w.clock.at, poolFresh), 4*1.25/2.5)
}

// TestFreeEvidence: what an identity can cause without any local user does not enter the
// table of peers, so that it pushes nobody out.
func TestFreeEvidence(t *testing.T) {
	w := newWorld(t, Config{Users: 500})
	w.Observe(w.now, domain(1), Violation, Reporter{})
	if _, ok := w.peers.peek(domain(1).Name); ok || w.find(domain(1).Name).N != 1 {
		t.Error("a violation of a stranger is kept among the peers, or not at all")
	}
	w.see(domain(1), Ignored, 1)
	if _, ok := w.peers.peek(domain(1).Name); !ok {
		t.Error("a user's word is not kept")
	}
}
