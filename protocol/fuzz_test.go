package protocol

import (
	"encoding/json"
	"testing"
	"time"
	"unicode/utf8"
)

// FuzzDecode: no packet ends the decoder, what it accepts is JSON of bounded depth
// in UTF-8, and a request written again means the same.
func FuzzDecode(f *testing.F) {
	for _, v := range vectors[[]decodeVector](f, "decode.json") {
		f.Add(v.bytes())
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		r, err := Decode(packet)
		if err != nil {
			return
		}
		if !json.Valid(packet) || !utf8.Valid(packet) {
			t.Fatalf("accepted %q", packet)
		}
		once, err := json.Marshal(r)
		if err != nil {
			t.Fatalf("%q cannot be written again: %v", packet, err)
		}
		again, err := Decode(once)
		if err != nil {
			t.Fatalf("%s cannot be read again: %v", once, err)
		}
		if twice, err := json.Marshal(again); err != nil || !sameJSON(t, once, twice) {
			t.Fatalf("%s becomes %s, %v", once, twice, err)
		}
	})
}

// FuzzParseName: names that are accepted are in their one form.
func FuzzParseName(f *testing.F) {
	v := vectors[struct {
		Nodes, Users, Groups []struct {
			In, Out        string
			Channel, Error bool
		}
	}](f, "names.json")
	for _, c := range append(append(v.Nodes, v.Users...), v.Groups...) {
		f.Add(c.In)
	}
	f.Fuzz(func(t *testing.T, s string) {
		const home = "home.example"
		if n, err := ParseNode(s); err == nil {
			if again, err := ParseNode(string(n)); again != n || err != nil || len(n) > MaxNodeName {
				t.Errorf("node %q becomes %q, then %q, %v", s, n, again, err)
			}
		}
		if u, err := ParseUserID(s, home); err == nil {
			if again, err := ParseUserID(string(u), "other.example"); again != u || err != nil {
				t.Errorf("user %q becomes %q, then %q, %v", s, u, again, err)
			}
			if u.Local()+"@"+string(u.Node()) != string(u) || Own(KindMe, u).Kind() != KindMe || P2P(u, "usr").Peer("usr") != u {
				t.Errorf("user %q falls apart", u)
			}
		}
		if g, channel, err := ParseGroupID(s, home); err == nil {
			name := string(g)
			if channel {
				name = g.ChannelName()
			}
			if again, c, err := ParseGroupID(name, "other.example"); again != g || c != channel || err != nil || g.Kind() != KindGroup {
				t.Errorf("group %q becomes %q, then %q, %v", s, g, again, err)
			}
		}
	})
}

// FuzzMode: a change gives a mode that can be written and repeated.
func FuzzMode(f *testing.F) {
	for _, v := range vectors[[]struct {
		Mode, Change, To string
		Error            bool
	}](f, "modes.json") {
		f.Add(uint8(7), v.Change)
	}
	f.Fuzz(func(t *testing.T, from uint8, change string) {
		m := Mode(from)
		n, err := m.Change(change)
		if err != nil {
			return
		}
		if back, err := ParseMode(n.String()); back != n || err != nil {
			t.Errorf("%s by %q: %s is read %s, %v", m, change, n, back, err)
		}
		if again, err := n.Change(change); again != n || err != nil {
			t.Errorf("%s by %q twice: %s, then %s, %v", m, change, n, again, err)
		}
	})
}

