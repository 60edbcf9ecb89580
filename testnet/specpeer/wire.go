package specpeer

import (
	"bufio"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/quic-go/quic-go/quicvarint"
)

// Kinds of one-way streams (spec/link.md#streams).
const (
	controlStream = 0
	castStream    = 1
	laneStream    = 16
)

const (
	lanes    = 4
	maxFrame = 1 << 20
	alpn     = "parley/1"
)

// Codes with which connections are closed (spec/link.md#close-codes).
const (
	closeGoodbye  = 0
	closeProtocol = 3
)

func writeFrame(w io.Writer, f any) error {
	b, err := encoding.Marshal(f)
	if err != nil {
		return err
	}
	_, err = w.Write(append(quicvarint.Append(nil, uint64(len(b))), b...))
	return err
}

func readFrame(r *bufio.Reader, f any) error {
	n, err := quicvarint.Read(r)
	if err != nil {
		return err
	}
	if n > maxFrame {
		return fmt.Errorf("frame of %d bytes", n)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return err
	}
	return cbor.Unmarshal(b, f)
}

// tlsConfig shows a key under a name, and demands that the other shows theirs.
func tlsConfig(self string, key ed25519.PrivateKey, peer string, theirs ed25519.PublicKey) (*tls.Config, error) {
	template := x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{self},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{alpn}, ServerName: peer,
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		ClientAuth:   tls.RequireAnyClientCert,
		// The key is what counts: see below.
		InsecureSkipVerify: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			if shown, ok := s.PeerCertificates[0].PublicKey.(ed25519.PublicKey); !ok || !shown.Equal(theirs) {
				return errors.New("not the key of " + peer)
			}
			return s.PeerCertificates[0].VerifyHostname(peer)
		},
	}, nil
}

// cardText is what is signed of a card of a user, said in full (spec/link.md#users).
func cardText(user string, c *Card) ([]byte, error) {
	public := c.Public
	if public == nil {
		public = []byte{}
	}
	b, err := encoding.Marshal([]any{user, c.Version, public, c.Auth})
	return append([]byte("parley card v1\x00"), b...), err
}
