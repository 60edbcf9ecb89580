package report

import (
	"fmt"
	"html"
	"math"
	"strings"

	"parley/testnet/run"
)

// Sizes of the drawing of the federation.
const (
	topoSize  = 420.0
	maxLabels = 40 // nodes that are named
)

// topology draws the nodes in a circle, by region, and what went between them: the
// thicker, the more bytes.
func topology(res *run.Result) string {
	n := len(res.Nodes)
	at := map[string][2]float64{}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %g %g" class="topology" role="img" aria-label="nodes and links">`, topoSize, topoSize)
	for i, node := range res.Nodes {
		a := 2*math.Pi*float64(i)/float64(n) - math.Pi/2
		at[string(res.Plan.Net[i].Domain)] = [2]float64{topoSize/2 + 150*math.Cos(a), topoSize/2 + 150*math.Sin(a)}
		_ = node
	}
	ways(&b, res, at)
	for i, node := range res.Nodes {
		p := at[string(res.Plan.Net[i].Domain)]
		r := math.Max(3, math.Min(14, 5+math.Sqrt(float64(node.Users))))
		if n > maxLabels {
			r = math.Max(2, 300/float64(n))
		}
		fill := colorOf(res, node.Region)
		if judged(res) {
			fill = standing(&node)
		}
		fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="%.1f" fill="%s"%s><title>%s: %d users, started %d times%s</title></circle>`,
			p[0], p[1], r, fill, ring(&node), html.EscapeString(node.Name), node.Users, node.Starts, saidOf(&node))
		if n <= maxLabels {
			a := 2*math.Pi*float64(i)/float64(n) - math.Pi/2
			fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" text-anchor="middle">%s</text>`,
				topoSize/2+180*math.Cos(a), topoSize/2+180*math.Sin(a)+4, html.EscapeString(node.Name))
		}
	}
	b.WriteString(`</svg>`)
	return b.String()
}

// judged reports whether nodes have an opinion of each other in this run.
func judged(res *run.Result) bool {
	for i := range res.Nodes {
		if res.Nodes[i].Known > 0 {
			return true
		}
	}
	return false
}

// standing is the colour of a node by what those think who know something of it: green for
// good conversations, amber for a stranger, red for closed. Gray is whom nobody knows.
func standing(n *run.NodeResult) string {
	if n.Known == 0 {
		return "#9aa1ad"
	}
	const green, amber = 145, 42
	hue := float64(green*n.FriendsOf+amber*(n.Known-n.FriendsOf-n.ClosedBy)) / float64(n.Known)
	return fmt.Sprintf("hsl(%.0f 66%% 45%%)", hue)
}

// ring marks what is no ordinary node.
func ring(n *run.NodeResult) string {
	switch n.Role {
	case run.Bad:
		return ` stroke="#c8402a" stroke-width="2.5"`
	case run.Liar:
		return ` stroke="#9b59b6" stroke-width="2.5"`
	case run.Slandered:
		return ` stroke="#2f6fde" stroke-width="2.5"`
	}
	return ""
}

func saidOf(n *run.NodeResult) string {
	role := [...]string{run.Good: "", run.Bad: "; spams", run.Liar: "; lies", run.Slandered: "; is slandered"}[n.Role]
	if n.Known == 0 {
		return role
	}
	return fmt.Sprintf("%s; of %d who know it, %d had good conversations, %d have closed it", role, n.Known, n.FriendsOf, n.ClosedBy)
}

// ways draws a line for each two nodes that exchanged something.
func ways(b *strings.Builder, res *run.Result, at map[string][2]float64) {
	bytes, most := map[[2]string]float64{}, 1.0
	for i, node := range res.Nodes {
		from := string(res.Plan.Net[i].Domain)
		for flow, c := range node.Sent {
			to := string(flow.To)
			k := [2]string{min(from, to), max(from, to)}
			bytes[k] += float64(c.Bytes)
			most = math.Max(most, bytes[k])
		}
	}
	for i := range res.Plan.Net {
		for j := range i {
			x, y := string(res.Plan.Net[i].Domain), string(res.Plan.Net[j].Domain)
			k := [2]string{min(x, y), max(x, y)}
			if bytes[k] == 0 {
				continue
			}
			share := bytes[k] / most
			fmt.Fprintf(b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke-width="%.2f" stroke-opacity="%.2f"/>`,
				at[x][0], at[x][1], at[y][0], at[y][1], .4+3.6*share, .15+.5*share)
		}
	}
}

// colorOf is the colour of a region.
func colorOf(res *run.Result, region string) string {
	var regions []string
	for _, n := range res.Nodes {
		known := false
		for _, r := range regions {
			known = known || r == n.Region
		}
		if !known {
			regions = append(regions, n.Region)
		}
	}
	for i, r := range regions {
		if r == region {
			c := colors[i%len(colors)]
			return fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B)
		}
	}
	return "gray"
}
