package crash

import (
	"fmt"
	"maps"
	"slices"

	"parley/protocol"
)

// View is what one user sees of one topic.
type View struct {
	Topic      string // its name in the journal
	User       string
	Seq        int // of the last message
	Read, Recv int
	Low        int    // the lowest seq that Lines reach down to
	Lines      []Line // all messages with Seq ≥ Low
	Deleted    protocol.Ranges
}

// Line is a message as it is shown.
type Line struct {
	Seq        int
	From, Text string
}

func (v *View) String() string { return v.Topic + " as seen by " + v.User }

// check collects what is wrong.
type check struct {
	j     *Journal
	found []string
}

func (c *check) bad(format string, args ...any) {
	c.found = append(c.found, fmt.Sprintf(format, args...))
}

// Verify compares what is seen after a crash with the journal, and returns what is
// wrong in words. values are the registers that were read. If all is well the
// journal is settled: what was open is known from now on.
func (j *Journal) Verify(views []*View, values map[string]string) []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	c := &check{j: j}
	for _, v := range views {
		c.numbering(v)
		c.lines(v)
		c.missing(v)
		c.deleted(v)
		c.marks(v)
	}
	c.agreement(views)
	c.values(values)
	if len(c.found) == 0 {
		j.settle(views, values)
	}
	return c.found
}

// numbering: every seq is a message or deleted, and not both.
func (c *check) numbering(v *View) {
	seen := map[int]bool{}
	for _, l := range v.Lines {
		switch {
		case l.Seq < 1 || l.Seq > v.Seq:
			c.bad("%s: seq %d is shown, the last is %d", v, l.Seq, v.Seq)
		case seen[l.Seq]:
			c.bad("%s: seq %d is shown twice", v, l.Seq)
		case v.Deleted.Contains(l.Seq):
			c.bad("%s: seq %d is shown and deleted", v, l.Seq)
		}
		seen[l.Seq] = true
	}
	for seq := v.Low; seq <= v.Seq; seq++ {
		if !seen[seq] && !v.Deleted.Contains(seq) {
			c.bad("%s: gap at seq %d", v, seq)
		}
	}
	for _, r := range v.Deleted {
		if r.Low < 1 || r.Hi > v.Seq+1 {
			c.bad("%s: %v is deleted, the last seq is %d", v, r, v.Seq)
		}
	}
}

// lines: what is shown was sent, once, in this order, and not refused.
func (c *check) lines(v *View) {
	t := c.j.topic(v.Topic)
	at := map[*message]int{}
	for _, l := range v.Lines {
		m := t.messages[l.Text]
		switch {
		case m == nil:
			c.bad("%s: seq %d has a text that nobody sent: %.80q", v, l.Seq, l.Text)
			continue
		case m.from != l.From:
			c.bad("%s: seq %d is shown as from %s, %s sent it", v, l.Seq, l.From, m.from)
		case m.outcome == refused:
			c.bad("%s: seq %d is a message that was refused", v, l.Seq)
		case at[m] != 0:
			c.bad("%s: message doubled at seq %d and %d", v, at[m], l.Seq)
		case m.seq != 0 && m.seq != l.Seq:
			c.bad("%s: a message known as seq %d is at seq %d", v, m.seq, l.Seq)
		}
		at[m] = l.Seq
	}
	for from, sent := range t.order {
		last := 0
		for _, m := range sent {
			if seq := at[m]; seq != 0 && seq < last {
				c.bad("%s: a message of %s at seq %d was sent after the one at seq %d", v, from, seq, last)
			} else if seq != 0 {
				last = seq
			}
		}
	}
}

// missing: what anybody knows of is there or deleted.
func (c *check) missing(v *View) {
	t := c.j.topic(v.Topic)
	text := map[int]string{}
	for _, l := range v.Lines {
		text[l.Seq] = l.Text
	}
	for _, seq := range slices.Sorted(maps.Keys(t.shown)) {
		switch m := t.shown[seq]; {
		case seq > v.Seq:
			c.bad("%s: acknowledged message lost: seq %d, the last is %d", v, seq, v.Seq)
		case seq < v.Low || v.Deleted.Contains(seq):
		case text[seq] != m.text:
			c.bad("%s: acknowledged message lost: seq %d", v, seq)
		}
	}
}

