package wellknown

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"parley/federation"
	"parley/protocol"
)

// Times and bounds.
const (
	fetchTimeout = 5 * time.Second
	pageLife     = 24 * time.Hour
	failureLife  = 5 * time.Minute
	freshEnough  = time.Minute // a page without the key that is wanted is not fetched again
	maxCached    = 4096
	maxRedirects = 2
	maxHeader    = 16 << 10 // bytes
	httpsPort    = 443
)

// Hosts finds the addresses of hosts.
type Hosts interface {
	Addrs(ctx context.Context, host string) ([]netip.Addr, error)
}

// Config of a Client. Hosts is needed.
type Config struct {
	Hosts Hosts
	Fence federation.Fence
	// Roots are the authorities of web sites; nil: the system's.
	Roots *x509.CertPool
	// Dial connects to an address; nil: as this machine does.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Port of web sites; 443.
	Port  uint16
	Clock protocol.Clock // by which their certificates are good; nil: the machine's
}

// Client fetches documents. It implements federation.Register and federation.Finder; its
// methods may be called at once.
type Client struct {
	cfg  Config
	http *http.Client

	flights singleflight.Group
	mu      sync.Mutex
	cache   map[protocol.Node]*entry // guarded by mu
}

var (
	_ federation.Register = (*Client)(nil)
	_ federation.Finder   = (*Client)(nil)
)

// entry is a page, or why there is none.
type entry struct {
	page  *page
	err   error
	at    time.Time
	until time.Time
}

// New makes a client.
func New(cfg Config) *Client {
	cfg.Port = cmp.Or(cfg.Port, httpsPort)
	c := &Client{cfg: cfg, cache: map[protocol.Node]*entry{}}
	c.http = &http.Client{
		Timeout:       fetchTimeout,
		CheckRedirect: stayOnHost,
		Transport: &http.Transport{
			Proxy:                  nil, // a proxy would go where the fence does not look
			DialContext:            c.dial,
			TLSClientConfig:        &tls.Config{RootCAs: cfg.Roots, MinVersion: tls.VersionTLS12, Time: cfg.Clock.Now},
			DisableKeepAlives:      true,
			DisableCompression:     true, // bytes are counted as they come
			MaxResponseHeaderBytes: maxHeader,
		},
	}
	return c
}

// errElsewhere is why a redirect is not followed.
var errElsewhere = errors.New("the web site leads to another host")

// stayOnHost is a CheckRedirect: the proof is what this host says over TLS.
func stayOnHost(r *http.Request, before []*http.Request) error {
	if r.URL.Scheme != "https" || r.URL.Host != before[0].URL.Host {
		return errElsewhere
	}
	if len(before) > maxRedirects {
		return errors.New("too many redirects")
	}
	return nil
}

// dial connects to an address that may be gone to.
func (c *Client) dial(ctx context.Context, network, hostport string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return nil, err
	}
	addrs, err := c.cfg.Hosts.Addrs(ctx, host)
	if err != nil {
		return nil, err
	}
	dial := c.cfg.Dial
	if dial == nil {
		dial = (&net.Dialer{Control: c.cfg.Fence.Control}).DialContext
	}
	var failed []error
	for _, a := range addrs[:min(len(addrs), maxAddrs)] {
		conn, err := net.Conn(nil), c.cfg.Fence.Check(a)
		if err == nil {
			conn, err = dial(ctx, network, net.JoinHostPort(a.String(), port))
		}
		if err == nil {
			return conn, nil
		}
		failed = append(failed, err)
	}
	return nil, errors.Join(failed...)
}

// page is that of a name, from the cache or fetched, once for all who want it at a time.
func (c *Client) page(ctx context.Context, name protocol.Node, want ed25519.PublicKey) (*page, error) {
	if federation.ScopeOf(name) != federation.PublicScope {
		return nil, fmt.Errorf("wellknown: %w: %s has no web site", federation.ErrNothing, name)
	}
	if e := c.cached(name); e != nil {
		old := e.page != nil && want != nil && !e.page.Has(want) && time.Since(e.at) >= freshEnough
		if !old {
			return e.page, e.err
		}
	}
	flight := c.flights.DoChan(string(name), func() (any, error) {
		// Others may wait for it: it does not end with the first who asked.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
		defer cancel()
		p, err := c.fetch(ctx, name)
		return c.keep(name, p, err), nil
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case got := <-flight:
		e := got.Val.(*entry)
		return e.page, e.err
	}
}

func (c *Client) cached(name protocol.Node) *entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.cache[name]; e != nil && time.Now().Before(e.until) {
		return e
	}
	return nil
}

func (c *Client) keep(name protocol.Node, p *page, err error) *entry {
	now := time.Now()
	e := &entry{page: p, err: err, at: now, until: now.Add(pageLife)}
	if err != nil {
		e.err, e.until = fmt.Errorf("wellknown: %w", err), now.Add(failureLife)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for k := range c.cache { // any: it is fetched again when needed
		if len(c.cache) < maxCached {
			break
		}
		delete(c.cache, k)
	}
	c.cache[name] = e
	return e
}

// fetch gets the document. Its error wraps federation.ErrNothing if the site says that
// there is none.
func (c *Client) fetch(ctx context.Context, name protocol.Node) (*page, error) {
	host := string(name)
	if c.cfg.Port != httpsPort {
		host = net.JoinHostPort(host, strconv.Itoa(int(c.cfg.Port)))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+host+Path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "parley")
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNotFound, resp.StatusCode == http.StatusGone:
		return nil, fmt.Errorf("%w: %s answers %s", federation.ErrNothing, req.URL, resp.Status)
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s answers %s", req.URL, resp.Status)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxDocument {
		return nil, fmt.Errorf("%w: more than %d bytes", federation.ErrMalformed, maxDocument)
	}
	return parse(name, text)
}
