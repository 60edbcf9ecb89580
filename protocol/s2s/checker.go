package s2s

import "parley/protocol"

// checker looks at parts of frames that a node has sent; the first error stays.
type checker struct {
	from protocol.Node
	err  error
}

func (k *checker) fail(f protocol.Fault, format string, args ...any) {
	if k.err == nil {
		k.err = protocol.Errorf(f, format, args...)
	}
}

// is demands something that is malformed otherwise.
func (k *checker) is(ok bool, what string) {
	if !ok {
		k.fail(protocol.Malformed, "%s", what)
	}
}

func (k *checker) time(ms int64) { k.is(0 <= ms && ms < maxTime, "time") }

func (k *checker) text(s string) { k.is(len(s) <= MaxText, "text is too long") }

func (k *checker) sig(b []byte, must bool) {
	k.is(len(b) == sigSize || len(b) == 0 && !must, "signature")
}

// user demands a well-formed id, in its one spelling.
func (k *checker) user(u protocol.UserID) {
	k.is(len(u) > 0 && wellFormed(string(u), "usr"), "id of a user")
}

func (k *checker) users(us []protocol.UserID) {
	for _, u := range us {
		k.user(u)
	}
}

// own demands a user of the node that speaks.
func (k *checker) own(u protocol.UserID, none bool) {
	if u == "" && none {
		return
	}
	k.user(u)
	if k.err == nil && u.Node() != k.from {
		k.fail(protocol.Denied, "%s is not of %s", u, k.from)
	}
}

func (k *checker) group(t protocol.TopicID) { k.is(wellFormed(string(t), "grp"), "id of a group") }

// home demands a group of the node that speaks.
func (k *checker) home(t protocol.TopicID) {
	k.group(t)
	if k.err == nil && t.Home() != k.from {
		k.fail(protocol.Denied, "%s is not of %s", t, k.from)
	}
}

// topic demands a group or a conversation of two.
func (k *checker) topic(t protocol.TopicID) {
	if t.Kind() != protocol.KindP2P {
		k.group(t)
		return
	}
	a, b := t.Peers()
	k.user(a)
	k.user(b)
	k.is(a < b, "users of a conversation are out of order")
}

func (k *checker) name(n *Name) {
	if n != nil {
		k.user(n.From)
		k.is(n.Origin > 0, "number of a message")
	}
}

func (k *checker) names(ns []Name) {
	for i := range ns {
		k.name(&ns[i])
	}
}

func (k *checker) spans(all []Span) {
	k.is(len(all) > 0, "no ranges")
	for _, s := range all {
		k.is(0 < s.Low && s.Low < s.High, "range")
	}
}

// json demands a JSON value that clients can be given.
func (k *checker) json(j []byte, none bool) {
	if k.err != nil || len(j) == 0 && none {
		return
	}
	if err := protocol.CheckJSON(j); err != nil {
		k.fail(protocol.Malformed, "%w", err)
	}
}

// object demands a JSON object, or nothing.
func (k *checker) object(j []byte) {
	k.json(j, true)
	k.is(len(j) == 0 || isObject(j), "no JSON object")
}

func (k *checker) content(head, content []byte) {
	if len(head)+len(content) > MaxContent {
		k.fail(protocol.TooLarge, "%d bytes", len(head)+len(content))
	}
	k.object(head)
	k.json(content, false)
}

func (k *checker) message(m *Message, by protocol.UserID) {
	k.is(m.Origin > 0, "number of a message")
	k.content(m.Head, m.Content)
	k.is(len(m.Refs) <= MaxRefs && len(m.Seqs) <= MaxItems, "references")
	for what, n := range m.Refs {
		k.text(what)
		k.name(&n)
	}
	k.names(m.Seqs)
	if m.Card != nil {
		k.card(m.Card, by)
	}
	if m.Mode != nil {
		k.mode(m.Mode, by)
	}
}

