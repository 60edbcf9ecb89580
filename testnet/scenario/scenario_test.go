package scenario

import (
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"parley/federation/vnet"
)

const base = `[[nodes]]
name = "a"
region = "eu"
[[nodes]]
name = "b"
count = 3
[[users]]
name = "al"
count = 2
`

func TestGood(t *testing.T) {
	p, err := Parse("dir/good-one.toml", []byte(`
duration = "2m"
[link]
latency = "50ms"
rate = "10Mbit"
queue = 1000
`+base+`
[[links]]
between = [["a"], ["b*", "!b3"]]
loss = 0.5
[contacts]
graph = "ring"
degree = 1
[[work]]
kind = "chat"
users = ["al1"]
every = "5s"
[[event]]
at = "30s"
do = "link"
from = ["region:eu"]
to = ["*"]
[event.link]
latency = "1s"
[[event]]
at = "10s"
for = "20s"
do = "partition"
sides = [["a"], ["b1", "b2"]]
[[check]]
that = "lost == 0"
`))
	if err != nil {
		t.Fatal(err)
	}
	if p.Name != "good-one" || p.Duration.Duration != 2*time.Minute || p.Seed != 1 || len(p.Net) != 4 || len(p.People) != 8 {
		t.Errorf("%+v", p)
	}
	if p.Net[3].Name != "b3" || p.Net[3].Domain != "b3.example" || p.People[7].Name != "al2@b3" || p.People[7].Node != 3 {
		t.Errorf("%+v %+v", p.Net[3], p.People[7])
	}
	// al1@a al2@a al1@b1 …: a ring of 8 with neighbours of one node left out
	if len(p.Pairs) != 4 {
		t.Errorf("pairs %v", p.Pairs)
	}
	usual := p.Link.Over(vnet.Link{})
	if usual != (vnet.Link{Latency: 50 * time.Millisecond, Jitter: 5 * time.Millisecond, Rate: 1e7, Queue: 1000}) {
		t.Errorf("usual link %+v", usual)
	}
	r := &p.Rules[0]
	if l := r.Link.Over(usual); l.Loss != .5 || l.Latency != 50*time.Millisecond {
		t.Errorf("link over link %+v", l)
	}
	if !r.Fits(0, 1) || !r.Fits(2, 0) || r.Fits(0, 3) || r.Fits(1, 2) {
		t.Error("the rule fits others than it should")
	}
	if p.Timeline[0].Do != "partition" || !p.Timeline[0].Partitioned(0, 1) || p.Timeline[0].Partitioned(1, 2) || p.Timeline[0].Partitioned(0, 3) {
		t.Errorf("timeline %+v", p.Timeline)
	}
	if s := &p.Timeline[1]; !s.Rule.Fits(0, 2) || s.Rule.Fits(2, 0) || s.Text != "link region:eu → *" {
		t.Errorf("one way %+v", s)
	}
	text, err := p.Text()
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse("again.toml", text)
	if err != nil {
		t.Fatalf("what was written cannot be read: %v\n%s", err, text)
	}
	same, err := again.Text()
	if err != nil || string(same) != string(text) || !reflect.DeepEqual(again.Rules, p.Rules) || !slices.Equal(again.Pairs, p.Pairs) || len(again.Timeline) != 2 {
		t.Errorf("read again, it is something else:\n%s", text)
	}
	if j := p.Jobs[0]; len(j.Who) != 4 || j.Until != p.Duration || j.Work.Size != 100 {
		t.Errorf("job %+v", j)
	}
}

