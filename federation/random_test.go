package federation_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"parley/federation"
	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
)

// act is one thing that happens in a schedule.
type act struct {
	what string
	from int // 0: a, 1: b
	n    int
	wait time.Duration
}

// Sometimes nothing but messages happens, most often something does.
var acts = []string{"write", "write", "write", "write", "write", "sever", "block", "unblock", "unblock", "kill", "halt",
	"start", "start", "stall", "refuse", "later", "please", "please", "keep", "long", "full", "room", "room", "jump", "age"}

func drawAct(r *rapid.T) act {
	return act{
		what: rapid.SampledFrom(acts).Draw(r, "what"),
		from: rapid.IntRange(0, 1).Draw(r, "from"),
		n:    rapid.IntRange(0, 40).Draw(r, "n"),
		wait: rapid.SampledFrom([]time.Duration{0, 0, time.Millisecond, 5 * time.Millisecond, 11 * time.Millisecond,
			25 * time.Millisecond, 300 * time.Millisecond, 3 * time.Second, time.Minute}).Draw(r, "wait"),
	}
}

// given are the flags of the command line, before any test has set one.
var given = sync.OnceValue(func() map[string]bool {
	names := map[string]bool{}
	flag.Visit(func(f *flag.Flag) { names[f.Name] = true })
	return names
})

// few draws that many schedules, 1,000 with PARLEY_LONG: the same ones each time, so that
// what is said of a commit holds the next time too. PARLEY_LONG=all draws others.
func few(t *testing.T, checks string) {
	told := given()
	set := map[string]string{"rapid.nofailfile": "true", "rapid.checks": checks, "rapid.seed": "1"}
	switch os.Getenv("PARLEY_LONG") {
	case "":
	case "all":
		delete(set, "rapid.seed")
		fallthrough
	default:
		set["rapid.checks"] = "1000"
	}
	for name, value := range set {
		if told[name] {
			continue
		}
		if err := flag.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
}

// Whatever happens between two nodes: nothing is lost, nothing comes twice, the order of
// each topic is kept, and every post ends exactly once.
func TestRandomSchedules(t *testing.T) {
	few(t, "25")
	rapid.Check(t, func(r *rapid.T) {
		schedule := rapid.SliceOfN(rapid.Custom(drawAct), 1, 40).Draw(r, "schedule")
		var faults []string
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, two, func(c *federation.Config) { c.Limits.Window = 16 })
			w.virtual = true
			w.start()
			defer w.end()
			faults = (&play{world: w}).run(schedule)
		})
		if len(faults) > 0 {
			r.Fatalf("%v", faults)
		}
	})
}

// The same, and now and then a node is set back: to a copy of its file, or a backup. What
// either of the two has at the end, both have, unless its author was told otherwise.
func TestRandomSetbacks(t *testing.T) {
	few(t, "15")
	acts := append([]string{"copy", "copy", "setback", "setback", "setback"}, acts...)
	draw := rapid.Custom(func(r *rapid.T) act {
		a := drawAct(r)
		a.what = rapid.SampledFrom(acts).Draw(r, "what")
		return a
	})
	rapid.Check(t, func(r *rapid.T) {
		schedule := rapid.SliceOfN(draw, 1, 40).Draw(r, "schedule")
		var faults []string
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, two, func(c *federation.Config) { c.Limits.Window = 16 })
			w.virtual = true
			w.start()
			defer w.end()
			for _, n := range w.nodes {
				n.book.fetch = true
			}
			p := &play{world: w}
			if faults = p.run(schedule); p.back == 0 {
				return
			}
			faults = slices.Concat(p.converged(0), p.converged(1))
		})
		if len(faults) > 0 {
			r.Fatalf("%v", faults)
		}
	})
}

