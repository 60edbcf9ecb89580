package s2s

import (
	"bytes"
	"strings"

	"parley/protocol"
)

// Ids are written short (spec/link.md#ids): an id of the node that speaks ends before
// "@", one of the node that hears ends with "@", all others are in full. So are all in
// what is kept or signed, which has neither.

// shorten returns how much of an id is written; -1: it is none.
func (c *coder) shorten(id string) int {
	at := strings.IndexByte(id, '@')
	if at <= 0 || at == len(id)-1 {
		return -1
	}
	switch n := protocol.Node(id[at+1:]); n {
	case c.speaker:
		return at
	case c.hearer:
		return at + 1
	}
	return len(id)
}

func (c *coder) writeID(id string) {
	n := c.shorten(id)
	if n < 0 {
		c.fail("%.100q is no id", id)
		return
	}
	c.writeText(id[:n])
}

// lengthen is the id that is written so; "" if there is none.
func (c *coder) lengthen(short []byte) string {
	at := bytes.IndexByte(short, '@')
	switch {
	case at < 0 && len(short) > 0 && c.speaker != "":
		return string(short) + "@" + string(c.speaker)
	case at > 0 && at < len(short)-1:
		return string(short)
	case at > 0 && c.hearer != "":
		return string(short) + string(c.hearer)
	}
	return ""
}

func (c *coder) readID() string {
	short := c.rawText()
	if c.err != nil {
		return ""
	}
	id := c.lengthen(short)
	if id == "" {
		c.fail("%.100q is no id", short)
	}
	return id
}

const p2pPrefix = "p2p:"

// writeTopic writes both ids of a conversation of two short.
func (c *coder) writeTopic(t protocol.TopicID) {
	pair, two := strings.CutPrefix(string(t), p2pPrefix)
	if !two {
		c.writeID(string(t))
		return
	}
	a, b, _ := strings.Cut(pair, ",")
	m, n := c.shorten(a), c.shorten(b)
	if m < 0 || n < 0 {
		c.fail("%.200q is no topic", t)
		return
	}
	c.head(majorText, uint64(len(p2pPrefix)+m+1+n))
	c.out = append(c.out, p2pPrefix...)
	c.out = append(c.out, a[:m]...)
	c.out = append(c.out, ',')
	c.out = append(c.out, b[:n]...)
}

func (c *coder) readTopic() protocol.TopicID {
	short := c.rawText()
	if c.err != nil {
		return ""
	}
	id := ""
	if pair, two := bytes.CutPrefix(short, []byte(p2pPrefix)); two {
		one, other, _ := bytes.Cut(pair, []byte(","))
		if a, b := c.lengthen(one), c.lengthen(other); a != "" && b != "" {
			id = p2pPrefix + a + "," + b
		}
	} else {
		id = c.lengthen(short)
	}
	if id == "" {
		c.fail("%.200q is no topic", short)
	}
	return protocol.TopicID(id)
}
