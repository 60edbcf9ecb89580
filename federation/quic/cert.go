package quic

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	quicgo "github.com/quic-go/quic-go"

	"parley/federation"
	"parley/protocol"
	"parley/protocol/s2s"
)

// The life of a certificate.
const (
	certBackdate = 24 * time.Hour     // for peers whose clocks are behind
	certLife     = 7 * 24 * time.Hour // from the backdated start
	certRenewal  = 3 * 24 * time.Hour // a new one is made when the last is that old
	clockSkew    = time.Hour          // tolerated beyond both ends
)

// errCertificate is wrapped by all that is wrong with a peer's certificate.
var errCertificate = errors.New("quic: the peer's certificate")

// certificates makes the node's own, anew in time. The clock may jump.
type certificates struct {
	key        *federation.Key
	name       protocol.Node
	succession *s2s.Statement // nil: none
	clock      protocol.Clock

	mu   sync.Mutex
	last *tls.Certificate // guarded by mu
	made time.Time        // guarded by mu
}

// current is by the wall clock: a suspended machine's certificates age too.
func (c *certificates) current() (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.clock.Now()
	age := now.Sub(c.made)
	if c.last != nil && age < certRenewal && age > -certBackdate/2 {
		return c.last, nil
	}
	made, err := newCertificate(c.key, c.name, c.succession, now)
	if err != nil {
		return nil, err
	}
	c.last, c.made = made, now
	return made, nil
}

// successionOID is that of the extension that holds the statement by which the key follows
// another: below 2.25 (ITU-T X.667) a random number in pieces, for want of a registered one.
var successionOID = asn1.ObjectIdentifier{2, 25, 1184729461, 1623948417, 905718243, 1760321975}

// newCertificate makes one that is signed by the key that it is about.
func newCertificate(key *federation.Key, name protocol.Node, succession *s2s.Statement, now time.Time) (*tls.Certificate, error) {
	start := now.Add(-certBackdate)
	template := &x509.Certificate{
		DNSNames:    []string{string(name)},
		NotBefore:   start,
		NotAfter:    start.Add(certLife),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if succession != nil {
		raw, err := succession.Encode()
		if err != nil {
			return nil, fmt.Errorf("make a certificate: %w", err)
		}
		template.ExtraExtensions = []pkix.Extension{{Id: successionOID, Value: raw}}
	}
	signer := key.Signer()
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: signer}, nil
}

// server is for connections from peers, client for those to them. Neither asks any
// authority: check is the verification.
func (c *certificates) server() *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		NextProtos:             []string{ALPN},
		GetCertificate:         func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current() },
		ClientAuth:             tls.RequireAnyClientCert,
		SessionTicketsDisabled: true, // every handshake proves the key
		VerifyConnection: func(s tls.ConnectionState) error {
			_, _, err := checkPeer(s, c.clock.Now())
			return err
		},
	}
}

func (c *certificates) client(to federation.Endpoint) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: []string{ALPN},
		ServerName: string(to.Name),
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return c.current()
		},
		InsecureSkipVerify:     true, // of authorities; VerifyConnection runs all the same
		SessionTicketsDisabled: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			key, _, err := checkPeer(s, c.clock.Now())
			if err != nil {
				return err
			}
			same := func(k ed25519.PublicKey) bool { return bytes.Equal(k, key) }
			if len(to.Keys) > 0 && !slices.ContainsFunc(to.Keys, same) {
				return fmt.Errorf("%w: %s", federation.ErrWrongKey, federation.Pin(key))
			}
			return nil
		},
	}
}

// checkPeer says which key the peer has shown and which name it claims.
func checkPeer(s tls.ConnectionState, now time.Time) (ed25519.PublicKey, protocol.Node, error) {
	if n := len(s.PeerCertificates); n != 1 {
		return nil, "", fmt.Errorf("%w: %d of them, one expected", errCertificate, n)
	}
	key, name, err := checkCertificate(s.PeerCertificates[0], now)
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", errCertificate, err)
	}
	return key, name, nil
}

func checkCertificate(c *x509.Certificate, now time.Time) (ed25519.PublicKey, protocol.Node, error) {
	key, ok := c.PublicKey.(ed25519.PublicKey)
	if !ok {
		return nil, "", errors.New("not of an Ed25519 key")
	}
	if err := c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature); err != nil {
		return nil, "", fmt.Errorf("not signed by its own key: %w", err)
	}
	if now.Add(clockSkew).Before(c.NotBefore) || now.Add(-clockSkew).After(c.NotAfter) {
		return nil, "", fmt.Errorf("valid from %s to %s, by our clock it is %s", c.NotBefore.Format(time.RFC3339),
			c.NotAfter.Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	if len(c.DNSNames) != 1 {
		return nil, "", fmt.Errorf("%d names, one expected", len(c.DNSNames))
	}
	name, err := protocol.ParseNode(c.DNSNames[0])
	if err != nil {
		return nil, "", err
	}
	return key, name, nil
}

// peerOf says who is at the other end of a connection whose handshake is done.
func (c *certificates) peerOf(q *quicgo.Conn, dialed bool) (federation.ConnPeer, error) {
	s := q.ConnectionState().TLS
	key, name, err := checkPeer(s, c.clock.Now())
	if err != nil {
		return federation.ConnPeer{}, err
	}
	asked, err := protocol.ParseNode(s.ServerName)
	if err != nil {
		asked = "" // the dialler has not said, or no name
	}
	return federation.ConnPeer{
		Key: key, Name: name, Asked: asked, Dialed: dialed, Addr: addrPort(q.RemoteAddr()),
		Succession: successionIn(s.PeerCertificates[0]),
	}, context.Cause(q.Context())
}

// successionIn reads the statement in a certificate. One that cannot be read is none: then
// the key must be proven otherwise.
func successionIn(c *x509.Certificate) *s2s.Statement {
	for _, e := range c.Extensions {
		if e.Id.Equal(successionOID) {
			if s, err := s2s.ParseStatement(e.Value); err == nil {
				return s
			}
		}
	}
	return nil
}
