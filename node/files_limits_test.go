package node_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"parley/node"
	"parley/protocol"
)

// guestUpload brings the picture of an account that is to be made.
func guestUpload(w *world, addr string, size int) error {
	_, err := w.n.SaveFile(context.Background(), node.Upload{From: node.Origin{Addr: netip.MustParseAddr(addr), Proto: "http"},
		Topic: "newacc", MIME: "image/png", Body: strings.NewReader(strings.Repeat("x", size))})
	return err
}

func TestGuestsBringFewFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, b := fileWorld(t, nil)
		defer w.end()
		if err := guestUpload(w, "203.0.113.1", 512<<10+1); !errors.Is(err, protocol.TooLarge) {
			t.Errorf("large file: %v", err)
		}
		for _, addr := range []string{"203.0.113.2", "2001:db8::%x"} {
			for i := range 12 {
				a := addr
				if strings.Contains(a, "%") { // of one customer's network
					a = fmt.Sprintf(a, i+1)
				}
				if err := guestUpload(w, a, 10); (i < 10) != (err == nil) || err != nil && !errors.Is(err, protocol.TooMany) {
					t.Errorf("file %d from %s: %v", i+1, a, err)
				}
			}
		}
		if n := b.count(); n != 20 {
			t.Errorf("%d files are kept, want 20", n)
		}
	})
}

// However many addresses a stranger has, the disk is not filled.
func TestGuestsShareTheRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const room, size = 1 << 20, 50_000
		w, b := fileWorld(t, func(c *node.Config) { c.Limits.GuestBytes = room })
		defer w.end()
		kept, refused := 0, 0
		for i := range 1000 { // in 3 hours
			err := guestUpload(w, fmt.Sprintf("198.51.%d.%d", i/250, i%250), size)
			switch {
			case err == nil:
				kept++
			case errors.Is(err, protocol.TooMany):
				refused++
			default:
				t.Fatal(err)
			}
			if n := b.count() * size; n > room {
				t.Fatalf("%d bytes are kept, want no more than %d", n, room)
			}
			pass(11 * time.Second)
		}
		if kept < 30 || refused < 500 {
			t.Errorf("%d kept, %d refused", kept, refused)
		}
	})
}

func TestClosedNodeTakesNoFilesOfGuests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, b := fileWorld(t, func(c *node.Config) { c.Closed = true })
		defer w.end()
		if err := guestUpload(w, "203.0.113.1", 10); !errors.Is(err, protocol.Unauthorized) || b.count() != 0 {
			t.Errorf("%v, %d files", err, b.count())
		}
	})
}

func TestUserUploadsAtARate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := fileWorld(t, func(c *node.Config) { c.Limits.UploadRate, c.Limits.UploadBurst = 1, 3 })
		defer w.end()
		al, bo := w.user("al"), w.user("bo")
		up := func(u string) error {
			_, err := upload(w, u, strings.NewReader("x"))
			return err
		}
		for i := range 4 {
			if err := up(al); (i < 3) != (err == nil) || err != nil && !errors.Is(err, protocol.TooMany) {
				t.Errorf("file %d: %v", i+1, err)
			}
		}
		if err := up(bo); err != nil {
			t.Errorf("another user's: %v", err)
		}
		pass(time.Second)
		if err := up(al); err != nil {
			t.Errorf("a second later: %v", err)
		}
	})
}
