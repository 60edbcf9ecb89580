package scenario

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"parley/protocol"
	"parley/testnet/expr"
)

// Bounds of a scenario: what is above would not end, or not fit.
const (
	MaxNodes    = 2000
	MaxUsers    = 20_000
	MaxContacts = 200_000
)

// Plan is a scenario that is checked, with names resolved and chance drawn: what there is
// to do.
type Plan struct {
	Scenario
	Net      []Node
	People   []User
	Pairs    [][2]int // of users who know each other; the first writes first
	Rooms    []Room
	Rules    []Rule // links that are not usual; the last that fits counts
	Jobs     []Job
	Assaults []Assault
	Timeline []Step // in order of time
	Must     []Must
}

// Node is one node.
type Node struct {
	Name   string        // in the scenario
	Domain protocol.Node // in the federation
	Region string
	IPv6   bool
	Join   time.Duration
	Ahead  time.Duration // its clock; below 0: it is behind
	Find   Finding

	Reports bool
}

// User is one user.
type User struct {
	Name  string // "alice@a"
	Login string
	Node  int
}

// Room is one group; the first member makes it.
type Room struct {
	Name    string
	Members []int
}

// Set is a set of nodes or users by number.
type Set []bool

// Has reports whether i is in the set.
func (s Set) Has(i int) bool { return i < len(s) && s[i] }

// List gives its members in order.
func (s Set) List() []int {
	var all []int
	for i, in := range s {
		if in {
			all = append(all, i)
		}
	}
	return all
}

// Rule is a link from some nodes to others that is not usual.
type Rule struct {
	From, To Set
	Both     bool // the other way, too
	Link     Link
}

// Fits reports whether the rule is about packets from a node to another.
func (r *Rule) Fits(from, to int) bool {
	return r.From.Has(from) && r.To.Has(to) || r.Both && r.From.Has(to) && r.To.Has(from)
}

// Job is what some users do again and again.
type Job struct {
	Work
	Who []int // users
	To  Set   // of users, or nil: all
}

// Step is an event.
type Step struct {
	Event
	Nodes []int
	Users []int
	Sides []Set
	Rule  Rule          // of "cut" and "link"
	Clock time.Duration // how far "skew", "jump" and "drift" set it ahead
	Text  string
}

// OfDisk reports whether something is wrong with disks.
func (s *Step) OfDisk() bool { return s.Do == "slow-disk" || s.Do == "full-disk" }

// Must is a check.
type Must struct {
	Check
	Expr *expr.Expr
}

// reader makes a plan of a scenario and notes what is wrong.
type reader struct {
	file     string
	places   map[string]place
	problems []*Problem
	p        *Plan
}

// wrong notes a problem about a key.
func (r *reader) wrong(key, format string, args ...any) {
	at, ok := r.places[key]
	for short := key; !ok && strings.Contains(short, "."); at, ok = r.places[short] {
		short = short[:strings.LastIndexByte(short, '.')]
	}
	r.problems = append(r.problems, &Problem{r.file, at.line, at.column, fmt.Sprintf(format, args...)})
}

// plan resolves and checks everything.
func (r *reader) plan(s *Scenario) (*Plan, error) {
	r.p = &Plan{Scenario: *s}
	r.basics()
	r.nodes()
	r.finding()
	r.users()
	if len(r.problems) == 0 { // else all that follows would be wrong, too
		r.contacts()
		r.rooms()
		r.links()
		r.work()
		r.strangers()
		r.attackers()
		r.model()
		r.events()
		r.checks()
		r.apart()
	}
	if len(r.problems) > 0 {
		return nil, inOrder(r.problems)
	}
	return r.p, nil
}