func TestWrong(t *testing.T) {
	for text, want := range map[string]string{
		"x = 1":                           `x.toml:1:1: there is no key "x" here; there are name, about`,
		"seed = ":                         "x.toml:1:",
		"seed = \"one\"":                  "x.toml:1:8: seed must not be a string",
		base + "[[event]]\nwhen = 1":      `x.toml:11:1: there is no key "when" here; there are at, do`,
		"duration = \"1 minute\"":         `"1 minute" is not a time span`,
		"duration = 10":                   "x.toml:1:1: \"10\" is not a time span",
		"sample = \"1ms\"\n" + base:       "x.toml:1:1: samples must be at least",
		"":                                "x.toml: there are no [[nodes]]",
		"\n[[nodes]]\nname = \"A b\"":     `x.toml:3:1: "A b" is no name of a node`,
		base + "[[nodes]]\nname = \"b2\"": `x.toml:11:1: there are two nodes named "b2"`,
		base + "[[nodes]]\nname = \"z\"\ncount = 9999":                                      "x.toml:12:1: there can be 1 to",
		base + "[[users]]\nat = [\"c\"]":                                                    `x.toml:11:1: "c" is none of the nodes`,
		base + "[link]\nloss = 2":                                                           "x.toml:11:1: loss is a part: 0 to 1",
		base + "[link]\nspread = \"wide\"":                                                  "x.toml:11:1: spread is one of",
		base + "[link]\nmtu = 500":                                                          "x.toml:11:1: QUIC does not work",
		base + "[[links]]\nloss = 0.1":                                                      "x.toml:10:3: between is missing",
		base + "[[links]]\nbetween=[[\"a\"]]":                                               "x.toml:11:1: between has two ends",
		base + "[contacts]\ngraph = \"star\"":                                               `x.toml:11:1: "star" is no graph`,
		base + "[contacts]\ngraph = \"file\"":                                               "x.toml:11:1: graph = \"file\" needs a file",
		base + "[contacts]\npairs = [[\"al1\"]]":                                            "x.toml:11:1: a pair has two users",
		base + "[[work]]\nkind = \"sleep\"":                                                 `x.toml:11:1: "sleep" is no work`,
		base + "[[work]]\nkind = \"group\"":                                                 "x.toml:11:1: there are no [[groups]]",
		base + "[[work]]\nkind = \"chat\"\nsize = 1":                                        "x.toml:12:1: a message has",
		base + "[[work]]\nkind = \"chat\"\nuntil = \"2h\"":                                  "x.toml:10:3: from must be before until",
		base + "[[event]]\ndo = \"meteor\"":                                                 `x.toml:11:1: "meteor" is no event; there are churn, cut`,
		base + "[[event]]\nat = \"10s\"\ndo = \"kill\"":                                     `x.toml:10:3: "kill" needs nodes`,
		base + "[[event]]\nat = \"2h\"\ndo = \"kill\"\nnodes = [\"a\"]":                     "x.toml:11:1: at 2h0m0s the scenario has ended",
		base + "[[event]]\ndo = \"kill\"\nnodes = [\"a\"]\ndelay = \"1s\"":                  `x.toml:13:1: "kill" has no delay`,
		base + "[[event]]\ndo = \"partition\"\nsides = [[\"a\"], [\"c\"]]":                  `x.toml:12:1: "c" is none of the nodes`,
		base + "[[event]]\ndo = \"link\"\nbetween = [[\"a\"], [\"b1\"]]\nlink={loss=1.5}":   "loss is a part",
		base + "[[event]]\ndo = \"skew\"\nnodes = [\"a\"]":                                  `x.toml:10:3: "skew" needs ahead, or behind`,
		base + "[[event]]\ndo = \"jump\"\nnodes = [\"a\"]\nahead = \"1d\"\nbehind = \"1d\"": "x.toml:14:1: a clock is either ahead or behind",
		base + "[[event]]\ndo = \"jump\"\nnodes = [\"a\"]\nahead = \"1d\"\nfor = \"1s\"":    "x.toml:14:1: a jump is over at once",
		base + "[[event]]\ndo = \"drift\"\nnodes = [\"a\"]\nahead = \"-1s\"":                `"-1s" is not a time span`,
		base + "[[event]]\ndo = \"kill\"\nnodes = [\"a\"]\nahead = \"1s\"":                  `x.toml:13:1: "kill" has no ahead`,
		base + "[[nodes]]\nname = \"z\"\nahead = \"9999d\"":                                 "a clock is at most 87600h off",
		base + "[[check]]\nthat = \"lost = 0\"":                                             `x.toml:11:1: "lost = 0": nothing more is expected here`,
		base + "[[check]]\nthat = \"fun > 0\"":                                              `x.toml:11:1: there is no figure "fun"`,
	} {
		_, err := Parse("x.toml", []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n got %v\nwant %s", text, err, want)
		}
	}
}

