package checks

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// world is two users who said things; line makes what a client reads.
func world() (l *Ledger, r *Room, say func(author int, accepted bool) *Message) {
	l = NewLedger()
	r = l.AddRoom("al – bo", []int{0, 1}, false, true)
	seq := map[int]int{}
	return l, r, func(author int, accepted bool) *Message {
		m, _ := l.Begin(author, r, 30)
		if accepted {
			seq[author]++
			l.Answer(m, seq[author], 0, m.Begun.Add(time.Millisecond))
		}
		return m
	}
}

func line(seq int, m *Message) Line {
	b, _ := json.Marshal(m.text(30))
	return Line{Seq: seq, From: m.Author, Content: b}
}

func names(u int) string { return fmt.Sprint("user ", u) }

// counts of what is wrong, in words.
func words(f *Found) string {
	return fmt.Sprintf("lost %d doubled %d bounced %d unconfirmed %d contradictions %d reordered %d forged %d diverged %d forgotten %d gaps %d",
		f.Lost, f.Doubled, f.Bounced, f.Unconfirmed, f.Contradictions, f.Reordered, f.Forged, f.Diverged, f.Forgotten, f.Gaps)
}

func TestCompare(t *testing.T) {
	l, r, say := world()
	a, b, c := say(0, true), say(0, true), say(0, true)
	lost := say(1, false) // nobody knows whether it was taken
	alice := []Line{line(1, a), line(2, b), line(3, c)}
	cases := map[string]struct {
		alice, bob []Line
		want       string
	}{
		"good":                 {alice, []Line{line(1, a), line(2, b), line(3, c)}, ""},
		"with an unknown one":  {append(alice[:3:3], line(4, lost)), []Line{line(1, lost), line(2, a), line(3, b), line(4, c)}, ""},
		"lost":                 {alice, []Line{line(1, a), line(2, c)}, "lost 1 diverged 1"},
		"doubled":              {alice, []Line{line(1, a), line(2, b), line(3, c), line(4, b)}, "doubled 1"},
		"reordered":            {alice, []Line{line(1, b), line(2, a), line(3, c)}, "reordered 1"},
		"forgotten":            {alice[:2], []Line{line(1, a), line(2, b)}, "lost 1 forgotten 1"},
		"under another number": {[]Line{line(1, b), line(2, a), line(3, c)}, []Line{line(1, b), line(2, a), line(3, c)}, "forgotten 2"},
		"a gap":                {alice, []Line{line(1, a), line(2, b), line(4, c)}, "gaps 1"},
		"at one only":          {alice, []Line{line(1, a), line(2, b), line(3, c), line(4, lost)}, "diverged 1"},
		"forged": {alice, []Line{line(1, a), line(2, b), line(3, c), {Seq: 4, From: 1, Content: line(4, a).Content}},
			"forged 1"},
		"strange": {alice, []Line{line(1, a), line(2, b), line(3, c), {Seq: 4, From: 0, Content: []byte(`"m0.0 but longer"`)}},
			"forged 1"},
		"bounced":              {append(alice[:3:3], Line{Seq: 4, From: -1, Status: "bounced", About: 3}), []Line{line(1, a), line(2, b)}, "bounced 1"},
		"unconfirmed":          {append(alice[:3:3], Line{Seq: 4, From: -1, Status: "unconfirmed", About: 3}), []Line{line(1, a), line(2, b)}, "unconfirmed 1"},
		"unconfirmed, arrived": {append(alice[:3:3], Line{Seq: 4, From: -1, Status: "unconfirmed", About: 3}), []Line{line(1, a), line(2, b), line(3, c)}, "unconfirmed 1"},
		"bounced, arrived": {append(alice[:3:3], Line{Seq: 4, From: -1, Status: "bounced", About: 3}), []Line{line(1, a), line(2, b), line(3, c)},
			"bounced 1 contradictions 1"},
		"only delayed": {append(alice[:3:3], Line{Seq: 4, From: -1, Status: "delayed", About: 3}), []Line{line(1, a), line(2, b)}, "lost 1 diverged 1"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := l.Compare([]Replica{{r, 0, c.alice}, {r, 1, c.bob}}, names)
			got := words(f)
			if got != all(c.want) {
				t.Errorf("got  %s\nwant %s\n%s", got, all(c.want), strings.Join(f.Examples, "\n"))
			}
		})
	}
}

