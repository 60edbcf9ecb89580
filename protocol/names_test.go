package protocol

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestIDs(t *testing.T) {
	u := NewUserID(0xda29_7db2_e09b_ba4a, "chat.example.org")
	if u != "usr2il9suCbuko@chat.example.org" {
		t.Errorf("NewUserID = %s", u)
	}
	if u.Local() != "usr2il9suCbuko" || u.Node() != "chat.example.org" {
		t.Errorf("parts of %s: %s, %s", u, u.Local(), u.Node())
	}
	g := NewGroupID(0, "localhost")
	if g != "grpAAAAAAAAAAA@localhost" || g.Home() != "localhost" || g.ChannelName() != "chnAAAAAAAAAAA@localhost" {
		t.Errorf("NewGroupID = %s of %s, for readers %s", g, g.Home(), g.ChannelName())
	}
	if _, err := ParseUserID("usr", "localhost"); !errors.Is(err, ErrName) {
		t.Errorf("error %v is not ErrName", err)
	}
	if _, err := ParseUserID("usr2il9suCbuko@", "localhost"); !errors.Is(err, ErrName) {
		t.Errorf("error %v is not ErrName", err)
	}
}

// TestIDsRoundTrip: every id parses to itself, bare ones at home, and no other
// spelling of the same bits does.
func TestIDsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u := NewUserID(rapid.Uint64().Draw(t, "bits"), "a.example")
		for _, s := range []string{string(u), u.Local()} {
			if got, err := ParseUserID(s, "a.example"); got != u || err != nil {
				t.Fatalf("ParseUserID(%s) = %s, %v", s, got, err)
			}
		}
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		l := u.Local()
		other := l[:len(l)-1] + string(alphabet[strings.IndexByte(alphabet, l[len(l)-1])|rapid.IntRange(1, 3).Draw(t, "spare bits")])
		if got, err := ParseUserID(other, "a.example"); err == nil {
			t.Fatalf("ParseUserID(%s) = %s: a second spelling of %s", other, got, l)
		}
	})
}

func TestTopics(t *testing.T) {
	a, b := NewUserID(1, "a.example"), NewUserID(1, "b.example")
	p2p := P2P(b, a)
	if p2p != P2P(a, b) || p2p != "p2p:"+TopicID(a)+","+TopicID(b) {
		t.Errorf("P2P = %s", p2p)
	}
	if x, y := p2p.Peers(); x != a || y != b || p2p.Peer(a) != b || p2p.Peer(b) != a {
		t.Errorf("peers of %s: %s, %s", p2p, x, y)
	}
	g := NewGroupID(7, "b.example")
	for _, c := range []struct {
		topic TopicID
		kind  Kind
		name  string // for a
	}{
		{Own(KindMe, a), KindMe, "me"},
		{Own(KindFnd, a), KindFnd, "fnd"},
		{Own(KindSelf, a), KindSelf, "slf"},
		{p2p, KindP2P, string(b)},
		{g, KindGroup, string(g)},
		{Sys, KindSys, "sys"},
	} {
		if c.topic.Kind() != c.kind || c.topic.Name(a) != c.name {
			t.Errorf("%s is of kind %d and named %s, want %d, %s", c.topic, c.topic.Kind(), c.topic.Name(a), c.kind, c.name)
		}
	}
	for _, s := range []TopicID{"", "me", "fnd", "slf", "system", "usrAAAAAAAAAAA@a.example", "chnAAAAAAAAAAA@a.example"} {
		if s.Kind() != KindNone {
			t.Errorf("%q is of kind %d", s, s.Kind())
		}
	}
	if Own(KindGroup, a) != "" || Own(KindP2P, a) != "" {
		t.Error("groups and conversations are nobody's own")
	}
}

// TestParseNodeForms: what is accepted is in one form, and within its bounds.
func TestParseNodeForms(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringOfN(rapid.RuneFrom([]rune("abzABZ019-.x_@é\u212a")), 0, 110, -1).Draw(t, "name")
		n, err := ParseNode(s)
		if err != nil {
			return
		}
		if again, err := ParseNode(string(n)); again != n || err != nil {
			t.Fatalf("%q becomes %q, then %q, %v", s, n, again, err)
		}
		if !strings.EqualFold(s, string(n)) || len(n) > MaxNodeName || strings.Trim(string(n), "abcdefghijklmnopqrstuvwxyz0123456789-.") != "" {
			t.Fatalf("%q becomes %q", s, n)
		}
	})
}
