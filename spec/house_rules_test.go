package spec_test

import (
	"fmt"
	"strings"
	"testing"
)

// lines is a function body of n statements.
func lines(n int) string { return strings.Repeat("\tprintln()\n", n) }

// fn is a function of n lines.
func fn(name string, n int) string { return "func " + name + "() {\n" + lines(n-2) + "}\n" }

// short is n functions of 10 lines.
func short(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(fn(fmt.Sprint("f", i), 10))
	}
	return b.String()
}

func imports(paths ...string) string {
	return "import (\n\t\"" + strings.Join(paths, "\"\n\t\"") + "\"\n)\n"
}

// TestRules shows for each rule what it finds and what it lets pass. A source is
// the text after "package p"; its key is where it stands.
func TestRules(t *testing.T) {
	type sources map[string]string
	cases := []struct {
		rule string
		src  sources
		want string // part of the one finding; empty for none
	}{
		{"rooms", sources{"store/a.go": imports("parley/protocol", "fmt")}, ""},
		{"rooms", sources{"protocol/a.go": imports("parley/store")}, "store is to the right of protocol"},
		{"rooms", sources{"protocol/a_test.go": imports("parley/node")}, "node is to the right"},
		{"rooms", sources{"store/bolt/a.go": imports("parley/store", "parley/protocol")}, ""},
		{"rooms", sources{"store/a.go": imports("parley/store/bolt")}, "imports only those that it is in"},
		{"rooms", sources{"store/bolt/a.go": imports("parley/store/other")}, "imports only those that it is in"},
		{"rooms", sources{"store/a_test.go": imports("parley/store/bolt")}, ""},
		{"rooms", sources{"store/storetest/a.go": imports("parley/store/bolt")}, ""},
		{"rooms", sources{"node/a.go": imports("parley/store/bolt")}, "only testnet and cmd choose plugs"},
		{"rooms", sources{"node/a_test.go": imports("parley/store/bolt")}, ""},
		{"rooms", sources{"node/httpd/a.go": imports("parley/node", "parley/protocol/ws")}, ""},
		{"rooms", sources{"federation/a.go": imports("parley/protocol/s2s")}, ""},
		{"rooms", sources{"protocol/ws/a.go": imports("parley/protocol/s2s")}, ""},
		{"rooms", sources{"testnet/a.go": imports("parley/store/bolt", "parley/node/httpd")}, ""},
		{"rooms", sources{"testnet/a.go": imports("parley/cmd/parley")}, "cmd is to the right"},
		{"rooms", sources{"cmd/parley/a.go": imports("parley/cmd/parley/config", "parley/testnet", "parley/store/bolt")}, ""},
		{"rooms", sources{"node/a_test.go": imports("parley/spec")}, "nothing imports spec"},
		{"rooms", sources{"spec/a_test.go": imports("parley/testnet")}, ""},
		{"rooms", sources{"utils/a.go": ""}, `no room called "utils"`},
		{"rooms", sources{"a.go": ""}, `no room called "."`},

		{"doors", sources{"store/bolt/a.go": imports("go.etcd.io/bbolt", "go.etcd.io/bbolt/errors", "os")}, ""},
		{"doors", sources{"store/a.go": imports("go.etcd.io/bbolt")}, "store is not the door of go.etcd.io/bbolt"},
		{"doors", sources{"store/a.go": imports("go.etcd.io/bboltx")}, "not the door"},
		{"doors", sources{"node/a.go": imports("example.org/lib")}, "not the door"},
		{"doors", sources{"node/a_test.go": imports("go.etcd.io/bbolt")}, "not the door"},
		{"doors", sources{"cmd/parley/config/a.go": imports("github.com/pelletier/go-toml/v2")}, ""},
		{"doors", sources{"cmd/parleyx/a.go": imports("github.com/pelletier/go-toml/v2")}, "not the door"},
		{"doors", sources{"protocol/a_test.go": imports("pgregory.net/rapid")}, ""},
		{"doors", sources{"store/storetest/a.go": imports("pgregory.net/rapid")}, ""},
		{"doors", sources{"protocol/a.go": imports("pgregory.net/rapid")}, "not the door"},

		{"test packages", sources{"node/a_test.go": imports("testing", "parley/store/storetest")}, ""},
		{"test packages", sources{"store/storetest/a.go": imports("testing")}, ""},
		{"test packages", sources{"testnet/a.go": imports("parley/federation/fedtest")}, "for tests only"},
		{"test packages", sources{"node/a.go": imports("testing")}, "for tests only"},
		{"test packages", sources{"node/a.go": imports("testing/iotest")}, "for tests only"},
		{"test packages", sources{"testnet/vtime/a.go": imports("testing", "testing/synctest")}, ""},
		{"test packages", sources{"testnet/a.go": imports("testing/synctest")}, "for tests only"},

		{"package comments", sources{"store/a.go": "// Package p is.", "store/b.go": ""}, ""},
		{"package comments", sources{"store/a.go": "// Package q is."}, "package store has no comment"},
		{"package comments", sources{"store/a.go": "// Package p is.", "node/a.go": ""}, "package node has no comment"},
		{"package comments", sources{"store/a.go": "", "store/a_test.go": "// Package p is."}, "package store has no comment"},

		{"no init", sources{"node/a.go": "type t int\nfunc (t) init() {}"}, ""},
		{"no init", sources{"node/a.go": "func init() {}"}, "no init"},

		{"no bare go", sources{"node/a.go": imports("sync") + "func f() { var w sync.WaitGroup; w.Go(f) }"}, ""},
		{"no bare go", sources{"node/a.go": "func f() { func() { go f() }() }"}, "no bare go"},
		{"no bare go", sources{"node/a_test.go": "func f() { go f() }"}, ""},

		{"size of functions", sources{"node/a.go": fn("f", 60), "node/a_test.go": fn("g", 99)}, ""},
		{"size of functions", sources{"node/a.go": fn("f", 61)}, "f has 61 lines, at most 60"},

		{"most functions are short", sources{"node/a.go": short(9) + fn("long", 35)}, ""},
		{"most functions are short", sources{"node/a.go": short(10) + fn("long", 60)}, ""},
		{"most functions are short", sources{"node/a.go": short(9) + fn("long", 36)}, "36 lines or more"},

		{"size of files", sources{"node/a.go": fn("f", 498), "node/a_test.go": fn("g", 900)}, ""},
		{"size of files", sources{"node/a.go": fn("f", 499)}, "501 lines, at most 500"},

		{"size of interfaces", sources{"node/a.go": "type i interface { j; a(); b(); c(); d(); e(); f(); g(); h() }\ntype j interface { k() }"}, ""},
		{"size of interfaces", sources{"node/a.go": "type i interface { a(); b(); c(); d(); e(); f(); g(); h(); k() }"}, "9 methods"},

		{"nothing left to do", sources{"node/a.go": "// Todo lists are kept in mdTODOx.\nvar s = \"TO" + "DO\""}, ""},
		{"nothing left to do", sources{"node/a.go": "// TO" + "DO: more"}, "TO" + "DO"},
		{"nothing left to do", sources{"node/a_test.go": "func f() { /* FIX" + "ME */ }"}, "FIX" + "ME"},

		{"exits", sources{"cmd/parley/a.go": imports("os") + "func f() { os.Exit(1) }"}, ""},
		{"exits", sources{"node/a.go": imports("os") + "func f() { os.Getpid() }"}, ""},
		{"exits", sources{"node/a.go": imports("os") + "func f() { os.Exit(1) }"}, "os.Exit"},
		{"exits", sources{"node/a.go": "import l \"log\"\nfunc f() { l.Fatalf(\"\") }"}, "l.Fatalf"},

		{"no sleeping", sources{"testnet/a_test.go": imports("time") + "func f() { time.Sleep(1) }"}, ""},
		{"no sleeping", sources{"node/a_test.go": imports("testing/synctest", "time") + "func f() { time.Sleep(1) }"}, ""},
		{"no sleeping", sources{"node/a_test.go": imports("time") + "func f() { time.Sleep(1) }"}, "time.Sleep"},
		{"no sleeping", sources{"testnet/a.go": imports("time") + "var f = time.Sleep"}, "time.Sleep"},

		{"one wall clock", sources{"node/a.go": imports("time") + "var d = time.Since(time.Now().Add(1))"}, ""},
		{"one wall clock", sources{"node/a.go": imports("time") + "type t struct { since time.Time }\nvar v = t{since: time.Now()}"}, ""},
		{"one wall clock", sources{"node/a_test.go": imports("time") + "var d = time.Now().UnixMilli()"}, ""},
		{"one wall clock", sources{"store/bolt/a.go": imports("time") + "var d = time.Now().UTC()"}, ""},
		{"one wall clock", sources{"federation/a.go": imports("time") + "var d = time.Now().UnixMilli()"}, "time.Now for a date"},
		{"one wall clock", sources{"federation/quic/a.go": imports("time") + "var d = time.Now().UTC()"}, "time.Now for a date"},
		{"one wall clock", sources{"node/a.go": imports("time", "parley/store") + "var p = store.Post{At: time.Now()}"}, "time.Now for a date"},
		{"one wall clock", sources{"node/a.go": imports("time", "parley/protocol") + "var p = protocol.At(time.Now())"}, "time.Now for a date"},
	}
	shown := map[string]bool{}
	for i, c := range cases {
		t.Run(fmt.Sprintf("%s %d", c.rule, i), func(t *testing.T) {
			var files []*file
			for name, src := range c.src {
				text := "package p\n" + src + "\n"
				if strings.HasPrefix(src, "// Package") {
					text = src + "\npackage p\n"
				}
				f, err := parse(name, []byte(text))
				if err != nil {
					t.Fatal(err)
				}
				files = append(files, f)
			}
			found := ruleNamed(t, c.rule).check(files)
			switch {
			case c.want == "" && len(found) > 0:
				t.Errorf("found %v, want nothing", found)
			case c.want != "" && (len(found) != 1 || !strings.Contains(found[0].what, c.want)):
				t.Errorf("found %v, want one with %q", found, c.want)
			}
		})
		shown[c.rule] = shown[c.rule] || c.want != ""
	}
	for _, r := range rules {
		if !shown[r.name] {
			t.Errorf("no case shows that %q can fail", r.name)
		}
	}
}

func ruleNamed(t *testing.T, name string) rule {
	for _, r := range rules {
		if r.name == name {
			return r
		}
	}
	t.Fatalf("no rule %q", name)
	return rule{}
}
