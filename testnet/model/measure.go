package model

import (
	"cmp"
	"encoding/json"
	"math"
	"slices"
	"time"
)

// late is from when on a message counts as delayed.
const late = time.Minute

// class is by whom a first contact is, for the figures.
type class uint8

const (
	established class = iota // between honest nodes that were there before
	fromNew                  // by a newcomer
	other                    // to newcomers, by nodes that had turned bad, by the camouflaged
	classes
)

// meter counts what happens from the beginning of the attack on.
type meter struct {
	users    int // honest
	spam     []int
	spamAll  int
	onto     map[*node]int // spam, to the eclipsed
	begun    [classes]int
	arrived  int
	late     [classes]int
	held     int // delayed, and not late
	waiting  map[*contact]class
	returned int
	talked   int // messages of conversations
	contacts int // delivered, of all kinds
	asks     int
	bytes    int
	answers  int // to questions
	refused  int
	records  map[*node][]record // of first contacts by nodes that are watched
	target   [2]struct{ all, late int }
}

func newMeter(length time.Duration) meter {
	return meter{spam: make([]int, int(length/time.Hour)+1), waiting: map[*contact]class{}, records: map[*node][]record{},
		onto: map[*node]int{}}
}

// record is one delivered first contact.
type record struct {
	made  time.Duration
	delay time.Duration
}

func classOf(c *contact) class {
	switch {
	case c.from.newcomer:
		return fromNew
	case c.to.newcomer, c.to.eclipsed, c.from.eclipsed, c.from.fallen, c.from.role != honest, c.from.bad > 0:
		return other
	}
	return established
}

// begin takes down that a first contact was written.
func (m *meter) begin(w *world, c *contact) {
	if w.now < w.start || c.from.role == camouflaged {
		return
	}
	k := classOf(c)
	m.waiting[c] = k
	m.begun[k]++
}

func (m *meter) drop(c *contact) {
	if k, ok := m.waiting[c]; ok {
		m.begun[k]--
		delete(m.waiting, c)
	}
}

// giveUp takes down that a first contact went back to its author.
func (m *meter) giveUp(c *contact) {
	if k, ok := m.waiting[c]; ok {
		m.late[k]++
		m.returned++
		delete(m.waiting, c)
	}
}

func (m *meter) deliver(w *world, c *contact) {
	if w.now < w.start {
		return
	}
	m.contacts++
	if c.spam {
		m.spamAll++
		m.spam[int((w.now-w.start)/time.Hour)]++
		if c.to.eclipsed {
			m.onto[c.to]++
		}
		return
	}
	k, ok := m.waiting[c]
	if !ok {
		return
	}
	delete(m.waiting, c)
	m.arrived++
	delay := w.now - c.waits
	switch {
	case delay > late:
		m.late[k]++
	case delay > 0:
		m.held++
	}
	if c.from.newcomer || c.from.watched {
		m.records[c.from] = append(m.records[c.from], record{c.made, delay})
	}
	if c.from.slandered {
		t := &m.target[0]
		if c.from.newcomer {
			t = &m.target[1]
		}
		t.all++
		if delay > late {
			t.late++
		}
	}
}

func (m *meter) talk(w *world) {
	if w.now >= w.start {
		m.talked += burstLength
	}
}

func (m *meter) ask(w *world, bytes int) {
	if w.now >= w.start {
		m.asks++
		m.bytes += bytes
	}
}

func (m *meter) answer(w *world, to *node, may bool) {
	switch {
	case w.now < w.start:
	case may:
		m.answers++
	case to.role == honest:
		m.refused++
	}
}

// Hours are a time span. NaN: it does not apply; +Inf: longer than what was simulated.
type Hours float64

// MarshalJSON implements json.Marshaler.
func (h Hours) MarshalJSON() ([]byte, error) {
	switch {
	case math.IsNaN(float64(h)):
		return []byte("null"), nil
	case math.IsInf(float64(h), 1):
		return []byte(`"never"`), nil
	}
	return json.Marshal(math.Round(float64(h)*100) / 100)
}

