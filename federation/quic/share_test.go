package quic

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"net"
	"os"
	"testing"
	"time"

	quicgo "github.com/quic-go/quic-go"

	"parley/federation"
	"parley/federation/fedtest"
	"parley/protocol/s2s"
)

func everybody(net.Addr) bool { return true }

func nobody(net.Addr) bool { return false }

func guestTLS(t *testing.T, alpn string) *tls.Config {
	t.Helper()
	c, err := newCertificate(fedtest.NewKey(t), "guest.example", nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{*c}, NextProtos: []string{alpn}, InsecureSkipVerify: true}
}

// Two protocols use one socket, each way, and the end of one is not that of the other.
func TestSharedSocket(t *testing.T) {
	a, b := start(t, "a.example", udp(t, "127.0.0.1"), Limits{}), start(t, "b.example", udp(t, "127.0.0.1"), Limits{})
	shared := b.Share()
	if _, _, err := shared.Serve("none/1", guestTLS(t, "none/1"), nobody); err != nil {
		t.Fatal(err)
	}
	conns, stop, err := shared.Serve("guest/1", guestTLS(t, "guest/1"), everybody)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := shared.Serve(ALPN, guestTLS(t, ALPN), everybody); err == nil {
		t.Error("the protocol of nodes is served by a guest")
	}
	accepted := make(chan federation.Conn)
	go func() {
		for {
			c, err := b.Accept(context.Background())
			if err != nil {
				close(accepted)
				return
			}
			accepted <- c
		}
	}()
	dial := func(alpn string) (*quicgo.Conn, error) {
		return a.Share().Dial(t.Context(), net.UDPAddrFromAddrPort(b.Addrs[0]), guestTLS(t, alpn), &quicgo.Config{})
	}
	q, err := dial("guest/1")
	if err != nil {
		t.Fatal(err)
	}
	g := <-conns
	if g.RemoteAddr().String() != a.Addrs[0].String() {
		t.Errorf("the guest comes from %s, want the socket %s", g.RemoteAddr(), a.Addrs[0])
	}
	if _, err := a.Dial(t.Context(), b.Endpoint); err != nil {
		t.Fatal(err)
	}
	link := <-accepted
	if _, err := dial("other/1"); err == nil {
		t.Error("a protocol that nobody serves is connected")
	}
	if refused, err := dial("none/1"); err == nil {
		<-refused.Context().Done()
	}
	stop()
	stop()
	if _, ok := <-conns; ok {
		t.Error("a connection after the end of service")
	}
	if _, err := dial("guest/1"); err == nil {
		t.Error("connected after the end of service")
	}
	if q.Context().Err() != nil || link.Context().Err() != nil {
		t.Error("the end of service ended what was taken")
	}
	// What nobody takes ends with the transport.
	again, _, err := shared.Serve("guest/1", guestTLS(t, "guest/1"), everybody)
	if err != nil {
		t.Fatal(err)
	}
	left, err := dial("guest/1")
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	<-left.Context().Done()
	for range again {
		t.Error("a connection after the end of the transport")
	}
	for range accepted {
	}
	if _, _, err := shared.Serve("guest/1", guestTLS(t, "guest/1"), everybody); err == nil {
		t.Error("served by a closed transport")
	}
}

// Guests are taken in at the same door as nodes.
func TestGuestsAreRationed(t *testing.T) {
	a, b := start(t, "a.example", udp(t, "127.0.0.1"), Limits{}), start(t, "b.example", udp(t, "127.0.0.1"), Limits{Handshakes: 1, PrefixPerSecond: 0.01, PrefixBurst: 2, FreePerSecond: -1})
	conns, _, err := b.Share().Serve("guest/1", guestTLS(t, "guest/1"), everybody)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan bool)
	go func() {
		defer close(done)
		b.Accept(ctx)
	}()
	refused := 0
	for range 4 {
		q, err := a.Share().Dial(t.Context(), net.UDPAddrFromAddrPort(b.Addrs[0]), guestTLS(t, "guest/1"), &quicgo.Config{})
		if err != nil {
			refused++
			continue
		}
		<-conns
		q.CloseWithError(0, "")
	}
	if refused != 2 {
		t.Errorf("%d of 4 connections refused, want 2", refused)
	}
	cancel()
	<-done
}

func TestSuccessionIsShown(t *testing.T) {
	dir := t.TempDir()
	path := dir + "/" + federation.KeyFile
	if _, err := federation.CreateKey(path); err != nil {
		t.Fatal(err)
	}
	id, err := federation.LoadIdentity(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := id.Prepare(false); err != nil {
		t.Fatal(err)
	}
	if _, err := id.Change("a.example", false, time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	tr, err := New(Config{Key: id.Key, Name: "a.example", Conn: udp(t, "127.0.0.1"), Succession: id.Succession()})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	b := start(t, "b.example", udp(t, "127.0.0.1"), Limits{})
	dialed, accepted := link(t, node{Transport: tr}, b)
	if dialed.Peer().Succession != nil {
		t.Error("a statement where there is none")
	}
	s := accepted.Peer().Succession
	var v federation.Succession
	if err := s.Read(federation.KindSuccession, &v); err != nil || !id.Key.Public().Equal(ed25519.PublicKey(v.Next)) {
		t.Errorf("%+v, %v", v, err)
	}
	// What cannot be read is none, and no reason to end the handshake.
	bad, err := New(Config{Key: id.Key, Name: "a.example", Conn: udp(t, "127.0.0.1"), Succession: &s2s.Statement{Kind: string(make([]byte, 6000))}})
	if err != nil {
		t.Fatal(err)
	}
	defer bad.Close()
	if _, accepted = link(t, node{Transport: bad}, b); accepted.Peer().Succession != nil {
		t.Error("a statement that is too long is shown")
	}
}
