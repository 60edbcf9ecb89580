package protocol

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestDecodeDepth(t *testing.T) {
	for _, c := range []struct {
		packet string
		ok     bool
	}{
		{`{"pub":{"topic":"t","content":` + strings.Repeat("[", MaxDepth-2) + strings.Repeat("]", MaxDepth-2) + `}}`, true},
		{`{"pub":{"topic":"t","content":` + strings.Repeat("[", MaxDepth-1) + strings.Repeat("]", MaxDepth-1) + `}}`, false},
		{`{"pub":{"topic":"t","content":` + strings.Repeat(`{"a":`, MaxDepth-2) + "1" + strings.Repeat("}", MaxDepth-2) + `}}`, true},
		{`{"pub":{"topic":"t","content":[` + strings.Repeat("[],", 2*MaxDepth) + `{}]}}`, true},
		{`{"pub":{"topic":"t","content":"` + strings.Repeat("[", 2*MaxDepth) + `"}}`, true},
		{`{"pub":{"topic":"t","content":"\"` + strings.Repeat("{", 2*MaxDepth) + `\\"}}`, true},
		{strings.Repeat("[", 1<<20), false},
		{strings.Repeat("]", 100) + strings.Repeat("[", 100), false},
		{`{"x":` + strings.Repeat("[", 1<<20), false},
	} {
		if _, err := Decode([]byte(c.packet)); (err == nil) != c.ok {
			t.Errorf("Decode(%.60s…) = %v, want no error: %v", c.packet, err, c.ok)
		}
	}
}

// TestDecodeKeepsNothing: a connection may reuse the packet's memory.
func TestDecodeKeepsNothing(t *testing.T) {
	packet := []byte(`{"pub":{"topic":"t","head":{"mime":"m"},"content":{"a":"b"}}}`)
	r, err := Decode(packet)
	if err != nil {
		t.Fatal(err)
	}
	copy(packet, bytes.Repeat([]byte("x"), len(packet)))
	if string(r.Pub.Content) != `{"a":"b"}` || string(r.Pub.Head["mime"]) != `"m"` || r.Pub.Topic != "t" {
		t.Errorf("%+v", r.Pub)
	}
}

func TestTime(t *testing.T) {
	zone := time.FixedZone("", -3600)
	for _, c := range []struct {
		at   time.Time
		want string
	}{
		{time.Date(2026, 11, 2, 10, 0, 0, 123_999_999, time.UTC), `"2026-11-02T10:00:00.123Z"`},
		{time.Date(2026, 11, 2, 23, 30, 0, 0, zone), `"2026-11-03T00:30:00.000Z"`},
		{time.Time{}, `"0001-01-01T00:00:00.000Z"`},
	} {
		got, err := json.Marshal(At(c.at))
		if err != nil || string(got) != c.want {
			t.Errorf("%v is written %s, %v", c.at, got, err)
		}
		// The SDK takes strings of 20 to 24 characters for times.
		if n := len(got) - 2; n != 24 {
			t.Errorf("%s has %d characters", got, n)
		}
		var back Time
		if err := json.Unmarshal(got, &back); err != nil || !back.Equal(c.at.Truncate(time.Millisecond)) {
			t.Errorf("%s is read %v, %v", got, back, err)
		}
	}
	if Ptr(time.Time{}) != nil || !Ptr(time.Unix(1, 0)).Equal(time.Unix(1, 0)) {
		t.Error("Ptr")
	}
}

// TestEncodeMeta: what is not written by hand is written all the same.
func TestEncodeMeta(t *testing.T) {
	m := &Response{Meta: &Meta{Topic: "me", TS: At(time.Unix(0, 0)), Tags: []string{"a<b", "é"}, Cred: []Credential{{Method: "email", Value: "a@b.cc", Done: true}}}}
	want := `{"meta":{"topic":"me","ts":"1970-01-01T00:00:00.000Z","tags":["a<b","é"],"cred":[{"meth":"email","val":"a@b.cc","done":true}]}}`
	if got := string(m.Encode()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	m.Meta.Desc = &Desc{Public: json.RawMessage(`{`)}
	var r Response
	if err := json.Unmarshal(m.Encode(), &r); err != nil || r.Ctrl == nil || r.Ctrl.Code != 500 {
		t.Errorf("a broken record is told as %s", m.Encode())
	}
}

// encoded checks what is appended by hand against encoding/json.
func encoded(t *testing.T, r *Response) {
	t.Helper()
	got := r.Encode()
	if !json.Valid(got) || !utf8.Valid(got) {
		t.Fatalf("not JSON in UTF-8: %q", got)
	}
	if bytes.ContainsAny(got, "\x00\r\n") {
		t.Fatalf("control characters in %q", got)
	}
	want, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if !sameJSON(t, got, want) {
		t.Fatalf("by hand %s\nby encoding/json %s", got, want)
	}
}

var oddStrings = []string{"", "plain", "é😀", "<>&'", `"\/`, "\x00\x01\x1f\x7f", "\u2028\u2029\ufeff\ufffd", "\xff\xc3(\xed\xa0\x80", "\r\n\t\b\f", Clear}

func TestEncodeOddStrings(t *testing.T) {
	raw, _ := json.Marshal(strings.Join(oddStrings, "|"))
	for _, s := range oddStrings {
		for _, r := range []*Response{
			{Data: &Data{Topic: s, From: s, TS: At(time.Unix(1, 999)), Seq: math.MaxInt, Head: raw, Content: raw}},
			{Data: &Data{Topic: s, Seq: math.MinInt}},
			{Pres: &Pres{Topic: s, Src: s, What: s, UA: s, Seq: -1, Clear: 1, DelSeq: []Range{{1, 0}, {0, 0}, {3, 9}}, Tgt: s, Act: s, Acs: &Acs{Want: s, Given: s, Mode: s}}},
			{Pres: &Pres{Topic: s, DelSeq: []Range{}, Acs: &Acs{}}},
			{Info: &Info{Topic: s, Src: s, From: s, What: s, Seq: 1, Event: s, Payload: raw}},
			{Info: &Info{Topic: s}},
			{Ctrl: &Ctrl{ID: s, Topic: s, Code: 200, Text: s, Params: map[string]any{"seq": 7}}},
			{Ctrl: &Ctrl{ID: s, Params: map[string]any{"seq": 7.5}}},
			{Ctrl: &Ctrl{Topic: s, Params: map[string]any{"seq": 7, s + "x": s}}},
			{Ctrl: &Ctrl{Text: s, Params: map[string]any{}}},
			{Meta: &Meta{ID: s, Topic: s, Tags: []string{s}, Aux: map[string]json.RawMessage{"k": raw}}},
		} {
			encoded(t, r)
		}
	}
}
