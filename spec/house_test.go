package spec_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// The rules of the house. Each is a function of a set of parsed files, so that
// house_rules_test.go can show that it is able to fail; TestHouse applies them all
// to the whole tree.

const module = "parley"

// rooms, from left to right. A room imports rooms to its left only. spec stands
// beside.
var rooms = map[string]int{
	"protocol": 0, "store": 1, "reputation": 2, "federation": 3, "node": 4, "testnet": 5, "cmd": 6,
	"spec": 9,
}

// vocabulary lists sub-folders that are no plugs but words, which the rooms to the
// right and the plugs beside them may use.
var vocabulary = []string{"protocol/s2s"}

// doors lists the packages through which a library from outside enters. A library
// that is not here stays out. "…" stands for every package below, "tests" for
// every test.
var doors = map[string][]string{
	"go.etcd.io/bbolt":                    {"store/bolt"},
	"github.com/fxamacker/cbor/v2":        {"store/bolt", "protocol/s2s", "testnet/specpeer"},
	"github.com/gorilla/websocket":        {"protocol/ws"},
	"golang.org/x/crypto/argon2":          {"node/auth"},
	"golang.org/x/crypto/acme":            {"node/httpd"},
	"github.com/nyaruka/phonenumbers":     {"node/auth"},
	"github.com/prometheus/client_golang": {"node", "node/httpd", "cmd/parley"},
	"golang.org/x/net/idna":               {"node/auth"},
	"golang.org/x/net/publicsuffix":       {"node"},
	"golang.org/x/text/secure/precis":     {"node"},
	"golang.org/x/text/unicode/norm":      {"node"},
	"golang.org/x/time":                   {"node", "federation", "federation/quic"},
	"github.com/miekg/dns":                {"federation/dns", "testnet/names", "tests"},
	"github.com/quic-go/quic-go":          {"federation/quic", "federation/dht", "testnet/specpeer"},
	"github.com/libp2p":                   {"federation/dht", "federation/dht/guest"},
	"github.com/multiformats":             {"federation/dht", "federation/dht/guest"},
	"google.golang.org/protobuf":          {"federation/dht/guest"},
	"github.com/ipfs":                     {"federation/dht"},
	"github.com/spf13/cobra":              {"cmd/parley"},
	"github.com/pelletier/go-toml/v2":     {"cmd/parley/…", "testnet/scenario"},
	"golang.org/x/sys":                    {"testnet/cluster", "testnet/diskfault"},
	"gonum.org/v1/plot":                   {"testnet/report"},
	"golang.org/x/term":                   {"cmd/parley"},
	"golang.org/x/sync":                   {"node", "node/httpd", "federation/dns", "federation/wellknown", "testnet/…", "cmd/parley"},
	"pgregory.net/rapid":                  {"tests"},
	"go.uber.org/goleak":                  {"tests"},
}

// bubbles is the one package that uses testing/synctest outside of tests: in it
// federations run in virtual time.
const bubbles = "testnet/vtime"

// Measures.
const (
	maxFunc    = 60  // lines of a function
	maxFuncP90 = 35  // lines of all but a tenth of the functions
	maxFile    = 500 // lines of a file
	maxMethods = 8   // methods of an interface, embedded ones not counted
)

// A rule finds what is against it.
type rule struct {
	name  string
	check func([]*file) []finding
}

var rules = []rule{
	{"rooms", each(checkRooms)},
	{"doors", each(checkDoors)},
	{"test packages", each(checkTestPackages)},
	{"package comments", checkPackageComments},
	{"no init", each(checkInit)},
	{"no bare go", each(checkGo)},
	{"size of functions", each(checkFuncs)},
	{"most functions are short", checkP90},
	{"size of files", each(checkFile)},
	{"size of interfaces", each(checkInterfaces)},
	{"nothing left to do", each(checkMarkers)},
	{"exits", each(checkExits)},
	{"no sleeping", each(checkSleep)},
	{"one wall clock", each(checkClock)},
}

// each makes a rule for single files one for a set of them.
func each(check func(*file) []finding) func([]*file) []finding {
	return func(fs []*file) []finding {
		var all []finding
		for _, f := range fs {
			all = append(all, check(f)...)
		}
		return all
	}
}

func TestHouse(t *testing.T) {
	files := tree(t, "..")
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			found := r.check(files)
			slices.SortFunc(found, func(a, b finding) int { return cmp.Compare(a.at, b.at) })
			for _, f := range found {
				t.Errorf("%s: %s", f.at, f.what)
			}
		})
	}
}

// room is the outermost folder of a package.
func room(pkg string) string { r, _, _ := strings.Cut(pkg, "/"); return r }

// plug reports whether a package is an implementation that a room does not know of.
func plug(pkg string) bool {
	return strings.Contains(pkg, "/") && !slices.Contains(vocabulary, pkg)
}

// testPackage reports whether a package only serves tests, by its name.
func testPackage(pkg string) bool {
	return strings.HasSuffix(pkg[strings.LastIndex(pkg, "/")+1:], "test")
}

// forTests reports whether a file is part of tests only.
func forTests(f *file) bool { return f.test || testPackage(f.pkg) }

// mayImport is the direction of imports between packages of this module.
func mayImport(from, to string, test bool) error {
	fr, tr := room(from), room(to)
	switch {
	case from == to, fr == "spec", fr == "cmd" && tr == "cmd":
		return nil
	case tr == "spec":
		return fmt.Errorf("nothing imports spec")
	case fr != tr && rooms[tr] > rooms[fr]:
		return fmt.Errorf("%s is to the right of %s", tr, fr)
	case test, fr == "testnet", fr == "cmd":
		return nil
	case fr == tr:
		if strings.HasPrefix(from, to+"/") || slices.Contains(vocabulary, to) {
			return nil
		}
		return fmt.Errorf("inside of a room, a folder imports only those that it is in")
	case plug(to) && !plug(from):
		return fmt.Errorf("%s is a plug: only testnet and cmd choose plugs", to)
	}
	return nil
}

// mayEnter reports whether a file may import a library from outside.
func mayEnter(f *file, lib string) bool {
	for l, where := range doors {
		if lib != l && !strings.HasPrefix(lib, l+"/") {
			continue
		}
		for _, w := range where {
			below, all := strings.CutSuffix(w, "/…")
			switch {
			case w == "tests" && forTests(f), w == f.pkg:
				return true
			case all && (f.pkg == below || strings.HasPrefix(f.pkg, below+"/")):
				return true
			}
		}
	}
	return false
}
