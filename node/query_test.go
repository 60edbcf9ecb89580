package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func asError[T error](err error, as *T) bool { return errors.As(err, as) }

func TestParseQuery(t *testing.T) {
	for _, c := range []struct{ q, and, or string }{
		{"flowers", "flowers", ""},
		{"flowers travel", "flowers|travel", ""},
		{"flowers, travel", "", "flowers|travel"},
		{"flowers,travel", "", "flowers|travel"},
		{"flowers ,travel", "", "flowers|travel"},
		{"flowers travel, puppies", "flowers", "travel|puppies"},
		{"aaa bbb, ccc", "aaa", "bbb|ccc"},
		{"flowers, travel puppies, kittens", "", "flowers|travel|puppies|kittens"},
		{"a1, b1 c1 d1", "c1|d1", "a1|b1"},
		{"  Flowers\tTRAVEL  ", "flowers|travel", ""},
		{"a1 a1 A1", "a1", ""},
		{"a1 a1, b1", "a1", "a1|b1"},
		{`"new york" "a,b"`, "new york|a,b", ""},
		{`"T1"`, "t1", ""},
		{`"t1","t2"`, "", "t1|t2"},
		{"alias:bob,bob", "", "alias:bob|bob"},
		{"שלום עולם, גן", "שלום", "עולם|גן"},
		{"a1,", "", "a1"},
		{",a1", "", "a1"},
		{"", "", ""},
		{" ", "", ""},
		{",", "", ""},
		{"t1, ,, t2", "", ""}, // from here on: cannot be parsed
		{"t1,,t2", "", ""},
		{`"t1`, "", ""},
		{`t1"t2"`, "", ""},
		{`""`, "", ""},
		{`","`, "", ""},
	} {
		and, or := parseQuery(c.q)
		if strings.Join(and, "|") != c.and || strings.Join(or, "|") != c.or {
			t.Errorf("parseQuery(%q) = %q, %q", c.q, and, or)
		}
	}
}

func TestParseQueryBound(t *testing.T) {
	var b strings.Builder
	for i := range 2 * maxTerms {
		fmt.Fprintf(&b, "t%d ", i)
	}
	if and, or := parseQuery(b.String()); len(and) != maxTerms || len(or) != 0 {
		t.Errorf("%d and %d terms", len(and), len(or))
	}
}

func FuzzParseQuery(f *testing.F) {
	for _, q := range []string{"flowers travel, puppies", `"new york", a`, "a,,b", "ALIAS:Bob,bob", "ſ\u0301 \x00"} {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, q string) {
		and, or := parseQuery(q)
		for _, list := range [][]string{and, or} {
			sorted := slices.Clone(list)
			slices.Sort(sorted)
			if len(slices.Compact(sorted)) != len(list) {
				t.Errorf("parseQuery(%q) repeats: %q", q, list)
			}
			for _, term := range list {
				if term == "" || term != strings.TrimSpace(term) || foldTag(foldTag(term)) != foldTag(term) {
					t.Errorf("parseQuery(%q) gives %q", q, term)
				}
			}
		}
		if len(or) > 0 && !strings.Contains(q, ",") {
			t.Errorf("parseQuery(%q): alternatives without a comma: %q", q, or)
		}
		all, some := testRewriter.terms(q, "en-US", true)
		if len(all) != len(and) || len(some) < min(len(or), 1) || slices.ContainsFunc(all, func(g []string) bool { return len(g) == 0 }) {
			t.Errorf("terms(%q) = %q, %q", q, all, some)
		}
	})
}

// fakeValidator takes values with a mark in them, and puts its own form in front.
type fakeValidator struct{ mark, form string }

func (v fakeValidator) Normalise(value, lang string) (string, error) {
	if !strings.Contains(value, v.mark) {
		return "", errors.New("no such address")
	}
	return v.form + strings.Trim(value, "() ") + strings.TrimPrefix(lang, "en-US"), nil
}
func (fakeValidator) Send(context.Context, Code) error { return nil }
func (fakeValidator) FixedCode() string                { return "" }

var testRewriter = rewriter{home: "chat.example.org", validators: map[string]Validator{
	"email": fakeValidator{".", ""}, "tel": fakeValidator{"555", "+1"}}}

func TestRewrite(t *testing.T) {
	for _, c := range []struct{ term, public, private string }{
		{"flowers", "flowers", "flowers"},
		{"new_york", "new_york|new york", "new_york|new york"},
		{"ann@example.com", "email:ann@example.com|ann@example.com", "email:ann@example.com"},
		{"email:ann@example.com", "email:ann@example.com", "email:ann@example.com"},
		{"ann@nodot", "ann@nodot", "ann@nodot"}, // what the validator does not take
		{"ann@chat.example.org", "email:ann@chat.example.org|alias:ann|ann@chat.example.org", "email:ann@chat.example.org"},
		{"email:ann@chat.example.org", "email:ann@chat.example.org|alias:ann", "email:ann@chat.example.org"},
		{"alias:ann@chat.example.org", "alias:ann", "alias:ann"},
		{"alias:ann@other.example.org", "alias:ann@other.example.org", "alias:ann@other.example.org"},
		{"alias:ann", "alias:ann", "alias:ann"},
		{"@ann", "alias:ann", "alias:ann"},
		{"(555)1234567", "tel:+1555)1234567|(555)1234567", "tel:+1555)1234567"},
		{"tel:5551234567", "tel:+15551234567", "tel:+15551234567"},
		{"2026", "2026", "2026"},
		{"1234567890123456", "1234567890123456", "1234567890123456"},
		{"7025550", "tel:+17025550|7025550", "tel:+17025550"},
		{"basic:ann", "basic:ann", "basic:ann"},
		{"a@b@c.d", "a@b@c.d", "a@b@c.d"},
	} {
		for public, want := range map[bool]string{true: c.public, false: c.private} {
			if got := strings.Join(testRewriter.rewrite(c.term, "en-US", public), "|"); got != want {
				t.Errorf("rewrite(%q, public %v) = %q, want %q", c.term, public, got, want)
			}
		}
	}
	bare := rewriter{home: "localhost"}
	for term, want := range map[string]string{"Ann@b.c": "email:Ann@b.c|Ann@b.c", "+14155551212": "tel:+14155551212|+14155551212", "bob@localhost": "email:bob@localhost|alias:bob|bob@localhost"} {
		if got := strings.Join(bare.rewrite(term, "", true), "|"); got != want {
			t.Errorf("without validators: rewrite(%q) = %q, want %q", term, got, want)
		}
	}
}

func TestTerms(t *testing.T) {
	all, some := testRewriter.terms("flowers new_york, ann@example.com, ann@example.com travel", "de", true)
	if fmt.Sprint(all) != "[[flowers] [travel]]" || strings.Join(some, "|") != "new_york|new york|email:ann@example.com|ann@example.com" {
		t.Errorf("terms = %q, %q", all, some)
	}
	if all, some := testRewriter.terms("a,,b", "", true); all != nil || some != nil {
		t.Errorf("terms of what cannot be parsed = %q, %q", all, some)
	}
}
