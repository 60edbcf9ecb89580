package node

import (
	"slices"
	"strings"
	"testing"

	"parley/protocol"
)

func testTagRules() tagRules {
	return newTagRules(&Config{Limits: Limits{MaxTags: 4}, Restricted: []string{"org:"}, Validators: map[string]Validator{"captcha": nil}})
}

func TestTagsNormalise(t *testing.T) {
	l := testTagRules()
	for _, c := range []struct{ in, want string }{
		{"Travel|travel|abc", "abc|travel"},
		{"a|!!|x y|alias:ab", "alias:ab|x y"},
		{" new   york ", "new york"},
		{"u\u0308ber|über", "über"}, // composed
		{"हिन्दी|日本|١٢", "١٢|हिन्दी|日本"},
		{"t5|t4|t3|t2|t1", "t2|t3|t4|t5"}, // the fifth is too many
		{"t5|t4|basic:ann|t3|email:a@b.c|t2", "basic:ann|email:a@b.c|t2|t3|t4|t5"},
		{"#tag|@who|c++|?", "#tag|@who|c++"},
		{"a/b|a:b|1a:bc|Ab:cd|x:|ab:|a\u0000b", "ab:cd"},
		{"alias:Ann|alias:-x|alias:a b|alias:ü-ü|alias:" + strings.Repeat("a", 33), "alias:ann"},
		{strings.Repeat("ü", 96) + "|" + strings.Repeat("a", 97), strings.Repeat("ü", 96)},
		{"", ""},
	} {
		if got := strings.Join(l.normalise(strings.Split(c.in, "|")), "|"); got != c.want {
			t.Errorf("normalise(%q) = %q, want %q", c.in, got, c.want)
		}
	}
}

func TestTagsChange(t *testing.T) {
	l := testTagRules()
	old := []string{"alias:ann", "basic:ann", "email:a@b.c", "travel"}
	for _, c := range []struct {
		next, want string // want "403" or "400": refused
	}{
		{"alias:ann|basic:ann|email:a@b.c|travel", "alias:ann|basic:ann|email:a@b.c|travel"},
		{"basic:ann|email:a@b.c", "basic:ann|email:a@b.c"},
		{"BASIC:Ann|email:a@b.c|x1", "basic:ann|email:a@b.c|x1"},
		{"basic:ann|email:a@b.c|alias:ann|alias:zoe", "alias:zoe|basic:ann|email:a@b.c"},
		{"basic:ann|email:a@b.c|alias:abe|alias:ann", "alias:abe|basic:ann|email:a@b.c"},
		{"basic:ann|email:a@b.c|alias:abe|alias:zoe", "400"},
		{protocol.Clear, "basic:ann|email:a@b.c"},
		{"alias:zoe", "403"},
		{"basic:ann", "403"},
		{"basic:bob|email:a@b.c", "403"},
		{"basic:ann|basic:bob|email:a@b.c", "403"},
		{"basic:ann|email:a@b.c|tel:+1", "403"},
		{"basic:ann|email:a@b.c|org:acme", "403"},
		{"basic:ann|email:a@b.c|captcha:x", "403"},
	} {
		got, err := l.change(slices.Clone(old), strings.Split(c.next, "|"))
		if refused := map[string]protocol.Fault{"403": protocol.Denied, "400": protocol.Malformed}[c.want]; refused != 0 {
			if e := new(protocol.Error); !asError(err, &e) || e.Fault != refused || e.What != "tags" {
				t.Errorf("change to %q: %v, %v", c.next, got, err)
			}
			continue
		}
		if err != nil || strings.Join(got, "|") != c.want {
			t.Errorf("change to %q = %q, %v; want %q", c.next, got, err, c.want)
		}
	}
}

func TestTagsChangeLongRestricted(t *testing.T) {
	l := testTagRules()
	long := "email:" + strings.Repeat("a", 120) + "@b.c"
	if got, err := l.change([]string{long}, []string{long, "x1"}); err != nil || len(got) != 2 {
		t.Errorf("a long address sent back: %q, %v", got, err)
	}
}

func TestTagChange(t *testing.T) {
	for _, c := range []struct {
		old, next      []string
		added, removed int
	}{
		{nil, nil, 0, 0},
		{nil, []string{"a", "b"}, 2, 0},
		{[]string{"a", "b"}, []string{"b", "c"}, 1, 1},
		{[]string{"a", "b"}, nil, 0, 2},
		{[]string{"a"}, []string{"a"}, 0, 0},
	} {
		if a, r := tagChange(c.old, c.next); a != c.added || r != c.removed {
			t.Errorf("tagChange(%q, %q) = %d, %d", c.old, c.next, a, r)
		}
	}
}

func FuzzTags(f *testing.F) {
	f.Add("Travel,alias:Ann,basic:x,ü,a b", "basic:x")
	f.Fuzz(func(t *testing.T, next, old string) {
		l := testTagRules()
		had := l.normalise(strings.Split(old, ","))
		got, err := l.change(had, strings.Split(next, ","))
		if err != nil {
			return
		}
		if again := l.normalise(got); !slices.Equal(again, got) {
			t.Errorf("normalise(%q) = %q: not stable", got, again)
		}
		if free := l.only(got, false); len(free) > l.max {
			t.Errorf("%d tags", len(free))
		}
		if !slices.Equal(l.only(got, true), l.only(had, true)) {
			t.Errorf("restricted tags changed from %q to %q", had, got)
		}
	})
}
