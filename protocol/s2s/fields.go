package s2s

import (
	"math"
	"slices"
	"strings"

	"parley/protocol"
)

// The kinds of fields. Each writes or reads one field of the current map; what is zero or
// empty is not written, and what is absent is zero or empty.

type integer interface {
	~int | ~int64 | ~uint8 | ~uint32 | ~uint64
}

func number[T integer](c *coder, key uint64, v *T) {
	if c.writing {
		if *v != 0 {
			c.put(key)
			writeNumber(c, *v)
		}
		return
	}
	if c.has(key) {
		*v = readNumber[T](c)
		c.advance(false)
	}
}

func writeNumber[T integer](c *coder, v T) {
	if v < 0 {
		c.head(majorInt, ^uint64(v)) // -1 - v
		return
	}
	c.head(majorUint, uint64(v))
}

func readNumber[T integer](c *coder) (v T) {
	major, n := c.next()
	switch {
	case c.err != nil:
		return 0
	case major == majorUint:
		v = T(n)
	case major == majorInt && n <= math.MaxInt64:
		v = T(^n)
	default:
		c.fail("type %d where a number is expected", major>>5)
		return 0
	}
	if (v < 0) != (major == majorInt) || major == majorUint && uint64(v) != n {
		c.fail("number out of range")
	}
	return v
}

// boolean is written only if it is true.
func boolean(c *coder, key uint64, v *bool) {
	if c.writing {
		if *v {
			c.put(key)
			c.out = append(c.out, simpleTrue)
		}
		return
	}
	if !c.has(key) {
		return
	}
	if len(c.in) == 0 || c.in[0] != simpleTrue && c.in[0] != simpleFalse {
		c.fail("no boolean where one is expected")
		return
	}
	*v = c.in[0] == simpleTrue
	c.in = c.in[1:]
	c.advance(false)
}

func text[T ~string](c *coder, key uint64, v *T) {
	if c.writing {
		if *v != "" {
			c.put(key)
			c.writeText(string(*v))
		}
		return
	}
	if c.has(key) {
		*v = T(c.rawText())
		c.advance(false)
	}
}

func (c *coder) writeText(s string) {
	c.head(majorText, uint64(len(s)))
	c.out = append(c.out, s...)
}

// octets are bytes, which stay part of the frame that was read.
func octets(c *coder, key uint64, v *[]byte) {
	if c.writing {
		if len(*v) > 0 {
			c.put(key)
			c.writeBytes(*v)
		}
		return
	}
	if c.has(key) {
		if *v = c.raw(majorBytes); len(*v) == 0 {
			*v = nil
		}
		c.advance(false)
	}
}

func (c *coder) writeBytes(b []byte) {
	c.head(majorBytes, uint64(len(b)))
	c.out = append(c.out, b...)
}

// inside is a record that is always written.
func inside(c *coder, key uint64, v layouter) {
	if c.writing {
		c.put(key)
		c.record(v)
		return
	}
	if c.has(key) {
		c.record(v)
		c.advance(false)
	}
}

// optional is a record that may be absent.
func optional[T any, P interface {
	*T
	layouter
}](c *coder, key uint64, v *P) {
	if c.writing {
		if *v != nil {
			c.put(key)
			c.record(*v)
		}
		return
	}
	if c.has(key) {
		*v = new(T)
		c.record(*v)
		c.advance(false)
	}
}

// list is an array, whose elements item writes or reads.
func list[T any](c *coder, key uint64, v *[]T, item func(*coder, *T)) {
	if c.writing {
		if len(*v) == 0 {
			return
		}
		c.put(key)
		c.head(majorArray, uint64(len(*v)))
		for i := range *v {
			item(c, &(*v)[i])
		}
		return
	}
	if !c.has(key) {
		return
	}
	c.enter()
	if n := c.count(majorArray); n > 0 {
		*v = make([]T, 0, min(n, 64)) // what was announced may not come
		for range n {
			if c.err != nil {
				break
			}
			var e T
			item(c, &e)
			*v = append(*v, e)
		}
	}
	c.leave()
	c.advance(false)
}

// element makes an item of a record.
func element[T any, P interface {
	*T
	layouter
}](c *coder, v *T) {
	c.record(P(v))
}

func textItem(c *coder, v *string) {
	if c.writing {
		c.writeText(*v)
	} else {
		*v = string(c.rawText())
	}
}

func octetsItem(c *coder, v *[]byte) {
	if c.writing {
		c.writeBytes(*v)
	} else {
		*v = c.raw(majorBytes)
	}
}

// spanItem is an array of two numbers.
func spanItem(c *coder, v *Span) {
	if c.writing {
		c.head(majorArray, 2)
		writeNumber(c, v.Low)
		writeNumber(c, v.High)
		return
	}
	if n := c.expect(majorArray); n != 2 {
		c.fail("span of %d numbers", n)
	}
	v.Low, v.High = readNumber[int](c), readNumber[int](c)
}

// names is a map with texts as keys, in the order of their encoding: the shorter first.
func names(c *coder, key uint64, v *map[string]Name) {
	if c.writing {
		if len(*v) > 0 {
			c.put(key)
			c.writeNames(*v)
		}
		return
	}
	if !c.has(key) {
		return
	}
	c.enter()
	last := ""
	for i := range c.count(majorMap) {
		k := string(c.rawText())
		if i > 0 && byLength(last, k) >= 0 {
			c.fail("keys out of order")
		}
		if c.err != nil {
			break
		}
		if *v == nil {
			*v = map[string]Name{}
		}
		var n Name
		c.record(&n)
		(*v)[k], last = n, k
	}
	c.leave()
	c.advance(false)
}

func (c *coder) writeNames(m map[string]Name) {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, byLength)
	c.head(majorMap, uint64(len(keys)))
	for _, k := range keys {
		c.writeText(k)
		n := m[k]
		c.record(&n)
	}
}

// byLength is the bytewise order of encoded texts.
func byLength(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

// user is an id in its short form: see ids.go.
func user(c *coder, key uint64, v *protocol.UserID) {
	if c.writing {
		if *v != "" {
			c.put(key)
			c.writeID(string(*v))
		}
		return
	}
	if c.has(key) {
		*v = protocol.UserID(c.readID())
		c.advance(false)
	}
}

func userItem(c *coder, v *protocol.UserID) {
	if c.writing {
		c.writeID(string(*v))
	} else {
		*v = protocol.UserID(c.readID())
	}
}

// topic is the id of a topic in its short form: a group, or a conversation of two.
func topic(c *coder, key uint64, v *protocol.TopicID) {
	if c.writing {
		if *v != "" {
			c.put(key)
			c.writeTopic(*v)
		}
		return
	}
	if c.has(key) {
		*v = c.readTopic()
		c.advance(false)
	}
}
