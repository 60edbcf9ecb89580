package s2s

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"parley/protocol"
)

var (
	here  = Codec{Self: "a.example", Peer: "b.example"}
	there = Codec{Self: "b.example", Peer: "a.example"}
)

const (
	alice = protocol.UserID("usr2il9suCbuko@a.example")
	bob   = protocol.UserID("usrAAAAAAAAAAA@b.example")
	carol = protocol.UserID("usr__________8@c.example")
)

// frames are those that stand alone.
func frames() []Frame {
	return []Frame{new(Control), new(Line), new(Cast), new(Ask), new(Answer), new(Verdict), new(Post)}
}

// fill sets a value to something at random, of the kind of what is said in earnest.
func fill(r *rand.Rand, v reflect.Value, depth int) {
	switch v.Interface().(type) {
	case protocol.UserID:
		v.SetString(string(someUser(r)))
		return
	case protocol.TopicID:
		v.SetString(string(someTopic(r)))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if depth > 0 && r.IntN(3) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(r, v.Elem(), depth-1)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(r, v.Field(i), depth)
			}
		}
	case reflect.Slice:
		fillSlice(r, v, depth)
	case reflect.Map:
		for range r.IntN(4) {
			if v.IsNil() {
				v.Set(reflect.MakeMap(v.Type()))
			}
			e := reflect.New(v.Type().Elem()).Elem()
			fill(r, e, depth)
			v.SetMapIndex(reflect.ValueOf(someText(r)), e)
		}
	case reflect.String:
		v.SetString(someText(r))
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(someNumber(r)))
	case reflect.Uint8, reflect.Uint32, reflect.Uint64:
		v.SetUint(someNumber(r) >> (64 - v.Type().Bits()))
	}
}

func fillSlice(r *rand.Rand, v reflect.Value, depth int) {
	n := r.IntN(4)
	if n == 0 || depth == 0 {
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), n, n))
	for i := range n {
		e := v.Index(i)
		fill(r, e, depth-1)
		switch { // elements are not empty
		case e.Type() == reflect.TypeFor[protocol.UserID]() && e.Len() == 0:
			e.SetString(string(carol))
		case e.Kind() == reflect.Slice && e.Len() == 0:
			e.SetBytes([]byte{1})
		}
	}
}

func someNumber(r *rand.Rand) uint64 {
	edges := []uint64{0, 1, 23, 24, 255, 256, 65535, 65536, math.MaxUint32, math.MaxUint32 + 1, math.MaxInt64, math.MaxUint64}
	if r.IntN(2) == 0 {
		return edges[r.IntN(len(edges))]
	}
	return r.Uint64()
}

func someText(r *rand.Rand) string {
	return strings.Repeat("aß\U0001f600"[:[]int{1, 3, 7}[r.IntN(3)]], r.IntN(30))
}

func someUser(r *rand.Rand) protocol.UserID {
	return []protocol.UserID{"", alice, bob, carol}[r.IntN(4)]
}

func someTopic(r *rand.Rand) protocol.TopicID {
	return []protocol.TopicID{"", "grp2il9suCbuko@a.example", "grpAAAAAAAAAAA@b.example", "grpAAAAAAAAAAE@c.example",
		protocol.P2P(alice, bob), protocol.P2P(bob, carol)}[r.IntN(6)]
}

// random makes frames of all kinds.
func random(seed uint64, each func(Frame)) {
	r := rand.New(rand.NewPCG(seed, 0))
	for range 400 {
		for _, f := range frames() {
			fill(r, reflect.ValueOf(f).Elem(), 6)
			each(f)
		}
	}
}

// TestRoundTrip: what is read is what was written, between two nodes and in what is kept.
func TestRoundTrip(t *testing.T) {
	random(1, func(f Frame) {
		for _, c := range []struct{ from, to Codec }{{here, there}, {Codec{}, Codec{}}} {
			b, err := c.from.Append(nil, f)
			if err != nil {
				t.Fatal(err)
			}
			back := reflect.New(reflect.TypeOf(f).Elem()).Interface().(Frame)
			if err := c.to.Decode(b, back); err != nil {
				t.Fatalf("%+v\nas %x: %v", f, b, err)
			}
			normalize(f)
			if !reflect.DeepEqual(f, back) {
				t.Fatalf("%x is read as\n%+v\nwant\n%+v", b, back, f)
			}
		}
	})
}

