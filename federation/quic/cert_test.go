package quic

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	quicgo "github.com/quic-go/quic-go"

	"parley/federation"
	"parley/federation/fedtest"
)

// rogue is how to make a certificate that is not as it should be.
type rogue struct {
	name   string
	ok     bool
	change func(*x509.Certificate)
	key    crypto.Signer // nil: Ed25519
	issuer crypto.Signer // nil: key
	twice  bool          // sent two times
}

func rogues(t *testing.T) []rogue {
	t.Helper()
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, other, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	start := func(d time.Duration) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.NotBefore = time.Now().Add(d) }
	}
	end := func(d time.Duration) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.NotAfter = time.Now().Add(d) }
	}
	names := func(n ...string) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.DNSNames = n }
	}
	return []rogue{
		{name: "good", ok: true},
		{name: "begins soon", ok: true, change: start(clockSkew - time.Minute)},
		{name: "ended just now", ok: true, change: end(time.Minute - clockSkew)},
		{name: "begins later", change: start(clockSkew + time.Minute)},
		{name: "ended", change: end(-clockSkew - time.Minute)},
		{name: "no name", change: names()},
		{name: "two names", change: names("x.example", "y.example")},
		{name: "an address", change: names("192.0.2.1")},
		{name: "another kind of key", key: ec},
		{name: "signed by another key", issuer: other},
		{name: "a chain", twice: true},
	}
}

func (r rogue) make(t *testing.T) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		DNSNames: []string{"x.example"}, NotBefore: time.Now().Add(-2 * clockSkew), NotAfter: time.Now().Add(2 * clockSkew),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if r.change != nil {
		r.change(template)
	}
	key, issuer := r.key, r.issuer
	if key == nil {
		_, k, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		key = k
	}
	parent := template
	if issuer == nil {
		issuer = key
	} else {
		parent = &x509.Certificate{PublicKey: issuer.Public()}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), issuer)
	if err != nil {
		t.Fatal(err)
	}
	c := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	if r.twice {
		c.Certificate = append(c.Certificate, der)
	}
	return c
}

// TestCertificates shows each to a node that dials and to one that is dialled.
func TestCertificates(t *testing.T) {
	for _, r := range rogues(t) {
		t.Run(r.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := fedtest.NewPackets(1, fedtest.Path{Latency: latency})
				us := start(t, "b.example", socket(t, n, addrB), Limits{})
				conf := &tls.Config{
					Certificates: []tls.Certificate{r.make(t)}, NextProtos: []string{ALPN},
					InsecureSkipVerify: true, ClientAuth: tls.RequireAnyClientCert, ServerName: "b.example",
				}
				them := &quicgo.Transport{Conn: socket(t, n, addrA)}
				defer them.Close()
				theyDial(t, r, us, them, conf)
				weDial(t, r, us, them, conf)
			})
		})
	}
}

func theyDial(t *testing.T, r rogue, us node, them *quicgo.Transport, conf *tls.Config) {
	t.Helper()
	// TLS 1.3: who dials is done before its own certificate has been looked at.
	q, err := them.Dial(t.Context(), net.UDPAddrFromAddrPort(us.Addrs[0]), conf, settings(Limits{}.withDefaults()))
	if err != nil {
		t.Fatal(err)
	}
	defer q.CloseWithError(0, "")
	if r.ok {
		c, err := us.Accept(t.Context())
		if err != nil || c.Peer().Name != "x.example" {
			t.Errorf("not accepted: %v %v", c, err)
		}
		return
	}
	<-q.Context().Done()
	synctest.Wait()
	if n := len(us.conns); n != 0 {
		t.Errorf("%d connections accepted", n)
	}
}

