package model

import (
	"crypto/ed25519"
	"net/netip"
	"time"

	"parley/protocol"
	"parley/protocol/s2s"
	"parley/reputation"
)

// As package node does it.
const (
	maxVouchers   = 8
	vouchersEvery = 12 * time.Hour
	patronsAsked  = 16
)

// The highest classes of a statement: what liars say.
const (
	mostMass = 5
	mostDays = 12
)

// engineGate is the engine of package reputation.
type engineGate struct {
	w       *world
	n       *node
	e       *reputation.Engine
	asks    bool
	shown   []reputation.Statement // that it carries
	shownAt time.Duration
	asked   bool // for them, ever
	reach   uint8
	reached time.Duration // when reach was right
}

func newEngineGate(w *world, n *node, asks bool) *engineGate {
	return &engineGate{w: w, n: n, asks: asks, e: reputation.New(reputation.Config{Users: n.users}, w.wall())}
}

func (g *engineGate) contact(from *node, user protocol.UserID) (bool, time.Duration) {
	if x, ok := from.gate.(*engineGate); ok && g.asks {
		g.e.Reaches(g.w.wall(), from.sender, x.reaches())
		g.inquire(from)
	}
	v := g.e.FirstContact(g.w.wall(), from.sender, user)
	return v.Action == reputation.Admit, v.After
}

// inquire asks others about a node, if that is due, and takes their answers. That the first
// contact waits for them some seconds is no matter here.
func (g *engineGate) inquire(about *node) {
	now := g.w.wall()
	var carried []reputation.Statement
	if x, ok := about.gate.(*engineGate); ok {
		carried = x.vouchers()
	}
	whom := g.e.Plan(now, about.sender, carried, g.w.rng)
	if len(whom) == 0 {
		return
	}
	var answers []reputation.Answer
	for _, name := range whom {
		r := g.w.byName[name]
		st, said, asked := g.ask(r, about, reputation.Told)
		if !asked {
			continue
		}
		a := r.gate.(*engineGate).answer(g, about)
		a.By = name
		if said {
			a.Told = st
		}
		answers = append(answers, a)
	}
	g.e.Learn(now, about.sender, carried, answers...)
}

// answer is what a witness says of one but for its word: how many have asked about it, and of its
// neighbourhood. Liars hide how many a spammer of theirs comes to, and make up what serves them.
func (g *engineGate) answer(asker *engineGate, about *node) (a reputation.Answer) {
	switch {
	case g.n.team != 0 && about.team == g.n.team:
		for i := range a.Near {
			a.Near[i].Good = mostMass
		}
		return a
	case g.n.liar && about.slandered:
		a.Asked = mostDays
		for i := range a.Near {
			a.Near[i].Bad = mostMass
		}
		return a
	}
	return g.e.Asked(g.w.wall(), about.sender, asker.n.name)
}

// reaches is what a node says of its reach, as on a link. Liars claim to know everybody.
func (g *engineGate) reaches() uint8 {
	if g.n.team != 0 {
		return mostDays
	}
	if g.reached == 0 || g.w.now-g.reached > day {
		g.reached, g.reach = g.w.now, g.e.Reach(g.w.wall())
	}
	return g.reach
}

// ask asks a node for its opinion. asked: it has answered, said: that there is one.
func (g *engineGate) ask(r, about *node, kind reputation.Kind) (st reputation.Statement, said, asked bool) {
	if g.n.eclipsed && r.team == 0 || !g.w.reach(g.n, r) {
		g.w.meter.ask(g.w, askBytes)
		return reputation.Statement{}, false, false
	}
	st, said, asked = r.gate.(*engineGate).tell(g, about, kind)
	if said {
		g.w.meter.ask(g.w, askBytes+answerBytes)
	} else {
		g.w.meter.ask(g.w, 2*askBytes)
	}
	return st, said, asked
}

