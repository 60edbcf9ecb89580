package fedtest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"parley/federation"
)

// Pair is two transports that reach each other, in one bubble.
type Pair struct {
	A, B     federation.Transport
	ToA, ToB federation.Endpoint
}

// Suite checks what links need of a transport. The pair is made anew for each case, in a
// bubble of testing/synctest, and closed by the suite.
func Suite(t *testing.T, pair func(t *testing.T) Pair) {
	for name, check := range map[string]func(*link){
		"who is there":          (*link).who,
		"both ways":             (*link).bothWays,
		"order":                 (*link).order,
		"back-pressure":         (*link).backPressure,
		"reset":                 (*link).reset,
		"stop":                  (*link).stop,
		"deadline":              (*link).deadline,
		"datagrams":             (*link).datagrams,
		"end of a context":      (*link).contexts,
		"close":                 (*link).closing,
		"close of a transport":  (*link).closingAll,
		"another key":           (*link).otherKey,
		"streams wait for room": (*link).room,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &link{T: t, Pair: pair(t)}
				defer l.end()
				var err error
				if l.ab, err = l.A.Dial(t.Context(), l.ToB); err != nil {
					t.Fatal(err)
				}
				if l.ba, err = l.B.Accept(t.Context()); err != nil {
					t.Fatal(err)
				}
				check(l)
			})
		})
	}
}

// link is a pair with a connection.
type link struct {
	*testing.T
	Pair
	ab, ba federation.Conn
}

func (l *link) end() {
	if err := errors.Join(l.A.Close(), l.B.Close()); err != nil {
		l.Error(err)
	}
}

func (l *link) ok(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

// closed checks that an error says that something was ended with a code.
func (l *link) closed(err error, code federation.CloseCode, remote bool) {
	l.Helper()
	e, ok := errors.AsType[*federation.ClosedError](err)
	if !ok || e.Code != code || e.Remote != remote {
		l.Errorf("error %#v, want code %d, by the peer: %v", err, code, remote)
	}
}

func (l *link) who() {
	a, b := l.ab.Peer(), l.ba.Peer()
	if !a.Dialed || a.Name != l.ToB.Name || a.Asked != l.ToB.Name || !a.Key.Equal(l.ToB.Keys[0]) || a.Addr != l.ToB.Addrs[0] {
		l.Errorf("the dialler sees %+v", a)
	}
	if b.Dialed || b.Name != l.ToA.Name || b.Asked != l.ToB.Name || !b.Key.Equal(l.ToA.Keys[0]) || b.Addr != l.ToA.Addrs[0] {
		l.Errorf("the accepter sees %+v", b)
	}
}

// stream opens one from each side to the other.
func (l *link) stream(from, to federation.Conn) (federation.SendStream, federation.ReceiveStream) {
	l.Helper()
	s, err := from.OpenSend(l.Context())
	l.ok(err)
	_, err = s.Write([]byte{1})
	l.ok(err)
	r, err := to.AcceptReceive(l.Context())
	l.ok(err)
	_, err = io.ReadFull(r, make([]byte, 1))
	l.ok(err)
	return s, r
}

func (l *link) bothWays() {
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<15)
	s, err := l.ab.Open(l.Context())
	l.ok(err)
	done := make(chan error, 2)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		_, err := s.Write(sent)
		done <- errors.Join(err, s.Close())
	})
	wg.Go(func() {
		r, err := l.ba.Accept(l.Context())
		if err == nil {
			_, err = io.Copy(r, r)
			err = errors.Join(err, r.Close())
		}
		done <- err
	})
	got, err := io.ReadAll(s)
	l.ok(errors.Join(err, <-done, <-done))
	if !bytes.Equal(got, sent) {
		l.Errorf("%d of %d bytes came back", len(got), len(sent))
	}
}

func (l *link) order() {
	for range 3 { // what is opened first is accepted first
		_, _ = l.stream(l.ba, l.ab)
	}
	s, r := l.stream(l.ab, l.ba)
	for i := range 100 {
		_, err := s.Write([]byte{byte(i)})
		l.ok(err)
	}
	l.ok(s.Close())
	got, err := io.ReadAll(r)
	l.ok(err)
	for i := range 100 {
		if len(got) != 100 || got[i] != byte(i) {
			l.Fatalf("got %v", got)
		}
	}
}

