package ws

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
)

// serve starts a server on loopback that hands each connection to fn, and waits
// for all of them at the end of the test.
func serve(t testing.TB, o Options, fn func(*Conn)) (url string) {
	t.Helper()
	up := NewUpgrader(o)
	var wg sync.WaitGroup
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := up.Upgrade(w, r)
		if err != nil {
			return
		}
		wg.Go(func() { defer c.Abort(); fn(c) })
	}))
	t.Cleanup(func() { srv.Close(); wg.Wait() })
	return "ws" + strings.TrimPrefix(srv.URL, "http")
}

func echo(c *Conn) {
	for {
		p, err := c.Read()
		if err != nil {
			return
		}
		if c.Write([][]byte{p}) != nil {
			return
		}
	}
}

func dial(t testing.TB, url string) *Conn {
	t.Helper()
	c, err := Dial(t.Context(), url, nil, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Abort)
	return c
}

func TestEchoOfAllSizes(t *testing.T) {
	for _, compress := range []bool{false, true} {
		url := serve(t, Options{MaxMessage: 1 << 20, Compress: compress}, echo)
		// Once with the library as it is, as clients of others' making have it.
		d := websocket.Dialer{EnableCompression: compress}
		c, _, err := d.Dial(url, nil)
		if err != nil {
			t.Fatal(err)
		}
		own, err := Dialer{Options: Options{MaxMessage: 1 << 20, Compress: compress}}.Dial(t.Context(), url, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{0, 1, 125, 126, 4095, 4096, 65535, 65536, 200_000, 1 << 20} {
			want := bytes.Repeat([]byte("абв0123456789"), n/16+1)[:n]
			if err := c.WriteMessage(websocket.TextMessage, want); err != nil {
				t.Fatal(err)
			}
			kind, got, err := c.ReadMessage()
			if err != nil || kind != websocket.TextMessage || !bytes.Equal(got, want) {
				t.Fatalf("compress %v, %d bytes: kind %d, %d bytes, %v", compress, n, kind, len(got), err)
			}
			if err := own.Write([][]byte{want}); err != nil {
				t.Fatal(err)
			}
			if got, err := own.Read(); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("compress %v, %d bytes, own client: %d bytes, %v", compress, n, len(got), err)
			}
		}
		c.Close()
		own.Abort()
	}
}

func TestOrderOfBatches(t *testing.T) {
	const batches, size = 50, 40
	url := serve(t, Options{}, func(c *Conn) {
		n := 0
		for range batches {
			var b [][]byte
			for range size {
				pad := n * 37 % 3000
				b = append(b, fmt.Appendf(nil, "%d %s", n, strings.Repeat("x", pad)))
				n++
			}
			if err := c.Write(b); err != nil {
				return
			}
		}
		_ = c.Close()
		_, _ = c.Read()
	})
	c := dial(t, url)
	for want := range batches * size {
		p, err := c.Read()
		if err != nil {
			t.Fatal(err)
		}
		var got int
		fmt.Sscan(string(p), &got)
		if got != want || len(p) < want*37%3000 {
			t.Fatalf("packet %d: got %d, %d bytes", want, got, len(p))
		}
	}
	if _, err := c.Read(); !errors.Is(err, io.EOF) {
		t.Fatalf("after the last packet: %v, want io.EOF", err)
	}
}

// countWrites counts what reaches the network.
type countWrites struct {
	net.Conn
	writes, bytes int
}

func (c *countWrites) Write(p []byte) (int, error) {
	c.writes++
	c.bytes += len(p)
	return len(p), nil
}
func (c *countWrites) SetWriteDeadline(time.Time) error { return nil }

func TestBatchIsOneWrite(t *testing.T) {
	n := &countWrites{}
	c := &corked{Conn: n, wait: time.Second}
	c.cork()
	for range 100 {
		if _, err := c.Write(make([]byte, 200)); err != nil {
			t.Fatal(err)
		}
	}
	if n.writes != 0 {
		t.Fatalf("%d writes while corked", n.writes)
	}
	if err := c.uncork(); err != nil || n.writes != 1 || n.bytes != 20_000 {
		t.Fatalf("uncorked: %v, %d writes of %d bytes", err, n.writes, n.bytes)
	}
}

func TestTooLarge(t *testing.T) {
	for _, compress := range []bool{false, true} {
		got := make(chan error, 1)
		url := serve(t, Options{MaxMessage: 1000, Compress: compress}, func(c *Conn) {
			_, err := c.Read()
			got <- err
		})
		d := websocket.Dialer{EnableCompression: compress}
		c, _, err := d.Dial(url, nil)
		if err != nil {
			t.Fatal(err)
		}
		size := 300_000 // compressed it is within the limit
		if !compress {
			size = 12 << 20 // more than the sockets hold
		}
		if err := c.WriteMessage(websocket.TextMessage, make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseMessageTooBig) {
			t.Errorf("compress %v: client got %v, want close 1009", compress, err)
		}
		c.Close()
		if err := <-got; err != ErrTooLarge {
			t.Errorf("compress %v: Read: %v, want %v", compress, err, ErrTooLarge)
		}
	}
}

