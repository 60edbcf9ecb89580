package httpd

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"parley/protocol/ws"
)

// writeCert makes a certificate of its own authority for node.test, under a serial.
func writeCert(t *testing.T, dir string, serial int64) (pool *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "node.test"}, DNSNames: []string{"node.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	k, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: k}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool = x509.NewCertPool()
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool.AddCert(cert)
	return pool
}

func TestTLSFromFiles(t *testing.T) {
	dir := t.TempDir()
	pool := writeCert(t, dir, 1)
	redirect := listen(t)
	s := run(t, Config{Node: newEcho(), Redirect: redirect, TLS: TLS{CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem")}})

	trust := &tls.Config{RootCAs: pool, ServerName: "node.test"}
	c, err := ws.Dialer{TLS: trust}.Dial(t.Context(), "wss://"+s.addr+"/v0/channels"+goodKey, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Abort()
	if got := exchange(t, c, "hello"); got != "hello" {
		t.Errorf("echo: %q", got)
	}

	tr := &http.Transport{TLSClientConfig: trust, ForceAttemptHTTP2: true}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr}).Get("https://" + s.addr + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 || resp.ProtoMajor != 2 {
		t.Errorf("HTTP/%d %d", resp.ProtoMajor, resp.StatusCode)
	}

	_, port, _ := net.SplitHostPort(s.addr)
	resp, _ = do(t, "GET", "http://"+redirect.Addr().String()+"/a?b=c", "", "Host: evil.example")
	if got, want := resp.Header.Get("Location"), "https://node.test:"+port+"/a?b=c"; resp.StatusCode != 308 || got != want {
		t.Errorf("redirect: HTTP %d to %q, want %q", resp.StatusCode, got, want)
	}
	if resp, _ := do(t, "POST", "http://"+redirect.Addr().String()+"/v0/file/u/", "secret"); resp.StatusCode != 403 {
		t.Errorf("POST in the clear: HTTP %d", resp.StatusCode)
	}
}

func TestCertificateIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	writeCert(t, dir, 1)
	c := &certificate{files: TLS{CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem")}, log: discard}
	if err := c.load(); err != nil {
		t.Fatal(err)
	}
	serial := func() int64 {
		c.mu.Lock()
		c.checked = time.Time{} // as if certCheck had passed
		c.mu.Unlock()
		got, err := c.get(nil)
		if err != nil {
			t.Fatal(err)
		}
		return got.Leaf.SerialNumber.Int64()
	}
	touch := func(d time.Duration) {
		for _, name := range []string{"cert.pem", "key.pem"} {
			if err := os.Chtimes(filepath.Join(dir, name), time.Time{}, time.Now().Add(d)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := serial(); n != 1 {
		t.Errorf("serial %d, want 1", n)
	}
	writeCert(t, dir, 2)
	touch(time.Minute)
	if n := serial(); n != 2 {
		t.Errorf("serial %d after a change, want 2", n)
	}
	if err := os.WriteFile(filepath.Join(dir, "cert.pem"), []byte("half wri"), 0o600); err != nil {
		t.Fatal(err)
	}
	touch(2 * time.Minute)
	if n := serial(); n != 2 {
		t.Errorf("serial %d while the file is broken, want 2", n)
	}
	writeCert(t, dir, 3)
	touch(3 * time.Minute)
	if n := serial(); n != 3 {
		t.Errorf("serial %d after the repair, want 3", n)
	}
}

func TestACMEAnswersOnlyForTheNode(t *testing.T) {
	// An authority that must not be asked.
	asked := false
	ca := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true })}
	l, redirect := listen(t), listen(t)
	var wg sync.WaitGroup
	wg.Go(func() { _ = ca.Serve(l) })
	defer wg.Wait()
	defer ca.Close()
	s := run(t, Config{Node: newEcho(), Redirect: redirect, ACME: ACME{CacheDir: t.TempDir(), Directory: "http://" + l.Addr().String()}})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	d := tls.Dialer{Config: &tls.Config{ServerName: "other.test", InsecureSkipVerify: true}}
	if c, err := d.DialContext(ctx, "tcp", s.addr); err == nil {
		c.Close()
		t.Error("a certificate for another name")
	}
	if asked {
		t.Error("the authority was asked for another name")
	}
	resp, _ := do(t, "GET", "http://"+redirect.Addr().String()+"/x", "")
	if got := resp.Header.Get("Location"); got != "https://node.test/x" {
		t.Errorf("redirect to %q", got)
	}
	if resp, _ := do(t, "GET", "http://"+redirect.Addr().String()+"/.well-known/acme-challenge/unknown", "", "Host: node.test"); resp.StatusCode != 404 {
		t.Errorf("unknown challenge: HTTP %d", resp.StatusCode)
	}
}