func (l *link) backPressure() {
	const size = 16 << 20
	s, r := l.stream(l.ab, l.ba)
	done := make(chan error, 1)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		_, err := s.Write(make([]byte, size))
		done <- errors.Join(err, s.Close())
	})
	<-time.After(time.Minute)
	select {
	case <-done:
		l.Error("what nobody reads does not make the sender wait")
	default:
	}
	n, err := io.Copy(io.Discard, r)
	l.ok(errors.Join(err, <-done))
	if n != size {
		l.Errorf("%d bytes", n)
	}
}

func (l *link) reset() {
	s, r := l.stream(l.ab, l.ba)
	s.Reset(federation.CloseDenied)
	_, err := io.ReadAll(r)
	l.closed(err, federation.CloseDenied, true)
}

func (l *link) stop() {
	s, r := l.stream(l.ab, l.ba)
	r.Stop(federation.CloseOverloaded)
	<-time.After(time.Second)
	_, err := s.Write([]byte{1})
	l.closed(err, federation.CloseOverloaded, true)
}

func (l *link) deadline() {
	_, r := l.stream(l.ab, l.ba)
	begin := time.Now()
	l.ok(r.SetReadDeadline(begin.Add(time.Second)))
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begin) != time.Second {
		l.Errorf("error %v after %v", err, time.Since(begin))
	}
}

func (l *link) datagrams() {
	l.ok(l.ab.SendDatagram([]byte("hello")))
	b, err := l.ba.ReceiveDatagram(l.Context())
	l.ok(err)
	if string(b) != "hello" {
		l.Errorf("got %q", b)
	}
	if err := l.ab.SendDatagram(make([]byte, 1<<16)); !errors.Is(err, federation.ErrTooLarge) {
		l.Errorf("error %v, want ErrTooLarge", err)
	}
}

func (l *link) contexts() {
	ctx, cancel := context.WithCancel(l.Context())
	errs := make(chan error, 4)
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, wait := range []func() error{
		func() error { _, err := l.ab.AcceptReceive(ctx); return err },
		func() error { _, err := l.ab.Accept(ctx); return err },
		func() error { _, err := l.ab.ReceiveDatagram(ctx); return err },
		func() error { _, err := l.A.Accept(ctx); return err },
	} {
		wg.Go(func() { errs <- wait() })
	}
	synctest.Wait()
	cancel()
	for range cap(errs) {
		if err := <-errs; !errors.Is(err, context.Canceled) {
			l.Errorf("error %v", err)
		}
	}
}

func (l *link) closing() {
	_, r := l.stream(l.ba, l.ab)
	l.ba.CloseWith(federation.CloseReplaced, "for a test")
	l.closed(context.Cause(l.ba.Context()), federation.CloseReplaced, false)
	<-l.ab.Context().Done()
	l.closed(context.Cause(l.ab.Context()), federation.CloseReplaced, true)
	_, err := r.Read(make([]byte, 1))
	l.closed(err, federation.CloseReplaced, true)
	_, err = l.ab.OpenSend(l.Context())
	l.closed(err, federation.CloseReplaced, true)
	_, err = l.ab.Accept(l.Context())
	l.closed(err, federation.CloseReplaced, true)
}

func (l *link) closingAll() {
	l.ok(l.A.Close())
	<-l.ba.Context().Done()
	l.closed(context.Cause(l.ba.Context()), federation.CloseGoodbye, true)
	if _, err := l.A.Accept(l.Context()); !errors.Is(err, net.ErrClosed) {
		l.Errorf("accept: %v", err)
	}
}

func (l *link) otherKey() {
	to := l.ToB
	to.Keys = []ed25519.PublicKey{l.ToA.Keys[0]}
	if _, err := l.A.Dial(l.Context(), to); !errors.Is(err, federation.ErrWrongKey) {
		l.Errorf("error %v, want ErrWrongKey", err)
	}
}

// room opens more streams than the peer allows: the next waits until one has ended.
func (l *link) room() {
	var open []federation.ReceiveStream
	var ends []federation.SendStream
	ctx, cancel := context.WithTimeout(l.Context(), time.Minute)
	defer cancel()
	for {
		short, cancel := context.WithTimeout(ctx, time.Second)
		s, err := l.ab.OpenSend(short)
		cancel()
		if err != nil {
			break
		}
		_, err = s.Write([]byte{1})
		l.ok(err)
		r, err := l.ba.AcceptReceive(ctx)
		l.ok(err)
		open, ends = append(open, r), append(ends, s)
	}
	if len(open) == 0 || ctx.Err() != nil {
		l.Fatalf("%d streams, %v", len(open), ctx.Err())
	}
	l.ok(ends[0].Close())
	_, err := io.ReadAll(open[0])
	l.ok(err)
	_, err = l.ab.OpenSend(ctx)
	l.ok(err)
}
