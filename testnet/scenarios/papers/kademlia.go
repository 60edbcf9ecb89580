package papers

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"parley/federation/dht"
	"parley/federation/vnet"
	"parley/protocol"
	"parley/testnet/cluster"
	"parley/testnet/vtime"
)

var kademlia = Paper{
	Name: "kademlia",
	Title: `Maymounkov, Mazières: Kademlia: A Peer-to-peer Information System Based on the XOR
Metric, IPTPS 2002, sections 2.3 and 3`,
	About: `How many nodes one after the other a look-up needs, and how many records are found when
some of the nodes have just been killed, in the real table of real nodes (libp2p) on an
emulated network. k is how many nodes a part of the table has, and keep a record.`,
	Differences: `Published are bounds and arguments, no measurements: a look-up takes at most
log2 n - log2 k steps and a small constant, for what is in the table of one is all that is
nearer than its k-th neighbour; and a record is lost when all k nodes that keep it fail
before one of them passes it on, which is the share of failed nodes to the power of k.
- Tables here are of libp2p: they begin with one large part that is split when it is full,
  and know more nodes near and far than k each. So there are fewer hops.
- A look-up here ends after ten seconds, and a node that is gone shows by its silence only.
  When many are gone, time runs out for some that would have been found.
- Nodes are killed all at once, and are looked for at once: nothing is passed on, and no
  table is mended before.`,
	run: runKademlia,
}

// Of the experiment.
const (
	searches    = 60
	oneWay      = 20 * time.Millisecond
	memberEvery = 500 * time.Millisecond // between two nodes that join
	mended      = 2 * time.Minute        // for tables to fill
	startTime   = 30 * time.Minute
)

// table is one setting.
type table struct {
	nodes, bucket int
	killed        float64 // share
}

var tables = []table{{24, 8, 0}, {48, 8, 0}, {96, 8, 0}, {48, 20, 0}, {48, 8, .25}, {48, 8, .5}, {48, 8, .75}, {48, 20, .5}}

func (t table) String() string {
	s := fmt.Sprintf("%d nodes, k = %d", t.nodes, t.bucket)
	if t.killed > 0 {
		s += fmt.Sprintf(", %.0f %% killed", 100*t.killed)
	}
	return s
}

// outcome of the searches in one table, as means.
type outcome struct{ hops, asked, found float64 }

func runKademlia(ctx context.Context, seed uint64, runs int, progress func(done, all int)) ([]Line, error) {
	var lines []Line
	for i, t := range tables {
		var sum outcome
		for r := range runs {
			o, err := t.measure(ctx, seed+uint64(r))
			if err != nil {
				return nil, err
			}
			sum.hops, sum.asked, sum.found = sum.hops+o.hops, sum.asked+o.asked, sum.found+o.found
		}
		n := float64(runs)
		steps := ""
		if t.killed == 0 {
			steps = fmt.Sprintf("≤ %.0f + c", math.Ceil(max(1, math.Log2(float64(t.nodes))-math.Log2(float64(t.bucket)))))
		}
		lines = append(lines,
			Line{t.String(), "hops", sum.hops / n, steps},
			Line{t.String(), "nodes asked", sum.asked / n, ""},
			Line{t.String(), "found", sum.found / n, fmt.Sprintf("%.3f", 1-math.Pow(t.killed, float64(t.bucket)))})
		progress(i+1, len(tables))
	}
	return lines, nil
}

// measure builds a table and searches in it.
func (t table) measure(ctx context.Context, seed uint64) (o outcome, err error) {
	err = vtime.NewClock(vtime.Options{}).Run(func(inside context.Context) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		c, err := t.build(inside, seed)
		if err != nil {
			return err
		}
		o, err = t.search(inside, c, rand.New(rand.NewPCG(seed, 2002)))
		if bad := c.Close(); err == nil {
			err = bad
		}
		return err
	})
	return o, err
}

func (t table) build(ctx context.Context, seed uint64) (*cluster.Cluster, error) {
	cfg := cluster.Config{
		Seed: seed, Link: func(int, int) vnet.Link { return vnet.Link{Latency: oneWay} },
		Registers: cluster.Registers{Table: dht.Table{Bucket: t.bucket}},
	}
	for i := range t.nodes {
		cfg.Hosts = append(cfg.Hosts, cluster.Host{Name: protocol.Node(fmt.Sprintf("n%d.example", i)), Find: cluster.ByKey})
	}
	c, err := cluster.New(cfg)
	if err != nil {
		return nil, err
	}
	for _, m := range c.Machines {
		if err := m.Start(); err != nil {
			return c, err
		}
		vtime.Sleep(ctx, memberEvery)
	}
	late, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	err = c.Join(late)
	vtime.Sleep(ctx, mended)
	return c, err
}

// search kills some, and lets the others look for one another.
func (t table) search(ctx context.Context, c *cluster.Cluster, dice *rand.Rand) (outcome, error) {
	order := dice.Perm(t.nodes)
	dead := int(t.killed * float64(t.nodes))
	for _, i := range order[:dead] {
		if err := c.Machines[i].Kill(); err != nil {
			return outcome{}, err
		}
	}
	left := order[dead:]
	var o outcome
	for range searches {
		a := dice.IntN(len(left))
		b := (a + 1 + dice.IntN(len(left)-1)) % len(left)
		s, err := c.Machines[left[a]].Search(ctx, c.Machines[left[b]])
		if err == nil {
			o.found++
			o.hops += float64(s.Hops)
		}
		o.asked += float64(s.Asked)
	}
	o.hops /= max(o.found, 1)
	return outcome{o.hops, o.asked / searches, o.found / searches}, nil
}
