package reputation

import (
	"slices"
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

// TestAccuse: what a user reports is filed; it goes to the witnesses, every 6 hours at most, and
// never to the one it is about.
func TestAccuse(t *testing.T) {
	w := newWorld(t, Config{})
	self, x := domain(99), domain(50)
	friend := w.friends(8)[0]
	w.see(x, Ignored, 10)
	if a, ok := w.accusation(self); ok {
		t.Errorf("silence is filed: %+v", a)
	}
	w.see(x, Report, 1)
	a, ok := w.accusation(self)
	if !ok || a.About != x.Name || a.By != self.Name || a.Kind != Filed || a.Bad != class(3, maxMassClass) || len(a.Witnesses) != witnesses || slices.Contains(a.Witnesses, x.Name) {
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

// TestDossier: only who is trusted files, each once about one. What is told of it is nothing
// until two have filed, then as much as all but the loudest, for weeks; all of it is bounded and
// survives a restart.
func TestDossier(t *testing.T) {
	w := newWorld(t, Config{})
	all := w.friends(maxFilings + 1)
	x := domain(50)
	file := func(by Sender, bad uint8) bool {
		return w.TakeFiled(w.now, by.Name, x, Statement{By: by.Name, About: x.Name, Kind: Filed, Bad: bad, Lately: bad})
	}
	told := func() uint8 {
		w.Helper()
		s, ok := w.Opinion(w.now, "self.example", x.Name, Told)
		if ok != (s.Bad > 0) || s.Lately > s.Bad || s.Good+s.Days > 0 {
			w.Errorf("%v %+v", ok, s)
		}
		if c, ok := w.Opinion(w.now, "self.example", x.Name, Carried); ok {
			w.Errorf("the peer itself learns %+v", c)
		}
		return s.Bad
	}
	if file(domain(60), 5) || !file(all[0], 5) || !file(all[0], 3) {
		t.Error("who may file, and how often")
	}
	if w.TakeFiled(w.now, all[0].Name, x, Statement{By: all[1].Name, About: x.Name, Kind: Filed, Bad: 3}) {
		t.Error("filed in another's name")
	}
	if w.TakeFiled(w.now, all[0].Name, domain(51), Statement{By: all[0].Name, About: x.Name, Kind: Filed, Bad: 3}) {
		t.Error("filed of one for another's neighbourhood")
	}
	if got := told(); got != 0 {
		t.Errorf("what one has filed is told: %d", got)
	}
	for i, want := range []uint8{3, 4, 4, 5} { // 4, 8, 12, 16
		if !file(all[1+i], 5) || told() != want {
			t.Errorf("filed by %d: %d, want %d", 2+i, told(), want)
		}
	}
	w.Import(w.now, w.Export(w.now))
	w.pass(15 * dayLong)
	if got := told(); got != 3 { // 16 halved, and a little less
		t.Errorf("two weeks later: %d", got)
	}
	for _, f := range all {
		file(f, 1)
	}
	if n := len(w.dossier(w.clock.at, x.Name).Filings); n != maxFilings {
		t.Errorf("%d filings", n)
	}
	w.pass(29 * dayLong)
	if got := told(); got != 0 || len(w.dossier(w.clock.at, x.Name).Filings) != 0 {
		t.Errorf("weeks later: %d", got)
	}
	for i := range maxDossiers + 100 {
		w.Asked(w.now, domain(i), all[0].Name)
	}
	if len(w.dossiers.m) != maxDossiers {
		t.Errorf("%d dossiers", len(w.dossiers.m))
	}
}

// TestAsked: a witness counts to how many a node comes at once, and forgets them within a day.
func TestAsked(t *testing.T) {
	w := newWorld(t, Config{})
	x := domain(50)
	var got uint8
	for i := range 2 * maxAskers {
		got = w.Asked(w.now, x, domain(100+i%maxAskers).Name).Asked
	}
	if got != class(maxAskers, maxDaysClass) {
		t.Errorf("class %d", got)
	}
	w.pass(4 * time.Hour)
	if got = w.Asked(w.now, x, domain(900).Name).Asked; got != class(maxAskers/4, maxDaysClass) {
		t.Errorf("class %d four hours later", got)
	}
	w.pass(dayLong)
	if got = w.Asked(w.now, x, domain(901).Name).Asked; got != 1 || len(w.dossier(w.clock.at, x.Name).Askers) != 1 {
		t.Errorf("class %d a day later", got)
	}
}

// TestFiledBlame: what two witnesses have gathered closes a stranger; of one that a witness has
// seen to be good it tells little, as long as it has seen nothing bad.
func TestFiledBlame(t *testing.T) {
	witness := newWorld(t, Config{})
	x, old := domain(50), domain(51)
	witness.see(old, Reply, 10)
	for _, f := range witness.friends(5) {
		for _, s := range []Sender{x, old} {
			witness.TakeFiled(witness.now, f.Name, s, Statement{By: f.Name, About: s.Name, Kind: Filed, Bad: 5, Lately: 5})
		}
	}
	if s, _ := witness.Opinion(witness.now, "w.example", old.Name, Told); s.Bad > class(hearsayFree, maxMassClass) {
		t.Errorf("of one that is good here: %+v", s)
	}
	w := newWorld(t, Config{})
	f := w.friends(2)
	var answers []Answer
	for _, by := range f {
		s, _ := witness.Opinion(witness.now, by.Name, x.Name, Told)
		answers = append(answers, Answer{By: by.Name, Told: s})
	}
	w.Learn(w.now, x, nil, answers[0])
	near(t, "blame of one witness", w.find(x.Name).Blame, 0)
	w.Learn(w.now, x, nil, answers...)
	near(t, "blame of two", w.find(x.Name).Blame, 4*0.6)
	w.want(x, Wait, ReasonClosed)
}

// TestAccusersAreJudged: who warned of one that turns out good is trusted less, who warned
// of one that turns out bad, no less.
func TestAccusersAreJudged(t *testing.T) {
	w := newWorld(t, Config{})
	f := w.friends(4)
	good, bad := domain(50), domain(51)
	blame := func(x Sender, by ...Sender) {
		all := say(Told, x, by...)
		for i := range all {
			all[i].Good, all[i].Bad = 0, 3
		}
		w.Learn(w.now, x, nil, answer(all)...)
	}
	blame(good, f[0], f[1])
	blame(bad, f[2], f[3])
	before, _ := w.trust(w.clock.at, f[0].Name)
	w.see(good, Reply, 4)
	w.see(bad, Report, 2)
	liar, _ := w.trust(w.clock.at, f[0].Name)
	right, _ := w.trust(w.clock.at, f[2].Name)
	if liar > before/2 || right < before {
		t.Errorf("trust was %.2f; who was wrong has %.2f, who was right %.2f", before, liar, right)
	}
}
