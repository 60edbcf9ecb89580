package httpd

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"

	"parley/protocol"
)

// TLS names the files of a certificate, PEM. They are read again when they change.
type TLS struct {
	CertFile string // empty: no TLS, unless by ACME
	KeyFile  string
}

// ACME gets certificates for the node's name from a certification authority (RFC
// 8555), whose terms are accepted thereby. Port 443 of the name must reach the
// listener, or port 80 Config.Redirect.
type ACME struct {
	CacheDir  string // where keys and certificates are kept; empty: no ACME
	Email     string // for the authority's letters; optional
	Directory string // URL; empty: Let's Encrypt
	// Client talks to the authority; nil: the usual one.
	Client *http.Client
}

const (
	certCheck  = 10 * time.Second // how often the files of a certificate are looked at
	certReport = time.Minute      // between complaints
)

// secure makes the settings of TLS, nil for none, and what wraps the handler of
// plain HTTP to answer the authority.
func (s *Server) secure() (*tls.Config, func(http.Handler) http.Handler, error) {
	plain := func(h http.Handler) http.Handler { return h }
	files, acme := s.cfg.TLS, s.cfg.ACME
	switch {
	case files.CertFile != "" && acme.CacheDir != "":
		return nil, nil, errors.New("httpd: either certificate files or ACME, not both")
	case files.CertFile != "":
		c := &certificate{files: files, log: s.log}
		if err := c.load(); err != nil {
			return nil, nil, fmt.Errorf("httpd: certificate: %w", err)
		}
		return &tls.Config{GetCertificate: c.get, NextProtos: []string{"h2", "http/1.1"}}, plain, nil
	case acme.CacheDir != "":
		m := manager(acme, s.node.Name())
		t := m.TLSConfig()
		t.GetCertificate = s.reported(t.GetCertificate)
		return t, m.HTTPHandler, nil
	case s.cfg.Redirect != nil:
		return nil, nil, errors.New("httpd: a redirect to HTTPS needs TLS")
	}
	return nil, plain, nil
}

type getCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error)

// reported logs why there is no certificate for the node's own name, now and then.
func (s *Server) reported(get getCertificate) getCertificate {
	var last atomic.Int64 // Unix seconds
	return func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		cert, err := get(h)
		if err != nil && h.ServerName == string(s.node.Name()) {
			now, before := time.Now().Unix(), last.Load()
			if now-before >= int64(certReport/time.Second) && last.CompareAndSwap(before, now) {
				s.log.Warn("no certificate for this node", "err", err)
			}
		}
		return cert, err
	}
}

func manager(a ACME, name protocol.Node) *autocert.Manager {
	m := &autocert.Manager{
		Prompt:     autocert.AcceptTOS,
		Cache:      autocert.DirCache(a.CacheDir),
		HostPolicy: autocert.HostWhitelist(string(name)),
		Email:      a.Email,
	}
	if a.Directory != "" || a.Client != nil {
		m.Client = &acme.Client{DirectoryURL: a.Directory, HTTPClient: a.Client}
		if a.Directory == "" {
			m.Client.DirectoryURL = acme.LetsEncryptURL
		}
	}
	return m
}

// redirect leads browsers to HTTPS under the node's name, not the one they used,
// which a stranger may have chosen. What is not safe to repeat is refused: it may
// have been sent in the clear already.
func (s *Server) redirect() http.Handler {
	host := string(s.node.Name())
	_, port, err := net.SplitHostPort(s.cfg.Listener.Addr().String())
	if err == nil && port != "443" && s.cfg.ACME.CacheDir == "" { // ACME has it that 443 leads here
		host = net.JoinHostPort(host, port)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			refuse(w, protocol.Denied)
			return
		}
		http.Redirect(w, r, "https://"+host+r.URL.RequestURI(), http.StatusPermanentRedirect)
	})
}

// certificate is read from files, again when they change. While they cannot be
// read the last good one stays in use.
type certificate struct {
	files TLS
	log   *slog.Logger

	mu      sync.Mutex
	cert    *tls.Certificate
	times   [2]time.Time
	checked time.Time
}

func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.checked) < certCheck {
		return c.cert, nil
	}
	if c.checked = time.Now(); c.modified() != c.times {
		if err := c.read(); err != nil {
			c.log.Error("the changed certificate cannot be used, the old one stays", "err", err)
		} else {
			c.log.Info("certificate loaded again")
		}
	}
	return c.cert, nil
}

func (c *certificate) load() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.read()
}

func (c *certificate) read() error {
	c.checked, c.times = time.Now(), c.modified()
	cert, err := tls.LoadX509KeyPair(c.files.CertFile, c.files.KeyFile)
	if err != nil {
		return err
	}
	c.cert = &cert
	return nil
}

// modified tells when the files were; zero for one that is not there.
func (c *certificate) modified() (times [2]time.Time) {
	for i, name := range []string{c.files.CertFile, c.files.KeyFile} {
		if info, err := os.Stat(name); err == nil {
			times[i] = info.ModTime()
		}
	}
	return times
}
