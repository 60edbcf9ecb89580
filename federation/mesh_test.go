package federation_test

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"parley/protocol"
	"parley/protocol/s2s"
)

var two = []protocol.Node{"a.example", "b.example"}

func (w *world) ab() (a, b *node) { return w.nodes["a.example"], w.nodes["b.example"] }

func TestPostsArrive(t *testing.T) {
	bubble(t, two, func(w *world) {
		a, b := w.ab()
		for k := range 300 {
			for i := range 5 {
				a.write(b, i, k+1)
				b.write(a, i, k+1)
			}
		}
		for i := range 5 {
			b.has(a, i, 300, time.Minute)
			a.has(b, i, 300, time.Minute)
		}
		a.settled(b, time.Minute)
		b.settled(a, time.Minute)
		if s := a.stats(b); s.Sent != 1500 || s.Acked != 1500 || s.Taken != 1500 || s.State != "up" {
			w.Errorf("figures %+v", s)
		}
	})
}

func TestFirstPostOnAColdLink(t *testing.T) {
	bubble(t, two, func(w *world) {
		a, b := w.ab()
		for i, most := range []time.Duration{
			5 * latency, // connect, both Hellos, post
			3 * latency, // connect, Hello and post: the two know each other
			3 * latency,
		} {
			k := i + 1
			begin := time.Now()
			a.write(b, 1, k)
			for len(b.pages(a, 1)) < k {
				w.pass(time.Millisecond)
			}
			if d := time.Since(begin); d > most+5*time.Millisecond {
				w.Errorf("link %d: after %v of %v", k, d, most)
			}
			a.settled(b, time.Second)
			w.pass(10 * time.Minute) // idle
			if s := a.stats(b); s.State == "up" {
				w.Fatalf("figures %+v", s)
			}
		}
	})
}

func TestCastsArrive(t *testing.T) {
	bubble(t, two, func(w *world) {
		a, b := w.ab()
		note := func(data []byte) *s2s.Cast {
			return &s2s.Cast{Note: &s2s.Note{Topic: topic(a.name, b.name, 1), From: user(a.name, 1), What: "kp", Data: data}}
		}
		a.mesh.Cast(b.name, note(nil)) // no link: lost
		a.write(b, 1, 1)
		b.has(a, 1, 1, time.Second)
		a.mesh.Cast(b.name, note(nil))
		a.mesh.Cast(b.name, note([]byte(`"`+strings.Repeat("x", 5000)+`"`)))
		w.pass(time.Second)
		if got := len(b.book.heard); got != 2 {
			w.Errorf("%d casts were heard, want 2", got)
		}
	})
}

func TestCallMakesALink(t *testing.T) {
	bubble(t, two, func(w *world) {
		a, b := w.ab()
		for range 3 {
			a.mesh.Cast(b.name, &s2s.Cast{Call: &s2s.Call{Topic: topic(a.name, b.name, 1), From: user(a.name, 1),
				Of: s2s.Name{From: user(b.name, 1), Origin: 1}, Event: "ringing"}})
		}
		w.pass(time.Second)
		if got := len(b.book.heard); got != 3 {
			w.Errorf("%d signals were heard, want 3", got)
		}
	})
}

func TestQuestions(t *testing.T) {
	bubble(t, two, func(w *world) {
		a, b := w.ab()
		answer, body, err := a.mesh.Ask(w.Context(), b.name, &s2s.Ask{Opinion: []byte("x")})
		if err != nil || body != nil || string(answer.Opinion) != "x" {
			w.Fatalf("answer %+v, %v", answer, err)
		}
		if answer, _, err = a.mesh.Ask(w.Context(), b.name, &s2s.Ask{Ping: &s2s.Ping{Data: []byte("y")}}); err != nil || string(answer.Ping.Data) != "y" {
			w.Fatalf("ping: %+v, %v", answer, err)
		}
		if _, _, err := a.mesh.Ask(w.Context(), b.name, &s2s.Ask{Handle: "x"}); !errors.Is(err, protocol.NotFound) {
			w.Errorf("error %v, want NotFound", err)
		}
		const size = 3 << 20
		_, body, err = a.mesh.Ask(w.Context(), b.name, &s2s.Ask{File: &s2s.File{Length: size}})
		if err != nil {
			w.Fatal(err)
		}
		n, err := io.Copy(io.Discard, body)
		if err := errors.Join(err, body.Close()); err != nil || n != size {
			w.Errorf("body of %d bytes, %v", n, err)
		}
		_, body, err = a.mesh.Ask(w.Context(), b.name, &s2s.Ask{File: &s2s.File{Length: size}})
		if err != nil {
			w.Fatal(err)
		}
		if err := body.Close(); err != nil { // without reading it
			w.Error(err)
		}
		begin := time.Now()
		if _, _, err := a.mesh.Ask(w.Context(), "nobody.example", &s2s.Ask{}); !errors.Is(err, protocol.Busy) {
			w.Errorf("error %v, want Busy", err)
		}
		if d := time.Since(begin); d > time.Second {
			w.Errorf("after %v", d)
		}
		b.halt()
		w.pass(0)
		if _, _, err := a.mesh.Ask(w.Context(), b.name, &s2s.Ask{}); !errors.Is(err, protocol.Busy) {
			w.Errorf("error %v, want Busy", err)
		}
	})
}

// What a node says of its reach is heard with the first word of a link, and when it changes.
func TestReachIsTold(t *testing.T) {
	bubble(t, two, func(w *world) {
		a, b := w.ab()
		heard := func(want ...uint8) {
			w.Helper()
			b.book.mu.Lock()
			defer b.book.mu.Unlock()
			if !slices.Equal(b.book.reaches, want) {
				w.Errorf("b has heard %v, want %v", b.book.reaches, want)
			}
		}
		a.mesh.Reach(3)
		a.write(b, 1, 1)
		w.pass(time.Second)
		heard(3)
		a.mesh.Reach(4)
		a.mesh.Reach(4)
		w.pass(time.Second)
		heard(3, 4)
		w.pass(time.Hour) // the link ends
		a.write(b, 1, 2)
		w.pass(time.Second)
		heard(3, 4, 4)
	})
}

func TestIdleLinkCloses(t *testing.T) {
	bubble(t, two, func(w *world) {
		a, b := w.ab()
		a.write(b, 1, 1)
		w.pass(4 * time.Minute)
		if !a.mesh.Linked(b.name) {
			w.Fatal("the link did not stay")
		}
		w.pass(2 * time.Minute)
		if a.mesh.Linked(b.name) || b.mesh.Linked(a.name) {
			w.Fatal("the link stays without a reason")
		}
		a.write(b, 1, 2)
		b.has(a, 1, 2, time.Minute)
		b.mesh.Keep(a.name, true)
		w.pass(time.Hour)
		if !b.mesh.Linked(a.name) {
			w.Fatal("the link that is wanted does not stay")
		}
	})
}
