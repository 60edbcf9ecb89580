package model

import (
	"encoding/binary"
	"time"

	"parley/reputation"
)

// What is held against a node is filed with its witnesses, as package node does it. What
// stands for the signed bytes of a statement is its place among all.

func (w *world) paper(s reputation.Statement) []byte {
	w.papers = append(w.papers, s)
	return binary.BigEndian.AppendUint32(nil, uint32(len(w.papers)-1))
}

func (w *world) read(wire []byte) reputation.Statement {
	return w.papers[binary.BigEndian.Uint32(wire)]
}

// file tells witnesses what users here hold against other nodes. Accomplices hold nothing
// against each other.
func (g *engineGate) file() {
	for _, a := range g.e.Accuse(g.w.wall(), g.n.name) {
		if about := g.w.byName[a.About]; g.n.team != 0 && about.team == g.n.team {
			continue
		}
		wire := g.w.paper(a.Statement)
		for _, name := range a.Witnesses {
			g.fileWith(g.w.byName[name], a.Statement, wire)
		}
	}
}

func (g *engineGate) fileWith(r *node, s reputation.Statement, wire []byte) {
	if r == nil || r == g.n || r.gone || g.n.eclipsed && r.team == 0 || !g.w.reach(g.n, r) {
		return
	}
	g.w.meter.ask(g.w, askBytes+2*answerBytes)
	if x, ok := r.gate.(*engineGate); ok {
		x.e.TakeFiled(g.w.wall(), g.n.name, s, wire)
	}
}

// denounce files what a liar says of one whom it slanders, with those who are likely to be
// asked by most: the largest.
func (g *engineGate) denounce(about *node) {
	now := g.w.wall()
	s := reputation.Statement{By: g.n.name, About: about.name, Kind: reputation.Filed, Issued: now.Unix(),
		Expires: now.Add(7 * day).Unix(), Bad: mostMass, Lately: mostMass}
	wire := g.w.paper(s)
	for _, r := range g.w.nodes[:min(len(g.w.nodes), denounced)] {
		g.fileWith(r, s, wire)
	}
}

const denounced = 6

// filed is what others have filed about a node with one that is asked. Accomplices of the
// subject keep it to themselves.
func (g *engineGate) filed(r, about *node) (all []reputation.Testimony) {
	x := r.gate.(*engineGate)
	wires, askers := x.e.Dossier(g.w.wall(), about.name, g.n.name)
	if r.team != 0 && about.team == r.team {
		return nil
	}
	for _, wire := range wires {
		s := g.w.read(wire)
		known := g.e.Class(g.w.wall(), s.By) != reputation.Stranger // else its key is not
		if known && s.By != g.n.name && time.Unix(s.Expires, 0).After(g.w.wall()) {
			all = append(all, reputation.Testimony{Statement: s, Via: r.name})
		}
	}
	a := reputation.NewAnswer(nil, wires, askers)
	for i := range all {
		all[i].Share = a.Share(len(all))
	}
	g.w.meter.carry(g.w, len(wires)*(answerBytes-packetBytes))
	return all
}
