package reputation

import (
	"encoding/binary"
	"math"
	"slices"
	"time"

	"parley/protocol"
)

// What is held against a peer is filed at its witnesses, where those ask to whom it comes
// next: spec/reputation.md#filed-blame.

// Filing is what one node has filed about another here, signed.
type Filing struct {
	By   protocol.Node
	At   Time // when it came
	Wire []byte
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
	dossierDays = 7.0
	fileLeast   = 0.8  // bad mass that is filed
	fileEvery   = 0.25 // days
	maxAccusals = 256  // that wait to be filed
	filedPart   = 0.25 // of the trust in a witness, for an author of whom little is known
	fewComplain = 0.10 // of those to whom it came: below this what is filed counts less
	maxAccusers = 8
	maxAnswer   = 1 + maxFilings
)

// Accusation is what is to be filed, and with whom.
type Accusation struct {
	Statement
	Witnesses []protocol.Node
}

// Accuse returns what is to be filed now, unsigned: about those of whom two local users or
// more have complained since, each at most every 6 hours. An operator's word is no part of it.
func (e *Engine) Accuse(now time.Time, self protocol.Node) (all []Accusation) {
	at := e.clock.now(now)
	for name := range e.accuse {
		delete(e.accuse, name)
		p, ok := e.peers.peek(name)
		if !ok || name == self || len(p.Voices) < silentVoices || p.Filed != 0 && at.since(p.Filed) < fileEvery {
			continue
		}
		p.decay(at)
		bad := p.N - p.P/tolerated
		top := slices.DeleteFunc(slices.Clone(e.recommenders(at)), func(n protocol.Node) bool { return n == name })
		if bad < fileLeast || len(top) == 0 {
			continue
		}
		p.Filed = at
		t := e.wall(now).Unix()
		all = append(all, Accusation{
			Statement: Statement{By: self, About: name, Kind: Filed, Issued: t, Expires: t + int64(Filed.life()/time.Second),
				Bad: class(max(1, bad), maxMassClass), Lately: class(p.Ns-p.Ps/tolerated, maxMassClass)},
			Witnesses: witnessesFor(name, t/weekLong, top[:min(len(top), witnessesOf)]),
		})
	}
	return all
}

// TakeFiled keeps what a peer has filed, if that is one whose word counts here: the latest
// of each about each. s is wire, opened.
func (e *Engine) TakeFiled(now time.Time, from protocol.Node, s Statement, wire []byte) bool {
	at := e.clock.now(now)
	if t, _ := e.trust(at, from); t == 0 || s.By != from || s.Kind != Filed {
		return false
	}
	d := e.dossier(at, s.About)
	f := Filing{from, at, slices.Clone(wire)}
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

// Dossier is what others have filed about a node, for a peer that asks, and to how many
// it has come within a week; that peer is counted from now on.
func (e *Engine) Dossier(now time.Time, about, asker protocol.Node) (wires [][]byte, askers int) {
	at := e.clock.now(now)
	d := e.dossier(at, about)
	if i := slices.IndexFunc(d.Askers, func(o Asker) bool { return o.Node == asker }); i >= 0 {
		d.Askers[i].At = at
	} else if len(d.Askers) < maxAskers {
		d.Askers = append(d.Askers, Asker{asker, at})
	}
	for _, f := range d.Filings {
		if t, _ := e.trust(at, f.By); t > 0 && f.By != asker {
			wires = append(wires, f.Wire)
		}
	}
	return wires, len(d.Askers)
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
	d.Filings = slices.DeleteFunc(d.Filings, func(f Filing) bool { return now.since(f.At) >= dossierDays })
	d.Askers = slices.DeleteFunc(d.Askers, func(a Asker) bool { return now.since(a.At) >= dossierDays })
	return d
}

// Testimony is a statement that a witness has passed on.
type Testimony struct {
	Statement
	Via   protocol.Node
	Share float64 // of its weight that counts, 0…1
}

// Answer is the answer to a question about a node: what the witness says itself, if it says
// anything, and what others have filed with it.
type Answer struct {
	Asked uint8 // class of the nodes that have asked in a week
	Wires [][]byte
}

// Encode gives the one form of an answer.
func (r Answer) Encode() []byte {
	b := []byte{r.Asked}
	for _, w := range r.Wires[:min(len(r.Wires), maxAnswer)] {
		b = binary.BigEndian.AppendUint16(b, uint16(len(w)))
		b = append(b, w...)
	}
	return b
}

// NewAnswer is an answer with what a witness says itself, nil if nothing, and its dossier.
func NewAnswer(own []byte, filed [][]byte, askers int) Answer {
	r := Answer{Asked: class(float64(askers), maxDaysClass)}
	if own != nil {
		r.Wires = append(r.Wires, own)
	}
	r.Wires = append(r.Wires, filed...)
	return r
}

// ParseAnswer takes an answer apart; its statements are to be opened one by one.
func ParseAnswer(b []byte) (r Answer, err error) {
	if len(b) == 0 || b[0] > maxDaysClass {
		return Answer{}, badStatement("no answer")
	}
	r.Asked, b = b[0], b[1:]
	for len(b) > 0 {
		if len(r.Wires) == maxAnswer {
			return Answer{}, badStatement("more than %d statements", maxAnswer)
		}
		if len(b) < 2 || int(binary.BigEndian.Uint16(b)) > len(b)-2 {
			return Answer{}, badStatement("it is cut off")
		}
		n := int(binary.BigEndian.Uint16(b))
		r.Wires = append(r.Wires, b[2:2+n])
		b = b[2+n:]
	}
	return r, nil
}

// Share is what each of some filings counts: less, if few of those complain to whom the
// subject has come, as of a large node that has a few bad users.
func (r Answer) Share(filings int) float64 {
	f := float64(filings)
	if f == 0 {
		return 0
	}
	return min(1, f/max(f, least(r.Asked))/fewComplain)
}

// blame is what one author holds against a peer, weighed.
type blame struct {
	by         protocol.Node
	slow, fast float64
}

// hearFiled adds what others have filed, of those who were not asked themselves. wall is the
// clock by which statements are dated, in seconds since 1970.
func (e *Engine) hearFiled(now Time, wall int64, p *Peer, filed []Testimony, all []blame) []blame {
	for _, f := range filed[:min(len(filed), maxFilings*(witnesses+askTop+askRandom))] {
		said := func(b blame) bool { return b.by == f.By }
		if f.Kind != Filed || f.About != p.Name || f.By == p.Name || slices.ContainsFunc(all, said) {
			continue
		}
		author, known := e.peers.peek(f.By)
		if known && (author.Closed || author.Pin == Deny) {
			continue
		}
		own, _ := e.trust(now, f.By)
		via, _ := e.trust(now, f.Via)
		if via == 0 {
			continue
		}
		w := max(own, filedPart*via) * max(0, min(1, f.Share))
		old := math.Max(0, float64(wall-f.Issued)/perSecond) // days
		bad := min(blameEach, least(f.Bad))
		all = append(all, blame{f.By, w * decay(bad, old, halfSlow), w * decay(min(blameEach, least(f.Lately)), old, halfFast)})
	}
	return all
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
