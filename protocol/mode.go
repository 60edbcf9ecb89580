package protocol

import (
	"fmt"
	"strings"
)

// A Mode is a set of permissions in a topic.
type Mode uint8

// The permissions. The letters of a mode are always written in this order.
const (
	Join     Mode = 1 << iota // J: may attach
	Read                      // R: gets messages
	Write                     // W: may publish
	Presence                  // P: gets notifications of presence
	Approve                   // A: may change others' given modes, ban
	Share                     // S: may invite
	Delete                    // D: may delete for all
	Owner                     // O: owns the topic
)

// None is the empty mode, written "N".
const None Mode = 0

const modeLetters = "JRWPASDO"

// Modes that a server assigns where the user says nothing.
const (
	ModeMe         = Join | Presence | Share
	ModeUserAuth   = Join | Read | Write | Presence | Approve | Share | Delete // a user's default for other users
	ModeP2P        = Join | Read | Write | Presence | Approve | Delete         // all that is possible in P2P
	ModeGroupAuth  = Join | Read | Write | Presence | Share
	ModeChanAuth   = None
	ModeChanMember = Read | Write | Presence | Share
	ModeChanReader = Join | Read | Presence
	ModeSelf       = Join | Read | Write | Delete | Owner
	ModeOwner      = Join | Read | Write | Presence | Approve | Share | Delete | Owner
	ModeFnd        = Join | Read | Write | Presence | Share
	ModeSysRoot    = Join | Read | Write | Presence | Delete
)

// Has reports whether m has every permission of p.
func (m Mode) Has(p Mode) bool { return m&p == p }

// String writes the letters, "N" for none.
func (m Mode) String() string {
	if m == None {
		return "N"
	}
	var b [8]byte
	n := 0
	for i := range len(modeLetters) {
		if m&(1<<i) != 0 {
			b[n] = modeLetters[i]
			n++
		}
	}
	return string(b[:n])
}

// ParseMode reads a mode as a client writes it: letters in any order and case,
// "N" or nothing for none (spec/client.md#modes).
func ParseMode(s string) (Mode, error) {
	if s == "N" || s == "n" {
		return None, nil
	}
	var m Mode
	for i := range len(s) {
		p := strings.IndexByte(modeLetters, upper(s[i]))
		if p < 0 {
			return 0, fmt.Errorf("access mode %.32q: unknown permission %q", s, s[i])
		}
		m |= 1 << p
	}
	return m, nil
}

func upper(c byte) byte {
	if 'a' <= c && c <= 'z' {
		return c - 'a' + 'A'
	}
	return c
}

// Change applies what a client asks for: a mode ("JRW"), or a relative change
// ("+R-PS"), read from left to right. An empty string changes nothing; a sign
// without letters is an error.
func (m Mode) Change(s string) (Mode, error) {
	if s == "" {
		return m, nil
	}
	if s[0] != '+' && s[0] != '-' {
		return ParseMode(s)
	}
	for s != "" {
		end := strings.IndexAny(s[1:], "+-") + 1
		if end == 0 {
			end = len(s)
		}
		if end == 1 {
			return 0, fmt.Errorf("access mode %.32q: sign without permissions", s)
		}
		p, err := ParseMode(s[1:end])
		if err != nil {
			return 0, err
		}
		if s[0] == '+' {
			m |= p
		} else {
			m &^= p
		}
		s = s[end:]
	}
	return m, nil
}

// Delta writes the change from m to n as clients read it, "+R-P"; empty if equal, n
// whole if there was nothing before.
func (m Mode) Delta(n Mode) string {
	if m == None && n != None {
		return n.String()
	}
	var b strings.Builder
	if add := n &^ m; add != 0 {
		b.WriteString("+" + add.String())
	}
	if sub := m &^ n; sub != 0 {
		b.WriteString("-" + sub.String())
	}
	return b.String()
}

// NewAcs writes want, given and both.
func NewAcs(want, given Mode) *Acs {
	return &Acs{Want: want.String(), Given: given.String(), Mode: (want & given).String()}
}
