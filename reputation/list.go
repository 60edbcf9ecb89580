package reputation

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"parley/protocol"
)

// List is what an operator says of other nodes, for others to follow
// (spec/reputation.md#lists).
type List struct {
	Issued, Expires time.Time
	Pins            map[protocol.Node]Pin // Allow or Deny
}

const (
	listDomain = "parley-reputation-list-v1\x00"
	listHead   = "parley-list-v1"
	listSig    = "signature "
	maxListed  = 100_000

	// MaxList is how many bytes a list may have.
	MaxList = 8 << 20
)

var pinWords = map[Pin]string{Allow: "allow", Deny: "deny"}

// Sign writes a list, in the order of names.
func (l *List) Sign(key ed25519.PrivateKey) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s %s\n", listHead, l.Issued.UTC().Format(time.RFC3339), l.Expires.UTC().Format(time.RFC3339))
	for _, n := range slices.Sorted(maps.Keys(l.Pins)) {
		fmt.Fprintf(&b, "%s %s\n", pinWords[l.Pins[n]], n)
	}
	sig := ed25519.Sign(key, append([]byte(listDomain), b.Bytes()...))
	fmt.Fprintf(&b, "%s%s\n", listSig, base64.StdEncoding.EncodeToString(sig))
	return b.Bytes()
}

// ReadList reads a list, which key must have signed and which must be good at now.
func ReadList(text []byte, key ed25519.PublicKey, now time.Time) (*List, error) {
	i := bytes.LastIndex(text, []byte("\n"+listSig))
	if len(text) > MaxList || i < 0 {
		return nil, badStatement("a list without a signature")
	}
	body, last := text[:i+1], strings.TrimSuffix(string(text[i+1+len(listSig):]), "\n")
	sig, err := base64.StdEncoding.DecodeString(last)
	if err != nil || len(key) != ed25519.PublicKeySize || !ed25519.Verify(key, append([]byte(listDomain), body...), sig) {
		return nil, badStatement("the signature of the list is wrong")
	}
	lines := strings.Split(strings.TrimSuffix(string(body), "\n"), "\n")
	l := &List{Pins: map[protocol.Node]Pin{}}
	head := strings.Fields(lines[0])
	if len(head) != 3 || head[0] != listHead || len(lines) > maxListed+1 {
		return nil, badStatement("no list of version 1")
	}
	var bad error
	if l.Issued, err = time.Parse(time.RFC3339, head[1]); err != nil {
		bad = err
	}
	if l.Expires, err = time.Parse(time.RFC3339, head[2]); err != nil {
		bad = err
	}
	if bad != nil {
		return nil, badStatement("times of the list: %v", bad)
	}
	if now.Before(l.Issued.Add(-statementSkew)) || !now.Before(l.Expires) {
		return nil, badStatement("the list is good from %v to %v", l.Issued, l.Expires)
	}
	for n, line := range lines[1:] {
		word, name, _ := strings.Cut(line, " ")
		node, err := protocol.ParseNode(name)
		pin := map[string]Pin{"allow": Allow, "deny": Deny}[word]
		if err != nil || pin == Auto || string(node) != name {
			return nil, badStatement("line %d of the list: %q", n+2, line)
		}
		l.Pins[node] = pin
	}
	return l, nil
}
