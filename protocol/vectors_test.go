package protocol

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// The vectors of spec/client.md#vectors, which other implementations can use too.
const vectorDir = "../spec/vectors/client"

func vectors[T any](t testing.TB, name string) T {
	t.Helper()
	j, err := os.ReadFile(filepath.Join(vectorDir, name))
	if err != nil {
		t.Fatal(err)
	}
	var v T
	d := json.NewDecoder(bytes.NewReader(j))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if r := reflect.ValueOf(v); r.Kind() == reflect.Slice && r.Len() == 0 {
		t.Fatalf("%s: no vectors", name)
	}
	return v
}

// sameJSON compares the meaning of two documents, numbers by their digits.
func sameJSON(t testing.TB, a, b []byte) bool {
	t.Helper()
	return reflect.DeepEqual(parseJSON(t, a), parseJSON(t, b))
}

func parseJSON(t testing.TB, j []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(j))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%q: %v", j, err)
	}
	return v
}

type decodeVector struct {
	Name    string
	Packet  string
	Base64  []byte // instead of Packet, for bytes that are no text
	Request json.RawMessage
	Error   bool
}

func (v decodeVector) bytes() []byte {
	if v.Base64 != nil {
		return v.Base64
	}
	return []byte(v.Packet)
}

func TestDecodeVectors(t *testing.T) {
	for _, v := range vectors[[]decodeVector](t, "decode.json") {
		t.Run(v.Name, func(t *testing.T) {
			r, err := Decode(v.bytes())
			if v.Error != (err != nil) {
				t.Fatalf("Decode(%s) = %v, want an error: %v", v.Packet, err, v.Error)
			}
			if err != nil {
				return
			}
			got, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			if !sameJSON(t, got, v.Request) {
				t.Errorf("Decode(%s) = %s\nwant %s", v.Packet, got, v.Request)
			}
		})
	}
}

func TestEncodeVectors(t *testing.T) {
	type vector struct {
		Name     string
		Response Response
		Wire     string
	}
	for _, v := range vectors[[]vector](t, "encode.json") {
		t.Run(v.Name, func(t *testing.T) {
			if got := v.Response.Encode(); !sameJSON(t, got, []byte(v.Wire)) {
				t.Errorf("got  %s\nwant %s", got, v.Wire)
			}
			again := new(Response)
			if err := json.Unmarshal([]byte(v.Wire), again); err != nil {
				t.Fatal(err)
			}
			if got := again.Encode(); !sameJSON(t, got, []byte(v.Wire)) {
				t.Errorf("read back and written: %s", got)
			}
		})
	}
}

func TestModeVectors(t *testing.T) {
	type vector struct {
		Mode, Change, To string
		Error            bool
	}
	for _, v := range vectors[[]vector](t, "modes.json") {
		m, err := ParseMode(v.Mode)
		if err != nil {
			t.Fatal(err)
		}
		got, err := m.Change(v.Change)
		if v.Error != (err != nil) || err == nil && got.String() != v.To {
			t.Errorf("%s changed by %q is %s, %v; want %s, error %v", v.Mode, v.Change, got, err, v.To, v.Error)
		}
	}
}

func TestNameVectors(t *testing.T) {
	type name struct {
		In, Out string
		Channel bool
		Error   bool
	}
	v := vectors[struct{ Nodes, Users, Groups []name }](t, "names.json")
	check := func(c name, out string, channel bool, err error) {
		t.Helper()
		if c.Error != (err != nil) || err == nil && (out != c.Out || channel != c.Channel) {
			t.Errorf("%q is read as %q, channel %v, %v; want %q, error %v", c.In, out, channel, err, c.Out, c.Error)
		}
	}
	for _, c := range v.Nodes {
		n, err := ParseNode(c.In)
		check(c, string(n), false, err)
	}
	for _, c := range v.Users {
		u, err := ParseUserID(c.In, "home.example")
		check(c, string(u), false, err)
	}
	for _, c := range v.Groups {
		g, channel, err := ParseGroupID(c.In, "home.example")
		check(c, string(g), channel, err)
	}
	if len(v.Nodes) == 0 || len(v.Users) == 0 || len(v.Groups) == 0 {
		t.Error("no vectors")
	}
}

func TestRangeVectors(t *testing.T) {
	type vector struct {
		In, Out []Range
		Error   bool
	}
	for _, v := range vectors[[]vector](t, "ranges.json") {
		rs, err := NewRanges(v.In)
		if v.Error != (err != nil) || err == nil && !reflect.DeepEqual(rs.Wire(), v.Out) {
			t.Errorf("%v is read as %v, %v; want %v, error %v", v.In, rs.Wire(), err, v.Out, v.Error)
		}
	}
}

func TestMergeVectors(t *testing.T) {
	type vector struct {
		Old, Change, Merged json.RawMessage
		Changed             bool
	}
	for _, v := range vectors[[]vector](t, "merge.json") {
		got, changed, err := MergeJSON(v.Old, v.Change)
		if err != nil {
			t.Fatal(err)
		}
		if got == nil {
			got = []byte("null")
		}
		if !sameJSON(t, got, v.Merged) || changed != v.Changed {
			t.Errorf("%s changed by %s is %s, %v; want %s, %v", v.Old, v.Change, got, changed, v.Merged, v.Changed)
		}
	}
}
