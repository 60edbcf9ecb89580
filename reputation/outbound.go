package reputation

import (
	"time"

	"parley/protocol"
)

// The limits of our own users, which protect the name of the node.
const (
	outRate       = 50.0 // first contacts a day
	outNew        = 0.2  // of that, for an account that is new
	outGrown      = 7.0  // days until an account has the full rate
	outComplaints = 3    // nodes whose complaints suspend an account
	complaintDays = 30.0 // that a complaint counts
)

// Account is what a local user did to other nodes.
type Account struct {
	Bucket     Bucket
	Complaints []Complaint
}

// Complaint is that of one node.
type Complaint struct {
	Peer protocol.Node
	At   Time
}

// Ways out.
const (
	OutAllowed   OutVerdict = iota
	OutLimited              // wait
	OutSuspended            // until complaints are old, or the operator pardons
)

// OutVerdict answers a local user who wants to write to a stranger on another node.
type OutVerdict uint8

// Outbound decides about a first contact of a local user to another node, and takes the
// token for it. age is that of the account.
func (e *Engine) Outbound(now time.Time, user protocol.UserID, age time.Duration) (OutVerdict, time.Duration) {
	at := e.clock.now(now)
	a := e.account(user)
	a.expire(at)
	if len(a.Complaints) >= outComplaints {
		return OutSuspended, MaxWait
	}
	rate := outRate * max(outNew, min(1, days(age)/outGrown))
	if has := a.Bucket.refill(at, rate, rate/2); has < 1 {
		return OutLimited, later((1 - has) / rate)
	}
	a.Bucket.add(-1)
	return OutAllowed, 0
}

// Complain takes a complaint of a peer about a local user. It reports whether it
// counted: only peers that are known and open here are heard, each once a user, so that
// strangers cannot silence anybody.
func (e *Engine) Complain(now time.Time, from protocol.Node, user protocol.UserID) bool {
	at := e.clock.now(now)
	p := e.find(from)
	if p == nil || p.Pin == Deny {
		return false
	}
	p.decay(at)
	if p.Closed || p.P < knownOwn {
		return false
	}
	a := e.account(user)
	a.expire(at)
	for i := range a.Complaints {
		if a.Complaints[i].Peer == from {
			a.Complaints[i].At = at
			return true
		}
	}
	if len(a.Complaints) >= outComplaints {
		return false
	}
	a.Complaints = append(a.Complaints, Complaint{from, at})
	if len(a.Complaints) == outComplaints {
		e.note(from, "third node to complain about "+string(user)+": suspended")
	}
	return true
}

// Pardon drops the complaints about a local user.
func (e *Engine) Pardon(user protocol.UserID) {
	if a, ok := e.accounts.peek(user); ok {
		a.Complaints = nil
	}
}

func (a *Account) expire(now Time) {
	kept := a.Complaints[:0]
	for _, c := range a.Complaints {
		if now.since(c.At) < complaintDays {
			kept = append(kept, c)
		}
	}
	a.Complaints = kept
}

func (e *Engine) account(user protocol.UserID) *Account {
	if a, ok := e.accounts.get(user); ok {
		return a
	}
	if e.accounts.full() {
		if old, ok := e.accounts.least(func(a *Account) float64 { return float64(len(a.Complaints)) }); ok {
			e.accounts.remove(old)
		}
	}
	a := new(Account)
	e.accounts.add(user, a)
	return a
}
