package checks

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Line is a message as a client reads it in the history of a room.
type Line struct {
	Seq     int
	From    int // user; -1: nobody is named, the node itself says it
	Content json.RawMessage
	// Status and About are of what the node says of a message of the reader's:
	// "bounced", "unconfirmed", "delivered", "delayed", and the number of that one.
	Status string
	About  int
}

// Replica is the whole history of a room as one of its members reads it in the end.
type Replica struct {
	Room  *Room
	User  int
	Lines []Line // by Seq
}

// Found is what the replicas say, beside what was said.
type Found struct {
	Lost, Doubled, Bounced, Unconfirmed, Contradictions int
	Reordered, Forged, Diverged, Forgotten, Gaps        int
	Examples                                            []string // some of what is wrong, in words
}

// maxExamples bounds what is told of what is wrong.
const maxExamples = 50

func (f *Found) wrong(count *int, format string, args ...any) {
	*count++
	if len(f.Examples) < maxExamples {
		f.Examples = append(f.Examples, fmt.Sprintf(format, args...))
	}
}

// judge is the state of judging one room.
type judge struct {
	l     *Ledger
	f     *Found
	room  *Room
	at    map[int]*replica // by user
	names func(user int) string
}

// replica is one as it is judged.
type replica struct {
	place map[int]int    // message → index of its first line
	ends  map[int]string // own seq → what the node says became of it
	order []int          // messages
	seqs  []int
}

// Compare finds what is wrong in replicas, by what was said. names are for the examples.
func (l *Ledger) Compare(all []Replica, names func(user int) string) *Found {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := &Found{}
	rooms := map[*Room][]Replica{}
	for _, r := range all {
		rooms[r.Room] = append(rooms[r.Room], r)
	}
	said := map[*Room][]*Message{}
	for _, m := range l.messages {
		said[m.Room] = append(said[m.Room], m)
	}
	for _, room := range l.rooms {
		j := &judge{l, f, room, map[int]*replica{}, names}
		for _, r := range rooms[room] {
			j.at[r.User] = j.read(r)
		}
		for _, m := range said[room] {
			j.message(m)
		}
		j.orders()
		j.converge()
	}
	return f
}

// read takes in a replica: which messages it has, once or more.
func (j *judge) read(r Replica) *replica {
	out := &replica{place: map[int]int{}, ends: map[int]string{}}
	last := 0
	for _, line := range r.Lines {
		if last > 0 && line.Seq != last+1 {
			j.f.wrong(&j.f.Gaps, "%s: after message %d of %s comes %d", j.names(r.User), last, j.room.Name, line.Seq)
		}
		last = line.Seq
		if line.Status != "" {
			out.ends[line.About] = line.Status
			continue
		}
		m, ok := j.l.numberOf(line.Content)
		if !ok && j.l.open {
			continue
		}
		if !ok || m.Room != j.room || m.Author != line.From {
			j.f.wrong(&j.f.Forged, "%s: message %d of %s was not written by %s", j.names(r.User), line.Seq, j.room.Name, j.names(line.From))
			continue
		}
		if _, again := out.place[m.ID]; again {
			j.f.wrong(&j.f.Doubled, "%s has message %d of %s twice in %s", j.names(r.User), m.ID, j.names(m.Author), j.room.Name)
			continue
		}
		out.place[m.ID] = len(out.order)
		out.order = append(out.order, m.ID)
		out.seqs = append(out.seqs, line.Seq)
	}
	return out
}

// message checks what became of one.
func (j *judge) message(m *Message) {
	own := j.at[m.Author]
	if own == nil {
		return
	}
	end := own.ends[m.Seq]
	if m.State == Accepted {
		if i, there := own.place[m.ID]; !there || own.seqs[i] != m.Seq {
			j.f.wrong(&j.f.Forgotten, "message %d of %s was accepted as %d of %s and is not there", m.ID, j.names(m.Author), m.Seq, j.room.Name)
		}
		switch end {
		case "bounced":
			j.f.Bounced++
		case "unconfirmed":
			j.f.Unconfirmed++
		}
	}
	for _, u := range j.room.Members {
		r := j.at[u]
		if r == nil || u == m.Author {
			continue
		}
		_, there := r.place[m.ID]
		switch {
		case m.State != Accepted:
		case there && end == "bounced":
			j.f.wrong(&j.f.Contradictions, "message %d of %s is told to be bounced, and %s has it", m.ID, j.names(m.Author), j.names(u))
		case !there && end != "bounced" && end != "unconfirmed":
			j.f.wrong(&j.f.Lost, "message %d of %s in %s, accepted %s, is not with %s", m.ID, j.names(m.Author), j.room.Name, m.Done.Format("15:04:05.000"), j.names(u))
		}
	}
}

// orders checks that everybody has the messages of one writer in the order in which the
// writer's own replica has them.
func (j *judge) orders() {
	for u, r := range j.at {
		last := map[int]int{} // author → place in the author's replica
		for _, id := range r.order {
			m := j.l.messages[id]
			own := j.at[m.Author]
			if own == nil {
				continue
			}
			i, there := own.place[id]
			if !there {
				continue // of that, converge tells
			}
			if before, some := last[m.Author]; some && i < before {
				j.f.wrong(&j.f.Reordered, "%s has message %d of %s behind a later one", j.names(u), id, j.names(m.Author))
			}
			last[m.Author] = max(i, last[m.Author])
		}
	}
}

// converge checks that replicas have the same messages, in groups under the same numbers.
// A message that is told to be bounced or unconfirmed may be missing.
func (j *judge) converge() {
	told := map[int]bool{}
	for u, r := range j.at {
		for i, id := range r.order {
			if e := r.ends[r.seqs[i]]; j.l.messages[id].Author == u && (e == "bounced" || e == "unconfirmed") {
				told[id] = true
			}
		}
	}
	var first []string
	for _, u := range j.room.Members {
		r := j.at[u]
		if r == nil {
			continue
		}
		var has []string
		for i, id := range r.order {
			switch {
			case told[id]:
			case j.room.Group:
				has = append(has, fmt.Sprint(id, "=", r.seqs[i]))
			default:
				has = append(has, fmt.Sprint(id))
			}
		}
		slices.Sort(has)
		if first == nil {
			first = append([]string{""}, has...)
		} else if !slices.Equal(first[1:], has) {
			j.f.wrong(&j.f.Diverged, "%s: %s has %s", j.room.Name, j.names(u), difference(first[1:], has))
		}
	}
}

// difference says how b differs from a.
func difference(a, b []string) string {
	var more, less []string
	for _, x := range b {
		if !slices.Contains(a, x) {
			more = append(more, x)
		}
	}
	for _, x := range a {
		if !slices.Contains(b, x) {
			less = append(less, x)
		}
	}
	cut := func(s []string) string { return strings.Join(s[:min(len(s), 5)], " ") }
	return fmt.Sprintf("%d more (%s) and %d less (%s) than the other", len(more), cut(more), len(less), cut(less))
}
