package crash

import (
	"errors"
	"sync"

	"parley/protocol"
	"parley/protocol/client"
)

// outcome is what the client knows of a request.
type outcome int

const (
	unknown outcome = iota // sent, no answer
	done
	refused
)

// outcomeOf reads the error of a request: an answer is one, all else leaves open
// what happened.
func outcomeOf(err error) outcome {
	var answer *client.Error
	switch {
	case err == nil:
		return done
	case errors.As(err, &answer):
		return refused
	}
	return unknown
}

// Journal is what the clients asked and what they were told. Before a request goes
// out it is in the journal.
type Journal struct {
	mu     sync.Mutex
	topics map[string]*topicLog
	values map[string]*value
}

// topicLog is the journal of one topic, under a name that is the same for all users.
type topicLog struct {
	messages  map[string]*message // by text, which is unique
	order     map[string][]*message
	shown     map[int]*message // by seq: what anybody was shown
	seqs      []int            // the keys of shown, in the order of their coming
	last      int              // the highest of them
	deletions []*deletion
	touched   map[int]bool      // seqs of deletions, whatever came of them
	marks     map[string]*marks // by user
}

type message struct {
	from, text string
	outcome    outcome
	seq        int // 0: not known
}

type deletion struct {
	by      string
	hard    bool
	ranges  protocol.Ranges
	outcome outcome
}

// concerns reports whether the deletion shows in what user sees.
func (d *deletion) concerns(user string) bool { return d.hard || d.by == user }

// marks of one user in one topic. A mark only grows.
type marks struct {
	read, recv mark
}

type mark struct {
	told int          // what anybody was told: it is at least this
	sent map[int]bool // what it may be, beside seqs of own messages
}

// value is a register with one writer.
type value struct {
	may []string // what it may be; one value if that is known
}

// write is a change of a value under way.
type write struct {
	v   *value
	new string
}

// NewJournal makes an empty journal.
func NewJournal() *Journal {
	return &Journal{topics: map[string]*topicLog{}, values: map[string]*value{}}
}

func (j *Journal) topic(name string) *topicLog {
	t := j.topics[name]
	if t == nil {
		t = &topicLog{messages: map[string]*message{}, order: map[string][]*message{}, shown: map[int]*message{},
			touched: map[int]bool{}, marks: map[string]*marks{}}
		j.topics[name] = t
	}
	return t
}

// show notes that m is known as seq.
func (t *topicLog) show(m *message, seq int) {
	if t.shown[seq] == nil {
		t.seqs = append(t.seqs, seq)
		t.last = max(t.last, seq)
	}
	m.seq = seq
	t.shown[seq] = m
}

func (t *topicLog) marksOf(user string) *marks {
	m := t.marks[user]
	if m == nil {
		m = &marks{read: mark{sent: map[int]bool{}}, recv: mark{sent: map[int]bool{}}}
		t.marks[user] = m
	}
	return m
}

// Sending notes a message that is about to be sent. Its text must be unique.
func (j *Journal) Sending(topic, from, text string) *message {
	j.mu.Lock()
	defer j.mu.Unlock()
	t := j.topic(topic)
	m := &message{from: from, text: text}
	t.messages[text] = m
	t.order[from] = append(t.order[from], m)
	return m
}

// Sent notes the answer to a message.
func (j *Journal) Sent(topic string, m *message, seq int, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if m.outcome = outcomeOf(err); m.outcome == done {
		j.topic(topic).show(m, seq)
	}
}

// Shown notes that somebody was shown a message. It reports false if that cannot
// be: nobody sent it, another is known under its seq, or it under another.
func (j *Journal) Shown(topic, from, text string, seq int) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	t := j.topic(topic)
	m, old := t.messages[text], t.shown[seq]
	if m == nil || m.from != from || (old != nil && old != m) || (m.seq != 0 && m.seq != seq) {
		return false
	}
	t.show(m, seq)
	return true
}

// Deleting notes a deletion that is about to be asked for.
func (j *Journal) Deleting(topic, by string, hard bool, r protocol.Range) *deletion {
	j.mu.Lock()
	defer j.mu.Unlock()
	t := j.topic(topic)
	d := &deletion{by: by, hard: hard, ranges: protocol.Ranges{r}}
	t.deletions = append(t.deletions, d)
	for seq := r.Low; seq < r.Hi; seq++ {
		t.touched[seq] = true
	}
	return d
}

// Deleted notes the answer to a deletion.
func (j *Journal) Deleted(d *deletion, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	d.outcome = outcomeOf(err)
}

// deletableTries is how often Deletable looks for a message that is not deleted.
const deletableTries = 16

// Deletable picks up to n messages in a row that were shown and that no deletion so
// far touches.
func (j *Journal) Deletable(topic string, n int, pick func(n int) int) (protocol.Range, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	t := j.topic(topic)
	free := func(seq int) bool { return t.shown[seq] != nil && !t.touched[seq] }
	for range deletableTries {
		if len(t.seqs) == 0 {
			break
		}
		if seq := t.seqs[pick(len(t.seqs))]; free(seq) {
			r := protocol.Range{Low: seq, Hi: seq + 1}
			for r.Hi < seq+n && free(r.Hi) {
				r.Hi++
			}
			return r, true
		}
	}
	return protocol.Range{}, false
}

// Marking notes a read or received mark that is about to be sent: it has no answer.
func (j *Journal) Marking(topic, user, what string, seq int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	m := j.topic(topic).marksOf(user)
	m.recv.sent[seq] = true // read implies received
	if what == "read" {
		m.read.sent[seq] = true
	}
}

// Marked notes that somebody was told of a mark.
func (j *Journal) Marked(topic, user, what string, seq int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	m := j.topic(topic).marksOf(user)
	m.recv.told = max(m.recv.told, seq)
	if what == "read" {
		m.read.told = max(m.read.told, seq)
	}
}

// Last is the highest seq that anybody was shown.
func (j *Journal) Last(topic string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.topic(topic).last
}

// Begin notes what values are before anybody changes them. There are no others.
func (j *Journal) Begin(values map[string]string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for name, val := range values {
		j.values[name] = &value{may: []string{val}}
	}
}

// Writing notes a change of a value that is about to be asked for. All changes of
// one value must come from one session, one after the other.
func (j *Journal) Writing(name, val string) write {
	j.mu.Lock()
	defer j.mu.Unlock()
	v := j.values[name]
	v.may = append(v.may, val)
	return write{v, val}
}

// Written notes the answer to it.
func (j *Journal) Written(w write, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch outcomeOf(err) {
	case done:
		w.v.may = []string{w.new}
	case refused:
		w.v.may = w.v.may[:len(w.v.may)-1]
	}
}

// Value is what a value is known to be, if it is.
func (j *Journal) Value(name string) (string, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if v := j.values[name]; v != nil && len(v.may) == 1 {
		return v.may[0], true
	}
	return "", false
}

// open counts the messages without an answer.
func (j *Journal) open() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := 0
	for _, t := range j.topics {
		for _, m := range t.messages {
			if m.outcome == unknown {
				n++
			}
		}
	}
	return n
}