func weDial(t *testing.T, r rogue, us node, them *quicgo.Transport, conf *tls.Config) {
	t.Helper()
	l, err := them.Listen(conf, settings(Limits{}.withDefaults()))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := us.Dial(t.Context(), federation.Endpoint{Name: "x.example", Addrs: []netip.AddrPort{at(addrA)}})
	switch {
	case r.ok && err != nil:
		t.Errorf("not dialled: %v", err)
	case r.ok:
		c.CloseWith(federation.CloseGoodbye, "")
	case err == nil:
		t.Error("dialled")
	case !errors.Is(err, errCertificate):
		t.Errorf("error %v, want one about the certificate", err)
	}
}

// TestRenewal holds a node up for longer than a certificate lives.
func TestRenewal(t *testing.T) {
	two(t, Limits{}, func(t *testing.T, n *fedtest.Packets, a, b node) {
		serials := map[string]bool{}
		for range 20 {
			ab, ba := link(t, a, b)
			for _, c := range []federation.Conn{ab, ba} {
				cert := c.(*conn).q.ConnectionState().TLS.PeerCertificates[0]
				serials[cert.SerialNumber.String()] = true
				if left := time.Until(cert.NotAfter); left < certLife-certBackdate-certRenewal {
					t.Errorf("%v left", left)
				}
				if cert.NotAfter.Sub(cert.NotBefore) != certLife || !cert.NotBefore.Before(time.Now().Add(1-certBackdate)) {
					t.Errorf("from %v to %v, now %v", cert.NotBefore, cert.NotAfter, time.Now())
				}
			}
			ab.CloseWith(federation.CloseGoodbye, "")
			time.Sleep(24 * time.Hour)
		}
		if n := len(serials); n != 2*7 {
			t.Errorf("%d certificates in 20 days, want two every three", n)
		}
	})
}

// TestClockSetBack: a certificate from the future is not shown.
func TestClockSetBack(t *testing.T) {
	now := time.Now()
	shown := now
	c := &certificates{key: fedtest.NewKey(t), name: "a.example", clock: func() time.Time { return shown }}
	first, err := c.current()
	if err != nil {
		t.Fatal(err)
	}
	for ago, same := range map[time.Duration]bool{time.Hour: true, 30 * 24 * time.Hour: false} {
		shown = now.Add(-ago)
		again, err := c.current()
		if err != nil || (again == first) != same {
			t.Errorf("%v back: same %v, want %v (%v)", ago, again == first, same, err)
		}
		c.last, c.made = first, now.Round(0)
	}
}

// TestClocksApart: what spec/link.md says of how far two clocks may be apart. A peer's
// certificate may be as old as they get.
func TestClocksApart(t *testing.T) {
	key := fedtest.NewKey(t)
	for ahead, good := range map[time.Duration]bool{
		24 * time.Hour: true, 25*time.Hour + time.Minute: false, -72 * time.Hour: true, -73*time.Hour - time.Minute: false,
	} {
		now := time.Now()
		peer := &certificates{key: key, name: "a.example", clock: func() time.Time { return now }}
		ours, now0 := now.Add(-ahead), now
		if ahead < 0 { // it was made as long ago as it is shown
			now = now0.Add(-certRenewal + time.Second)
		}
		if _, err := peer.current(); err != nil {
			t.Fatal(err)
		}
		now = now0
		shown, err := peer.current()
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(shown.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := checkCertificate(c, ours); (err == nil) != good {
			t.Errorf("a peer whose clock is %v ahead: %v", ahead, err)
		}
	}
}

func TestNoResumption(t *testing.T) {
	two(t, Limits{}, func(t *testing.T, n *fedtest.Packets, a, b node) {
		for range 3 {
			ab, _ := link(t, a, b)
			time.Sleep(10 * latency)
			if s := ab.(*conn).q.ConnectionState(); s.TLS.DidResume || s.Used0RTT || s.TLS.NegotiatedProtocol != ALPN {
				t.Errorf("resumed %v, 0-RTT %v, ALPN %q", s.TLS.DidResume, s.Used0RTT, s.TLS.NegotiatedProtocol)
			}
			ab.CloseWith(federation.CloseGoodbye, "")
		}
	})
}
