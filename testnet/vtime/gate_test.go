package vtime_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"parley/testnet/vtime"
)

// Real clients outside talk with a server inside, whose clock goes by the pace.
func TestGate(t *testing.T) {
	outer, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	const pace = 50
	gate := vtime.NewGate(pace)
	port := gate.Port(outer)
	url := "http://" + port.Addr().String()
	large := bytes.Repeat([]byte("x"), 5<<20)
	started := make(chan struct{})
	var outside sync.WaitGroup
	outside.Go(func() {
		defer gate.Close()
		<-started
		for range 3 {
			begin := time.Now()
			r, err := http.Get(url)
			if err != nil {
				t.Error(err)
				return
			}
			got, err := io.ReadAll(r.Body)
			r.Body.Close()
			if err != nil || !bytes.Equal(got, large) {
				t.Errorf("got %d bytes, %v", len(got), err)
			}
			if d := time.Since(begin); d < time.Second/pace || d > time.Second {
				t.Errorf("a second of the server took %v outside", d)
			}
		}
	})
	err = vtime.NewClock(vtime.Options{}).Run(func(ctx context.Context) error {
		s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			vtime.Sleep(ctx, time.Second)
			_, _ = w.Write(large)
		})}
		l := port.Listen() // before anybody comes
		var wg sync.WaitGroup
		wg.Go(func() { _ = s.Serve(l) })
		close(started)
		gate.Open(ctx)
		err := s.Close()
		wg.Wait()
		return err
	})
	outside.Wait()
	if err != nil {
		t.Error(err)
	}
}

// Who comes while nobody listens inside is turned away, and who is in is when dropped.
func TestGateDrops(t *testing.T) {
	outer, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gate := vtime.NewGate(1)
	port := gate.Port(outer)
	gone := func() {
		c, err := net.Dial("tcp", port.Addr().String())
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("somebody answers")
		}
	}
	gone()
	listening := make(chan struct{})
	var outside sync.WaitGroup
	outside.Go(func() {
		defer gate.Close()
		<-listening
		gone()
	})
	err = vtime.NewClock(vtime.Options{}).Run(func(ctx context.Context) error {
		l := port.Listen()
		var wg sync.WaitGroup
		wg.Go(func() {
			c, err := l.Accept()
			if err != nil {
				t.Error(err)
				return
			}
			port.Drop()
			_, _ = c.Read(make([]byte, 1))
			c.Close()
		})
		close(listening)
		gate.Open(ctx)
		wg.Wait()
		return l.Close()
	})
	outside.Wait()
	if err != nil {
		t.Error(err)
	}
}
