package federation_test

import (
	"fmt"
	"testing"
	"time"

	"parley/federation"
	"parley/federation/fedtest"
	"parley/protocol"
)

const natMemory = 2 * time.Minute // what RFC 4787, REQ-5, asks at least

var undisturbed = fedtest.Path{Latency: latency}

// reaching gives nodes their reach; others are open.
func reaching(of map[protocol.Node]federation.Reach) func(*federation.Config) {
	return func(c *federation.Config) { c.Reach = of[c.Store.Meta().Node] }
}

// A node behind a NAT or firewall without a forwarded port keeps up the links that it has
// begun, over idle hours and after either has been restarted: else what partners have for
// it would wait until it has something to say itself.
func TestBehindFirewall(t *testing.T) {
	for reach, arrives := range map[federation.Reach]bool{federation.ReachOpen: false, federation.ReachOutward: true, federation.ReachAuto: true} {
		t.Run(fmt.Sprint(reach), func(t *testing.T) {
			quicBubble(t, undisturbed, two, reaching(map[protocol.Node]federation.Reach{two[0]: reach}), func(w *world, packets *fedtest.Packets) {
				a, b := w.ab()
				packets.Shield(a.at.Addr(), natMemory)
				b.write(a, 1, 1)
				w.pass(10 * time.Minute)
				if len(a.pages(b, 1)) > 0 {
					w.Fatal("a firewall lets everything in")
				}
				a.write(b, 2, 1)
				a.has(b, 1, 1, time.Minute)
				w.pass(3 * time.Hour)
				b.write(a, 1, 2)
				w.pass(10 * time.Minute)
				if got := len(a.pages(b, 1)) == 2; got != arrives {
					w.Fatalf("after idle hours it arrives: %t, want %t", got, arrives)
				}
				if !arrives {
					return
				}
				b.kill()
				w.pass(10 * time.Minute)
				b.start()
				b.write(a, 1, 3)
				a.has(b, 1, 3, 30*time.Minute)
				a.halt()
				b.write(a, 1, 4)
				w.pass(10 * time.Minute)
				a.start()
				a.has(b, 1, 4, time.Minute)
			})
		})
	}
}

// A node that others can dial learns it from the first who does, and then lets links go.
func TestReachShows(t *testing.T) {
	names := []protocol.Node{two[0], two[1], "c.example"}
	quicBubble(t, undisturbed, names, reaching(map[protocol.Node]federation.Reach{two[0]: federation.ReachAuto}), func(w *world, packets *fedtest.Packets) {
		a, b := w.ab()
		c := w.nodes[names[2]]
		linked := func(want bool) {
			w.Helper()
			w.pass(30 * time.Minute)
			if got := a.mesh.Linked(b.name); got != want {
				w.Fatalf("linked %t, want %t", got, want)
			}
		}
		a.write(b, 1, 1)
		linked(true)
		b.kill() // b comes back by itself, but to whom it has heard from
		b.start()
		b.write(a, 1, 1)
		a.has(b, 1, 1, time.Minute)
		linked(true)
		c.write(a, 1, 1)
		a.has(c, 1, 1, time.Minute)
		linked(false)
		a.halt()
		a.start()
		linked(false)
	})
}
