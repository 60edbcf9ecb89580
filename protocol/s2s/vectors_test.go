package s2s

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"parley/protocol"
)

// The vectors of spec/link.md#vectors. With -update what the code says of them is
// written; what they are about is in samples_test.go and here.
const vectorDir = "../../spec/vectors/link"

var update = flag.Bool("update", false, "write the vectors")

// vectors reads a file, or writes made.
func vectors[T any](t testing.TB, name string, made []T) []T {
	t.Helper()
	file := filepath.Join(vectorDir, name)
	if *update {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		if err := e.Encode(made); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	j, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var v []T
	d := json.NewDecoder(bytes.NewReader(j))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if !reflect.DeepEqual(v, made) {
		t.Errorf("%s is not what the code makes: go test ./protocol/s2s -update", name)
	}
	return v
}

// frameVector is a frame of a.example to b.example.
type frameVector struct {
	Name       string `json:"name"`
	Kind       string `json:"kind"`
	Meaning    string `json:"meaning,omitempty"`
	Hex        string `json:"hex"`        // without length
	Diagnostic string `json:"diagnostic"` // RFC 8949 section 8
	Full       string `json:"full"`       // with all ids in full
}

func kindOf(f Frame) string { return strings.ToLower(reflect.TypeOf(f).Elem().Name()) }

// newFrame is an empty frame of a kind.
func newFrame(t testing.TB, kind string) Frame {
	t.Helper()
	for _, f := range frames() {
		if kindOf(f) == kind {
			return f
		}
	}
	t.Fatalf("no kind %q", kind)
	return nil
}

func diagnose(t testing.TB, b []byte) string {
	t.Helper()
	s, err := cbor.Diagnose(b)
	if err != nil {
		t.Fatalf("%x: %v", b, err)
	}
	return s
}

func checkFrame(f Frame, from protocol.Node) error {
	switch f := f.(type) {
	case *Post:
		return f.Check(from)
	case *Line:
		switch {
		case f.Post != nil:
			return f.Post.Check(from)
		case f.Log != nil:
			return f.Log.Check(from)
		}
	case *Cast:
		return f.Check(from)
	case *Ask:
		return f.Check(from)
	}
	return nil
}

func TestFrameVectors(t *testing.T) {
	var made []frameVector
	for _, s := range samples() {
		b, err := here.Append(nil, s.frame)
		if err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		full, err := Marshal(s.frame)
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, frameVector{s.name, kindOf(s.frame), s.meaning, hex.EncodeToString(b), diagnose(t, b), diagnose(t, full)})
	}
	set := map[string]bool{}
	for _, v := range vectors(t, "frames.json", made) {
		t.Run(v.Name, func(t *testing.T) {
			b, err := hex.DecodeString(v.Hex)
			if err != nil {
				t.Fatal(err)
			}
			f := newFrame(t, v.Kind)
			if err := there.Decode(b, f); err != nil {
				t.Fatal(err)
			}
			if err := checkFrame(f, "a.example"); err != nil {
				t.Errorf("refused: %v", err)
			}
			if again, err := here.Append(nil, f); err != nil || !bytes.Equal(again, b) {
				t.Errorf("written again as %x, %v", again, err)
			}
			used(set, reflect.ValueOf(f).Elem())
		})
	}
	for _, f := range frames() {
		for name := range fieldsOf(reflect.TypeOf(f).Elem(), map[string]bool{}) {
			if !set[name] {
				t.Errorf("no vector has %s", name)
			}
		}
	}
}

// used notes the fields that are set.
func used(set map[string]bool, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			used(set, v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			used(set, v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && !v.Field(i).IsZero() {
				set[v.Type().Name()+"."+f.Name] = true
				used(set, v.Field(i))
			}
		}
	}
}

// fieldsOf names the fields of a type and of all in it.
func fieldsOf(s reflect.Type, all map[string]bool) map[string]bool {
	for s.Kind() == reflect.Pointer || s.Kind() == reflect.Slice || s.Kind() == reflect.Map {
		s = s.Elem()
	}
	if s.Kind() != reflect.Struct {
		return all
	}
	for i := range s.NumField() {
		if f := s.Field(i); f.IsExported() && !all[s.Name()+"."+f.Name] {
			all[s.Name()+"."+f.Name] = true
			fieldsOf(f.Type, all)
		}
	}
	return all
}

// badVector is something that a.example must not say, and what b.example does then:
// "close" the connection, for a cast as a datagram or a question ignore or refuse it, or
// give the verdict refused with a fault.
type badVector struct {
	Name   string `json:"name"`
	Kind   string `json:"kind"`
	Hex    string `json:"hex"`
	Then   string `json:"then"`
	Reason string `json:"reason"`
}

