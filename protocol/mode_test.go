package protocol

import (
	"testing"

	"pgregory.net/rapid"
)

var anyMode = rapid.Map(rapid.Byte(), func(b byte) Mode { return Mode(b) })

// TestModes: over all 256 modes, what is written reads back, and the difference of
// two leads from one to the other.
func TestModes(t *testing.T) {
	for i := range 256 {
		m := Mode(i)
		if got, err := ParseMode(m.String()); got != m || err != nil {
			t.Errorf("ParseMode(%s) = %s, %v", m, got, err)
		}
		for j := range 256 {
			n := Mode(j)
			delta := m.Delta(n)
			if got, err := m.Change(delta); got != n || err != nil {
				t.Errorf("%s changed by %q is %s, %v; want %s", m, delta, got, err, n)
			}
			if (delta == "") != (m == n) {
				t.Errorf("difference of %s and %s is %q", m, n, delta)
			}
		}
	}
}

func TestModeDelta(t *testing.T) {
	for _, c := range []struct{ from, to, want string }{
		{"N", "JRW", "JRW"}, {"JRW", "N", "-JRW"}, {"JRW", "JRP", "+P-W"}, {"JRWPS", "JRWPASD", "+AD"}, {"N", "N", ""},
	} {
		from, _ := ParseMode(c.from)
		to, _ := ParseMode(c.to)
		if got := from.Delta(to); got != c.want {
			t.Errorf("from %s to %s: %q, want %q", c.from, c.to, got, c.want)
		}
	}
}

func TestAcs(t *testing.T) {
	want, given := Join|Read|Write|Presence, Join|Read|Approve
	if got := *NewAcs(want, given); got != (Acs{Want: "JRWP", Given: "JRA", Mode: "JR"}) {
		t.Errorf("%+v", got)
	}
	if got := *NewAcs(Join, Read); got != (Acs{Want: "J", Given: "R", Mode: "N"}) {
		t.Errorf("%+v", got)
	}
	if !ModeOwner.Has(Owner|Join) || ModeGroupAuth.Has(Owner) || !None.Has(None) {
		t.Error("Has")
	}
}

// TestDefaultModes holds the values that clients rely upon.
func TestDefaultModes(t *testing.T) {
	for _, c := range []struct {
		mode Mode
		want string
	}{
		{ModeMe, "JPS"}, {ModeUserAuth, "JRWPASD"}, {ModeP2P, "JRWPAD"}, {ModeGroupAuth, "JRWPS"},
		{ModeChanMember, "RWPS"}, {ModeChanReader, "JRP"}, {ModeSelf, "JRWDO"}, {ModeOwner, "JRWPASDO"},
	} {
		if c.mode.String() != c.want {
			t.Errorf("%s, want %s", c.mode, c.want)
		}
	}
}

// TestChangeSteps: a relative change is the same as its parts one after another.
func TestChangeSteps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := anyMode.Draw(t, "mode")
		step, whole := m, ""
		for range rapid.IntRange(1, 5).Draw(t, "parts") {
			p := anyMode.Draw(t, "letters")
			if rapid.Bool().Draw(t, "add") {
				whole += "+" + p.String()
				step |= p
			} else {
				whole += "-" + p.String()
				step &^= p
			}
		}
		if got, err := m.Change(whole); got != step || err != nil {
			t.Fatalf("%s changed by %s is %s, %v; want %s", m, whole, got, err, step)
		}
	})
}