func TestBinaryIsTakenForText(t *testing.T) {
	url := serve(t, Options{}, echo)
	c, _, err := websocket.DefaultDialer.Dial(url, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.WriteMessage(websocket.BinaryMessage, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if kind, p, err := c.ReadMessage(); err != nil || kind != websocket.TextMessage || string(p) != "x" {
		t.Errorf("got kind %d, %q, %v", kind, p, err)
	}
}

func TestCloseWithTellsTheReason(t *testing.T) {
	got := make(chan error, 1)
	url := serve(t, Options{}, func(c *Conn) {
		_ = c.CloseWith(GoingAway, "bye")
		_, err := c.Read()
		got <- err
	})
	c, _, err := websocket.DefaultDialer.Dial(url, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var ce *websocket.CloseError
	if _, _, err := c.ReadMessage(); !errors.As(err, &ce) || ce.Code != 1001 || ce.Text != "bye" {
		t.Errorf("client got %v, want 1001 bye", err)
	}
	if err := <-got; !errors.Is(err, io.EOF) {
		t.Errorf("Read after the peer's answer: %v, want io.EOF", err)
	}
}

func TestDialRefused(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "7")
		http.Error(w, "full", http.StatusTooManyRequests)
	}))
	defer srv.Close()
	_, err := Dial(t.Context(), "ws"+strings.TrimPrefix(srv.URL, "http"), nil, 0)
	var re *RefusedError
	if !errors.As(err, &re) || re.Status != 429 || re.Header.Get("Retry-After") != "7" || string(re.Body) != "full\n" {
		t.Errorf("got %#v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Dial(ctx, "ws://127.0.0.1:1/", nil, 0); err == nil || errors.As(err, &re) {
		t.Errorf("cancelled: %v", err)
	}
}

// pipe makes a server's connection over memory, for virtual time; the test plays
// the client's socket.
func pipe(o Options) (*Conn, net.Conn) {
	a, b := net.Pipe()
	o = o.withDefaults()
	out := &corked{Conn: a, wait: o.WriteWait}
	u := websocket.Upgrader{ReadBufferSize: readBuffer, WriteBufferSize: writeBuffer, WriteBufferPool: &buffers}
	rec := &pipeWriter{ResponseRecorder: httptest.NewRecorder(), conn: out}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header = http.Header{"Connection": {"upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}}
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = b.Read(make([]byte, 1024)) }) // the answer to the handshake
	w, err := u.Upgrade(rec, r, nil)
	wg.Wait()
	if err != nil {
		panic(err)
	}
	return newConn(w, out, nil, &o), b
}

func TestHalfOpenSocketDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, peer := pipe(Options{})
		defer peer.Close()
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = io.Copy(io.Discard, peer) }) // takes bytes, never answers
		start := time.Now()
		if _, err := c.Read(); err != ErrSilent {
			t.Errorf("Read: %v, want %v", err, ErrSilent)
		}
		if d := time.Since(start); d != 75*time.Second {
			t.Errorf("died after %v, want 75s", d)
		}
		wg.Wait()
	})
}

func TestPongKeepsAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, peer := pipe(Options{})
		var wg sync.WaitGroup
		pings := 0
		wg.Go(func() {
			for b := make([]byte, 2); ; {
				if _, err := io.ReadFull(peer, b); err != nil {
					return
				}
				pings++
				_, _ = peer.Write([]byte{0x8a, 0x80, 0, 0, 0, 0}) // masked, empty pong
			}
		})
		wg.Go(func() {
			if _, err := c.Read(); err == ErrSilent {
				t.Error("closed although pings were answered")
			}
		})
		time.Sleep(10*time.Minute + time.Second)
		peer.Close()
		wg.Wait()
		if pings != 12 {
			t.Errorf("%d pings in 10 minutes, want 12", pings)
		}
	})
}

func TestWriteToStalledPeerFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, peer := pipe(Options{})
		defer peer.Close()
		start := time.Now()
		if err := c.Write([][]byte{[]byte("a"), []byte("b")}); err == nil {
			t.Error("Write to a peer that does not read succeeded")
		}
		if d := time.Since(start); d != 10*time.Second {
			t.Errorf("failed after %v, want 10s", d)
		}
		if err := c.CloseWith(Normal, ""); err == nil {
			t.Error("a close frame was written into a broken stream")
		}
		if _, err := c.Read(); err == nil {
			t.Error("Read after the failure succeeded")
		}
	})
}

func TestPeerThatIgnoresCloseIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, peer := pipe(Options{})
		defer peer.Close()
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = io.Copy(io.Discard, peer) })
		start := time.Now()
		_ = c.Close()
		wg.Go(func() { _, _ = peer.Write([]byte{0x81, 0x81, 0, 0, 0, 0, 'x'}) }) // a masked packet
		if p, err := c.Read(); err == nil {
			t.Errorf("Read after Close returned packet %q", p)
		}
		if d := time.Since(start); d != 2*time.Second {
			t.Errorf("cut after %v, want 2s", d)
		}
		wg.Wait()
	})
}

type pipeWriter struct {
	*httptest.ResponseRecorder
	conn net.Conn
}

func (w *pipeWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return w.conn, bufio.NewReadWriter(bufio.NewReader(w.conn), bufio.NewWriter(w.conn)), nil
}
