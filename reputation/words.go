package reputation

import (
	"slices"

	"parley/protocol"
)

// Whether reports of local users were right: spec/reputation.md#who-was-right.

const (
	halfRecord   = 90.0 // days: half-life of a local user's record
	caseDays     = 14.0 // within which a report is borne out, or is not
	maxCases     = 8192 // remote users of whom there are reports
	maxWords     = 8    // reports in a case that are judged
	contradicted = 3    // local users who talk on, if nobody else complains
)

// Record is how often the reports of a local user turned out right and wrong.
type Record struct {
	Right, Wrong float64
	At           Time
}

// Word is a local user's report.
type Word struct {
	User   protocol.UserID
	Turned int8 // +1 right, -1 wrong, 0 open
}

// Case is what local users said of one remote user since the first report.
type Case struct {
	At      Time
	Words   []Word
	Content []protocol.UserID // local users who talk with that one, and did not report
}

// record is a local user's record now.
func (e *Engine) record(now Time, u protocol.UserID) (right, wrong float64) {
	r, ok := e.records.peek(u)
	if !ok || u == "" {
		return 0, 0
	}
	d := now.since(r.At)
	return decay(r.Right, d, halfRecord), decay(r.Wrong, d, halfRecord)
}

// turn judges a word. What was wrong can turn right, but nothing turns back.
func (e *Engine) turn(now Time, w *Word, to int8) {
	if w.Turned == to || w.Turned > 0 {
		return
	}
	right, wrong := e.record(now, w.User)
	if w.Turned < 0 {
		wrong = max(0, wrong-1)
	}
	if w.Turned = to; to > 0 {
		right++
	} else {
		wrong++
	}
	e.records.remove(w.User)
	put(e.records, w.User, &Record{right, wrong, now})
}

// weighWords takes what a local user of standing did about a remote one to the reports of
// others: a complaint bears them out; some who talk on contradict a lonely one. heavy says
// that the user's own record lets it judge others.
func (e *Engine) weighWords(now Time, ev Event, by *Reporter, heavy bool) {
	if by.Whom == "" || by.User == "" {
		return
	}
	c, ok := e.cases.get(by.Whom)
	if ok && now.since(c.At) >= caseDays {
		e.cases.remove(by.Whom)
		ok = false
	}
	if !ok {
		if ev != Report {
			return
		}
		c = &Case{At: now}
		put(e.cases, by.Whom, c)
	}
	switch ev {
	case Report, Block:
		c.complain(e, now, ev, by.User, heavy)
	case Reply, Burst:
		c.contradict(e, now, by.User, heavy)
	}
}

func (c *Case) complain(e *Engine, now Time, ev Event, by protocol.UserID, heavy bool) {
	c.Content = slices.DeleteFunc(c.Content, func(u protocol.UserID) bool { return u == by })
	for i := range c.Words {
		if heavy && c.Words[i].User != by {
			e.turn(now, &c.Words[i], 1)
		}
	}
	if ev != Report || len(c.Words) >= maxWords || c.said(by) {
		return
	}
	c.Words = append(c.Words, Word{User: by})
	for i := range c.Words[:len(c.Words)-1] { // an earlier one bears out this one too
		if right, wrong := e.record(now, c.Words[i].User); accuracy(right, wrong) >= light {
			e.turn(now, &c.Words[len(c.Words)-1], 1)
			return
		}
	}
}

func (c *Case) contradict(e *Engine, now Time, by protocol.UserID, heavy bool) {
	if !heavy || c.said(by) || slices.Contains(c.Content, by) || len(c.Content) >= contradicted {
		return
	}
	if c.Content = append(c.Content, by); len(c.Content) < contradicted || len(c.Words) > 1 {
		return
	}
	for i := range c.Words {
		e.turn(now, &c.Words[i], -1)
	}
}

func (c *Case) said(by protocol.UserID) bool {
	return slices.ContainsFunc(c.Words, func(w Word) bool { return w.User == by })
}

// denied bears out the reports about users of a node that the operator shuts out.
func (e *Engine) denied(now Time, name protocol.Node) {
	for u, c := range e.cases.oldest {
		if u.Node() != name || now.since(c.At) >= caseDays {
			continue
		}
		for i := range c.Words {
			e.turn(now, &c.Words[i], 1)
		}
	}
}

// RecordState is the record of a local user.
type RecordState struct {
	User protocol.UserID
	Record
}

// CaseState is the case of a remote user.
type CaseState struct {
	User protocol.UserID
	Case
}

func (e *Engine) exportWords(s *State) {
	for u, r := range e.records.oldest {
		s.Records = append(s.Records, RecordState{u, *r})
	}
	for u, c := range e.cases.oldest {
		if s.At.since(c.At) < caseDays {
			s.Cases = append(s.Cases, CaseState{u, Case{c.At, slices.Clone(c.Words), slices.Clone(c.Content)}})
		}
	}
}

func (e *Engine) importWords(s *State) {
	for _, r := range s.Records {
		sane(&r.Right, &r.Wrong)
		put(e.records, r.User, &r.Record)
	}
	for _, c := range s.Cases {
		put(e.cases, c.User, &Case{c.At, slices.Clone(c.Words[:min(len(c.Words), maxWords)]),
			slices.Clone(c.Content[:min(len(c.Content), contradicted)])})
	}
}