func badFrames(t *testing.T) []badVector {
	raw := func(name, kind, hex, reason string) badVector { return badVector{name, kind, hex, "close", reason} }
	all := []badVector{
		raw("empty", "control", "", "nothing is no frame"),
		raw("no map", "control", "81a0", "a frame is a map"),
		raw("cut off", "line", "a10118", "the number has no second byte"),
		raw("two frames", "line", "a10205a10206", "something follows the map"),
		raw("keys turned round", "line", "a203050204", "keys must rise"),
		raw("key twice", "line", "a202050206", "keys must rise"),
		raw("text as a key", "line", "a1613205", "keys are numbers"),
		raw("long number", "line", "a1021805", "5 is not in its shortest form"),
		raw("long key", "line", "a1180205", "nor is the key"),
		raw("long length", "control", "a105a101580161", "a text where the major type is one of bytes"),
		raw("indefinite map", "line", "bf0205ff", "no indefinite length"),
		raw("indefinite text", "control", "a105a1017f6161ff", "no indefinite length"),
		raw("tag", "line", "a102c105", "no tags"),
		raw("float", "line", "a102f94500", "no floats"),
		raw("null", "control", "a105f6", "what is absent is left out"),
		raw("negative", "line", "a10220", "numbers of posts are not negative"),
		raw("too large", "control", "a102a10119ffff", "a lane has one byte"),
		raw("not UTF-8", "control", "a105a10161ff", "text is UTF-8"),
		raw("id without characters", "ask", "a10260", "an id has some before @"),
		raw("id of nobody", "ask", "a1026140", "an id has some before @"),
		raw("array that is too long", "cast", "a101a1019a7fffffff", "more elements than bytes"),
		raw("unknown and malformed", "line", "a21863616101ff", "also what is passed over must be well-formed"),
		raw("unknown and unordered", "line", "a21863a202000100186401", "and its keys in order"),
		raw("too deep", "line", "a11863"+strings.Repeat("81", 20)+"00", "deeper than 16"),
		raw("post without number", "line", "a101a103f6", "which post is bad cannot be told"),
	}
	for _, b := range badPosts() {
		w, err := here.Append(nil, b.line)
		if err != nil {
			t.Fatalf("%s: %v", b.name, err)
		}
		all = append(all, badVector{b.name, "line", hex.EncodeToString(w), b.fault.Text(), b.reason})
	}
	return append(all,
		badVector{"post with a field of another type", "line", "a101a2010103f5", protocol.Malformed.Text(), "From is true; the others of the lane go on"},
		badVector{"post of an unknown kind", "line", "a101a2010718630a", protocol.Unsupported.Text(), "a later version has it"})
}

type badPost struct {
	name   string
	line   *Line
	fault  protocol.Fault
	reason string
}

func badPosts() []badPost {
	message := func(set func(*Message)) *Line {
		return post(func(p *Post) {
			p.Message = &Message{Origin: 1, Tag: 2, Content: []byte(`"Hi"`)}
			set(p.Message)
		})
	}
	return []badPost{
		{"from another node", post(func(p *Post) { p.From, p.To, p.Card = carol, "", sampleCard() }), protocol.Denied, "c.example's users are not a.example's"},
		{"card of another user", post(func(p *Post) { c := sampleCard(); c.User = carol; p.To, p.Card = "", c }), protocol.Denied, "likewise"},
		{"to nobody", post(func(p *Post) { p.To, p.Message = "", &Message{Origin: 1, Content: []byte("1")} }), protocol.Malformed, "a message is for a user"},
		{"malformed id", post(func(p *Post) {
			p.From, p.Message = "usr2il9suCbukp@a.example", &Message{Origin: 1, Content: []byte("1")}
		}), protocol.Malformed, "spare bits"},
		{"two kinds", post(func(p *Post) { p.Marks, p.Aux = &Marks{Read: nameOf()}, &Aux{} }), protocol.Malformed, "one field of the kinds"},
		{"broken content", message(func(m *Message) { m.Content = []byte(`{"a"`) }), protocol.Malformed, "content is JSON"},
		{"no content", message(func(m *Message) { m.Content = nil }), protocol.Malformed, "content is JSON"},
		{"content that is no text", message(func(m *Message) { m.Content = []byte("\"\xff\"") }), protocol.Malformed, "JSON is UTF-8"},
		{"content that is deep", message(func(m *Message) { m.Content = []byte(strings.Repeat("[", 1000) + strings.Repeat("]", 1000)) }), protocol.Malformed, "clients cannot read it"},
		{"head that is no object", message(func(m *Message) { m.Head = []byte(`[1]`) }), protocol.Malformed, "head is an object"},
		{"message without number", message(func(m *Message) { m.Origin = 0 }), protocol.Malformed, "numbers begin with 1"},
		{"empty range", post(func(p *Post) { p.Delete = &Delete{Of: []Erased{{From: alice, Ranges: []Span{{Low: 3, High: 3}}}}} }), protocol.Malformed, "high is not included"},
		{"card of a time before 1970", message(func(m *Message) { m.Card = sampleCard(); m.Card.Version = -1 }), protocol.Malformed, "versions are not negative"},
		{"command for another's user", post(func(p *Post) {
			p.To, p.Topic = "", theirGroup
			p.Command = &Command{Key: make([]byte, KeySize), Group: theirGroup, User: carol, Request: []byte("{}")}
		}), protocol.Denied, "c.example sends its own"},
		{"invitation to another's group", post(func(p *Post) {
			g := sampleGroup()
			g.ID = theirGroup
			p.To, p.Topic, p.Invite = "", hubGroup, &Invite{User: bob, Group: g}
		}), protocol.Denied, "a node invites to its groups"},
		{"log of another's group", &Line{Log: &Log{Group: theirGroup, Events: []Event{{End: true}}}}, protocol.Denied, "a home speaks of its own groups"},
		{"event of an unknown kind", &Line{Log: &Log{Group: hubGroup, Events: []Event{{At: 1}}}}, protocol.Unsupported, "who follows cannot pass over it"},
	}
}

