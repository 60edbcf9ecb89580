package federation_test

import (
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"parley/protocol"
	"parley/store/bolt"
)

// snapshot copies a store that is not open.
func (n *node) snapshot() []byte {
	n.w.Helper()
	b, err := os.ReadFile(n.file())
	if err != nil {
		n.w.Fatal(err)
	}
	return b
}

// putBack makes a copy the store, as a file or by restoring it as a backup.
func (n *node) putBack(b []byte, restore bool) {
	n.w.Helper()
	err := os.Remove(n.file())
	if restore {
		from := n.file() + ".backup"
		err = errors.Join(err, os.WriteFile(from, b, 0o600), bolt.Restore(from, n.file()), os.Remove(from))
	} else {
		err = errors.Join(err, os.WriteFile(n.file(), b, 0o600))
	}
	if err != nil {
		n.w.Fatal(err)
	}
}

// One node is set back, with messages in flight both ways and written in between. What it
// has lost is for the comparison; what both have must not come twice, and what is
// written from then on arrives.
func TestRestored(t *testing.T) {
	for _, c := range []struct {
		name    string
		which   protocol.Node
		restore bool
	}{
		{"the sender's file copied back", "a.example", false},
		{"the sender's backup restored", "a.example", true},
		{"the receiver's file copied back", "b.example", false},
		{"the receiver's backup restored", "b.example", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, two, func(w *world) {
				a, b := w.ab()
				back := w.nodes[c.which]
				for k := range 20 {
					a.write(b, 1, k+1)
				}
				b.has(a, 1, 20, time.Second)
				w.net.Block(b.at, a.at) // answers are lost: some posts are pending in the copy
				for k := range 5 {
					a.write(b, 1, k+21)
				}
				b.has(a, 1, 25, time.Second)
				back.kill()
				copied := back.snapshot()
				w.heal(a, b)
				back.start()
				for k := range 10 {
					a.write(b, 1, k+26)
				}
				b.has(a, 1, 35, 2*time.Minute)
				a.settled(b, time.Minute)
				w.cut(a, b)
				for k := range 3 { // written, and lost with the store if it is a's
					a.write(b, 1, k+36)
				}
				back.kill()
				back.putBack(copied, c.restore)
				w.heal(a, b)
				back.start()
				for k := range 10 {
					a.write(b, 1, k+101)
				}
				w.pass(5 * time.Minute)
				a.settled(b, time.Minute)
				got := b.pages(a, 1)
				if !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
					w.Errorf("b has %v", got)
				}
				if len(got) < 10 || !slices.Equal(got[len(got)-10:], []int{101, 102, 103, 104, 105, 106, 107, 108, 109, 110}) {
					w.Errorf("b has %v: what was written later did not arrive", got)
				}
				if back == a && !slices.Contains(got, 35) || back == b && !slices.Contains(got, 38) {
					w.Errorf("b has %v", got)
				}
				if a.book.compare == 0 || b.book.compare == 0 {
					w.Errorf("compared %d and %d times", a.book.compare, b.book.compare)
				}
				compared := a.book.compare + b.book.compare
				w.net.Sever(a.at, b.at)
				a.write(b, 1, 111)
				w.pass(time.Minute)
				if now := a.book.compare + b.book.compare; now != compared {
					w.Errorf("compared again")
				}
			})
		})
	}
}

// A backup is restored, and nothing has crossed since it was made: the numbers of the
// lanes fit, but what has no numbers there (the logs of groups, what was here only) may
// be missing. The incarnation tells.
func TestRestoredThoughNumbersFit(t *testing.T) {
	bubble(t, two, func(w *world) {
		a, b := w.ab()
		a.write(b, 1, 1)
		b.write(a, 1, 1)
		b.has(a, 1, 1, time.Second)
		a.has(b, 1, 1, time.Second)
		a.settled(b, time.Minute)
		b.settled(a, time.Minute)
		a.kill()
		a.putBack(a.snapshot(), true)
		a.start()
		a.write(b, 1, 2)
		b.has(a, 1, 2, time.Minute)
		w.pass(time.Minute)
		if a.book.compare != 1 || b.book.compare != 1 {
			w.Errorf("compared %d and %d times", a.book.compare, b.book.compare)
		}
		if a.book.again+b.book.again > 0 {
			w.Errorf("%d messages came twice", a.book.again+b.book.again)
		}
	})
}
