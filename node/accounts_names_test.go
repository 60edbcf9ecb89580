package node

import (
	"strings"
	"testing"

	"parley/protocol"
)

func TestLoginName(t *testing.T) {
	for in, want := range map[string]string{
		"Alice": "alice", "bob": "bob", "a_b.c-d": "a_b.c-d", "ＡＢＣ": "abc", "JU\u0308RGEN": "jürgen", "हिन्दी": "हिन्दी", "Ольга": "ольга", "007": "007",
		strings.Repeat("ü", 32): strings.Repeat("ü", 32),
		"ab":                    "", "": "", "a b c": "", "a:b:c": "", "ann@example": "", ".ann": "", "-ann": "", "ann!": "", "ann\u200b": "", "ann\u202e": "", "ann\x00": "",
		"☃☃☃": "", "\u0301abc": "", strings.Repeat("a", 33): "", "אבג1٢": "",
	} {
		got, err := loginName(in)
		if got != want && want != "" || (err == nil) != (want != "") {
			t.Errorf("loginName(%q) = %q, %v; want %q", in, got, err, want)
		}
		if err != nil && protocol.FaultOf(err) != protocol.Policy {
			t.Errorf("loginName(%q): %v", in, err)
		}
	}
}

func TestPasswordForm(t *testing.T) {
	for in, want := range map[string]string{
		"secret": "secret", "pass word": "pass word", "pass\u00a0word": "pass word", "passwe\u0301": "passw\u00e9", "Ünïcödé 🙂": "Ünïcödé 🙂", "ＡＢＣＤＥＦ": "ＡＢＣＤＥＦ",
		"short": "", "": "", "tab\there": "", strings.Repeat("x", 257): "",
	} {
		got, err := passwordForm(in)
		if got != want && want != "" || (err == nil) != (want != "") {
			t.Errorf("passwordForm(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
}

func FuzzNames(f *testing.F) {
	for _, s := range []string{"Alice:secret99", "ＡＢＣ:ｓ", "ﬁ\u0301x:\u1e9e12345", ":"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, secret string) {
		login, password, err := splitSecret([]byte(secret))
		if err != nil {
			return
		}
		if name, err := loginName(login); err == nil {
			if again, err := loginName(name); again != name || err != nil {
				t.Errorf("loginName(%q) = %q, then %q, %v", login, name, again, err)
			}
			if tag := schemeBasic + ":" + name; foldTag(tag) != tag {
				t.Errorf("the tag of login %q changes to %q when sent back", name, foldTag(tag))
			}
		}
		if p, err := passwordForm(password); err == nil {
			if again, err := passwordForm(p); again != p || err != nil {
				t.Errorf("passwordForm(%q) = %q, then %q, %v", password, p, again, err)
			}
		}
	})
}
