package federation_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"parley/federation"
)

// lines is a log.
type lines struct {
	mu  sync.Mutex
	all bytes.Buffer // guarded by mu
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(p)
}

// take returns what was written since the last time.
func (l *lines) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.all.Reset()
	return l.all.String()
}

// TestWrongClocks: posts go their way whatever clocks show, and both operators are told
// that one is wrong.
func TestWrongClocks(t *testing.T) {
	var log lines
	tune := func(c *federation.Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) }
	bubbleWith(t, two, tune, func(w *world) {
		a, b := w.ab()
		ahead := func(n *node) time.Duration {
			all, err := n.mesh.Stats()
			if err != nil || len(all) != 1 || all[0].State != federation.StateUp {
				t.Fatalf("%s: %+v, %v", n.name, all, err)
			}
			return all[0].Ahead.Round(time.Second)
		}
		no := 0
		for _, off := range []time.Duration{time.Second, 10 * time.Minute, 20 * 24 * time.Hour, -40 * 24 * time.Hour} {
			a.kill()
			a.setClock(off)
			log.take()
			a.start()
			a.mesh.Keep(b.name, true)
			no++
			a.write(b, 1, no)
			b.has(a, 1, no, time.Minute)
			b.write(a, 2, no)
			a.has(b, 2, no, time.Minute)
			want := time.Duration(a.ahead.Load())
			if x, y := ahead(b), ahead(a); x != want || y != -want {
				t.Errorf("b says that a is %v ahead, and a that b is %v; it is %v", x, y, want)
			}
			said := log.take()
			if told := strings.Count(said, "clocks differ"); told != 2 && off != time.Second || told > 0 && off == time.Second {
				t.Errorf("with %v, told %d times:\n%s", want, told, said)
			}
			a.settled(b, time.Minute)
			w.ends(a, b, 1, no) // nothing that an author must be told
		}
	})
}