// all is what words gives where all that is not named is 0.
func all(some string) string {
	full := words(&Found{})
	f := strings.Fields(some)
	for i := 0; i+1 < len(f); i += 2 {
		full = strings.Replace(full, f[i]+" 0", f[i]+" "+f[i+1], 1)
	}
	return full
}

func TestGroupsGoByNumber(t *testing.T) {
	l := NewLedger()
	r := l.AddRoom("group", []int{0, 1, 2}, true, true)
	a, _ := l.Begin(0, r, 30)
	l.Answer(a, 1, 0, a.Begun)
	b, _ := l.Begin(1, r, 30)
	l.Answer(b, 2, 0, b.Begun)
	good := []Line{line(1, a), line(2, b)}
	if got := words(l.Compare([]Replica{{r, 0, good}, {r, 1, good}, {r, 2, good}}, names)); got != all("") {
		t.Error(got)
	}
	other := []Line{line(1, b), line(2, a)}
	if got := words(l.Compare([]Replica{{r, 0, good}, {r, 1, good}, {r, 2, other}}, names)); got != all("diverged 1") {
		t.Error(got)
	}
}

func TestHeard(t *testing.T) {
	l, r, say := world()
	m := say(0, true)
	content := line(1, m).Content
	at := m.Begun.Add(2 * time.Second)
	if _, first := l.Heard(1, content, at); !first {
		t.Error("not heard")
	}
	if _, again := l.Heard(1, content, at); again {
		t.Error("heard twice")
	}
	if _, own := l.Heard(0, content, at); own {
		t.Error("the writer hears himself")
	}
	l.Heard(1, []byte(`"something else"`), at)
	refused, _ := l.Begin(1, r, 0)
	l.Answer(refused, 0, 503, at)
	n := l.Now()
	if n.Begun != 2 || n.Accepted != 1 || n.Refused != 1 || n.Delivered != 1 || n.Expected != 1 || n.ExpectedApart != 1 || len(n.Late) != 1 || n.Late[0] != 2 {
		t.Errorf("%+v", n)
	}
	if n = l.Now(); len(n.Late) != 0 {
		t.Error("the same sample again")
	}
	if d, a := l.Times(); len(d) != 1 || len(a) != 1 || a[0] != .001 {
		t.Errorf("times %v %v", d, a)
	}
}

func TestInvariants(t *testing.T) {
	tried := Tried{Copies: 10, Faults: 1, Kills: 1, Groups: 1, Presence: 2, LogFrames: 5, LogPerNode: 1}
	verdicts := func(f Found, t Tried) string {
		var s []string
		for _, i := range f.Invariants(t) {
			s = append(s, map[Verdict]string{Holds: "+", Broken: "-", NotTried: "."}[i.Verdict])
		}
		return strings.Join(s, "")
	}
	if got := verdicts(Found{}, tried); got != "++.+++..++" {
		t.Error(got)
	}
	if got := verdicts(Found{}, Tried{}); got != ".........." {
		t.Error(got)
	}
	broken := Found{Lost: 1, Doubled: 1, Contradictions: 1, Reordered: 1, Forgotten: 1, Diverged: 1, Forged: 1}
	tried.LogPerNode, tried.Wrong = 2, 1
	if got := verdicts(broken, tried); got != "-------.--" {
		t.Error(got)
	}
	tried.Waiting = 1
	if got := verdicts(Found{}, tried); got[0] != '-' {
		t.Error("a post that waits for ever is not lost")
	}
}