// normalize leaves out of posts what follows from the rest.
func normalize(f Frame) {
	switch f := f.(type) {
	case *Post:
		if f.Topic == f.ends() {
			f.Topic = ""
		}
	case *Line:
		if f.Post != nil {
			normalize(f.Post)
		}
	case *Answer:
		for i := range f.Posts {
			normalize(&f.Posts[i])
		}
	}
}

// TestReference: with ids in full, frames are what another encoder makes of the tags of
// the types.
func TestReference(t *testing.T) {
	random(2, func(f Frame) {
		normalize(f)
		got, err := Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		want, err := statementOut.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			gotText, _ := cbor.Diagnose(got)
			wantText, _ := cbor.Diagnose(want)
			t.Fatalf("%+v\nis written as %s\nwant          %s", f, gotText, wantText)
		}
	})
}

// TestKeys: the types have fewer fields than fit into the first byte of a map.
func TestKeys(t *testing.T) {
	seen := map[reflect.Type]bool{}
	var look func(reflect.Type)
	look = func(s reflect.Type) {
		for s.Kind() == reflect.Pointer || s.Kind() == reflect.Slice || s.Kind() == reflect.Map {
			s = s.Elem()
		}
		if s.Kind() != reflect.Struct || seen[s] {
			return
		}
		seen[s] = true
		if s.NumField() > 23 {
			t.Errorf("%v has %d fields", s, s.NumField())
		}
		for i := range s.NumField() {
			look(s.Field(i).Type)
		}
	}
	for _, f := range frames() {
		look(reflect.TypeOf(f))
	}
	if len(seen) < 30 {
		t.Errorf("%d types", len(seen))
	}
}

func TestShortIDs(t *testing.T) {
	for _, c := range []struct {
		topic protocol.TopicID
		wire  string
	}{
		{"grp2il9suCbuko@a.example", "grp2il9suCbuko"},
		{"grp2il9suCbuko@b.example", "grp2il9suCbuko@"},
		{"grp2il9suCbuko@c.example", "grp2il9suCbuko@c.example"},
		{protocol.P2P(alice, bob), "p2p:usr2il9suCbuko,usrAAAAAAAAAAA@"},
		{protocol.P2P(bob, carol), "p2p:usrAAAAAAAAAAA@,usr__________8@c.example"},
	} {
		b, err := here.Append(nil, &Ask{Snapshot: c.topic})
		if err != nil || string(b) != "\xa1\x08"+string(appendHead(nil, majorText, uint64(len(c.wire))))+c.wire {
			t.Errorf("%s is written %q, %v; want %q", c.topic, b, err, c.wire)
		}
		var a Ask
		if err := here.DecodeOwn(b, &a); err != nil || a.Snapshot != c.topic {
			t.Errorf("%q is read as %q, %v", b, a.Snapshot, err)
		}
	}
	for _, bad := range []string{"@", "@a.example", "x@", "x"} {
		if b, err := here.Append(nil, &Ask{Card: protocol.UserID(bad)}); !errors.Is(err, ErrFrame) {
			t.Errorf("%q is written as %x", bad, b)
		}
		if err := (Codec{}).Decode(append([]byte{0xa1, 2, majorText | byte(len(bad))}, bad...), new(Ask)); bad != "@a.example" && !errors.Is(err, ErrFrame) {
			t.Errorf("%q is read without ends: %v", bad, err)
		}
	}
}

func post100() *Post {
	return &Post{From: alice, To: bob, At: 1_793_613_600_123,
		Message: &Message{Origin: 4711, Tag: 0xdeadbeef, Content: []byte(`"` + strings.Repeat("x", 98) + `"`)}}
}

