package reputation

import (
	"bytes"
	"testing"
	"time"
)

// accusation is what a node files, if it files anything.
func (w *world) accusation(self Sender) (a Accusation, ok bool) {
	w.Helper()
	all := w.Accuse(w.now, self.Name)
	if len(all) > 1 {
		w.Fatalf("%+v", all)
	}
	if len(all) == 0 {
		return a, false
	}
	return all[0], true
}

// TestAccuse: two users and more must stand behind what is filed; it goes to the witnesses,
// every 6 hours at most, and never to the one it is about.
func TestAccuse(t *testing.T) {
	w := newWorld(t, Config{})
	self, x := domain(99), domain(50)
	friend := w.friends(8)[0]
	w.see(x, Report, 1)
	if a, ok := w.accusation(self); ok {
		t.Errorf("one user's word is filed: %+v", a)
	}
	w.see(x, Report, 1)
	a, ok := w.accusation(self)
	if !ok || a.About != x.Name || a.By != self.Name || a.Kind != Filed || a.Bad != class(6, maxMassClass) || len(a.Witnesses) != 3 {
		t.Fatalf("%v %+v", ok, a)
	}
	if _, err := a.Sign(testKey(1)); err != nil {
		t.Error(err)
	}
	w.pass(5 * time.Hour)
	w.see(x, Report, 1)
	if a, ok := w.accusation(self); ok {
		t.Errorf("after 5 hours: %+v", a)
	}
	w.pass(2 * time.Hour)
	w.see(x, Report, 1)
	if _, ok := w.accusation(self); !ok {
		t.Error("nothing is filed after 7 hours")
	}
	w.see(friend, Block, 2)
	if a, ok := w.accusation(self); ok {
		t.Errorf("two blocks of a large friend are filed: %+v", a)
	}
}

// TestDossier: only who is trusted files, each once about one; it is shown to others for a
// week, and how many ask is counted; all of it is bounded and survives a restart.
func TestDossier(t *testing.T) {
	w := newWorld(t, Config{})
	all := w.friends(3)
	x := domain(50)
	file := func(by Sender, wire string) bool {
		st := Statement{By: by.Name, About: x.Name, Kind: Filed, Bad: 3}
		return w.TakeFiled(w.now, by.Name, st, []byte(wire))
	}
	if file(domain(60), "stranger") || !file(all[0], "old") || !file(all[0], "zero") || !file(all[1], "one") {
		t.Error("who may file, and how often")
	}
	st := Statement{By: all[1].Name, About: x.Name, Kind: Filed, Bad: 3}
	if w.TakeFiled(w.now, all[0].Name, st, nil) {
		t.Error("filed in another's name")
	}
	wires, n := w.Dossier(w.now, x.Name, all[2].Name)
	if len(wires) != 2 || string(wires[0]) != "zero" || n != 1 {
		t.Errorf("%q, %d askers", wires, n)
	}
	if wires, n = w.Dossier(w.now, x.Name, all[0].Name); len(wires) != 1 || string(wires[0]) != "one" || n != 2 {
		t.Errorf("%q, %d askers", wires, n)
	}
	w.Import(w.now, w.Export(w.now))
	for i := range 2 * maxAskers {
		w.Dossier(w.now, x.Name, domain(100+i).Name)
	}
	if wires, n = w.Dossier(w.now, x.Name, all[2].Name); len(wires) != 2 || n != maxAskers {
		t.Errorf("after a restart: %q, %d askers", wires, n)
	}
	w.pass(7 * dayLong)
	if wires, n = w.Dossier(w.now, x.Name, all[2].Name); len(wires) != 0 || n != 1 {
		t.Errorf("a week later: %q, %d askers", wires, n)
	}
	for i := range maxDossiers + 100 {
		w.Dossier(w.now, domain(i).Name, all[0].Name)
	}
	if len(w.dossiers.m) != maxDossiers {
		t.Errorf("%d dossiers", len(w.dossiers.m))
	}
}

// filedBy is what some have filed about another, passed on by one.
func (w *world) filedBy(x, via Sender, share float64, by ...Sender) (all []Testimony) {
	for _, b := range by {
		all = append(all, Testimony{
			Statement: Statement{By: b.Name, About: x.Name, Kind: Filed, Issued: w.now.Unix(), Bad: 3, Lately: 3},
			Via:       via.Name, Share: share,
		})
	}
	return all
}

