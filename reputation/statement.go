package reputation

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"parley/protocol"
)

// statementDomain precedes what is signed, so that no other signature of a node key can
// be taken for a statement.
const statementDomain = "parley-reputation-opinion-v1\x00"

// Kind is what a statement is for.
type Kind uint8

// Kinds.
const (
	Carried Kind = 1 + iota // given to the peer that it is about, to show to others
	Told                    // an answer to somebody who asked
	Filed                   // blame, given to a witness to be shown to who asks
)

// life is how long a statement is good for at most.
func (k Kind) life() time.Duration {
	if k == Filed {
		return filedLife
	}
	return statementLife
}

// Lifetimes and the clock skew that is tolerated.
const (
	statementLife = 24 * time.Hour
	filedLife     = 7 * 24 * time.Hour
	statementSkew = time.Hour
)

// Statement is what one node says of another: coarse on purpose. Good, Bad and Lately
// are classes of masses: 0 is none, k is 2^(k-1) or more. Days is the class of the days
// since By saw About first.
type Statement struct {
	By, About               protocol.Node
	Kind                    Kind
	Issued, Expires         int64 // seconds since 1970
	Good, Bad, Lately, Days uint8
}

// Highest classes: 16, and 2048 days.
const (
	maxMassClass = 5
	maxDaysClass = 12
)

// class returns the class of a number, at most top.
func class(v float64, top uint8) uint8 {
	if !(v >= 1) {
		return 0
	}
	return uint8(min(float64(top), 1+math.Floor(math.Log2(v))))
}

// least returns the least number of a class.
func least(c uint8) float64 {
	if c == 0 {
		return 0
	}
	return math.Exp2(float64(c) - 1)
}

// ErrStatement is wrapped by every error about a statement.
var ErrStatement = errors.New("not a valid statement")

func badStatement(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrStatement, fmt.Sprintf(format, args...))
}

// fields returns the encoding of all but the signature (spec/reputation.md#statement).
func (s *Statement) fields() []byte {
	var b []byte
	field := func(v ...byte) {
		b = binary.BigEndian.AppendUint16(b, uint16(len(v)))
		b = append(b, v...)
	}
	field([]byte(s.By)...)
	field([]byte(s.About)...)
	field(byte(s.Kind))
	field(binary.BigEndian.AppendUint64(nil, uint64(s.Issued))...)
	field(binary.BigEndian.AppendUint64(nil, uint64(s.Expires))...)
	field(s.Good, s.Bad, s.Lately, s.Days)
	return b
}

// Sign returns the statement as it goes over the wire, signed by the node that makes it.
func (s Statement) Sign(key ed25519.PrivateKey) ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	b := s.fields()
	sig := ed25519.Sign(key, append([]byte(statementDomain), b...))
	b = binary.BigEndian.AppendUint16(b, ed25519.SignatureSize)
	return append(b, sig...), nil
}

// ParseStatement reads a statement and checks everything but the signature and the
// time. There is one encoding of each statement.
func ParseStatement(wire []byte) (s Statement, sig []byte, err error) {
	next := func(least, most int) []byte {
		if err != nil {
			return nil
		}
		if len(wire) < 2 {
			err = badStatement("it is cut off")
			return nil
		}
		n := int(binary.BigEndian.Uint16(wire))
		if n < least || n > most || n > len(wire)-2 {
			err = badStatement("a field has %d bytes", n)
			return nil
		}
		f := wire[2 : 2+n]
		wire = wire[2+n:]
		return f
	}
	by, about := next(1, protocol.MaxNodeName), next(1, protocol.MaxNodeName)
	kind, issued, expires, classes := next(1, 1), next(8, 8), next(8, 8), next(4, 4)
	sig = next(ed25519.SignatureSize, ed25519.SignatureSize)
	if err != nil {
		return Statement{}, nil, err
	}
	if len(wire) > 0 {
		return Statement{}, nil, badStatement("%d bytes follow", len(wire))
	}
	s = Statement{
		By: protocol.Node(by), About: protocol.Node(about), Kind: Kind(kind[0]),
		Issued: int64(binary.BigEndian.Uint64(issued)), Expires: int64(binary.BigEndian.Uint64(expires)),
		Good: classes[0], Bad: classes[1], Lately: classes[2], Days: classes[3],
	}
	if err := s.check(); err != nil {
		return Statement{}, nil, err
	}
	return s, sig, nil
}