// converged looks for messages of one node that only one of the two has.
func (p *play) converged(from int) (faults []string) {
	a, b := p.node(from), p.node(1-from)
	if s := a.stats(b); s.Queued > 0 {
		faults = append(faults, fmt.Sprintf("%d posts of %s are not settled", s.Queued, a.name))
	}
	for i := range p.written[from] {
		here, there := a.own(b, i), b.pages(a, i)
		for k := 1; k <= p.written[from][i]; k++ {
			ends := a.told(b, i, k)
			returned := slices.Contains(ends, federation.Expired) || slices.Contains(ends, federation.Refused)
			if h, t := slices.Contains(here, k), slices.Contains(there, k); h != t && !returned {
				faults = append(faults, fmt.Sprintf("message %d of %s in topic %d: here %v, there %v, told %v", k, a.name, i, h, t, ends))
			}
		}
		slices.Sort(there)
		if len(slices.Compact(slices.Clone(there))) != len(there) {
			faults = append(faults, fmt.Sprintf("%s has some of %v twice", b.name, there))
		}
	}
	return faults
}

// own are the numbers of what users of this node have written to another's.
func (n *node) own(to *node, i int) (ks []int) {
	err := n.db.View(func(tx store.Tx) error {
		ks = nil
		for m, err := range tx.History(topic(n.name, to.name, i), 0, 1<<30) {
			if err != nil {
				return err
			}
			if m.From == user(n.name, i) {
				ks = append(ks, m.Origin)
			}
		}
		return nil
	})
	if err != nil {
		n.w.Fatal(err)
	}
	return ks
}

// play runs a schedule.
type play struct {
	*world
	copies  [2][]byte
	back    int // how often a node was set back
	mu      sync.Mutex
	mood    [2]string // guarded by mu: how posts are received
	written [2][3]int // messages, by writer and topic
}

func (p *play) node(i int) *node { return p.nodes[two[i]] }

func (p *play) run(schedule []act) []string {
	for i := range 2 {
		book := p.node(i).book
		book.mu.Lock()
		book.refuse = func(post *s2s.Post) *s2s.Verdict { return p.judge(i, post) }
		book.fault = func() error {
			if p.feels(i) == "stall" {
				return errors.New("stalled")
			}
			return nil
		}
		book.mu.Unlock()
	}
	for _, a := range schedule {
		p.do(a)
		time.Sleep(a.wait)
	}
	// All is well again.
	for i := range 2 {
		p.feel(i, "")
		p.node(i).disk.full.Store(false)
		p.net.Unblock(p.node(i).at, p.node(1-i).at)
		if p.node(i).stop == nil {
			p.node(i).start()
		}
	}
	p.pass(3 * time.Hour)
	for i := range 2 { // posts of the other may wait for a word of ours
		p.write(i, 0, 1)
	}
	p.pass(3 * time.Hour)
	if p.back > 0 {
		return nil
	}
	return slices.Concat(p.check(0), p.check(1))
}

func (p *play) feel(i int, mood string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mood[i] = mood
}

func (p *play) feels(i int) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mood[i]
}

// judge refuses or postpones some of what comes, by the mood.
func (p *play) judge(i int, post *s2s.Post) *s2s.Verdict {
	k := post.Message.Origin
	switch {
	case p.feels(i) == "refuse" && k%3 == 0:
		return &s2s.Verdict{Outcome: s2s.Refused, Fault: protocol.Denied}
	case p.feels(i) == "later" && post.From != user(two[1-i], 0):
		return &s2s.Verdict{Outcome: s2s.Later, Fault: protocol.TooMany, Wait: 1800}
	}
	return nil
}

func (p *play) write(from, i, n int) {
	a, b := p.node(from), p.node(1-from)
	for range n {
		if a.stop == nil {
			return
		}
		k := p.written[from][i] + 1
		if err := a.tryWrite(b, i, k); errors.Is(err, store.ErrFull) {
			return // the author knows
		} else if err != nil {
			p.Fatal(err)
		}
		p.written[from][i] = k
	}
}

