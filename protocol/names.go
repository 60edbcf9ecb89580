package protocol

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// A Node is the name of a node: a DNS name in lower-case A-labels without port,
// or a single label such as "localhost" for nodes that federate on loopback only.
type Node string

// MaxNodeName is the longest allowed name of a node, in bytes.
const MaxNodeName = 100

// ParseNode checks and lower-cases a node name (RFC 1123 labels), as
// spec/naming.md#node says.
func ParseNode(s string) (Node, error) {
	if s == "" || len(s) > MaxNodeName {
		return "", fmt.Errorf("node name must have 1 to %d characters", MaxNodeName)
	}
	b := []byte(s)
	for i, c := range b { // ASCII only: strings.ToLower makes a k of the Kelvin sign
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	s = string(b)
	last := ""
	for l := range strings.SplitSeq(s, ".") {
		if err := checkLabel(l); err != nil {
			return "", fmt.Errorf("node name %q: %w", s, err)
		}
		last = l
	}
	if numeric(last) {
		return "", fmt.Errorf("node name %q: must be a name, not an IP address", s)
	}
	return Node(s), nil
}

// numeric reports whether resolvers and URL parsers read a name that ends in the
// label as an IPv4 address: decimal, or hexadecimal after 0x.
func numeric(label string) bool {
	if hex, ok := strings.CutPrefix(label, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return strings.Trim(label, "0123456789") == ""
}

func checkLabel(l string) error {
	if l == "" || len(l) > 63 {
		return errors.New("labels must have 1 to 63 characters")
	}
	if l[0] == '-' || l[len(l)-1] == '-' {
		return errors.New("labels must not begin or end with a hyphen")
	}
	for _, c := range l {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return fmt.Errorf("character %q is not allowed (use letters, digits, hyphens, and xn-- forms for other scripts)", c)
		}
	}
	return nil
}

// A UserID is global (spec/naming.md#user): "usr2il9suCbuko@chat.example.org".
type UserID string

// A TopicID is the one name of a topic inside a node, whoever looks at it
// (spec/naming.md#topic):
//
//	grp2il9suCbuko@chat.example.org   group or channel
//	p2p:<user>,<user>                 conversation of two, in byte order
//	slf:<user>                        notes to oneself
//	me:<user>  fnd:<user>             not stored
//	sys                               reports to the operators
type TopicID string

// Kind tells topics apart.
type Kind uint8

// The kinds of topic.
const (
	KindNone Kind = iota
	KindMe
	KindFnd
	KindP2P
	KindGroup
	KindSelf
	KindSys
)

const idChars = 11 // 64 bits in unpadded base64url

// ErrName is wrapped by errors about names that cannot be parsed.
var ErrName = errors.New("malformed name")

// NewUserID makes an id of 64 random bits.
func NewUserID(random uint64, n Node) UserID { return UserID(newID("usr", random, n)) }

// NewGroupID makes the id of a group, "grp…@node".
func NewGroupID(random uint64, n Node) TopicID { return TopicID(newID("grp", random, n)) }

func newID(prefix string, random uint64, n Node) string {
	b := binary.BigEndian.AppendUint64(nil, random)
	return prefix + base64.RawURLEncoding.EncodeToString(b) + "@" + string(n)
}

// splitID cuts "usr…@node" in two; a bare id belongs to home.
func splitID(s, prefix string, home Node) (string, error) {
	local, at, qualified := strings.Cut(s, "@")
	if len(local) != len(prefix)+idChars || !strings.HasPrefix(local, prefix) {
		return "", fmt.Errorf("%w: %.64q", ErrName, s)
	}
	// Strict, and 8 bytes: one id has one spelling, and the decoder skips newlines.
	b, err := base64.RawURLEncoding.Strict().DecodeString(local[len(prefix):])
	if err != nil || len(b) != 8 {
		return "", fmt.Errorf("%w: %.64q", ErrName, s)
	}
	n := home
	if qualified {
		if n, err = ParseNode(at); err != nil {
			return "", fmt.Errorf("%w: %w", ErrName, err)
		}
	}
	return local + "@" + string(n), nil
}

// ParseUserID reads an id as a client writes it; a bare one is of home.
func ParseUserID(s string, home Node) (UserID, error) {
	id, err := splitID(s, "usr", home)
	return UserID(id), err
}

// ParseGroupID reads "grp…" or "chn…" as a client writes it. It reports whether
// the channel form was used; the id is that of the group in both cases.
func ParseGroupID(s string, home Node) (id TopicID, channel bool, err error) {
	if rest, ok := strings.CutPrefix(s, "chn"); ok {
		s, channel = "grp"+rest, true
	}
	g, err := splitID(s, "grp", home)
	return TopicID(g), channel, err
}

// Node is the home of the user.
func (u UserID) Node() Node { return nodeOf(string(u)) }

// Local is the id without its node.
func (u UserID) Local() string { l, _, _ := strings.Cut(string(u), "@"); return l }

func nodeOf(s string) Node {
	_, n, _ := strings.Cut(s, "@")
	return Node(n)
}

// P2P names the conversation of two users, the same for both.
func P2P(a, b UserID) TopicID {
	if b < a {
		a, b = b, a
	}
	return TopicID("p2p:" + string(a) + "," + string(b))
}

// Own names a topic that belongs to one user: "me", "fnd" or "slf".
func Own(kind Kind, u UserID) TopicID {
	switch kind {
	case KindMe:
		return TopicID("me:" + string(u))
	case KindFnd:
		return TopicID("fnd:" + string(u))
	case KindSelf:
		return TopicID("slf:" + string(u))
	}
	return ""
}

// Sys is the topic of reports to the operators.
const Sys TopicID = "sys"

// Kind of the topic, KindNone if t is no topic.
func (t TopicID) Kind() Kind {
	switch {
	case strings.HasPrefix(string(t), "p2p:"):
		return KindP2P
	case strings.HasPrefix(string(t), "grp"):
		return KindGroup
	case strings.HasPrefix(string(t), "me:"):
		return KindMe
	case strings.HasPrefix(string(t), "fnd:"):
		return KindFnd
	case strings.HasPrefix(string(t), "slf:"):
		return KindSelf
	case t == Sys:
		return KindSys
	}
	return KindNone
}

// Peers returns both users of a P2P topic.
func (t TopicID) Peers() (a, b UserID) {
	s, _ := strings.CutPrefix(string(t), "p2p:")
	l, r, _ := strings.Cut(s, ",")
	return UserID(l), UserID(r)
}

// Peer returns the user of a P2P topic who is not u.
func (t TopicID) Peer(u UserID) UserID {
	a, b := t.Peers()
	if a == u {
		return b
	}
	return a
}

// Home is the node that owns a group.
func (t TopicID) Home() Node { return nodeOf(string(t)) }

// Name is what u calls the topic: the other's id in a P2P topic, "me", "grp…".
func (t TopicID) Name(u UserID) string {
	switch t.Kind() {
	case KindMe:
		return "me"
	case KindFnd:
		return "fnd"
	case KindSelf:
		return "slf"
	case KindP2P:
		return string(t.Peer(u))
	}
	return string(t)
}

// ChannelName is what a reader calls a channel: "chn…".
func (t TopicID) ChannelName() string { return "chn" + strings.TrimPrefix(string(t), "grp") }
