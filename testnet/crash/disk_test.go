package crash

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"parley/protocol"
	"parley/protocol/client"
	"parley/testnet"
)

const (
	diskSize    = "192m"           // of the disk that gets full; a node leaves 64 MiB free
	bigMessage  = 32 << 10         // bytes: fills it sooner
	maxPublish  = 4000             // messages until it must be full
	recoverTime = 10 * time.Second // from having space again to storing again
)

// smallDisk is a command that gives the node which it executes a data directory on a
// small disk of its own, or says why that cannot be done here.
func smallDisk(t *testing.T, data string) []string {
	t.Helper()
	wrap := []string{"unshare", "--mount", "--propagation", "private", "sh", "-c",
		`mount -t tmpfs -o size=` + diskSize + ` none "$0" && exec "$@"`, data}
	if err := os.MkdirAll(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), wrap[0], append(wrap[1:], "true")...).CombinedOutput(); err != nil {
		t.Skipf("a small disk needs the right to mount in a namespace of one's own: %v: %s", err, out)
	}
	return wrap
}

// TestDiskFull fills the disk under a node. It must refuse what it cannot keep, go on
// with what needs no space, and recover by itself.
func TestDiskFull(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	data := filepath.Join(t.TempDir(), "data")
	wrap := smallDisk(t, data)
	bin, err := testnet.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	p, err := testnet.Start(t.Context(), testnet.Options{Binary: bin, Data: data, Wrap: wrap, Config: limits})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Kill()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	w := &writer{ctx: ctx, url: p.WebSocket()}
	if err := w.begin(); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if err := w.publish(); err != nil {
			t.Fatal(err)
		}
	}

	filler := p.Path("filler")
	fill(t, filler)
	err = w.untilFull()
	if !errors.Is(err, protocol.Full) && !errors.Is(err, protocol.Busy) {
		t.Fatalf("on a full disk a message was answered: %v", err)
	}
	t.Logf("full after %d messages: %v", len(w.texts), err)
	if status := healthz(t, p); status != http.StatusServiceUnavailable {
		t.Errorf("on a full disk /healthz is %d", status)
	}
	if err := w.check(); err != nil {
		t.Fatalf("reading on a full disk: %v", err)
	}
	// Not even deleting is sure to work when not a byte is left, but it must be
	// answered, and as it turns out.
	for range 10 {
		if err := w.delete(); err != nil && !errors.Is(err, protocol.Full) && !errors.Is(err, protocol.Busy) {
			t.Fatalf("on a full disk a deletion was answered: %v", err)
		}
	}
	t.Logf("%d of 10 deletions on a full disk", len(w.deleted))
	if err := w.check(); err != nil {
		t.Fatalf("reading after deleting on a full disk: %v", err)
	}

	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	for err = w.publish(); err != nil; err = w.publish() {
		if time.Since(start) > recoverTime {
			t.Fatalf("there is space again, but: %v\n%s", err, p.Output())
		}
		pause(ctx, 10*time.Millisecond)
	}
	t.Logf("recovered %v after the disk had space again", time.Since(start).Round(time.Millisecond))
	for range 20 {
		if err := w.publish(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.check(); err != nil {
		t.Fatal(err)
	}
	for status := 0; status != http.StatusOK; status = healthz(t, p) {
		if time.Since(start) > recoverTime {
			t.Fatalf("there is space again, but /healthz is %d", status)
		}
		pause(ctx, 100*time.Millisecond)
	}
	w.c.Close()
	if err := p.Stop(ctx); err != nil {
		t.Errorf("stopping: %v", err)
	}
}

// healthz is what a load balancer would be told.
func healthz(t *testing.T, p *testnet.Process) int {
	t.Helper()
	resp, err := http.Get(p.HTTP + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// fill writes zeroes until the disk is full.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 64<<10); ; {
		if _, err = f.Write(block); err == nil {
			continue
		}
		if len(block) == 1 {
			break
		}
		block = block[:1] // the last page too
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}

// writer is a user who writes to a group of one.
type writer struct {
	ctx   context.Context
	url   string
	c     *client.Client
	token []byte
	topic string
	texts []string // acknowledged, in order
	n     int

	deleted map[int]bool // seqs
}

func (w *writer) begin() error {
	var err error
	if w.c, err = testnet.Dial(w.ctx, w.url, client.Config{OnEvent: func(*protocol.Response) {}}); err != nil {
		return err
	}
	s, err := w.c.CreateAccount(w.ctx, client.Account{Login: "writer", Password: password})
	if err != nil {
		return err
	}
	w.token = s.Token
	sub, err := w.c.Subscribe(w.ctx, &protocol.Sub{Topic: "new1"})
	if err != nil {
		return err
	}
	w.topic = sub.Topic
	w.deleted = map[int]bool{}
	return nil
}

// delete deletes the oldest message.
func (w *writer) delete() error {
	seq := len(w.deleted) + 1
	_, err := w.c.DeleteMessages(w.ctx, w.topic, true, protocol.Range{Low: seq, Hi: seq + 1})
	if err == nil {
		w.deleted[seq] = true
	}
	return err
}

func (w *writer) publish() error {
	w.n++
	text := fmt.Sprintf("%d %s", w.n, strings.Repeat("x", bigMessage))
	seq, err := w.c.Publish(w.ctx, w.topic, text)
	if err != nil {
		return err
	}
	w.texts = append(w.texts, text)
	if seq != len(w.texts) {
		return fmt.Errorf("message %d got seq %d", len(w.texts), seq)
	}
	return nil
}

func (w *writer) untilFull() error {
	for range maxPublish {
		if err := w.publish(); err != nil {
			return err
		}
	}
	return nil
}

// check reads everything, in the session and in a new one, and compares it with what
// was acknowledged.
func (w *writer) check() error {
	if err := w.compare(w.c); err != nil {
		return err
	}
	c, err := testnet.Dial(w.ctx, w.url, client.Config{OnEvent: func(*protocol.Response) {}})
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.LoginToken(w.ctx, w.token); err != nil {
		return fmt.Errorf("logging in: %w", err)
	}
	if _, err := c.Subscribe(w.ctx, &protocol.Sub{Topic: w.topic}); err != nil {
		return fmt.Errorf("attaching: %w", err)
	}
	return w.compare(c)
}

func (w *writer) compare(c *client.Client) error {
	d, err := c.GetDesc(w.ctx, w.topic)
	if err != nil {
		return err
	}
	if d.Seq != len(w.texts) {
		return fmt.Errorf("the last seq is %d, %d messages were acknowledged", d.Seq, len(w.texts))
	}
	lines, err := (&user{c: c}).history(w.ctx, w.topic, 1, d.Seq)
	if err != nil {
		return err
	}
	if len(lines) != d.Seq-len(w.deleted) {
		return fmt.Errorf("%d messages are shown, of %d of which %d are deleted", len(lines), d.Seq, len(w.deleted))
	}
	for _, l := range lines {
		if w.deleted[l.Seq] {
			return fmt.Errorf("seq %d is shown and deleted", l.Seq)
		}
		if l.Text != w.texts[l.Seq-1] {
			return fmt.Errorf("seq %d is not what was acknowledged", l.Seq)
		}
	}
	return nil
}
