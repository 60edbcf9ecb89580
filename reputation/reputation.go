// Package reputation decides how fast strangers, acquaintances and friends among the
// other nodes may begin new conversations with our users. It rations first contacts
// only: unsolicited messages of a user to a stranger. Conversations that a local user
// answered never pass through here, and what is refused waits: it is not lost.
//
// The engine is pure: no goroutine, disk or network. Time is an argument, its state
// is plain data (State), and so whatever it decided can be decided again. Formulas,
// constants and why: spec/reputation.md.
package reputation

import (
	"net/netip"
	"time"

	"parley/protocol"
)

// Proof is how a peer's key was bound to its name.
type Proof uint8

// Kinds of proof: what a new identity costs.
const (
	ProofKey    Proof = iota // a free key
	ProofDomain              // a domain name, proven by DNSSEC, WebPKI or an operator's pin
)

// Sender is what is known of a peer before its behaviour is.
type Sender struct {
	Name   protocol.Node
	Domain string       // registrable parent domain; empty for a key name
	Prefix netip.Prefix // of the address it came from, see PrefixOf; zero if unknown
	Proof  Proof
}

// PrefixOf returns the network that is taken for one owner: /24 of IPv4, /48 of IPv6.
func PrefixOf(a netip.Addr) netip.Prefix {
	a = a.Unmap()
	bits := 48
	if a.Is4() {
		bits = 24
	}
	p, err := a.Prefix(bits)
	if err != nil { // the zero Addr
		return netip.Prefix{}
	}
	return p
}

// Action is what to do with a first contact.
type Action uint8

// Actions.
const (
	Admit Action = iota // deliver it
	Wait                // keep it at the sender, try again after Verdict.After
)

// Verdict answers a first contact.
type Verdict struct {
	Action Action
	Reason Reason
	After  time.Duration // of Wait: when a try can succeed, at most MaxWait
	Cost   float64       // of Admit: tokens of the strangers' pool that it took
}

// Reason is why a verdict is as it is. Its text may be shown to the sender.
type Reason uint8

// Reasons.
const (
	ReasonKnown    Reason = iota // admitted: has standing of its own
	ReasonStranger               // admitted: from the strangers' pool
	ReasonAllowed                // admitted: by the operator
	ReasonDenied                 // by the operator
	ReasonClosed                 // its quality is too low
	ReasonRate                   // its own rate is used up
	ReasonPool                   // the strangers' pool is empty
	ReasonGroup                  // the share of its parent domain or network is used up
	ReasonUser                   // this remote user's share is used up
	ReasonAsking                 // others are being asked about it
	ReasonFan                    // it comes to many nodes at once
)

var reasons = [...]string{"known", "stranger", "allowed by operator", "denied by operator", "too many complaints",
	"rate limit of this node", "strangers' pool is empty", "limit of its domain or network", "rate limit of this user",
	"other nodes are being asked about this one", "this node writes to many others at once"}

func (r Reason) String() string { return reasons[r] }

// Config has what differs between nodes. A zero field means its default.
type Config struct {
	Users        int // local users, at least 1
	MaxPeers     int // peers with evidence that are remembered; default 50,000
	MaxStrangers int // peers without; default 8,192
	MaxGroups    int // parent domains and networks; default 32,768
	MaxAccounts  int // remote and local users with a bucket that is not full; default 32,768 each
	// Wall tells what the wall clock shows at the caller's now: what is signed, or kept over
	// a restart, is dated by it. nil: now itself.
	Wall func(now time.Time) time.Time
}

func (c Config) withDefaults() Config {
	c.Users = max(c.Users, 1)
	for _, d := range []struct {
		n   *int
		def int
	}{{&c.MaxPeers, 50_000}, {&c.MaxStrangers, 8192}, {&c.MaxGroups, 32_768}, {&c.MaxAccounts, 32_768}} {
		if *d.n <= 0 {
			*d.n = d.def
		}
	}
	return c
}

// wall is the time for what is dated: see Config.Wall.
func (e *Engine) wall(now time.Time) time.Time {
	if e.cfg.Wall == nil {
		return now
	}
	return e.cfg.Wall(now)
}

// Engine is what one node thinks of the others. It is for one goroutine at a time.
// Its methods take the caller's time.Now().
type Engine struct {
	cfg       Config
	clock     clock
	born      Time
	peers     *lru[protocol.Node, *Peer] // with evidence, or an operator's word
	strangers *lru[protocol.Node, *Peer] // without
	crowds    map[groupKey][]*Peer       // strangers by group, the oldest first
	groups    *lru[groupKey, *Group]
	pools     [pools]Pool
	users     *lru[protocol.UserID, *Bucket] // remote
	accounts  *lru[protocol.UserID, *Account]
	asks      Bucket
	uses      [uses]Bucket  // of all strangers
	top       []recommender // made at topAt
	topAt     Time
	changes   []Change
	dossiers  *lru[protocol.Node, *Dossier]
	accuse    map[protocol.Node]bool         // about whom there may be something to file
	records   *lru[protocol.UserID, *Record] // of local users
	cases     *lru[protocol.UserID, *Case]   // of remote users
}

// New returns an engine that knows nobody.
func New(cfg Config, now time.Time) *Engine {
	e := &Engine{cfg: cfg.withDefaults(), clock: newClock(now)}
	e.born = e.clock.at
	e.clear()
	return e
}

func (e *Engine) clear() {
	e.peers = newLRU[protocol.Node, *Peer](e.cfg.MaxPeers)
	e.strangers = newLRU[protocol.Node, *Peer](e.cfg.MaxStrangers)
	e.crowds = map[groupKey][]*Peer{}
	e.groups = newLRU[groupKey, *Group](e.cfg.MaxGroups)
	e.users = newLRU[protocol.UserID, *Bucket](e.cfg.MaxAccounts)
	e.accounts = newLRU[protocol.UserID, *Account](e.cfg.MaxAccounts)
	e.pools = [pools]Pool{}
	e.asks, e.uses, e.top, e.topAt = Bucket{}, [uses]Bucket{}, nil, 0
	e.changes = nil
	e.dossiers = newLRU[protocol.Node, *Dossier](maxDossiers)
	e.accuse = map[protocol.Node]bool{}
	e.records = newLRU[protocol.UserID, *Record](e.cfg.MaxAccounts)
	e.cases = newLRU[protocol.UserID, *Case](maxCases)
}

// SetUsers tells how many local users there are.
func (e *Engine) SetUsers(n int) { e.cfg.Users = max(n, 1) }

// Change is something that the engine or an operator changed about a peer, for the log.
type Change struct {
	At   Time
	Peer protocol.Node
	What string
}

// maxChanges bounds the changes that wait to be logged.
const maxChanges = 256

func (e *Engine) note(peer protocol.Node, what string) {
	if len(e.changes) < maxChanges {
		e.changes = append(e.changes, Change{e.clock.at, peer, what})
	}
}

// Changes returns what changed since the last call, at most the first 256 of it.
func (e *Engine) Changes() []Change {
	c := e.changes
	e.changes = nil
	return c
}
