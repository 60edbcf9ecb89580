package scenarios

import (
	"os"
	"slices"
	"strings"
	"testing"

	"parley/testnet/run"
	"parley/testnet/scenario"
	"parley/testnet/vtime"
)

// explained is how many lines of comments a scenario begins with, at least.
const explained = 8

func TestAllAreGoodAndExplained(t *testing.T) {
	names := Names()
	if len(names) < 12 || !slices.Contains(names, "hello") {
		t.Errorf("there are %v", names)
	}
	for _, name := range names {
		p, err := Plan(name)
		if err != nil {
			t.Error(err)
			continue
		}
		if p.About == "" || len(p.Must) == 0 || p.Name != name {
			t.Errorf("%s says nothing about itself, or checks nothing", name)
		}
		text, err := Text(name)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(text), "\n")
		if n := slices.IndexFunc(lines, func(l string) bool { return !strings.HasPrefix(l, "#") }); n < explained || !strings.HasPrefix(lines[0], "# "+name+": ") {
			t.Errorf("%s is not explained: %d lines of comments", name, n)
		}
	}
	if _, err := Plan("nothing"); err == nil {
		t.Error("there is a scenario named nothing")
	}
}

// play runs a scenario.
func play(t *testing.T, name string, seed uint64) *run.Result {
	t.Helper()
	p, err := Plan(name, scenario.WithSeed(seed))
	if err != nil {
		t.Fatal(err)
	}
	res, err := run.Run(p, vtime.NewClock(vtime.Options{}), run.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// heavy are those that take most of a minute or more.
var heavy = []string{"agree", "eclipse", "long-partition", "mixed", "scale", "scale-1000", "scale-dht", "scale-dht-200", "spam-wave"}

// TestRun runs those that take a moment; with PARLEY_LONG=1 all but the heavy ones, with
// PARLEY_LONG=all these, too.
func TestRun(t *testing.T) {
	some := []string{"hello", "partition", "mtu"}
	switch os.Getenv("PARLEY_LONG") {
	case "":
	case "all":
		some = Names()
	default:
		some = slices.DeleteFunc(slices.Clone(Names()), func(n string) bool { return slices.Contains(heavy, n) })
	}
	for _, name := range some {
		t.Run(name, func(t *testing.T) {
			res := play(t, name, 7)
			if res.Failed() {
				t.Errorf("%+v\n%+v\n%s\n%v", res.Checks, res.Invariants, strings.Join(res.Examples, "\n"), res.Figures)
			}
		})
	}
}
