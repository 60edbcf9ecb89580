package node_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"parley/federation"
	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
)

// A group of many members, whose ids are as long as they can be, comes in pages that fit
// into a frame, and whole.
func TestSnapshotInPages(t *testing.T) {
	withTrio(t, func(r *trio) {
		const members = 9000
		far := protocol.Node(strings.Repeat("x", 60) + "." + strings.Repeat("y", 31) + ".example")
		now := time.Now()
		err := r.a.st.Update(func(tx store.Tx) error {
			for i := range members {
				err := tx.PutSub(&store.Sub{Topic: r.group, User: protocol.NewUserID(uint64(i+1), far), Created: now, Updated: now,
					Want: protocol.ModeGroupAuth, Given: protocol.ModeGroupAuth})
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		there, pages := map[protocol.UserID]bool{}, 0
		ask := &s2s.Ask{Snapshot: r.group, Pages: true}
		for more := true; more && pages < 10; pages++ {
			a, _ := r.a.n.Answer(context.Background(), federation.Peer{Name: r.b.name}, ask)
			if a.Failed || a.Snapshot == nil {
				t.Fatalf("page %d: %+v", pages, a)
			}
			raw, err := s2s.Codec{Self: r.a.name, Peer: r.b.name}.AppendFrame(nil, a)
			if err != nil || len(raw) > s2s.MaxFrame {
				t.Fatalf("page %d has %d bytes, %v", pages, len(raw), err)
			}
			for _, m := range a.Snapshot.Members {
				if there[m.User] {
					t.Fatalf("%s comes twice", m.User)
				}
				there[m.User] = true
				ask = &s2s.Ask{Snapshot: r.group, Pages: true, After: m.User}
			}
			more = a.Snapshot.More
		}
		if len(there) != members+3 || pages != 3 {
			t.Errorf("%d members in %d pages", len(there), pages)
		}
	})
}