func (p *play) do(a act) {
	n, other := p.node(a.from), p.node(1-a.from)
	switch a.what {
	case "write":
		p.write(a.from, a.n%3, 1+a.n/3)
	case "sever":
		p.net.Sever(n.at, other.at)
	case "block":
		p.net.Block(n.at, other.at)
	case "unblock":
		p.net.Unblock(n.at, other.at)
	case "kill", "halt":
		if n.stop == nil {
			return
		}
		if a.what == "kill" {
			n.kill()
		} else {
			n.halt()
		}
	case "start":
		if n.stop == nil {
			n.disk.full.Store(false)
			n.start()
		}
	case "copy", "setback":
		if n.stop != nil {
			n.kill()
		}
		switch {
		case a.what == "copy":
			p.copies[a.from] = n.snapshot()
		case p.copies[a.from] != nil:
			n.putBack(p.copies[a.from], a.n%2 == 0)
			p.back++
		}
		n.disk.full.Store(false)
		n.start()
	case "full", "room":
		n.disk.full.Store(a.what == "full")
	case "jump": // up to ten days, mostly while it runs
		if a.n%4 == 0 && n.stop != nil {
			n.kill()
		}
		n.setClock(time.Duration(a.n-20) * 12 * time.Hour)
		if n.stop == nil {
			n.disk.full.Store(false)
			n.start()
		}
	case "age": // another build is started
		if n.stop != nil {
			n.halt()
		}
		n.from = age(a.n % int(ages))
		n.disk.full.Store(false)
		n.start()
	case "keep":
		if n.stop != nil {
			n.mesh.Keep(other.name, a.n%2 == 0)
		}
	case "please":
		p.feel(a.from, "")
	case "long":
		time.Sleep(time.Duration(a.n) * 8 * time.Hour)
	default:
		p.feel(a.from, a.what)
	}
}

// check looks at what came of the posts of one node.
func (p *play) check(from int) (faults []string) {
	a, b := p.node(from), p.node(1-from)
	if b.book.again > 0 {
		faults = append(faults, fmt.Sprintf("%d messages came twice to %s", b.book.again, b.name))
	}
	if s := a.stats(b); s.Queued > 0 {
		faults = append(faults, fmt.Sprintf("%d posts of %s are not settled", s.Queued, a.name))
	}
	for i := range p.written[from] {
		got := b.pages(a, i)
		if !slices.IsSorted(got) {
			faults = append(faults, fmt.Sprintf("%s has %v of topic %d", b.name, got, i))
		}
		for k := 1; k <= p.written[from][i]; k++ {
			if err := ending(slices.Contains(got, k), a.told(b, i, k)); err != nil {
				faults = append(faults, fmt.Sprintf("message %d of %s in topic %d: %v", k, a.name, i, err))
			}
		}
	}
	return faults
}

// ending checks that a post has ended in one way that agrees with what the peer has.
func ending(there bool, ends []federation.End) error {
	final, asked := 0, false
	for i, e := range ends {
		switch e {
		case federation.Delayed, federation.Held:
			if i > 0 && (e == federation.Held || i > 1 || ends[0] != federation.Held) {
				return fmt.Errorf("told as %v", ends)
			}
		case federation.Unconfirmed:
			if asked {
				return fmt.Errorf("told as %v", ends)
			}
			asked = true
		case federation.Confirmed:
			final++
			if !asked || !there {
				return fmt.Errorf("confirmed (%v), there: %v", ends, there)
			}
		default:
			final++
			if there {
				return fmt.Errorf("returned (%v) and delivered", ends)
			}
		}
	}
	switch {
	case final > 1:
		return fmt.Errorf("ended twice: %v", ends)
	case final == 0 && !there:
		return fmt.Errorf("lost; told %v", ends)
	case final == 0 && asked:
		return fmt.Errorf("delivered and not confirmed: %v", ends)
	}
	return nil
}
