package model

import "parley/reputation"

// What is held against a node is filed with its witnesses, as package node does it.

// file tells witnesses what users here hold against other nodes. Accomplices hold nothing
// against each other.
func (g *engineGate) file() {
	for _, a := range g.e.Accuse(g.w.wall(), g.n.name) {
		if about := g.w.byName[a.About]; g.n.team != 0 && about.team == g.n.team {
			continue
		}
		for _, name := range a.Witnesses {
			g.fileWith(g.w.byName[name], a.Statement)
		}
	}
}

func (g *engineGate) fileWith(r *node, s reputation.Statement) {
	if r == nil || r == g.n || r.gone || g.n.eclipsed && r.team == 0 || !g.w.reach(g.n, r) {
		return
	}
	g.w.meter.ask(g.w, askBytes+2*answerBytes)
	if x, ok := r.gate.(*engineGate); ok {
		x.e.TakeFiled(g.w.wall(), g.n.name, g.w.byName[s.About].sender, s)
	}
}

// denounce files what a liar says of one whom it slanders, with those who are likely to be
// asked by most: the largest.
func (g *engineGate) denounce(about *node) {
	now := g.w.wall()
	s := reputation.Statement{By: g.n.name, About: about.name, Kind: reputation.Filed, Issued: now.Unix(),
		Expires: now.Add(7 * day).Unix(), Bad: mostMass, Lately: mostMass}
	for _, r := range g.w.nodes[:min(len(g.w.nodes), denounced)] {
		g.fileWith(r, s)
	}
}

const denounced = 6
