package reputation

import (
	"net/netip"
	"slices"
	"time"

	"parley/protocol"
)

// What is held against a peer is filed at its witnesses, where those ask to whom it comes
// next: spec/reputation.md#filed-blame.

// Filing is what one node has filed about another here.
type Filing struct {
	By          protocol.Node
	At          Time  // when it came
	Bad, Lately uint8 // classes
}

// Dossier is what a witness keeps about a node: what was filed, and who has asked.
type Dossier struct {
	Filings []Filing
	Askers  []Asker
}

// Asker is a node to which the subject of a dossier has come, and when it asked last.
type Asker struct {
	Node protocol.Node
	At   Time
}

const (
	maxDossiers = 4096
	maxFilings  = 16 // about one
	maxAskers   = 64 // about one; who is beyond counts no more
	filingDays  = 28.0
	askerDays   = 0.5
	fanLife     = 2.0 / 24 // half-life, in days, of a node's having asked
	leastFilers = 2        // below, nothing of what is filed is told
	fileLeast   = 0.8      // bad mass that is filed
	fileEvery   = 0.25     // days
	maxAccusals = 256      // that wait to be filed
	leastFiled  = 1.0      // weight of blame that is filed
	maxAccusers = 8
)

// Accusation is what is to be filed, and with whom.
type Accusation struct {
	Statement
	Network   netip.Prefix // of whom it is about
	Witnesses []protocol.Node
}

// Accuse returns what is to be filed now, unsigned: about those of whom local users have
// complained since, each at most every 6 hours. An operator's word is no part of it.
func (e *Engine) Accuse(now time.Time, self protocol.Node) (all []Accusation) {
	at := e.clock.now(now)
	for name := range e.accuse {
		delete(e.accuse, name)
		p, ok := e.peers.peek(name)
		if !ok || name == self || p.Filed != 0 && at.since(p.Filed) < fileEvery {
			continue
		}
		p.decay(at)
		bad := p.N - p.P/tolerated
		t := e.wall(now).Unix()
		with := e.witnesses(at, t, name)
		if bad < fileLeast || len(with) == 0 {
			continue
		}
		p.Filed = at
		all = append(all, Accusation{
			Statement: Statement{By: self, About: name, Kind: Filed, Issued: t, Expires: t + int64(Filed.life()/time.Second),
				Bad: class(max(1, bad), maxMassClass), Lately: class(p.Ns-p.Ps/tolerated, maxMassClass)},
			Network: p.Prefix, Witnesses: with,
		})
	}
	return all
}

// TakeFiled keeps what a peer has filed, if that is one whose word counts here: the latest
// of each about each. of is whom it is about, as that peer sees it.
func (e *Engine) TakeFiled(now time.Time, from protocol.Node, of Sender, s Statement) bool {
	at := e.clock.now(now)
	if t, _ := e.trust(at, from); t == 0 || s.By != from || s.Kind != Filed || s.About != of.Name {
		return false
	}
	e.accused(at, &of, from)
	d := e.dossier(at, s.About)
	f := Filing{By: from, At: at, Bad: s.Bad, Lately: s.Lately}
	if i := slices.IndexFunc(d.Filings, func(o Filing) bool { return o.By == from }); i >= 0 {
		d.Filings[i] = f
		return true
	}
	if len(d.Filings) >= maxFilings {
		return false
	}
	d.Filings = append(d.Filings, f)
	return true
}

// gathered is what trusted peers have filed about a node, weighed and added up without the
// loudest, so that it is never of one only, and names nobody. Of a node that is
// established here it is no more than what this node has seen makes likely.
func (e *Engine) gathered(now Time, about protocol.Node) (slow, fast float64) {
	d, ok := e.dossiers.peek(about)
	if !ok {
		return 0, 0
	}
	d.prune(now)
	var sum blames
	for _, f := range d.Filings {
		if t, _ := e.trust(now, f.By); t > 0 {
			sum.add(f.By, max(t, leastFiled), f.Bad, f.Lately, now.since(f.At))
		}
	}
	if len(sum.all) < leastFilers {
		return 0, 0
	}
	slow, fast = sum.total()
	if p, ok := e.peers.peek(about); ok {
		m := p.mass()
		m.Blame, m.FastBlame = slow, fast
		return m.blame()
	}
	return slow, fast
}

// Asked counts a peer that asks about a node: one to which that node has come, of this network as
// far as it knows. It returns the answer but for what the node's own word is: the class of how
// many have asked, with a half-life of two hours, and what is known of the neighbourhood.
func (e *Engine) Asked(now time.Time, about Sender, asker protocol.Node) Answer {
	at := e.clock.now(now)
	d := e.dossier(at, about.Name)
	if i := slices.IndexFunc(d.Askers, func(o Asker) bool { return o.Node == asker }); i >= 0 {
		d.Askers[i].At = at
	} else if len(d.Askers) < maxAskers {
		d.Askers = append(d.Askers, Asker{asker, at})
	}
	n := 0.0
	for _, a := range d.Askers {
		n += decay(1, at.since(a.At), fanLife)
	}
	return Answer{Asked: class(n, maxDaysClass), Near: e.near(at, &about)}
}

// dossier finds or makes one, without what is too old.
func (e *Engine) dossier(now Time, about protocol.Node) *Dossier {
	d, ok := e.dossiers.get(about)
	if !ok {
		d = new(Dossier)
		if e.dossiers.full() {
			old, _ := e.dossiers.least(func(d *Dossier) float64 { return float64(len(d.Filings)) })
			e.dossiers.remove(old)
		}
		e.dossiers.add(about, d)
	}
	d.prune(now)
	return d
}

// prune drops what is too old.
func (d *Dossier) prune(now Time) {
	d.Filings = slices.DeleteFunc(d.Filings, func(f Filing) bool { return now.since(f.At) >= filingDays })
	d.Askers = slices.DeleteFunc(d.Askers, func(a Asker) bool { return now.since(a.At) >= askerDays })
}

// Answer is what a peer that was asked about a node has answered.
type Answer struct {
	By    protocol.Node
	Asked uint8 // class of how many have asked it lately
	Near  Near
	Told  Statement // the zero one if it has nothing to say
}

// judgeAccusers lets those who warned of a peer share its early outcomes: they were right
// if it turns out bad, wrong if good.
func (e *Engine) judgeAccusers(now Time, p *Peer, good, bad float64) {
	if len(p.Accusers) == 0 || p.P >= liableUntil || max(good, bad) < 0.5 {
		return
	}
	share := 1 / float64(len(p.Accusers))
	for _, name := range p.Accusers {
		if r, ok := e.peers.peek(name); ok {
			r.record(bad*share, good*share)
		}
	}
}
