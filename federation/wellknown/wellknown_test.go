package wellknown

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"parley/federation"
	"parley/protocol"
	"parley/protocol/s2s"
)

const node = protocol.Node("chat.example.org")

var key1, key2 = ed25519.PublicKey(bytes.Repeat([]byte{1}, 32)), ed25519.PublicKey(bytes.Repeat([]byte{2}, 32))

// authority signs certificates that are for servers only, as public ones are since 2026.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test root"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key}
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

func (a *authority) issue(t *testing.T, life time.Duration, names ...string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: names, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(life),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// hosts says that every name is on loopback.
type hosts struct{ err error }

func (h hosts) Addrs(_ context.Context, host string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, h.err
}

// site is a web server of names, over TLS of an authority of its own.
type site struct {
	*authority
	*httptest.Server
	fetched atomic.Int32
	answer  atomic.Pointer[http.HandlerFunc]
}

func newSite(t *testing.T, life time.Duration, names ...string) *site {
	s := &site{authority: newAuthority(t)}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.fetched.Add(1)
		(*s.answer.Load())(w, r)
	}))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{s.issue(t, life, names...)}}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func (s *site) serves(f http.HandlerFunc) { s.answer.Store(&f) }

func (s *site) says(text string) {
	s.serves(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != Path || r.Host == "" || r.Method != http.MethodGet {
			w.WriteHeader(http.StatusTeapot)
		}
		fmt.Fprint(w, text)
	})
}

func (s *site) client(change func(*Config)) *Client {
	cfg := Config{
		Hosts: hosts{}, Fence: federation.Fence{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("192.0.2.0/24")}},
		Roots: s.pool(), Port: netip.MustParseAddrPort(s.Listener.Addr().String()).Port(),
	}
	if change != nil {
		change(&cfg)
	}
	return New(cfg)
}

func document(t *testing.T, name protocol.Node, addrs []string, keys ...ed25519.PublicKey) string {
	t.Helper()
	text, err := Encode(name, keys, addrs, nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestProves(t *testing.T) {
	s := newSite(t, time.Hour, string(node))
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32))
	said, err := s2s.NewStatement("test", 1, private.Public().(ed25519.PublicKey), func(b []byte) []byte { return ed25519.Sign(private, b) })
	if err != nil {
		t.Fatal(err)
	}
	text, err := Encode(node, []ed25519.PublicKey{key1, key2}, []string{"192.0.2.1:7788", "host.example:9", "10.0.0.1:7"}, []*s2s.Statement{said})
	if err != nil {
		t.Fatal(err)
	}
	s.says(strings.Replace(string(text), `"keys"`, `"unknown": {}, "keys"`, 1))
	c := s.client(nil)
	p, err := c.Published(t.Context(), node, key1)
	if err != nil || !p.Has(key1) || !p.Has(key2) || !p.Authentic || len(p.Statements) != 1 || p.Statements[0].Read("test", new(int)) != nil {
		t.Errorf("%+v, %v", p, err)
	}
	e, err := c.Find(t.Context(), node)
	if err != nil || fmt.Sprint(e.Addrs) != "[192.0.2.1:7788 127.0.0.1:9]" || len(e.Keys) != 2 {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestProvesNothing(t *testing.T) {
	good := document(t, node, nil, key1)
	text := func(s string) func(*site) { return func(x *site) { x.says(s) } }
	status := func(n int) func(*site) {
		return func(x *site) { x.serves(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(n) }) }
	}
	for what, c := range map[string]struct {
		set    func(*site)
		change func(*Config)
		err    error // wrapped, if not nil
	}{
		"another node":        {text(document(t, "evil.example", nil, key1)), nil, federation.ErrMalformed},
		"no key":              {text(`{"node":"chat.example.org"}`), nil, federation.ErrMalformed},
		"three keys":          {text(document(t, node, nil, key1, key2, key1)), nil, federation.ErrMalformed},
		"no pin":              {text(`{"node":"chat.example.org","keys":["x"]}`), nil, federation.ErrMalformed},
		"no JSON":             {text("<html>"), nil, federation.ErrMalformed},
		"too long":            {text(good + strings.Repeat(" ", maxDocument)), nil, federation.ErrMalformed},
		"too many":            {text(document(t, node, make([]string, 9), key1)), nil, federation.ErrMalformed},
		"no address":          {text(document(t, node, []string{"x"}, key1)), nil, federation.ErrMalformed},
		"no statement":        {text(strings.Replace(good, `"keys"`, `"statements":["AAAA"], "keys"`, 1)), nil, federation.ErrMalformed},
		"not there":           {status(404), nil, federation.ErrNothing},
		"trouble":             {status(500), nil, nil},
		"unknown root":        {text(good), func(c *Config) { c.Roots = x509.NewCertPool() }, nil},
		"fence":               {text(good), func(c *Config) { c.Fence = federation.Fence{} }, federation.ErrFenced},
		"no such host":        {text(good), func(c *Config) { c.Hosts = hosts{federation.ErrNothing} }, federation.ErrNothing},
		"redirect":            {func(s *site) { s.serves(http.RedirectHandler("https://evil.example"+Path, http.StatusFound).ServeHTTP) }, nil, errElsewhere},
		"redirect to http":    {func(s *site) { s.serves(http.RedirectHandler("http://chat.example.org/", http.StatusFound).ServeHTTP) }, nil, errElsewhere},
		"redirect in circles": {func(s *site) { s.serves(http.RedirectHandler(Path, http.StatusFound).ServeHTTP) }, nil, nil},
		"endless header": {func(s *site) {
			s.serves(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("X", strings.Repeat("x", 2*maxHeader))
				fmt.Fprint(w, good)
			})
		}, nil, nil},
	} {
		s := newSite(t, time.Hour, string(node))
		c.set(s)
		p, err := s.client(c.change).Published(t.Context(), node, key1)
		if err == nil || c.err != nil && !errors.Is(err, c.err) || len(p.Keys) > 0 {
			t.Errorf("%s: %+v, %v; want %v", what, p, err, c.err)
		}
		if c.err == nil && (errors.Is(err, federation.ErrNothing) || errors.Is(err, federation.ErrMalformed)) {
			t.Errorf("%s: %v, want a failure that may pass", what, err)
		}
	}
	for what, s := range map[string]*site{
		"certificate of another name": newSite(t, time.Hour, "other.example"),
		"expired certificate":         newSite(t, -time.Minute, string(node)),
	} {
		s.says(good)
		if _, err := s.client(nil).Published(t.Context(), node, key1); err == nil || s.fetched.Load() > 0 {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestRedirectOnTheHost(t *testing.T) {
	s := newSite(t, time.Hour, string(node))
	s.serves(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == Path {
			http.Redirect(w, r, "/static/parley.json", http.StatusFound)
			return
		}
		fmt.Fprint(w, document(t, node, nil, key1))
	})
	if _, err := s.client(nil).Published(t.Context(), node, key1); err != nil {
		t.Error(err)
	}
}

func TestOnlyNamesOfTheDNS(t *testing.T) {
	s := newSite(t, time.Hour, "a.localhost")
	s.says(document(t, "a.localhost", nil, key1))
	c := s.client(nil)
	for _, n := range []protocol.Node{"a.localhost", "box", federation.KeyName(key1)} {
		if _, err := c.Published(t.Context(), n, key1); !errors.Is(err, federation.ErrNothing) || s.fetched.Load() > 0 {
			t.Errorf("%s: %v", n, err)
		}
	}
}

func TestCache(t *testing.T) {
	s := newSite(t, time.Hour, string(node))
	s.says(document(t, node, nil, key1))
	c := s.client(nil)
	fetched := func(want ed25519.PublicKey, n int32, when string) {
		t.Helper()
		c.Published(t.Context(), node, want)
		if got := s.fetched.Load(); got != n {
			t.Errorf("%s: fetched %d times, want %d", when, got, n)
		}
	}
	age := func(d time.Duration) { e := c.cache[node]; e.at, e.until = e.at.Add(-d), e.until.Add(-d) }
	fetched(key1, 1, "first")
	fetched(key2, 1, "quite new")
	age(23 * time.Hour)
	fetched(key1, 1, "within a day")
	fetched(key2, 2, "another key is wanted")
	age(25 * time.Hour)
	fetched(key1, 3, "after a day")
	s.serves(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) })
	age(25 * time.Hour)
	fetched(key1, 4, "trouble")
	age(4 * time.Minute)
	fetched(key1, 4, "trouble, not yet 5 minutes ago")
	age(2 * time.Minute)
	fetched(key1, 5, "trouble, 6 minutes ago")
}

