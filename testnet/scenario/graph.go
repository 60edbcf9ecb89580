package scenario

import (
	"bufio"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// Dice are random numbers for one purpose: the same for the same seed and purpose.
func (p *Plan) Dice(purpose string) *rand.Rand {
	h := fnv.New64a()
	io.WriteString(h, purpose)
	return rand.New(rand.NewPCG(p.Seed, h.Sum64()))
}

// knows collects who knows whom, each pair once.
type knows struct {
	r    *reader
	seen map[[2]int]bool
	who  []int // of the graph
}

// pair is add, by number in the graph.
func (k *knows) pair(a, b int) bool { return k.add(k.who[a], k.who[b]) }

// add notes that a and b know each other, if that may be; it reports whether it is new.
func (k *knows) add(a, b int) bool {
	p := k.r.p
	if a == b || !p.Contacts.Local && p.People[a].Node == p.People[b].Node {
		return false
	}
	pair := [2]int{min(a, b), max(a, b)}
	if k.seen[pair] {
		return false
	}
	k.seen[pair] = true
	p.Pairs = append(p.Pairs, [2]int{a, b})
	return true
}

func (r *reader) contacts() {
	c := &r.p.Contacts
	k := &knows{r: r, seen: map[[2]int]bool{}, who: r.chooseUsers("contacts.users", c.Users)}
	n := len(k.who)
	if c.Degree < 1 {
		r.wrong("contacts.degree", "the degree must be 1 or more")
		return
	}
	dice := r.p.Dice("contacts")
	switch c.Graph {
	case "all":
		if n*(n-1)/2 > MaxContacts {
			r.wrong("contacts.graph", "that makes more than %d contacts: choose \"random\" or another graph", MaxContacts)
			return
		}
		for a := range n {
			for b := range a {
				k.pair(b, a)
			}
		}
	case "ring":
		for a := range n {
			for d := 1; d <= c.Degree && n > 1; d++ {
				k.pair(a, (a+d)%n)
			}
		}
	case "random":
		k.random(dice, n, c.Degree)
	case "scale-free":
		k.scaleFree(dice, n, c.Degree)
	case "file":
		r.contactsFile(k, c.File)
	case "none":
	default:
		r.wrong("contacts.graph", "%q is no graph; there are all, ring, random, scale-free, file, none", c.Graph)
	}
	if c.File != "" && c.Graph != "file" {
		r.wrong("contacts.file", "a file goes with graph = \"file\"")
	}
	r.pairs(k)
}

func (r *reader) pairs(k *knows) {
	local := r.p.Contacts.Local
	r.p.Contacts.Local = true // who is named may be of one node
	defer func() { r.p.Contacts.Local = local }()
	for _, pair := range r.p.Contacts.Pairs {
		if len(pair) != 2 {
			r.wrong("contacts.pairs", "a pair has two users")
			continue
		}
		a, b := r.chooseUsers("contacts.pairs", Selection{pair[0]}), r.chooseUsers("contacts.pairs", Selection{pair[1]})
		for _, x := range a {
			for _, y := range b {
				k.add(x, y)
			}
		}
	}
}

// attempts bounds the search for a pair that is new: in a small or crowded graph there
// may be none.
const attempts = 50

// random makes pairs until users have so many contacts on average (Erdős and Rényi).
func (k *knows) random(dice *rand.Rand, n, degree int) {
	want := n * degree / 2
	for tries := 0; want > 0 && tries < attempts*n*degree; tries++ {
		if k.pair(dice.IntN(n), dice.IntN(n)) {
			want--
		}
	}
}

// scaleFree lets each newcomer meet those who have many contacts already.
func (k *knows) scaleFree(dice *rand.Rand, n, degree int) {
	var ends []int // each user as often as it has contacts
	order := dice.Perm(n)
	for i, a := range order {
		for met, tries := 0, 0; met < min(degree, i) && tries < attempts*degree; tries++ {
			b := order[dice.IntN(i)]
			if len(ends) > 0 && tries > 0 && tries < attempts*degree/2 {
				b = ends[dice.IntN(len(ends))]
			}
			if k.pair(a, b) {
				met++
				ends = append(ends, a, b)
			}
		}
	}
}

func (r *reader) contactsFile(k *knows, name string) {
	if name == "" {
		r.wrong("contacts.graph", "graph = \"file\" needs a file")
		return
	}
	if !filepath.IsAbs(name) {
		name = filepath.Join(filepath.Dir(r.file), name)
	}
	f, err := os.Open(name)
	if err != nil {
		r.wrong("contacts.file", "%v", err)
		return
	}
	defer f.Close()
	at := map[string]int{}
	for i, u := range r.p.People {
		at[u.Name] = i
	}
	if err := readPairs(f, at, k); err != nil {
		r.wrong("contacts.file", "%s: %v", name, err)
	}
}

func readPairs(in io.Reader, at map[string]int, k *knows) error {
	lines := bufio.NewScanner(io.LimitReader(in, maxFile))
	for n := 1; lines.Scan(); n++ {
		f := strings.Fields(lines.Text())
		if len(f) == 0 || strings.HasPrefix(f[0], "#") {
			continue
		}
		if len(f) != 2 {
			return fmt.Errorf("line %d: two users are wanted, as in \"alice@a bob@b\"", n)
		}
		a, okA := at[f[0]]
		b, okB := at[f[1]]
		if !okA || !okB {
			return fmt.Errorf("line %d: one of them is none of the users", n)
		}
		k.add(a, b)
		if len(k.seen) > MaxContacts {
			return errors.New("too many contacts")
		}
	}
	return lines.Err()
}
