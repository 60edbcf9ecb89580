package names

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"parley/federation/vnet"
	"parley/federation/wellknown"
	"parley/protocol"
)

// Sites are the web sites of names, each at the address of its node, with certificates of
// an authority of their own. They are streams without packets: what a connection takes is
// that of its handshakes, and where no packet passes, none is made.
type Sites struct {
	way   func(from, to netip.Addr) vnet.Link
	key   ed25519.PrivateKey
	ca    *x509.Certificate
	roots *x509.CertPool
	wg    sync.WaitGroup

	mu    sync.Mutex
	sites map[netip.Addr]*site // guarded by mu
}

type site struct {
	page func() []byte // nil: the site is down
	tls  *tls.Config
}

// round trips of TCP and TLS 1.3, and one for the request.
const trips = 3

// life of a certificate. The clock of a bubble begins in the year 2000.
const life = 100 * 365 * 24 * time.Hour

// NewSites makes an authority; way is the network between machines.
func NewSites(seed [ed25519.SeedSize]byte, way func(from, to netip.Addr) vnet.Link) (*Sites, error) {
	s := &Sites{way: way, key: ed25519.NewKeyFromSeed(seed[:]), roots: x509.NewCertPool(), sites: map[netip.Addr]*site{}}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(life),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, s.key.Public(), s.key)
	if err == nil {
		s.ca, err = x509.ParseCertificate(der)
	}
	if err != nil {
		return nil, fmt.Errorf("names: %w", err)
	}
	s.roots.AddCert(s.ca)
	return s, nil
}

// Roots are the authority.
func (s *Sites) Roots() *x509.CertPool { return s.roots }

// Set makes the site of a name, with the document for other nodes; nil: it is down.
func (s *Sites) Set(n protocol.Node, at netip.Addr, page func() []byte) error {
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: s.ca.NotBefore, NotAfter: s.ca.NotAfter, DNSNames: []string{string(n)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, s.ca, s.key.Public(), s.key)
	if err != nil {
		return fmt.Errorf("names: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sites[at] = &site{page, &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: s.key}},
	}}
	return nil
}

// Dial connects a machine with a site. It takes as long as the handshakes.
func (s *Sites) Dial(ctx context.Context, from netip.Addr, address string) (net.Conn, error) {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	there, back := s.way(from, to.Addr()), s.way(to.Addr(), from)
	if there.Cut || back.Cut {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	pause := time.NewTimer(trips * (there.Latency + back.Latency))
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	s.mu.Lock()
	at := s.sites[to.Addr()]
	s.mu.Unlock()
	if at == nil || at.page == nil {
		return nil, errors.New("connection refused")
	}
	client, server := net.Pipe()
	s.wg.Go(func() { _ = at.serve(server) }) // what goes wrong, the client notices
	return client, nil
}

// serve answers one request.
func (at *site) serve(c net.Conn) error {
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(serveTime)); err != nil {
		return err
	}
	conn := tls.Server(c, at.tls)
	defer conn.Close()
	q, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return err
	}
	status, body := "404 Not Found", []byte{}
	if q.URL.Path == wellknown.Path {
		status, body = "200 OK", at.page()
	}
	head := "HTTP/1.1 " + status + "\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n"
	_, err = io.WriteString(conn, head+string(body))
	return err
}

// serveTime bounds a request.
const serveTime = 5 * time.Second

// Close waits for what is going on.
func (s *Sites) Close() { s.wg.Wait() }