// TestPostSize: what a message costs on the wire.
func TestPostSize(t *testing.T) {
	body, err := here.PostBody(post100())
	if err != nil {
		t.Fatal(err)
	}
	for n, most := range map[uint64]int{1: 170, 70_000: 170, 1 << 40: 175} {
		b, err := AppendPost(nil, n, body)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) > most {
			t.Errorf("post %d has %d bytes, want at most %d", n, len(b), most)
		}
		var l Line
		if size, err := there.ReadFrame(bytes.NewReader(b), MaxFrame, &l); err != nil || size != len(b)-2 {
			t.Fatal(size, err)
		}
		want := post100()
		if want.N = n; !reflect.DeepEqual(l.Post, want) {
			t.Errorf("read %+v", l.Post)
		}
		same, err := here.AppendFrame(nil, &Line{Post: want})
		if err != nil || !bytes.Equal(same, b) {
			t.Errorf("written at once %x, %v\nfrom its body   %x", same, err, b)
		}
	}
	for _, bad := range [][]byte{nil, {0xa0}, {0xa1}, {0xb8, 24}, {0xa1, 1, 5}, {0xb7, 3}} {
		if b, err := AppendPost(nil, 1, bad); err == nil {
			t.Errorf("%x is taken as a post: %x", bad, b)
		}
	}
	if _, err := AppendPost(nil, 0, body); err == nil {
		t.Error("there is a post 0")
	}
}

func TestReadFrame(t *testing.T) {
	var b []byte
	sizes := []int{0, 10, 60, 61, 62, 63, 64, 1 << 10, 1 << 14, 200 << 10}
	for _, n := range sizes {
		var err error
		if b, err = here.AppendFrame(b, &Ask{Ping: &Ping{Data: make([]byte, n)}}); err != nil {
			t.Fatal(err)
		}
	}
	r := bufio.NewReader(bytes.NewReader(b))
	for _, n := range sizes {
		var a Ask
		if _, err := there.ReadFrame(r, MaxFrame, &a); err != nil || len(a.Ping.Data) != n {
			t.Fatalf("%d bytes: %v", n, err)
		}
	}
	if _, err := there.ReadFrame(r, MaxFrame, new(Ask)); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
	one, err := here.AppendFrame(nil, &Ask{Ping: &Ping{Data: make([]byte, 70)}})
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n < len(one); n++ { // cut off anywhere
		cut := bytes.NewReader(one[:n])
		if _, err := there.ReadFrame(cut, MaxFrame, new(Ask)); err != io.ErrUnexpectedEOF {
			t.Errorf("cut off after %d: %v", n, err)
		}
	}
	if _, err := there.ReadFrame(bytes.NewReader([]byte{0x80, 0x10, 0, 1}), MaxFrame, new(Ask)); !errors.Is(err, ErrFrame) {
		t.Errorf("a frame that is too long: %v", err)
	}
}

// TestVarint has the examples of RFC 9000 appendix A.1.
func TestVarint(t *testing.T) {
	for n, want := range map[uint64]string{151288809941952652: "\xc2\x19\x7c\x5e\xff\x14\xe8\x8c", 494878333: "\x9d\x7f\x3e\x7d", 15293: "\x7b\xbd", 37: "%"} {
		if b := AppendVarint(nil, n); string(b) != want {
			t.Errorf("%d is written %x", n, b)
		}
		if back, err := ReadVarint(strings.NewReader(want)); back != n || err != nil {
			t.Errorf("%x is read as %d, %v", want, back, err)
		}
	}
	if n, err := ReadVarint(strings.NewReader("\x40\x25")); n != 37 || err != nil {
		t.Errorf("longer than needed: %d, %v", n, err)
	}
}

func BenchmarkEncodePost(b *testing.B) {
	p := post100()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := here.PostBody(p); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendPost(b *testing.B) {
	body, err := here.PostBody(post100())
	if err != nil {
		b.Fatal(err)
	}
	out := make([]byte, 0, 512)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := AppendPost(out, 70_000, body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodePost(b *testing.B) {
	p := post100()
	p.N = 70_000
	wire, err := here.Append(nil, &Line{Post: p})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		var l Line
		if err := there.Decode(wire, &l); err != nil {
			b.Fatal(err)
		}
	}
}
