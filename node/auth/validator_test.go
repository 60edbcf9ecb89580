package auth

import (
	"context"
	"strings"
	"testing"

	"parley/node"
	"parley/protocol"
)

var _ node.Validator = (*Validator)(nil)

// kept is a Sender that keeps what it is given.
type kept struct{ sent []Message }

func (k *kept) Send(_ context.Context, m Message) error {
	k.sent = append(k.sent, m)
	return nil
}

func TestEmailNormalise(t *testing.T) {
	v, err := NewEmail("example.org", Options{Sender: new(kept)})
	if err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]string{
		"ann@example.org":       "ann@example.org",
		" Ann+Tag@Example.ORG ": "ann+tag@example.org",
		"ann@bücher.example":    "ann@xn--bcher-kva.example",
		"a.b@localhost":         "a.b@localhost",
		"":                      "",
		"ann":                   "",
		"@example.org":          "",
		"ann@":                  "",
		"ann@b@example.org":     "",
		"Ann <ann@example.org>": "",
		`"a b"@example.org`:     "",
		"ann@[127.0.0.1]":       "",
		"ann@example.org\r\nBcc: eve@example.org": "",
		"ann@example.org, eve@example.org":        "",
		"änn@example.org":                         "",
		"<ann@example.org>":                       "",
		strings.Repeat("a", 250) + "@b.org":       "",
	} {
		if got, err := v.Normalise(in, "en"); got != want || (err == nil) != (want != "") {
			t.Errorf("Normalise(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
}

func TestTelNormalise(t *testing.T) {
	v, err := NewTel("example.org", Options{Sender: new(kept), Country: "de"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ in, lang, want string }{
		{"+1 (415) 555-1212", "", "+14155551212"},
		{"415 555 1212", "en-US", "+14155551212"},
		{"415 555 1212", "en_US", "+14155551212"},
		{"030 123456", "", "+4930123456"},
		{"030 123456", "de", "+4930123456"},
		{"030 123456", "en", "+4930123456"},
		{"+55 11 99999-9999", "zh-Hans-CN", "+5511999999999"},
		{"131 0123 4567", "zh-Hans-CN", "+8613101234567"},
		{"20261123", "en-US", ""},
		{"hello", "en-US", ""},
		{"", "en-US", ""},
		{"+" + strings.Repeat("1", 100), "en-US", ""},
	} {
		if got, err := v.Normalise(c.in, c.lang); got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("Normalise(%q, %q) = %q, %v; want %q", c.in, c.lang, got, err, c.want)
		}
	}
	if _, err := NewTel("example.org", Options{Sender: new(kept), Country: "Atlantis"}); err == nil {
		t.Error("an unknown country was accepted")
	}
}

func TestFixedCode(t *testing.T) {
	for home, want := range map[protocol.Node]bool{"localhost": true, "a.localhost": true, "example.org": false, "notlocalhost": false, "localhost.example.org": false} {
		v, err := NewEmail(home, Options{Sender: new(kept), FixedCode: "123456"})
		if (err == nil) != want {
			t.Errorf("a fixed code at %s: %v", home, err)
		}
		if err == nil && v.FixedCode() != "123456" {
			t.Errorf("FixedCode() = %q", v.FixedCode())
		}
	}
}

func TestValidatorSend(t *testing.T) {
	k := new(kept)
	v, err := NewEmail("example.org", Options{Sender: k, Reset: "Code {{.Code}} for {{.Login}}\n\nat {{.Node}}, {{.To}}"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []node.Code{{To: "a@b.c", Code: "111111", Lang: "en"}, {To: "a@b.c", Code: "222222", Login: "ann"}} {
		if err := v.Send(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	first, second := k.sent[0], k.sent[1]
	if first.Subject != "Your code for example.org: 111111" || !strings.Contains(first.Text, "    111111\n") || first.Method != "email" {
		t.Errorf("confirmation: %+v", first)
	}
	if second.Subject != "Code 222222 for ann" || second.Text != "at example.org, a@b.c" {
		t.Errorf("reset: %+v", second)
	}
	for _, bad := range []string{"{{.Nothing}}", "{{", "{{.Code"} {
		if _, err := NewEmail("example.org", Options{Sender: k, Confirm: bad}); err == nil {
			t.Errorf("template %q was accepted", bad)
		}
	}
	if _, err := NewEmail("example.org", Options{}); err == nil {
		t.Error("a validator without a sender was accepted")
	}
}