func TestBadVectors(t *testing.T) {
	for _, v := range vectors(t, "bad.json", badFrames(t)) {
		t.Run(v.Name, func(t *testing.T) {
			b, err := hex.DecodeString(v.Hex)
			if err != nil {
				t.Fatal(err)
			}
			f := newFrame(t, v.Kind)
			err = there.Decode(b, f)
			if (v.Then == "close") != errors.Is(err, ErrFrame) {
				t.Fatalf("read as %+v, %v", f, err)
			}
			if err != nil {
				return
			}
			if err := checkFrame(f, "a.example"); err == nil || protocol.FaultOf(err).Text() != v.Then {
				t.Errorf("error %v, want %s", err, v.Then)
			}
			if l := f.(*Line); l.Post != nil && l.Post.N == 0 {
				t.Error("which post that was is not known")
			}
		})
	}
}

func TestLaneVectors(t *testing.T) {
	type vector struct {
		Topic protocol.TopicID `json:"topic"`
		Lane  uint8            `json:"lane"`
	}
	var made []vector
	for _, x := range []protocol.TopicID{"", hubGroup, theirGroup, "grpAAAAAAAAAAE@c.example", "grp__________8@xn--bcher-kva.example", "grpAAAAAAAAAAI@a.example", "grpAAAAAAAAAAM@a.example",
		protocol.P2P(alice, bob), protocol.P2P(bob, carol), protocol.P2P(alice, carol)} {
		made = append(made, vector{x, LaneOf(x)})
	}
	seen := map[uint8]bool{}
	for _, v := range vectors(t, "lanes.json", made) {
		h := uint32(2166136261) // FNV-1a
		for _, c := range []byte(v.Topic) {
			h = (h ^ uint32(c)) * 16777619
		}
		if h%4 != uint32(v.Lane) {
			t.Errorf("%s is in lane %d, not %d", v.Topic, h%4, v.Lane)
		}
		seen[v.Lane] = true
	}
	if len(seen) != Lanes {
		t.Errorf("lanes %v", seen)
	}
}

func TestSignatureVectors(t *testing.T) {
	type vector struct {
		What      string `json:"what"`
		Seed      string `json:"seed"`
		Text      string `json:"text"`
		Signature string `json:"signature"`
	}
	card, tomb := sampleCard(), &Tombstone{User: alice, Erase: true, At: sampleTime}
	message := &GroupMessage{Tag: 5, TS: sampleTime, Content: []byte(sampleBody)}
	headed := &GroupMessage{Seq: 9, Tag: 5, TS: sampleTime, Head: []byte(`{"mime":"text/x-drafty"}`), Content: []byte(sampleBody)}
	key := testKey(1)
	var made []vector
	for _, s := range []struct {
		what string
		text []byte
	}{
		{"the card of the frame \"card\"", card.Signed()},
		{"the tombstone of the frame \"tombstone\"", tomb.Signed()},
		{"the message of carol in the frame \"log\"; its Seq is not signed", message.Signed(hubGroup, carol)},
		{"a message with a head", headed.Signed(hubGroup, carol)},
		{"the card of the frame \"card of a guest\"", guestCard().Signed()},
	} {
		made = append(made, vector{s.what, hex.EncodeToString(key.Seed()), hex.EncodeToString(s.text), hex.EncodeToString(ed25519.Sign(key, s.text))})
	}
	texts := map[string]bool{}
	for _, v := range vectors(t, "signatures.json", made) {
		text, err1 := hex.DecodeString(v.Text)
		sig, err2 := hex.DecodeString(v.Signature)
		if err1 != nil || err2 != nil || !ed25519.Verify(key.Public().(ed25519.PublicKey), text, sig) {
			t.Errorf("%s: the signature is wrong", v.What)
		}
		texts[v.Text] = true
	}
	if len(texts) != len(made) {
		t.Error("two texts are the same")
	}
	headed.Seq = 10
	if got := hex.EncodeToString(headed.Signed(hubGroup, carol)); got != made[3].Text {
		t.Error("the home of a group cannot number what is signed")
	}
}