var (
	word  = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`)
	login = regexp.MustCompile(`^[a-z0-9]{2,24}$`)
)

// minSample bounds how much is written down.
const minSample = 10 * time.Millisecond

func (r *reader) basics() {
	p := r.p
	if !word.MatchString(p.Name) {
		r.wrong("name", "%q is no name: small letters, digits and \"-\"", p.Name)
	}
	if p.Duration.Duration <= 0 {
		r.wrong("duration", "the duration must be above 0")
	}
	if p.Sample.Duration < minSample {
		r.wrong("sample", "samples must be at least %v apart", minSample)
	}
	r.link("link", &p.Link)
}

func (r *reader) nodes() {
	if len(r.p.Nodes) == 0 {
		r.wrong("nodes", "there are no [[nodes]]")
	}
	seen := map[string]bool{}
	for i, n := range r.p.Nodes {
		key := fmt.Sprintf("nodes[%d]", i)
		if !word.MatchString(n.Name) {
			r.wrong(key+".name", "%q is no name of a node: small letters, digits and \"-\"", n.Name)
		}
		if n.Region != "" && !word.MatchString(n.Region) {
			r.wrong(key+".region", "%q is no region: small letters, digits and \"-\"", n.Region)
		}
		if n.Parent != "" && !word.MatchString(n.Parent) {
			r.wrong(key+".parent", "%q is no parent domain: small letters, digits and \"-\"", n.Parent)
		}
		if n.Count < 1 || len(r.p.Net)+n.Count > MaxNodes {
			r.wrong(key+".count", "there can be 1 to %d nodes", MaxNodes)
			return
		}
		ahead := r.offset(key, n.Ahead, n.Behind)
		for k := range n.Count {
			name := numbered(n.Name, k, n.Count)
			if seen[name] {
				r.wrong(key+".name", "there are two nodes named %q", name)
			}
			seen[name] = true
			r.p.Net = append(r.p.Net, Node{name, protocol.Node(name + n.parent() + ".example"), n.Region, n.IPv6, n.Join.Duration, ahead, BySettings, n.Reports})
		}
	}
}

func numbered(name string, k, count int) string {
	if count == 1 {
		return name
	}
	return fmt.Sprint(name, k+1)
}

func (r *reader) users() {
	seen := map[string]bool{}
	for i, u := range r.p.Users {
		key := fmt.Sprintf("users[%d]", i)
		at := r.chooseNodes(key+".at", u.At)
		if !login.MatchString(u.Name) {
			r.wrong(key+".name", "%q is no login: small letters and digits, 2 or more", u.Name)
		}
		if u.Count < 1 || len(r.p.People)+u.Count*len(at) > MaxUsers {
			r.wrong(key+".count", "there can be 1 to %d users", MaxUsers)
			return
		}
		for _, n := range at {
			for k := range u.Count {
				l := numbered(u.Name, k, u.Count)
				name := l + "@" + r.p.Net[n].Name
				if seen[name] {
					r.wrong(key+".name", "there are two users %q", name)
				}
				seen[name] = true
				r.p.People = append(r.p.People, User{name, l, n})
			}
		}
	}
}

func (r *reader) rooms() {
	for i, g := range r.p.Groups {
		key := fmt.Sprintf("groups[%d]", i)
		if !word.MatchString(g.Name) {
			r.wrong(key+".name", "%q is no name: small letters, digits and \"-\"", g.Name)
		}
		all := r.chooseUsers(key+".members", g.Members)
		if g.Size < 0 || g.Size > len(all) {
			r.wrong(key+".size", "%d of %d users cannot be members", g.Size, len(all))
			continue
		}
		for k := range max(g.Count, 0) {
			members := slices.Clone(all)
			if g.Size > 0 {
				dice := r.p.Dice("room " + numbered(g.Name, k, g.Count))
				dice.Shuffle(len(members), func(a, b int) { members[a], members[b] = members[b], members[a] })
				members = members[:g.Size]
			}
			if len(members) < 2 {
				r.wrong(key, "a group needs two members or more")
				return
			}
			r.p.Rooms = append(r.p.Rooms, Room{numbered(g.Name, k, g.Count), members})
		}
	}
}

// chooseNodes resolves a selection; that it chooses nobody is a problem.
func (r *reader) chooseNodes(key string, s Selection) []int {
	return r.choose(key, s, len(r.p.Net), "nodes", func(i int, pattern string) (bool, error) {
		n := r.p.Net[i]
		if region, ok := strings.CutPrefix(pattern, "region:"); ok {
			return path.Match(region, n.Region)
		}
		return path.Match(pattern, n.Name)
	})
}

func (r *reader) chooseUsers(key string, s Selection) []int {
	return r.choose(key, s, len(r.p.People), "users", func(i int, pattern string) (bool, error) {
		u := r.p.People[i]
		l, at, both := strings.Cut(pattern, "@")
		ok, err := path.Match(l, u.Login)
		if both && ok && err == nil {
			ok, err = path.Match(at, r.p.Net[u.Node].Name)
		}
		return ok, err
	})
}

func (r *reader) choose(key string, s Selection, n int, what string, match func(int, string) (bool, error)) []int {
	chosen := make(Set, n)
	for _, pattern := range s {
		bare, not := strings.CutPrefix(pattern, "!")
		some := false
		for i := range n {
			ok, err := match(i, bare)
			if err != nil {
				r.wrong(key, "%q is no good pattern", pattern)
				return nil
			}
			if ok {
				some, chosen[i] = true, !not
			}
		}
		if !some {
			r.wrong(key, "%q is none of the %s", pattern, what)
			return nil
		}
	}
	list := chosen.List()
	if len(list) == 0 {
		r.wrong(key, "no %s are chosen", what)
	}
	return list
}

// set is a list as a set of n.
func set(list []int, n int) Set {
	s := make(Set, n)
	for _, i := range list {
		s[i] = true
	}
	return s
}

// Text is the scenario with all that was left out: what it takes to run it again.
func (p *Plan) Text() ([]byte, error) {
	text, err := toml.Marshal(&p.Scenario)
	if err != nil {
		return nil, fmt.Errorf("write the scenario: %w", err)
	}
	return nothing.ReplaceAll(text, nil), nil
}

// nothing are keys whose value says nothing.
var nothing = regexp.MustCompile(`(?m)^(\w+ = (''|\[\]|false)|(join|until|from|for|at|up|down|delay|age) = '0s')\n`)
