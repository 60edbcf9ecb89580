package s2s

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"parley/protocol"
)

// seeds adds the hex of all frames of the vectors.
func seeds(f *testing.F, add func(b []byte)) {
	for _, name := range []string{"frames.json", "bad.json"} {
		j, err := os.ReadFile(filepath.Join(vectorDir, name))
		if err != nil {
			f.Fatal(err)
		}
		var vs []struct{ Hex string }
		if err := json.Unmarshal(j, &vs); err != nil {
			f.Fatal(err)
		}
		for _, v := range vs {
			b, err := hex.DecodeString(v.Hex)
			if err != nil {
				f.Fatal(err)
			}
			add(b)
		}
	}
}

// FuzzDecode: no frame ends the decoder; what it reads is well-formed CBOR, and is read
// again as the same after it was written.
func FuzzDecode(f *testing.F) {
	seeds(f, func(b []byte) { f.Add(b) })
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, one := range frames() {
			before := bytes.Clone(b)
			err := there.Decode(b, one)
			if !bytes.Equal(b, before) {
				t.Fatal("the decoder writes into the frame")
			}
			if err != nil {
				if !errors.Is(err, ErrFrame) {
					t.Fatalf("error %v", err)
				}
				continue
			}
			if err := cbor.Wellformed(b); err != nil {
				t.Fatalf("%x is read: %v", b, err)
			}
			_ = checkFrame(one, "a.example")
			again(t, one)
		}
	})
}

// again writes and reads a frame that was read.
func again(t *testing.T, f Frame) {
	t.Helper()
	if l, ok := f.(*Line); ok && l.Post != nil && l.Post.bad != nil {
		return // there is nothing to write
	}
	once, err := here.Append(nil, f)
	if err != nil {
		t.Fatalf("%+v: %v", f, err)
	}
	back := newFrame(t, kindOf(f))
	if err := there.Decode(once, back); err != nil {
		t.Fatalf("%x cannot be read again: %v", once, err)
	}
	normalize(f)
	if !reflect.DeepEqual(f, back) {
		t.Fatalf("%+v\nbecomes %+v", f, back)
	}
	if twice, err := here.Append(nil, back); err != nil || !bytes.Equal(once, twice) {
		t.Fatalf("%x becomes %x, %v", once, twice, err)
	}
}

// FuzzReadFrame: what is read from a stream takes no more than was allowed, and no room
// for what does not come.
func FuzzReadFrame(f *testing.F) {
	seeds(f, func(b []byte) { f.Add(append(AppendVarint(nil, uint64(len(b))), b...), 100) })
	f.Add([]byte{0xbf, 0xff, 0xff, 0xff, 0xa0}, 1<<30)
	f.Fuzz(func(t *testing.T, b []byte, limit int) {
		r := bytes.NewReader(b)
		got, err := ReadBytes(r, limit)
		switch {
		case err == nil && (len(got) > max(limit, 0) || !bytes.HasSuffix(b[:len(b)-r.Len()], got)):
			t.Errorf("%d bytes, %d are allowed", len(got), limit)
		case err != nil && got != nil:
			t.Errorf("%x with %v", got, err)
		case err == io.EOF && len(b) > 0:
			t.Errorf("%x: the end", b)
		}
	})
}

// FuzzID: the check of ids in frames lets pass what the protocol reads unchanged.
func FuzzID(f *testing.F) {
	for _, id := range []string{string(alice), string(carol), "usr2il9suCbukp@a.example", "usr2il9suCbuko@", "usr2il9suCbuko", "usr2il9suCbuko@A.example", "grp2il9suCbuko@a", ""} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		u, err := protocol.ParseUserID(id, "")
		if want := err == nil && string(u) == id && u.Node() != ""; wellFormed(id, "usr") != want {
			t.Errorf("user %q: %v", id, !want)
		}
		g, channel, err := protocol.ParseGroupID(id, "")
		if want := err == nil && !channel && string(g) == id && g.Home() != ""; wellFormed(id, "grp") != want {
			t.Errorf("group %q: %v", id, !want)
		}
	})
}

// FuzzReference: what is accepted is read as another decoder reads it.
func FuzzReference(f *testing.F) {
	for _, s := range samples() {
		b, err := Marshal(s.frame)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, one := range frames() {
			if Unmarshal(b, one) != nil {
				continue
			}
			if l, ok := one.(*Line); ok && l.Post != nil && l.Post.bad != nil {
				continue
			}
			other := newFrame(t, kindOf(one))
			if err := cbor.Unmarshal(b, other); err != nil {
				t.Fatalf("%x: another decoder says %v", b, err)
			}
			x, err1 := Marshal(one)
			y, err2 := Marshal(other)
			if err1 != nil || err2 != nil || !bytes.Equal(x, y) {
				t.Fatalf("%x is read as %+v, %v; by another as %+v, %v", b, one, err1, other, err2)
			}
		}
	})
}
