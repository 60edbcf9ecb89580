// Package checks knows what was said in a federation and what came of it, and judges by
// that whether the ten invariants hold. It is told by the clients of all users and sees
// nothing of the nodes: what a client did not get, or cannot read in the end, is not there.
package checks

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Room is a conversation of two, or a group.
type Room struct {
	ID      int
	Name    string
	Members []int // users
	Group   bool
	Apart   bool // there are replicas on several nodes
}

// Message is one that a user wanted to send.
type Message struct {
	ID     int
	Author int
	Room   *Room
	Begun  time.Time
	State  State
	Done   time.Time // when the own node answered
	Seq    int       // in the author's replica, of Accepted
	Code   int       // of Refused
	heard  map[int]time.Time
}

// State is what the author knows of a message.
type State uint8

// The states.
const (
	Unanswered State = iota // not known, perhaps for ever
	Accepted
	Refused
)

// Ledger is what was said. Its methods may be called at once.
type Ledger struct {
	mu       sync.Mutex
	rooms    []*Room
	messages []*Message // by ID
	late     []float64  // seconds, of copies heard since the last Sample
	all      []float64  // of all copies heard
	answered []float64  // seconds until the own node answered
	counts   counts
	open     bool // others write, too, who are not told of
}

type counts struct {
	accepted, refused, delivered, expected int
	expectedApart                          int // of expected: those for users of other nodes
	unknown                                int // heard, and not said by anybody
}

// NewLedger makes an empty one.
func NewLedger() *Ledger { return &Ledger{} }

// Open lets others write, too, of whom the ledger is not told.
func (l *Ledger) Open() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open = true
}

// AddRoom notes a conversation; apart: its members are of several nodes.
func (l *Ledger) AddRoom(name string, members []int, group, apart bool) *Room {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := &Room{ID: len(l.rooms), Name: name, Members: members, Group: group, Apart: apart}
	l.rooms = append(l.rooms, r)
	return r
}

// Begin notes that a user wants to say something, and returns what to say: a text of at
// least so many bytes that carries its number.
func (l *Ledger) Begin(author int, r *Room, size int) (*Message, string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := &Message{ID: len(l.messages), Author: author, Room: r, Begun: time.Now(), heard: map[int]time.Time{}}
	l.messages = append(l.messages, m)
	return m, m.text(size)
}

// text carries the number of the message and its author, so that it can be told from
// what anybody else could write.
func (m *Message) text(size int) string {
	s := fmt.Sprintf("m%d.%d ", m.ID, m.Author)
	return s + strings.Repeat("x", max(size-len(s), 0))
}

// numberOf reads the number in a content; ok is false if there is none, or the text is
// not the one that Begin gave.
func (l *Ledger) numberOf(content json.RawMessage) (*Message, bool) {
	var s string
	if json.Unmarshal(content, &s) != nil {
		return nil, false
	}
	head, _, _ := strings.Cut(strings.TrimPrefix(s, "m"), ".")
	id, err := strconv.Atoi(head)
	if err != nil || id < 0 || id >= len(l.messages) || l.messages[id].text(len(s)) != s {
		return nil, false
	}
	return l.messages[id], true
}

// Answer notes what the own node said: with a seq it is accepted, else refused by code.
func (l *Ledger) Answer(m *Message, seq, code int, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m.Done, m.Seq, m.Code = at, seq, code
	if seq == 0 {
		m.State = Refused
		l.counts.refused++
		return
	}
	m.State = Accepted
	l.counts.accepted++
	l.counts.expected += len(m.Room.Members) - 1
	if m.Room.Apart {
		l.counts.expectedApart += len(m.Room.Members) - 1
	}
	l.answered = append(l.answered, at.Sub(m.Begun).Seconds())
}

// Heard notes that a message reached the client of a user; again, it changes nothing.
func (l *Ledger) Heard(user int, content json.RawMessage, at time.Time) (m *Message, first bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m, ok := l.numberOf(content)
	if !ok {
		l.counts.unknown++
		return nil, false
	}
	if m.Author == user {
		return m, false
	}
	if _, again := m.heard[user]; again {
		return m, false
	}
	m.heard[user] = at
	l.counts.delivered++
	took := at.Sub(m.Begun).Seconds()
	l.late = append(l.late, took)
	l.all = append(l.all, took)
	return m, true
}

// Now is where things stand.
type Now struct {
	Begun, Accepted, Refused, Delivered, Expected, ExpectedApart int
	// Late are the seconds that the copies took which were heard since the last Now.
	Late []float64
}

// Now takes a sample.
func (l *Ledger) Now() Now {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := Now{len(l.messages), l.counts.accepted, l.counts.refused, l.counts.delivered, l.counts.expected, l.counts.expectedApart, l.late}
	l.late = nil
	return n
}

// AllHeard reports whether every copy that was expected has reached its client.
func (l *Ledger) AllHeard() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts.delivered >= l.counts.expected
}

// Times are the seconds of all deliveries, and of all answers of the own nodes.
func (l *Ledger) Times() (deliveries, answers []float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all, l.answered
}

// AcceptedIn is how many messages were accepted in a room.
func (l *Ledger) AcceptedIn(r *Room) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, m := range l.messages {
		if m.Room == r && m.State == Accepted {
			n++
		}
	}
	return n
}