func TestOneFetchForAll(t *testing.T) {
	s := newSite(t, time.Hour, string(node))
	going := make(chan bool)
	s.serves(func(w http.ResponseWriter, _ *http.Request) {
		<-going
		fmt.Fprint(w, document(t, node, nil, key1))
	})
	c := s.client(nil)
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			ctx := ctx
			if i > 0 {
				ctx = t.Context()
			}
			if _, err := c.Published(ctx, node, key1); err != nil && i > 0 {
				t.Error(err)
			}
		})
	}
	cancel() // whoever asked first may give up: the others do not
	close(going)
	all.Wait()
	if n := s.fetched.Load(); n != 1 {
		t.Errorf("fetched %d times, want 1", n)
	}
}

func TestCacheIsBounded(t *testing.T) {
	c := New(Config{})
	for i := range 2 * maxCached {
		c.keep(protocol.Node(fmt.Sprintf("n%d.example", i)), nil, errors.New("x"))
	}
	if len(c.cache) > maxCached {
		t.Errorf("%d entries", len(c.cache))
	}
}

func FuzzDocument(f *testing.F) {
	f.Add([]byte(`{"node":"chat.example.org","keys":["` + federation.Pin(key1) + `"],"addrs":["x:1"],"statements":["AAAA"]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := parse(node, text)
		if err != nil && !errors.Is(err, federation.ErrMalformed) || err == nil && (len(p.Keys) == 0 || len(p.Keys[0]) != 32) {
			t.Errorf("%q: %+v, %v", text, p, err)
		}
	})
}

// What a node serves, with all that its keys have to say, is what others read.
func TestPage(t *testing.T) {
	dir := t.TempDir()
	if _, err := federation.CreateKey(filepath.Join(dir, federation.KeyFile)); err != nil {
		t.Fatal(err)
	}
	id, err := federation.LoadIdentity(dir)
	if err != nil {
		t.Fatal(err)
	}
	for range 40 { // years
		if err := id.Prepare(false); err != nil {
			t.Fatal(err)
		}
		if _, err := id.Change(node, true, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	p, err := NewPage(node, id, []string{"host.example:1"})
	if err != nil {
		t.Fatal(err)
	}
	s := newSite(t, time.Hour, string(node))
	s.serves(func(w http.ResponseWriter, _ *http.Request) { w.Write(p.Bytes()) })
	got, err := s.client(nil).Published(t.Context(), node, id.Key.Public())
	if err != nil || !got.Has(id.Key.Public()) || len(got.Statements) != federation.MaxStatements {
		t.Errorf("%d statements, %v", len(got.Statements), err)
	}
	first := p.Bytes()
	p.made = p.made.Add(-2 * time.Hour)
	if bytes.Equal(first, p.Bytes()) {
		t.Error("the page is not renewed")
	}
}
