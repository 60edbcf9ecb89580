package s2s

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"

	"parley/protocol"
)

// Bounds of a frame, next to those of its size.
const (
	MaxDepth = 16      // arrays and maps in one another
	MaxItems = 1 << 14 // elements of all arrays and maps with texts as keys together
	MaxKeys  = 64      // of a map with numbers as keys, known or not
)

// ErrFrame is wrapped by the errors about frames that break the rules of spec/link.md#cbor.
var ErrFrame = errors.New("s2s: malformed frame")

// The major types of CBOR (RFC 8949 section 3.1).
const (
	majorUint  byte = iota << 5
	majorInt        // negative
	majorBytes      //
	majorText
	majorArray
	majorMap
	majorTag
	majorSimple
)

// Simple values (RFC 8949 section 3.3).
const (
	simpleFalse = majorSimple | 20
	simpleTrue  = majorSimple | 21
	simpleNull  = majorSimple | 22
)

// noKey is above all keys: the map has no more.
const (
	noKey  = math.MaxUint64
	maxKey = math.MaxUint32
)

// layouter is what is written as a map with numbers as keys. Its method layout names the
// fields in the order of their keys, once for both directions: when writing, each is
// written unless it is zero or empty; when reading, each is read if its key is next.
type layouter interface{ layout(c *coder) }

// coder writes or reads one frame in core deterministic encoding (RFC 8949 section 4.2.1),
// of which reading does not allow to depart. The first error stays.
type coder struct {
	speaker, hearer protocol.Node
	writing         bool
	err             error

	out  []byte
	keys int // written of the current map

	in    []byte // what is left
	depth int
	items int
	key   uint64 // of the current map, whose value is next; noKey at its end
	more  uint64 // pairs of the current map behind that
}

func (c *coder) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("%w: "+format, append([]any{ErrFrame}, args...)...)
	}
	c.key, c.more = noKey, 0
}

// head writes the beginning of a value.
func (c *coder) head(major byte, n uint64) { c.out = appendHead(c.out, major, n) }

func appendHead(b []byte, major byte, n uint64) []byte {
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n <= math.MaxUint8:
		return append(b, major|24, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, major|27), n)
}

// next reads the beginning of any value.
func (c *coder) next() (major byte, n uint64) {
	if c.err != nil || len(c.in) == 0 {
		c.fail("cut off")
		return majorSimple, 0
	}
	first := c.in[0]
	major, n = first&0xe0, uint64(first&0x1f)
	c.in = c.in[1:]
	if n < 24 {
		return major, n
	}
	size := 1 << (n - 24)
	if n > 27 || major == majorSimple {
		c.fail("value begins with %#x", first)
		return majorSimple, 0
	}
	if len(c.in) < size {
		c.fail("cut off")
		return majorSimple, 0
	}
	var least uint64
	switch size {
	case 1:
		n, least = uint64(c.in[0]), 24
	case 2:
		n, least = uint64(binary.BigEndian.Uint16(c.in)), 1<<8
	case 4:
		n, least = uint64(binary.BigEndian.Uint32(c.in)), 1<<16
	case 8:
		n, least = binary.BigEndian.Uint64(c.in), 1<<32
	}
	if c.in = c.in[size:]; n < least {
		c.fail("%d is not in its shortest form", n)
	}
	return major, n
}

// expect reads the beginning of a value of one type.
func (c *coder) expect(want byte) uint64 {
	major, n := c.next()
	if major != want {
		c.fail("type %d where %d is expected", major>>5, want>>5)
		return 0
	}
	return n
}

// raw reads the bytes of a text or string.
func (c *coder) raw(major byte) []byte {
	n := c.expect(major)
	if n > uint64(len(c.in)) {
		c.fail("cut off")
	}
	if c.err != nil {
		return nil
	}
	b := c.in[:n:n]
	c.in = c.in[n:]
	return b
}

func (c *coder) rawText() []byte {
	b := c.raw(majorText)
	if !utf8.Valid(b) {
		c.fail("text is not UTF-8")
	}
	return b
}

// count reads how many elements follow.
func (c *coder) count(major byte) int {
	n := c.expect(major)
	if n > uint64(len(c.in)) || c.items+int(n) > MaxItems {
		c.fail("%d elements", n)
		return 0
	}
	c.items += int(n)
	return int(n)
}

// enter and leave bound the depth.
func (c *coder) enter() {
	if c.depth++; c.depth > MaxDepth {
		c.fail("deeper than %d", MaxDepth)
	}
}

func (c *coder) leave() { c.depth-- }

// record writes or reads a map with numbers as keys.
func (c *coder) record(v layouter) {
	if c.writing {
		start, keys := len(c.out), c.keys
		c.out, c.keys = append(c.out, majorMap), 0
		v.layout(c)
		c.out[start] |= byte(c.keys) // fewer than 24: see TestKeys
		c.keys = keys
		return
	}
	key, more := c.key, c.more
	c.enter()
	if c.more = c.expect(majorMap); c.more > MaxKeys {
		c.fail("%d keys", c.more)
	}
	c.advance(true)
	v.layout(c)
	c.has(noKey) // what comes after the last known one
	c.leave()
	if c.key, c.more = key, more; c.err != nil {
		c.key, c.more = noKey, 0
	}
}

// advance reads the next key of the current map.
func (c *coder) advance(first bool) {
	if c.more == 0 || c.err != nil {
		c.key = noKey
		return
	}
	c.more--
	k := c.expect(majorUint)
	if c.err == nil && (k > maxKey || !first && k <= c.key) {
		c.fail("key %d after %d", k, c.key)
	}
	if c.err == nil {
		c.key = k
	}
}

// has begins a field. When reading it reports whether that is there: then its value is
// next. What comes before it is not known here and is passed over.
func (c *coder) has(key uint64) bool {
	for c.key < key && c.err == nil {
		c.skip()
		c.advance(false)
	}
	return c.key == key && c.err == nil && key != noKey
}

// put begins a field when writing.
func (c *coder) put(key uint64) {
	c.keys++
	c.head(majorUint, key)
}

// skip passes over a value, which must be well-formed all the same.
func (c *coder) skip() {
	c.enter()
	defer c.leave()
	if c.err != nil {
		return
	}
	if len(c.in) > 0 && (c.in[0] == simpleFalse || c.in[0] == simpleTrue || c.in[0] == simpleNull) {
		c.in = c.in[1:]
		return
	}
	before := c.in
	switch major, _ := c.next(); major {
	case majorUint, majorInt:
	case majorBytes, majorText:
		if c.in = before; major == majorText {
			c.rawText()
		} else {
			c.raw(majorBytes)
		}
	case majorArray:
		c.in = before
		for range c.count(majorArray) {
			c.skip()
		}
	case majorMap:
		c.in = before
		c.skipMap()
	default:
		c.fail("tags and floats are not used")
	}
}

// skipMap passes over a map with any keys, in order.
func (c *coder) skipMap() {
	var last []byte
	for range c.count(majorMap) {
		key := c.in
		c.skip()
		key = key[:len(key)-len(c.in)]
		if string(key) <= string(last) {
			c.fail("keys out of order")
		}
		last = key
		c.skip()
		if c.err != nil {
			return
		}
	}
}
