package federation_test

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"parley/federation"
	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
	"parley/store/bolt"
)

// greeting is what a rogue says first.
func greeting(of, to protocol.Node, boot uint64) *s2s.Control {
	h := &s2s.Hello{Name: of, To: to, Boot: boot, Incarnation: 7, Lanes: make([]s2s.LaneState, s2s.Lanes)}
	for l := range h.Lanes {
		h.Lanes[l] = s2s.LaneState{Lowest: 1, Next: 1}
	}
	return &s2s.Control{Hello: h}
}

// Of two connections with the same peer one stays, and both ends know which
// (spec/link.md#which-link-stays). The other is closed as replaced.
func TestSecondConnection(t *testing.T) {
	for name, c := range map[string]struct {
		rogue      protocol.Node
		dialled    bool // the first: by the rogue
		age        time.Duration
		boot       uint64 // of the second; 5 was the first's
		secondHold bool
	}{
		"the same dialler has lost the first": {"b.example", true, time.Second, 5, true},
		"the smaller name has dialled":        {"b.example", false, time.Second, 5, false},
		"the smaller name dials":              {"a.example", false, time.Second, 5, true},
		"nobody dials who has a link":         {"b.example", false, time.Minute, 5, true},
		"a newer boot":                        {"b.example", false, time.Second, 6, true},
		"an older boot":                       {"b.example", true, time.Minute, 4, false},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, two, func(w *world) {
				n, as := w.ab()
				if c.rogue == n.name {
					n, as = as, n
				}
				as.halt()
				host := w.pose(as.name, as)
				defer host.Close()
				var first *rogue
				if c.dialled {
					first = w.dial(host, n)
				} else {
					n.mesh.Keep(as.name, true)
					conn, err := host.Accept(w.Context())
					if err != nil {
						w.Fatal(err)
					}
					first = &rogue{w: w, host: host, conn: conn}
				}
				first.stream(0, greeting(as.name, n.name, 5))
				first.hear()
				w.pass(c.age)
				second := w.dial(host, n)
				second.stream(0, greeting(as.name, n.name, c.boot))
				w.pass(5 * time.Second)
				stays, goes := first, second
				if c.secondHold {
					stays, goes = second, first
				}
				goes.closed(federation.CloseReplaced)
				if err := context.Cause(stays.conn.Context()); err != nil {
					w.Errorf("the other is gone, too: %v", err)
				}
			})
		})
	}
}

// A start has a higher number than the last, also if the clock was set back between them:
// or the peer would take the dead link for the newer.
func TestStartsAreCounted(t *testing.T) {
	bubble(t, two, func(w *world) {
		a, b := w.ab()
		boot := func() uint64 {
			w.Helper()
			r := w.approach(b, a.name, a)
			defer r.host.Close()
			r.stream(0, greeting(a.name, b.name, uint64(time.Now().UnixMilli())))
			return r.hear().Hello.Boot
		}
		a.halt()
		first := boot()
		b.halt()
		ahead := first + 1e9 // as if the clock had been
		err := errors.Join(b.open(), b.db.Update(func(tx store.Tx) error {
			return tx.PutValue("federation boot", binary.BigEndian.AppendUint64(nil, ahead))
		}), b.db.Close())
		if err != nil {
			w.Fatal(err)
		}
		b.start()
		w.pass(time.Second)
		if second := boot(); second != ahead+1 {
			w.Errorf("start %d after %d", second, ahead)
		}
	})
}

// open opens the store of a node that is not up.
func (n *node) open() (err error) {
	n.db, err = bolt.Open(n.file(), bolt.Options{})
	return err
}
