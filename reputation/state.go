package reputation

import (
	"math"
	"slices"
	"time"

	"parley/protocol"
)

// State is everything an engine knows, for the caller to keep. The order of its lists
// is that of last use, the oldest first.
type State struct {
	Wall      time.Time // when it was exported
	At, Born  Time
	Peers     []Peer // with evidence of local users, or an operator's word
	Strangers []Peer
	Groups    []GroupState
	Pools     [pools]Pool
	Asks      Bucket // of others, about newcomers
	Users     []UserState
	Accounts  []AccountState
	Dossiers  []DossierState
	Records   []RecordState
	Cases     []CaseState
}

// DossierState is the dossier of a node.
type DossierState struct {
	Node protocol.Node
	Dossier
}

// GroupState is a group by its parent domain or its prefix.
type GroupState struct {
	Sender // of which Domain or Prefix is set
	Group
}

// UserState is the share of a remote user.
type UserState struct {
	User protocol.UserID
	Bucket
}

// AccountState is a local user's.
type AccountState struct {
	User protocol.UserID
	Account
}

// Export returns a copy of everything that is known.
func (e *Engine) Export(now time.Time) State {
	s := State{Wall: e.wall(now).Round(0), At: e.clock.now(now), Born: e.born, Pools: e.pools, Asks: e.asks}
	for _, p := range e.peers.oldest {
		s.Peers = append(s.Peers, p.clone())
	}
	for _, p := range e.strangers.oldest {
		s.Strangers = append(s.Strangers, p.clone())
	}
	for k, g := range e.groups.oldest {
		c := *g
		c.Filers = slices.Clone(g.Filers)
		s.Groups = append(s.Groups, GroupState{Sender{Domain: k.domain, Prefix: k.prefix}, c})
	}
	for u, b := range e.users.oldest {
		s.Users = append(s.Users, UserState{u, *b})
	}
	for u, a := range e.accounts.oldest {
		c := *a
		c.Complaints = append([]Complaint(nil), a.Complaints...)
		s.Accounts = append(s.Accounts, AccountState{u, c})
	}
	for n, d := range e.dossiers.oldest {
		s.Dossiers = append(s.Dossiers, DossierState{n, Dossier{slices.Clone(d.Filings), slices.Clone(d.Askers)}})
	}
	e.exportWords(&s)
	return s
}

// Import replaces everything by a state. Of the time since its export at most MaxAway
// passes, none if the clock went back. Numbers that no engine exports are made zero.
func (e *Engine) Import(now time.Time, s State) {
	e.clear()
	away := max(0, min(now.Round(0).Sub(s.Wall.Round(0)), MaxAway))
	e.clock = clock{s.At + Time(away), now}
	e.born = min(s.Born, e.clock.at)
	e.pools, e.asks = s.Pools, s.Asks
	sane(&e.asks.Tokens)
	for i := range e.pools {
		p := &e.pools[i]
		sane(&p.Good, &p.Bad, &p.Bucket.Tokens)
	}
	for _, p := range s.Peers {
		if p := p.imported(); e.find(p.Name) == nil {
			put(e.peers, p.Name, p)
			if p.N-p.P/tolerated >= fileLeast && len(e.accuse) < maxAccusals {
				e.accuse[p.Name] = true
			}
		}
	}
	for _, p := range s.Strangers {
		if p := p.imported(); e.find(p.Name) == nil {
			e.addStranger(p)
		}
	}
	for _, g := range s.Groups {
		sane(&g.Good, &g.Bad, &g.HeardGood, &g.HeardBad)
		g.Filers = slices.Clone(g.Filers[:min(len(g.Filers), maxFilers)])
		for i := range g.Cups {
			sane(&g.Cups[i].Tokens)
		}
		put(e.groups, groupKey{g.Domain, g.Prefix}, &g.Group)
	}
	for _, u := range s.Users {
		sane(&u.Tokens)
		put(e.users, u.User, &u.Bucket)
	}
	for _, a := range s.Accounts {
		sane(&a.Bucket.Tokens)
		a.Complaints = append([]Complaint(nil), a.Complaints...)
		put(e.accounts, a.User, &a.Account)
	}
	e.importWords(&s)
	for _, d := range s.Dossiers {
		filed := slices.DeleteFunc(slices.Clone(d.Filings), func(f Filing) bool { return f.Bad == 0 }) // as older versions kept them
		put(e.dossiers, d.Node, &Dossier{
			Filings: filed[:min(len(filed), maxFilings)], Askers: slices.Clone(d.Askers[:min(len(d.Askers), maxAskers)]),
		})
	}
}

func (p *Peer) clone() Peer {
	c := *p
	c.Voices = append([]Voice(nil), p.Voices...)
	c.Loans = append([]Loan(nil), p.Loans...)
	c.Accusers = append([]protocol.Node(nil), p.Accusers...)
	return c
}

// imported returns a copy that is fit for use.
func (p Peer) imported() *Peer {
	p = p.clone()
	sane(&p.P, &p.N, &p.Ps, &p.Ns, &p.Long, &p.LightGood, &p.LightBad, &p.Loan, &p.Blame, &p.FastBlame, &p.Bucket.Tokens,
		&p.Right, &p.Wrong, &p.Lent, &p.NewGood, &p.NewBad, &p.Introductions.Tokens, &p.Answers.Tokens,
		&p.Fans, &p.Lot, &p.Praise)
	p.Voices = p.Voices[:min(len(p.Voices), maxVoices)]
	for i := range p.Voices {
		sane(&p.Voices[i].Bad)
	}
	p.Loans = p.Loans[:min(len(p.Loans), maxCarried+maxAsked)]
	for i := range p.Loans {
		sane(&p.Loans[i].Amount)
	}
	p.Accusers = p.Accusers[:min(len(p.Accusers), maxAccusers)]
	if p.Pool < 0 || p.Pool > pools {
		p.Pool = 0
	}
	p.Pin = min(p.Pin, Deny)
	p.Hold = min(p.Hold, AskedAgain)
	p.Reach = min(p.Reach, maxReach)
	p.Proof = min(p.Proof, ProofDomain)
	return &p
}

// put adds to a table that makes room by forgetting the oldest.
func put[K comparable, V any](l *lru[K, V], k K, v V) {
	if _, ok := l.peek(k); ok {
		return
	}
	if l.full() {
		l.remove(l.ends.prev.key)
	}
	l.add(k, v)
}

// sane makes zero what is no number or less.
func sane(vs ...*float64) {
	for _, v := range vs {
		if !(*v >= 0) || math.IsInf(*v, 1) {
			*v = 0
		}
	}
}