// TestFiledBlame: what is filed closes a stranger; one author counts nothing, nor do those
// whom nobody trusted passes on; of a large node with few complaints it counts little, and it
// does not close one that is established here.
func TestFiledBlame(t *testing.T) {
	w := newWorld(t, Config{})
	f := w.friends(3)
	x := domain(50)
	for _, c := range []struct {
		name  string
		filed []Testimony
		blame float64
	}{
		{"one author", w.filedBy(x, f[0], 1, domain(60)), 0},
		{"one author, of three witnesses", append(w.filedBy(x, f[0], 1, domain(60)), w.filedBy(x, f[1], 1, domain(60))...), 0},
		{"two strangers", w.filedBy(x, f[0], 1, domain(60), domain(61)), 4 * filedPart * 0.6},
		{"two friends", w.filedBy(x, f[0], 1, f[1], f[2]), 4 * 0.6},
		{"few of many", w.filedBy(x, f[0], 0.1, f[1], f[2]), 0.4 * 0.6},
		{"by nobody trusted", w.filedBy(x, domain(70), 1, f[1], f[2]), 0},
		{"the peer itself", w.filedBy(x, f[0], 1, x, f[1]), 0},
	} {
		w.Learn(w.now, x, nil, nil, c.filed...)
		if b := w.find(x.Name).Blame; b < c.blame*0.9 || b > c.blame*1.1 {
			t.Errorf("%s: blame %.2f, want %.2f", c.name, b, c.blame)
		}
	}
	w.Learn(w.now, x, nil, nil, w.filedBy(x, f[0], 1, f[1], f[2])...)
	w.want(x, Wait, ReasonClosed)
	old := domain(51)
	w.see(old, Reply, 10)
	w.Learn(w.now, old, nil, nil, w.filedBy(old, f[0], 1, f[1], f[2])...)
	w.want(old, Admit, ReasonKnown)
}

// TestAccusersAreJudged: who warned of one that turns out good is trusted less, who warned
// of one that turns out bad, no less.
func TestAccusersAreJudged(t *testing.T) {
	w := newWorld(t, Config{})
	f := w.friends(4)
	good, bad := domain(50), domain(51)
	w.Learn(w.now, good, nil, nil, w.filedBy(good, f[0], 1, f[0], f[1])...)
	w.Learn(w.now, bad, nil, nil, w.filedBy(bad, f[0], 1, f[2], f[3])...)
	before, _ := w.trust(w.clock.at, f[0].Name)
	w.see(good, Reply, 4)
	w.see(bad, Report, 2)
	liar, _ := w.trust(w.clock.at, f[0].Name)
	right, _ := w.trust(w.clock.at, f[2].Name)
	if liar > before/2 || right < before {
		t.Errorf("trust was %.2f; who was wrong has %.2f, who was right %.2f", before, liar, right)
	}
}

func TestAnswerForm(t *testing.T) {
	a := NewAnswer([]byte("own"), [][]byte{[]byte("filed")}, 5)
	b := a.Encode()
	if want := []byte("\x03\x00\x03own\x00\x05filed"); !bytes.Equal(b, want) {
		t.Errorf("%q", b)
	}
	back, err := ParseAnswer(b)
	if err != nil || back.Asked != 3 || len(back.Wires) != 2 || string(back.Wires[1]) != "filed" {
		t.Errorf("%+v %v", back, err)
	}
	for _, bad := range [][]byte{nil, {13}, b[:len(b)-1], b[:5], bytes.Repeat([]byte{0}, 1+2*(maxAnswer+1))} {
		if a, err := ParseAnswer(bad); err == nil {
			t.Errorf("%q is %+v", bad, a)
		}
	}
	for _, c := range []struct {
		asked   uint8
		filings int
		want    float64
	}{{0, 0, 0}, {1, 1, 1}, {4, 1, 1}, {7, 2, 0.3125}, {12, 16, 0.078125}} {
		near(t, "share", Answer{Asked: c.asked}.Share(c.filings), c.want)
	}
}