func (s *Statement) check() error {
	for _, n := range []protocol.Node{s.By, s.About} {
		if p, err := protocol.ParseNode(string(n)); err != nil || p != n {
			return badStatement("%q is no node's name", n)
		}
	}
	switch life := int64(s.Kind.life() / time.Second); {
	case s.By == s.About:
		return badStatement("%s speaks of itself", s.By)
	case s.Kind < Carried || s.Kind > Filed:
		return badStatement("unknown kind %d", s.Kind)
	case s.Kind == Filed && (s.Good > 0 || s.Days > 0 || s.Bad == 0):
		return badStatement("filed, and no blame")
	case s.Issued < 0 || s.Issued > math.MaxInt64/2 || s.Expires <= s.Issued || s.Expires-s.Issued > life:
		return badStatement("valid from %d to %d", s.Issued, s.Expires)
	case max(s.Good, s.Bad, s.Lately) > maxMassClass || s.Days > maxDaysClass:
		return badStatement("unknown class")
	}
	return nil
}

// OpenStatement parses a statement and checks that key, which is that of the node By as
// the caller knows it, signed it, and that it is valid at now.
func OpenStatement(wire []byte, key func(by protocol.Node) (ed25519.PublicKey, bool), now time.Time) (Statement, error) {
	s, sig, err := ParseStatement(wire)
	if err != nil {
		return Statement{}, err
	}
	skew := int64(statementSkew / time.Second)
	if t := now.Unix(); t < s.Issued-skew || t >= s.Expires+skew {
		return Statement{}, badStatement("of %d, until %d: not valid now", s.Issued, s.Expires)
	}
	k, ok := key(s.By)
	if !ok || len(k) != ed25519.PublicKeySize {
		return Statement{}, badStatement("the key of %s is not known", s.By)
	}
	signed := len(wire) - 2 - ed25519.SignatureSize
	if !ed25519.Verify(k, append([]byte(statementDomain), wire[:signed]...), sig) {
		return Statement{}, badStatement("the signature of %s is wrong", s.By)
	}
	return s, nil
}

// What an opinion keeps to itself.
const (
	silentTold    = 2.0 // good mass that is told to others: about three users
	silentCarried = 0.8 // and to the peer itself, who knows it anyway
	silentVoices  = 2   // users behind what is told against a peer
	closedBad     = 2   // of blame at least of one that is closed
	tolerated     = 4   // good mass that makes up for one of bad: large honest senders collect some reports
)

// Opinion returns what we say of a peer, unsigned; when it is told, with what others have
// filed here. An operator's word is not part of it. ok is false if there is nothing to say.
func (e *Engine) Opinion(now time.Time, self, about protocol.Node, kind Kind) (s Statement, ok bool) {
	at := e.clock.now(now)
	t := e.wall(now).Unix()
	s = Statement{By: self, About: about, Kind: kind, Issued: t, Expires: t + int64(statementLife/time.Second)}
	if about == self {
		return s, false
	}
	if p := e.find(about); p != nil {
		e.ownOpinion(at, p, &s)
	}
	if kind == Told {
		slow, fast := e.gathered(at, about)
		s.Bad, s.Lately = max(s.Bad, class(slow, maxMassClass)), max(s.Lately, class(fast, maxMassClass))
	}
	return s, s.Good+s.Bad+s.Lately+s.Days > 0
}

// ownOpinion is what this node itself has seen.
func (e *Engine) ownOpinion(at Time, p *Peer, s *Statement) {
	p.decay(at)
	least := silentTold
	if s.Kind == Carried {
		least = silentCarried
	}
	if good := max(p.P, p.Long); good >= least && !p.Closed && p.Ns <= p.Ps+1 {
		s.Good = class(max(1, good), maxMassClass)
	}
	bad := p.N - p.P/tolerated
	if !p.Closed && bad < 0.5 {
		s.Days = class(at.since(p.First), maxDaysClass)
	}
	if s.Kind == Told && len(p.Voices) >= silentVoices {
		if p.Closed && p.N >= turnsBad {
			bad = max(bad, closedBad)
		}
		s.Bad, s.Lately = class(bad, maxMassClass), class(p.Ns-p.Ps/tolerated, maxMassClass)
	}
}