// tell answers a question. Liars say what serves them.
func (g *engineGate) tell(to *engineGate, about *node, kind reputation.Kind) (st reputation.Statement, said, answered bool) {
	now := g.w.wall()
	lie := reputation.Statement{By: g.n.name, About: about.name, Kind: kind, Issued: now.Unix(), Expires: now.Add(day).Unix()}
	switch {
	case g.n.team != 0 && about.team == g.n.team:
		lie.Good, lie.Days = mostMass, mostDays
		return lie, true, true
	case g.n.liar && about.slandered && kind == reputation.Told:
		lie.Bad, lie.Lately = mostMass, mostMass
		return lie, true, true
	}
	may := g.e.MayAnswer(now, to.n.name)
	g.w.meter.answer(g.w, to.n, may)
	if !may {
		return reputation.Statement{}, false, false
	}
	st, said = g.e.Opinion(now, g.n.name, about.name, kind)
	return st, said, true
}

// vouchers are the statements about this node that it carries.
func (g *engineGate) vouchers() []reputation.Statement {
	if g.asked && g.w.now-g.shownAt < vouchersEvery {
		return g.shown
	}
	g.asked, g.shownAt = true, g.w.now
	if g.n.team != 0 {
		g.shown = g.praise()
		return g.shown
	}
	g.shown = nil
	for _, name := range g.e.Patrons(g.w.wall(), patronsAsked) {
		if st, ok, _ := g.ask(g.w.byName[name], g.n, reputation.Carried); ok && len(g.shown) < maxVouchers {
			g.shown = append(g.shown, st)
		}
	}
	return g.shown
}

// praise is what colluders give each other: some of the team, at random.
func (g *engineGate) praise() (all []reputation.Statement) {
	for _, i := range g.w.rng.Perm(len(g.w.nodes)) {
		r := g.w.nodes[i]
		if r.team != g.n.team || r == g.n || r.role == spammer || r.gone {
			continue
		}
		if st, ok, _ := r.gate.(*engineGate).tell(g, g.n, reputation.Carried); ok {
			all = append(all, st)
		}
		if len(all) == maxVouchers {
			break
		}
	}
	return all
}

func (g *engineGate) observe(about *node, ev reputation.Event, by reputation.Reporter) {
	g.e.Observe(g.w.wall(), about.sender, ev, by)
	if g.asks {
		g.file()
	}
}

func (g *engineGate) outbound(user protocol.UserID, age time.Duration) bool {
	v, _ := g.e.Outbound(g.w.wall(), user, age)
	return v == reputation.OutAllowed
}

func (g *engineGate) complain(from *node, about protocol.UserID) {
	g.e.Complain(g.w.wall(), from.name, about)
}

// turn lets the engine's clock go on.
func (g *engineGate) turn() {
	g.e.MayAnswer(g.w.wall(), "")
	g.e.Changes()
}

// Bytes of a question and of an answer on the wire: frame, and what QUIC, UDP and IPv4
// put around it.
var askBytes, answerBytes = wireSizes()

const packetBytes = 60

func wireSizes() (ask, answer int) {
	const by, about = protocol.Node("chat.example.org"), protocol.Node("talk.example.net")
	st := reputation.Statement{By: by, About: about, Kind: reputation.Told, Issued: 1, Expires: 2, Good: 1}
	signed, err := st.Sign(make(ed25519.PrivateKey, ed25519.PrivateKeySize))
	if err != nil {
		panic(err)
	}
	q, err := s2s.Codec{}.AppendFrame(nil, &s2s.Ask{Opinion: reputation.EncodeQuestion(reputation.Told, netip.MustParsePrefix("192.0.2.0/24"), []byte(about))})
	if err != nil {
		panic(err)
	}
	a, err := s2s.Codec{}.AppendFrame(nil, &s2s.Answer{Opinion: new(reputation.Answer).Encode(signed)})
	if err != nil {
		panic(err)
	}
	return len(q) + packetBytes, len(a) + packetBytes
}
