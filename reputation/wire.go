package reputation

import (
	"net/netip"
	"slices"
)

// How questions and answers about a node go over a link: spec/reputation.md#statement.

// EncodeQuestion gives the one form of a question. about is the name of the node that it is about,
// of kind Filed the statement, signed; of is that node's network, of which kind Carried tells
// nothing.
func EncodeQuestion(kind Kind, of netip.Prefix, about []byte) []byte {
	b := []byte{byte(kind)}
	if kind == Carried {
		return append(b, about...)
	}
	n := 0
	if of.IsValid() && of == PrefixOf(of.Addr()) {
		n = of.Bits() / 8
	}
	b = append(b, byte(n))
	if n > 0 {
		b = append(b, of.Addr().AsSlice()[:n]...)
	}
	return append(b, about...)
}

// ParseQuestion takes a question apart. What it is about is left to check.
func ParseQuestion(b []byte) (kind Kind, of netip.Prefix, about []byte, err error) {
	fail := func() (Kind, netip.Prefix, []byte, error) { return 0, netip.Prefix{}, nil, badStatement("no question") }
	if len(b) == 0 || b[0] < byte(Carried) || b[0] > byte(Filed) {
		return fail()
	}
	kind, b = Kind(b[0]), b[1:]
	if kind == Carried {
		return kind, of, b, nil
	}
	if len(b) == 0 || len(b) <= int(b[0]) {
		return fail()
	}
	n := int(b[0])
	if n > 0 {
		size, ok := map[int]int{3: 4, 6: 16}[n]
		addr, _ := netip.AddrFromSlice(append(slices.Clone(b[1:1+n]), make([]byte, max(0, size-n))...))
		if of = PrefixOf(addr); !ok || of.Bits() != 8*n {
			return fail()
		}
	}
	return kind, of, b[1+n:], nil
}

// Encode gives the one form of an answer; told is the statement, signed, nil if there is none.
func (a *Answer) Encode(told []byte) []byte {
	n := &a.Near
	return append([]byte{a.Asked, n[0].Good, n[0].Bad, n[1].Good, n[1].Bad}, told...)
}

// ParseAnswer takes an answer apart; the statement, if it is not empty, is to be opened.
func ParseAnswer(b []byte) (a Answer, told []byte, err error) {
	if len(b) < 5 || b[0] > maxDaysClass || slices.Max(b[1:5]) > maxMassClass {
		return a, nil, badStatement("no answer")
	}
	a.Asked = b[0]
	for i := range a.Near {
		a.Near[i].Good, a.Near[i].Bad = b[1+2*i], b[2+2*i]
	}
	return a, b[5:], nil
}