// deleted: the deleted numbers are those of deletions, each whole.
func (c *check) deleted(v *View) {
	rest := v.Deleted
	for _, d := range c.j.topic(v.Topic).deletions {
		if !d.concerns(v.User) {
			continue
		}
		n := 0
		for _, r := range d.ranges {
			n += v.Deleted.Clip(r.Low, r.Hi).Len()
		}
		switch {
		case d.outcome == done && n < d.ranges.Len():
			c.bad("%s: acknowledged deletion lost: %v", v, d.ranges)
		case d.outcome == refused && n > 0:
			c.bad("%s: a refused deletion holds: %v", v, d.ranges)
		case n > 0 && n < d.ranges.Len():
			c.bad("%s: half a deletion holds: %v", v, d.ranges)
		}
		if d.outcome != refused {
			rest = rest.Minus(d.ranges)
		}
	}
	if len(rest) > 0 {
		c.bad("%s: nobody deleted %v", v, rest)
	}
}

// marks: not lower than was told, and of a number that was set.
func (c *check) marks(v *View) {
	t := c.j.topic(v.Topic)
	m := t.marksOf(v.User)
	own := map[int]bool{}
	highest := 0
	for _, l := range v.Lines {
		if l.From == v.User {
			own[l.Seq] = true
			highest = max(highest, l.Seq)
		}
	}
	for seq, s := range t.shown { // own messages that are deleted by now
		if s.from == v.User && seq <= v.Seq {
			own[seq] = true
			highest = max(highest, seq)
		}
	}
	for _, k := range []struct {
		name string
		mark mark
		got  int
	}{{"read", m.read, v.Read}, {"recv", m.recv, v.Recv}} {
		switch low := max(k.mark.told, highest); {
		case k.got < low:
			c.bad("%s: mark lost: %s is %d, was %d", v, k.name, k.got, low)
		case k.got > v.Seq:
			c.bad("%s: %s is %d, the last seq is %d", v, k.name, k.got, v.Seq)
		case k.got != low && !k.mark.sent[k.got] && !own[k.got]:
			c.bad("%s: %s is %d, which nobody set", v, k.name, k.got)
		}
	}
	if v.Recv < v.Read {
		c.bad("%s: recv %d is below read %d", v, v.Recv, v.Read)
	}
}

// agreement: all users see the same message under a seq.
func (c *check) agreement(views []*View) {
	type place struct {
		topic string
		seq   int
	}
	first := map[place]Line{}
	last := map[string]int{}
	for _, v := range views {
		if n, ok := last[v.Topic]; ok && n != v.Seq {
			c.bad("%s: the last seq is %d, for another user %d", v, v.Seq, n)
		}
		last[v.Topic] = v.Seq
		for _, l := range v.Lines {
			at := place{v.Topic, l.Seq}
			if other, ok := first[at]; ok && other != l {
				c.bad("%s: seq %d is not what another user sees", v, l.Seq)
			}
			first[at] = l
		}
	}
}

// values: each is the last that was acknowledged or one sent after it.
func (c *check) values(values map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(c.j.values)) {
		v, got := c.j.values[name], values[name]
		if _, read := values[name]; !read {
			c.bad("%s: not read, should be one of %q", name, v.may)
		} else if !slices.Contains(v.may, got) {
			c.bad("%s: is %q, should be one of %q", name, got, v.may)
		}
	}
}

// settle makes what was found known.
func (j *Journal) settle(views []*View, values map[string]string) {
	for _, v := range views {
		t := j.topic(v.Topic)
		for _, l := range v.Lines {
			m := t.messages[l.Text]
			m.outcome = done
			t.show(m, l.Seq)
		}
		m := t.marksOf(v.User)
		m.read = mark{told: v.Read, sent: map[int]bool{}}
		m.recv = mark{told: v.Recv, sent: map[int]bool{}}
		for _, d := range t.deletions {
			if d.outcome == unknown && d.concerns(v.User) {
				d.outcome = refused
				if v.Deleted.Contains(d.ranges[0].Low) {
					d.outcome = done
				}
			}
		}
	}
	for _, v := range views {
		for _, m := range j.topic(v.Topic).messages {
			if m.outcome == unknown {
				m.outcome = refused // it is not there now, so it must never be
			}
		}
	}
	for name, got := range values {
		if v := j.values[name]; v != nil {
			v.may = []string{got}
		}
	}
}