// Result is what came of one attack under one policy. Shares are 0…1.
type Result struct {
	Attack       string   `json:"attack"`
	Policy       string   `json:"policy"`
	Users        int      `json:"users"`
	Spam         int      `json:"spam"`                   // messages delivered
	SpamUserDay  float64  `json:"spam_per_user_day"`      // by honest users
	Late         float64  `json:"late"`                   // of all messages of honest users, those delayed > 60 s
	LateContacts float64  `json:"late_contacts"`          // of first contacts between established honest nodes
	LateNew      float64  `json:"late_contacts_newcomer"` // of those of newcomers
	Held         float64  `json:"held_contacts"`          // of all first contacts of honest users, those delayed by less
	Returned     int      `json:"returned"`               // first contacts of the honest that went back to their authors after 5 days
	Lost         int      `json:"lost"`                   // that neither arrived, nor wait, nor went back
	Throttle     Hours    `json:"throttle_hours"`         // until spam stays below a tenth of its peak
	Recover      Hours    `json:"recover_hours"`          // until the nodes that were harmed, or repent, are at full rate
	FullRate     Hours    `json:"full_rate_hours"`        // the same of newcomers, since they joined
	Asks         float64  `json:"asks_per_contact"`
	Bytes        float64  `json:"bytes_per_contact"`
	Notes        []string `json:"notes,omitempty"`
	Seconds      float64  `json:"seconds"` // of one processor
}

func (w *world) result(a Attack, p Policy) *Result {
	m := &w.meter
	for c, k := range m.waiting { // still on their way
		if w.now-c.waits > late {
			m.late[k]++
		}
	}
	begun, lates := 0, 0
	for k := range classes {
		begun, lates = begun+m.begun[k], lates+m.late[k]
	}
	span := (w.end - w.start).Hours() / 24
	r := &Result{Attack: a.Name, Policy: p.Name, Users: m.users, Spam: m.spamAll, Returned: m.returned,
		Lost:         begun - m.arrived - m.returned - len(m.waiting),
		SpamUserDay:  share(m.spamAll, float64(m.users)*span),
		Late:         share(lates, float64(begun+m.talked)),
		LateContacts: share(m.late[established], float64(m.begun[established])),
		LateNew:      share(m.late[fromNew], float64(m.begun[fromNew])),
		Held:         share(m.held, float64(begun)),
		Throttle:     Throttled(m.spam), FullRate: w.recovered(func(n *node) (time.Duration, bool) { return n.joined, n.newcomer }),
		Recover: w.recovered(func(n *node) (time.Duration, bool) { return n.since, n.watched }),
		Asks:    share(m.asks, float64(m.contacts)), Bytes: share(m.bytes, float64(m.contacts))}
	for _, note := range w.notes {
		r.Notes = append(r.Notes, note())
	}
	return r
}

func share(n int, of float64) float64 {
	if of == 0 {
		return 0
	}
	return float64(n) / of
}

// throttleOver is over how many hours spam is averaged: of little, a message is much.
const throttleOver = 6

// Throttled is the hours until spam stays below a tenth of its peak hour, of counts by the
// hour.
func Throttled(spam []int) Hours {
	if len(spam) == 0 || slices.Max(spam) == 0 {
		return Hours(math.NaN())
	}
	peak, last, sum := slices.Max(spam), 0, 0
	for h, n := range spam {
		sum += n
		if h >= throttleOver {
			sum -= spam[h-throttleOver]
		}
		if 10*sum > peak*min(h+1, throttleOver) {
			last = h
		}
	}
	if last >= len(spam)-throttleOver {
		return Hours(math.Inf(1))
	}
	return Hours(last + 1)
}

// What recovered means: whoever has fewer than this share of first contacts delayed, over a day.
const (
	recoveredShare = 0.05
	recoveredStep  = 6 * time.Hour
	fewRecords     = 5 // of a node say nothing
)

// recovered is the median of the hours after which nodes write without delay again, as
// far as they write at all.
func (w *world) recovered(of func(*node) (since time.Duration, ok bool)) Hours {
	var all []float64
	for _, n := range w.nodes {
		since, ok := of(n)
		recs := w.meter.records[n]
		if !ok || len(recs) < fewRecords {
			continue
		}
		slices.SortFunc(recs, func(a, b record) int { return cmp.Compare(a.made, b.made) })
		all = append(all, recovery(recs, since).Hours())
	}
	if len(all) == 0 {
		return Hours(math.NaN())
	}
	slices.Sort(all)
	mid := all[(len(all)-1)/2]
	if mid >= never.Hours() {
		return Hours(math.Inf(1))
	}
	return Hours(mid)
}

const never = 1000 * day

func recovery(recs []record, since time.Duration) time.Duration {
	last := recs[len(recs)-1].made
	for from := since; from < last; from += recoveredStep {
		n, bad := 0, 0
		for _, r := range recs {
			if r.made >= from && r.made < from+day {
				if n++; r.delay > late {
					bad++
				}
			}
		}
		if n > 0 && float64(bad) < recoveredShare*float64(n) {
			return from - since
		}
	}
	return never
}
