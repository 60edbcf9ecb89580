package bench

import (
	"bytes"
	"strconv"
)

// The packets that come by the ten thousand are not decoded but looked at: what is
// looked for is known, and decoding would take the CPU time from the server.

var (
	ackPrefix  = []byte(`{"ctrl":{"id":"p`)
	dataPrefix = []byte(`{"data":`)
	presPrefix = []byte(`{"pres":`)
	infoPrefix = []byte(`{"info":`)
	seqField   = []byte(`"seq":`)
	codeField  = []byte(`"code":`)
)

// ack is the answer to message n of a flow, sent at a moment of the run's clock.
type ack struct {
	n, code, seq int
	at           int64
}

// messageID is the request id that scanAck takes apart.
func messageID(b []byte, n int, at int64) []byte {
	b = append(b, 'p')
	b = strconv.AppendInt(b, int64(n), 10)
	b = append(b, '.')
	return strconv.AppendInt(b, at, 10)
}

// scanAck reads the answer to a message; ok is false for any other packet.
func scanAck(packet []byte) (a ack, ok bool) {
	rest, ok := bytes.CutPrefix(packet, ackPrefix)
	if !ok {
		return a, false
	}
	id, rest, _ := bytes.Cut(rest, []byte{'"'})
	n, at, ok := bytes.Cut(id, []byte{'.'})
	a.n, a.at = int(number(n)), number(at)
	a.code, a.seq = field(rest, codeField), field(rest, seqField)
	return a, ok
}

// stamp is what this package writes at the beginning of each message's content.
type stamp struct {
	flow, n, seq int
	at           int64
}

// appendStamp writes `"tag.flow.n.at.`: tag begins with the quote.
func appendStamp(b, tag []byte, s stamp) []byte {
	b = append(b, tag...)
	for _, v := range []int64{int64(s.flow), int64(s.n), s.at} {
		b = append(b, '.')
		b = strconv.AppendInt(b, v, 10)
	}
	return append(b, '.')
}

// scanData reads a message whose content begins with a quote and a tag; ok is false
// for any other packet.
func scanData(packet, tag []byte) (s stamp, ok bool) {
	i := bytes.Index(packet, tag)
	if i < 0 || !bytes.HasPrefix(packet, dataPrefix) {
		return s, false
	}
	rest := packet[i+len(tag):]
	var f [3]int64
	for k := range f {
		if len(rest) == 0 || rest[0] != '.' {
			return s, false
		}
		end := bytes.IndexByte(rest[1:], '.') + 1
		if end == 0 {
			return s, false
		}
		f[k] = number(rest[1:end])
		rest = rest[end:]
	}
	return stamp{flow: int(f[0]), n: int(f[1]), at: f[2], seq: field(packet, seqField)}, true
}

// field reads the number after a name, 0 if there is none.
func field(packet, name []byte) int {
	i := bytes.Index(packet, name)
	if i < 0 {
		return 0
	}
	return int(number(packet[i+len(name):]))
}

// number reads the digits that b begins with.
func number(b []byte) int64 {
	var v int64
	for _, c := range b {
		if c < '0' || c > '9' {
			break
		}
		v = v*10 + int64(c-'0')
	}
	return v
}

// idle reports whether a packet says nothing to a load generator.
func idle(packet []byte) bool {
	return bytes.HasPrefix(packet, presPrefix) || bytes.HasPrefix(packet, infoPrefix) || bytes.HasPrefix(packet, dataPrefix)
}