func (k *checker) mode(m *Mode, by protocol.UserID) {
	if m.Card != nil {
		k.card(m.Card, by)
	}
	k.is(len(m.Vouchers) <= MaxVouchers, "vouchers")
	for _, v := range m.Vouchers {
		k.is(len(v) <= MaxVoucher, "voucher is too long")
	}
}

// card demands one of a user. Whether its signature is good is for who knows the keys.
func (k *checker) card(c *Card, of protocol.UserID) {
	k.user(c.User)
	k.is(c.User == of, "card of another user")
	k.time(c.Version)
	k.json(c.Public, true)
	k.sig(c.Sig, false)
}

func (k *checker) invite(i *Invite) {
	k.user(i.User)
	if i.By != "" {
		k.user(i.By)
	}
	k.home(i.Group.ID)
	k.describe(&i.Group)
	for j := range i.Members {
		k.membership(&i.Members[j])
	}
}

func (k *checker) describe(g *Group) {
	k.time(g.Created)
	k.time(g.Updated)
	if g.Owner != "" {
		k.user(g.Owner)
	}
	k.json(g.Public, true)
	k.object(g.Aux)
	k.is(g.Seq >= 0 && g.SubCount >= 0, "number")
	for _, t := range g.Tags {
		k.text(t)
	}
}

func (k *checker) membership(m *Membership) {
	k.user(m.User)
	if m.Card != nil {
		k.card(m.Card, m.User)
	}
}

func (k *checker) command(c *Command) {
	k.is(len(c.Key) == KeySize, "key of a command")
	k.group(c.Group)
	k.own(c.User, false)
	k.time(c.At)
	k.object(c.Request)
	k.is(len(c.Request) > 0, "empty command")
	k.sig(c.Sig, false)
	if c.Card != nil {
		k.card(c.Card, c.User)
	}
}

func (k *checker) event(e *Event) {
	n := 0
	for _, set := range [...]bool{e.Message != nil, e.Erase != nil, e.Sub != nil, e.Owner != "", e.Desc != nil, e.End} {
		if set {
			n++
		}
	}
	if n == 0 {
		k.fail(protocol.Unsupported, "unknown kind of event")
	}
	k.is(n <= 1, "event of several kinds")
	k.time(e.At)
	if e.By != "" {
		k.user(e.By)
	}
	k.sig(e.Sig, false)
	switch {
	case e.Message != nil:
		k.is(e.Message.Seq > 0, "number of a message")
		k.time(e.Message.TS)
		if len(e.Message.Head)+len(e.Message.Content) > 0 { // else erased since: the place only
			k.content(e.Message.Head, e.Message.Content)
		}
	case e.Erase != nil:
		k.is(e.Erase.ID >= 0, "number")
		k.spans(e.Erase.Ranges)
	case e.Sub != nil:
		k.membership(e.Sub)
	case e.Owner != "":
		k.user(e.Owner)
	case e.Desc != nil:
		k.describe(e.Desc)
	}
}

const idChars = 11 // 64 bits in unpadded base64url (spec/naming.md#user)

// wellFormed reports whether an id is one of a user or group in full, in its one
// spelling: what protocol.ParseUserID lets pass unchanged.
func wellFormed(id, prefix string) bool {
	n := len(prefix) + idChars
	if len(id) < n+2 || id[:len(prefix)] != prefix || id[n] != '@' {
		return false
	}
	for i := len(prefix); i < n; i++ {
		if base64url(id[i]) < 0 {
			return false
		}
	}
	if base64url(id[n-1])&3 != 0 { // two spare bits
		return false
	}
	node, err := protocol.ParseNode(id[n+1:])
	return err == nil && string(node) == id[n+1:]
}

func base64url(c byte) int {
	switch {
	case 'A' <= c && c <= 'Z':
		return int(c - 'A')
	case 'a' <= c && c <= 'z':
		return int(c-'a') + 26
	case '0' <= c && c <= '9':
		return int(c-'0') + 52
	case c == '-':
		return 62
	case c == '_':
		return 63
	}
	return -1
}