func TestSeveralProblemsAtOnce(t *testing.T) {
	_, err := Parse("x.toml", []byte(base+"[[check]]\nthat = \"1\"\n[[work]]\nkind = \"x\"\n[link]\nloss = 3"))
	if err == nil || len(strings.Split(err.Error(), "\n")) != 1 || !strings.Contains(err.Error(), "x.toml:15") {
		t.Errorf("problems of the first part only: %v", err)
	}
	_, err = Parse("x.toml", []byte(base+"[[check]]\nthat = \"1\"\n[[work]]\nkind = \"x\""))
	if lines := strings.Split(err.Error(), "\n"); len(lines) != 2 || !strings.HasPrefix(lines[0], "x.toml:11:") || !strings.HasPrefix(lines[1], "x.toml:13:") {
		t.Errorf("in the order of the file: %v", err)
	}
}

// degrees counts the contacts of each user.
func degrees(p *Plan) []int {
	d := make([]int, len(p.People))
	for _, pair := range p.Pairs {
		d[pair[0]]++
		d[pair[1]]++
	}
	return d
}

func TestGraphs(t *testing.T) {
	parse := func(contacts string) *Plan {
		t.Helper()
		p, err := Parse("x.toml", []byte("[[nodes]]\nname=\"n\"\ncount=200\n[[users]]\n[contacts]\n"+contacts))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if d := degrees(parse(`graph = "all"`)); slices.Min(d) != 199 {
		t.Errorf("all: %v", d)
	}
	if d := degrees(parse("graph = \"ring\"\ndegree = 2")); slices.Min(d) != 4 || slices.Max(d) != 4 {
		t.Errorf("ring: %v", d)
	}
	p := parse("graph = \"random\"\ndegree = 6")
	if d := degrees(p); len(p.Pairs) != 600 || slices.Max(d) > 25 || slices.Max(d) < 9 {
		t.Errorf("random: %d pairs, at most %d", len(p.Pairs), slices.Max(d))
	}
	p = parse("graph = \"scale-free\"\ndegree = 3")
	if d := degrees(p); len(p.Pairs) != 199*3-3 || slices.Min(d) < 3 || slices.Max(d) < 20 {
		t.Errorf("scale-free: %d pairs, %d to %d", len(p.Pairs), slices.Min(d), slices.Max(d))
	}
	if q := parse("graph = \"scale-free\"\ndegree = 3"); !slices.Equal(p.Pairs, q.Pairs) {
		t.Error("the same seed makes another graph")
	}
	if len(parse(`graph = "none"`).Pairs) != 0 {
		t.Error("none is some")
	}
}

func TestContactsFile(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "edges"), []byte("# who knows whom\nal1@a al2@b1\n\nal1@a al1@b3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	text := []byte(base + "[contacts]\ngraph = \"file\"\nfile = \"edges\"\n")
	p, err := Parse(filepath.Join(dir, "x.toml"), text)
	if err != nil || !slices.Equal(p.Pairs, [][2]int{{0, 3}, {0, 6}}) {
		t.Fatalf("%v %v", p, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "edges"), []byte("al1@a nobody@a"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Parse(filepath.Join(dir, "x.toml"), text); err == nil || !strings.Contains(err.Error(), "line 1: one of them is none") {
		t.Errorf("got %v", err)
	}
}

func TestReference(t *testing.T) {
	all, docs := Reference(), comments()
	for _, k := range []string{"slow-disk", "latency_p99", "## [[event]]", "`jitter`", "Barabási"} {
		if !strings.Contains(all, k) {
			t.Errorf("the reference does not have %q", k)
		}
	}
	for k := range kinds {
		if !strings.Contains(docs["Event.Do"], `"`+k+`"`) {
			t.Errorf("event %q is not documented", k)
		}
	}
	for _, line := range strings.Split(all, "\n") {
		if strings.HasPrefix(line, "| `") && strings.Contains(line, "|  |") && strings.Count(line, "|") == 4 && strings.Split(line, "|")[2] == "  " {
			t.Errorf("undocumented: %s", line)
		}
	}
	there, err := os.ReadFile("../../spec/testnet.md")
	if err != nil || string(there) != all {
		t.Errorf("spec/testnet.md is not what the comments say (%v): go generate ./testnet/scenario", err)
	}
	for name := range maps.Keys(Figures) {
		if _, err := netip.ParseAddr(name); err == nil || strings.ContainsAny(name, " -") {
			t.Errorf("%q cannot stand in a condition", name)
		}
	}
}