// FuzzRanges: any list of ranges is refused or becomes a set in order that says
// the same about every number near its edges.
func FuzzRanges(f *testing.F) {
	for _, v := range vectors[[]struct {
		In, Out []Range
		Error   bool
	}](f, "ranges.json") {
		j, _ := json.Marshal(v.In)
		f.Add(j)
	}
	f.Fuzz(func(t *testing.T, j []byte) {
		var in []Range
		if json.Unmarshal(j, &in) != nil || len(in) > 64 {
			return
		}
		rs, err := NewRanges(in)
		if err != nil {
			return
		}
		last := 0
		for _, r := range rs {
			if r.Low <= last || r.Hi <= r.Low {
				t.Fatalf("%v becomes %v", in, rs)
			}
			last = r.Hi
		}
		for _, r := range in {
			for _, n := range []int{r.Low - 1, r.Low, r.End() - 1, r.End()} {
				want := false
				for _, x := range in {
					want = want || x.Low <= n && n < x.End()
				}
				if rs.Contains(n) != want {
					t.Fatalf("%v contains %d: %v", rs, n, !want)
				}
			}
		}
	})
}

// FuzzEncode: what is appended by hand means what encoding/json writes, for all
// strings, and content comes back as it went in.
func FuzzEncode(f *testing.F) {
	for _, s := range oddStrings {
		f.Add(s, "x", []byte(`{"a":"\u2028"}`), 1, int64(1_793_613_600_123))
		f.Add("me", s, []byte(`"`+"\u2028"+`"`), -1, int64(0))
	}
	f.Fuzz(func(t *testing.T, a, b string, raw []byte, n int, millis int64) {
		if !json.Valid(raw) || !utf8.Valid(raw) { // nothing else is ever stored
			raw, _ = json.Marshal(string(raw))
		}
		const year = 365 * 24 * 3600 * 1000
		at := At(time.UnixMilli(millis % (7000 * year)))
		if y := at.Year(); y < 0 || y > 9999 {
			return
		}
		for _, r := range []*Response{
			{Data: &Data{Topic: a, From: b, TS: at, Seq: n, Head: raw, Content: raw}},
			{Pres: &Pres{Topic: a, Src: b, What: a, UA: b, Seq: n, Clear: n, DelSeq: []Range{{n, n + 1}}, Tgt: a, Act: b, Acs: &Acs{Want: a, Given: b}}},
			{Info: &Info{Topic: a, Src: b, From: a, What: b, Seq: n, Event: a, Payload: raw}},
			{Ctrl: &Ctrl{ID: a, Topic: b, TS: at, Code: n, Text: a, Params: map[string]any{"seq": n}}},
			{Ctrl: &Ctrl{ID: a, TS: at, Text: b, Params: map[string]any{a: b, "x": n}}},
		} {
			same(t, r)
		}
	})
}

// same is encoded, but for content, which may hold line breaks as its author sent it.
func same(t *testing.T, r *Response) {
	t.Helper()
	got := r.Encode()
	want, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if !utf8.Valid(got) || !sameJSON(t, got, want) {
		t.Fatalf("by hand %q\nby encoding/json %q", got, want)
	}
	if r.Data != nil {
		var back Response
		if err := json.Unmarshal(got, &back); err != nil || !sameJSON(t, back.Data.Content, r.Data.Content) {
			t.Fatalf("content %q comes back as %q, %v", r.Data.Content, back.Data.Content, err)
		}
	}
}

// FuzzMerge: a merge is JSON again, and doing it twice changes nothing.
func FuzzMerge(f *testing.F) {
	for _, v := range vectors[[]struct {
		Old, Change, Merged json.RawMessage
		Changed             bool
	}](f, "merge.json") {
		f.Add([]byte(v.Old), []byte(v.Change))
	}
	f.Fuzz(func(t *testing.T, old, change []byte) {
		merged, changed, err := MergeJSON(old, change)
		if err != nil {
			if changed || string(merged) != string(old) {
				t.Fatalf("an error, and yet %q becomes %q", old, merged)
			}
			return
		}
		if len(merged) > 0 && !json.Valid(merged) {
			t.Fatalf("%q and %q become %q", old, change, merged)
		}
		again, changed, err := MergeJSON(merged, change)
		if err != nil || changed {
			t.Fatalf("%q and %q become %q, and then %q, %v", old, change, merged, again, err)
		}
	})
}
