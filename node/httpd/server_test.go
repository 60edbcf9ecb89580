package httpd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"parley/node"
	"parley/protocol"
	"parley/protocol/ws"
)

var discard = slog.New(slog.DiscardHandler)

const goodKey = "?apikey=" + protocol.DefaultAPIKey

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echoNode is a node whose sessions answer each packet with itself, "bye" with the
// end, and "two" with two packets.
type echoNode struct {
	Files
	limits node.Limits
	full   bool

	mu      sync.Mutex
	inside  map[netip.Addr]int
	origins []node.Origin
	ended   []error
}

func newEcho() *echoNode {
	return &echoNode{limits: node.Limits{MaxMessage: 1000, MaxFile: 1 << 20}, inside: map[netip.Addr]int{}}
}

func (n *echoNode) Name() protocol.Node { return "node.test" }
func (n *echoNode) Limits() node.Limits { return n.limits }

func (n *echoNode) Admit(a netip.Addr) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.full {
		return errors.New("full")
	}
	n.inside[a]++
	return nil
}

func (n *echoNode) Dismiss(a netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.inside[a]--
}

func (n *echoNode) sum() (total int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, k := range n.inside {
		total += k
	}
	return total
}

func (n *echoNode) Serve(ctx context.Context, c node.Conn, o node.Origin) error {
	n.mu.Lock()
	n.origins = append(n.origins, o)
	n.mu.Unlock()
	stop := context.AfterFunc(ctx, func() { c.Close(node.CloseShutdown) })
	defer stop()
	for {
		p, err := c.Read()
		if err == nil {
			switch string(p) {
			case "bye":
				c.Close(node.CloseFlood)
				continue
			case "two":
				err = c.Write([][]byte{[]byte("one"), []byte("two")})
			default:
				err = c.Write([][]byte{p})
			}
		}
		if err != nil {
			n.mu.Lock()
			n.ended = append(n.ended, err)
			n.mu.Unlock()
			return err
		}
	}
}

// running is a server under test on loopback.
type running struct {
	*Server
	addr  string // of clients
	admin string
	stop  func() // once, and waits
}

func run(t *testing.T, cfg Config) *running {
	t.Helper()
	cfg.Listener, cfg.Admin = listen(t), listen(t)
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	r := &running{Server: s, addr: cfg.Listener.Addr().String(), admin: cfg.Admin.Addr().String()}
	r.stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(func() { r.stop(); http.DefaultClient.CloseIdleConnections() })
	return r
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// do makes a request; header holds "Name: value" lines.
func do(t *testing.T, method, url, body string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		switch name {
		case "Host":
			req.Host = value
		case "X-Raw":
			req.URL.Opaque = value
		}
		req.Header.Add(name, value)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

// ctrlOf reads an answer's {ctrl}.
func ctrlOf(t *testing.T, body string) protocol.Ctrl {
	t.Helper()
	var r struct{ Ctrl *protocol.Ctrl }
	var raw struct {
		Ctrl struct {
			ID     string
			Code   int
			Text   string
			Params map[string]any
		}
	}
	if err := json.Unmarshal([]byte(body), &raw); err != nil {
		t.Fatalf("%v in %q", err, body)
	}
	r.Ctrl = &protocol.Ctrl{ID: raw.Ctrl.ID, Code: raw.Ctrl.Code, Text: raw.Ctrl.Text, Params: raw.Ctrl.Params}
	return *r.Ctrl
}

// dialWS connects over WebSocket, or tells how that was refused.
func dialWS(t *testing.T, addr, query string, header http.Header) (*ws.Conn, *ws.RefusedError) {
	t.Helper()
	c, err := ws.Dial(t.Context(), "ws://"+addr+"/v0/channels"+query, header, 0)
	var refused *ws.RefusedError
	if err != nil && !errors.As(err, &refused) {
		t.Fatal(err)
	}
	if c != nil {
		t.Cleanup(c.Abort)
	}
	return c, refused
}

func send(t *testing.T, c *ws.Conn, packet string) {
	t.Helper()
	if err := c.Write([][]byte{[]byte(packet)}); err != nil {
		t.Fatal(err)
	}
}

func exchange(t *testing.T, c *ws.Conn, packet string) string {
	t.Helper()
	send(t, c, packet)
	b, err := c.Read()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// closed waits for the end of a connection and checks its code.
func closed(t *testing.T, c *ws.Conn, want ws.Code) {
	t.Helper()
	var ce *ws.ClosedError
	if _, err := c.Read(); !errors.As(err, &ce) || ce.Code != want {
		t.Errorf("got %v, want close %d", err, want)
	}
}

func TestAPIKeyPlaces(t *testing.T) {
	s := run(t, Config{Node: newEcho()})
	good, bad := protocol.DefaultAPIKey, strings.Repeat("B", 32)
	form := "Content-Type: application/x-www-form-urlencoded"
	for _, c := range []struct {
		name, query, body string
		header            []string
		want              int
	}{
		{"none", "", "", nil, 403},
		{"query", "?apikey=" + good, "", nil, 201},
		{"bad query", "?apikey=" + bad, "", nil, 403},
		{"header", "", "", []string{"X-Tinode-APIKey: " + good}, 201},
		{"header before query", "?apikey=" + good, "", []string{"X-Tinode-APIKey: " + bad}, 403},
		{"form", "", "apikey=" + good, []string{form}, 201},
		{"query before form", "?apikey=" + bad, "apikey=" + good, []string{form}, 403},
		{"cookie", "", "", []string{"Cookie: apikey=" + good}, 201},
		{"form before cookie", "", "apikey=" + bad, []string{form, "Cookie: apikey=" + good}, 403},
	} {
		resp, body := do(t, "POST", "http://"+s.addr+"/v0/channels/lp"+c.query, c.body, c.header...)
		if resp.StatusCode != c.want {
			t.Errorf("%s: HTTP %d, want %d", c.name, resp.StatusCode, c.want)
		}
		if got := ctrlOf(t, body); got.Code != c.want || c.want == 403 && got.Text != "valid API key required" {
			t.Errorf("%s: %s", c.name, body)
		}
	}
	_, resp := dialWS(t, s.addr, "", nil)
	if resp == nil || resp.Status != 403 || ctrlOf(t, string(resp.Body)).Text != textKey {
		t.Errorf("WebSocket without a key: %v", resp)
	}
	c, _ := dialWS(t, s.addr, "", http.Header{"X-Tinode-Apikey": {good}, "Origin": {"https://elsewhere.example"}})
	if got := exchange(t, c, "hello"); got != "hello" {
		t.Errorf("echo: %q", got)
	}
}

func TestPlainRequestForWebSocket(t *testing.T) {
	s := run(t, Config{Node: newEcho()})
	resp, body := do(t, "GET", "http://"+s.addr+"/v0/channels"+goodKey, "")
	if resp.StatusCode != 400 || ctrlOf(t, body).Code != 400 {
		t.Errorf("HTTP %d %s", resp.StatusCode, body)
	}
}

func TestFullNodeRefusesAtTheUpgrade(t *testing.T) {
	n := newEcho()
	n.full = true
	s := run(t, Config{Node: n})
	_, refused := dialWS(t, s.addr, goodKey, nil)
	if refused == nil || refused.Status != 429 || refused.Header.Get("Retry-After") != "30" {
		t.Errorf("WebSocket: %+v", refused)
	}
	resp, _ := do(t, "POST", "http://"+s.addr+"/v0/channels/lp"+goodKey, "")
	if resp.StatusCode != 429 || resp.Header.Get("Retry-After") != "30" {
		t.Errorf("long poll: HTTP %d, Retry-After %q", resp.StatusCode, resp.Header.Get("Retry-After"))
	}
}

func TestEveryoneIsDismissed(t *testing.T) {
	n := newEcho()
	s := run(t, Config{Node: n})
	c, _ := dialWS(t, s.addr, goodKey, nil)
	exchange(t, c, "x")
	if n.sum() != 1 {
		t.Errorf("%d inside, want 1", n.sum())
	}
	send(t, c, "bye")
	closed(t, c, ws.Policy)
	// A handshake that is no good is dismissed too.
	do(t, "GET", "http://"+s.addr+"/v0/channels"+goodKey, "", "Connection: upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 12")
	s.stop()
	if n.sum() != 0 {
		t.Errorf("%d inside after the end, want 0", n.sum())
	}
}

func TestShutdownSaysGoodBye(t *testing.T) {
	n := newEcho()
	s := run(t, Config{Node: n})
	c, _ := dialWS(t, s.addr, goodKey, nil)
	exchange(t, c, "x")
	var wg sync.WaitGroup
	wg.Go(func() { closed(t, c, ws.GoingAway) })
	start := time.Now()
	s.stop()
	if d := time.Since(start); d > 2*time.Second {
		t.Errorf("stopping took %v", d)
	}
	wg.Wait()
	if n.sum() != 0 || len(n.ended) != 1 {
		t.Errorf("after the end: %d inside, ended: %v", n.sum(), n.ended)
	}
	if _, err := net.Dial("tcp", s.addr); err == nil {
		t.Error("still listening")
	}
}

func TestShutdownDoesNotWaitForStubbornClients(t *testing.T) {
	s := run(t, Config{Node: newEcho(), Grace: 100 * time.Millisecond})
	c, _ := dialWS(t, s.addr, goodKey, nil) // never reads, so never answers a close frame
	send(t, c, "x")
	half, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer half.Close()
	if _, err := io.WriteString(half, "POST /v0/channels/lp"+goodKey+" HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf"); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	s.stop()
	if d := time.Since(start); d > 4*time.Second {
		t.Errorf("stopping took %v", d)
	}
}

func TestUnknownPaths(t *testing.T) {
	s := run(t, Config{Node: newEcho()})
	for path, want := range map[string]int{"/v0/zzz": 404, "/v0/": 404, "/v0/urlpreview?url=x": 501, "/": 404} {
		resp, body := do(t, "GET", "http://"+s.addr+path, "")
		if resp.StatusCode != want || ctrlOf(t, body).Code != want {
			t.Errorf("%s: HTTP %d %s, want %d", path, resp.StatusCode, body, want)
		}
	}
}

func TestWellKnown(t *testing.T) {
	s := run(t, Config{Node: newEcho(), WellKnown: func() []byte { return []byte("{}\n") }})
	resp, body := do(t, "GET", "http://"+s.addr+"/.well-known/parley", "")
	if resp.StatusCode != 200 || body != "{}\n" || resp.Header.Get("Content-Type") != "application/json" {
		t.Errorf("HTTP %d %q, %v", resp.StatusCode, body, resp.Header)
	}
	s = run(t, Config{Node: newEcho()})
	if resp, _ := do(t, "GET", "http://"+s.addr+"/.well-known/parley", ""); resp.StatusCode != 404 {
		t.Errorf("without a document: HTTP %d", resp.StatusCode)
	}
}

func TestHealth(t *testing.T) {
	var sick error
	s := run(t, Config{Node: newEcho(), Health: func(context.Context) error { return sick }})
	if resp, body := do(t, "GET", "http://"+s.addr+"/healthz", ""); resp.StatusCode != 200 || body != `{"status":"ok"}`+"\n" {
		t.Errorf("HTTP %d %q", resp.StatusCode, body)
	}
	sick = errors.New("disk of /secret/path full")
	if resp, body := do(t, "GET", "http://"+s.addr+"/healthz", ""); resp.StatusCode != 503 || strings.Contains(body, "secret") {
		t.Errorf("HTTP %d %q", resp.StatusCode, body)
	}
}

func TestClientAddr(t *testing.T) {
	nets := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128"), netip.MustParsePrefix("127.0.0.1/32")}
	for _, c := range []struct {
		remote  string
		forward []string
		want    string
	}{
		{"192.0.2.1:5", []string{"198.51.100.7"}, "192.0.2.1"},                        // not trusted
		{"10.0.0.1:5", nil, "10.0.0.1"},                                               // a proxy's own request
		{"10.0.0.1:5", []string{"198.51.100.7"}, "198.51.100.7"},                      // one hop
		{"10.0.0.1:5", []string{"1.2.3.4, 198.51.100.7"}, "198.51.100.7"},             // the client invented 1.2.3.4
		{"10.0.0.1:5", []string{"1.2.3.4", "198.51.100.7, 10.9.9.9"}, "198.51.100.7"}, // two proxies, two headers
		{"10.0.0.1:5", []string{"10.1.1.1, 10.2.2.2"}, "10.1.1.1"},                    // all trusted
		{"10.0.0.1:5", []string{"198.51.100.7, junk"}, "10.0.0.1"},                    // junk is nobody
		{"[::1]:5", []string{"[2001:db8::1]:443"}, "2001:db8::1"},                     // with a port
		{"[::ffff:127.0.0.1]:5", []string{"::ffff:198.51.100.7"}, "198.51.100.7"},     // mapped
		{"192.0.2.1:5", []string{"127.0.0.1"}, "192.0.2.1"},                           // cannot pose as local
	} {
		s := &Server{cfg: Config{TrustedProxies: nets}}
		r := &http.Request{RemoteAddr: c.remote, Header: http.Header{"X-Forwarded-For": c.forward}}
		if got := s.clientAddr(r); got != netip.MustParseAddr(c.want) {
			t.Errorf("%s %q: %v, want %s", c.remote, c.forward, got, c.want)
		}
	}
	if a := (&Server{}).clientAddr(&http.Request{RemoteAddr: "@"}); a.IsValid() {
		t.Errorf("a Unix socket has address %v", a)
	}
}

func TestForwardedAddressReachesTheNode(t *testing.T) {
	n := newEcho()
	s := run(t, Config{Node: n, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	c, _ := dialWS(t, s.addr, goodKey, http.Header{"X-Forwarded-For": {"203.0.113.9"}})
	exchange(t, c, "x")
	n.mu.Lock()
	defer n.mu.Unlock()
	if want := (node.Origin{Addr: netip.MustParseAddr("203.0.113.9"), Proto: "ws"}); len(n.origins) != 1 || n.origins[0] != want {
		t.Errorf("origins %v, want %v", n.origins, want)
	}
}

func TestLogsHoldNoSecrets(t *testing.T) {
	var log lockedBuffer
	s := run(t, Config{Node: newEcho(), Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	do(t, "POST", "http://"+s.addr+"/v0/channels/lp?apikey=sesame-query&sid=sesame-sid", "sesame-body", "Cookie: apikey=sesame-cookie")
	do(t, "GET", "http://"+s.addr+"/v0/file/s/node.test/sesame-file?auth=token&secret=sesame-token", "", "X-Tinode-APIKey: sesame-key")
	c, _ := dialWS(t, s.addr, goodKey, nil)
	exchange(t, c, "sesame-packet")
	c.Abort()
	s.stop()
	got := log.String()
	if strings.Contains(got, "sesame") || strings.Contains(got, protocol.DefaultAPIKey) {
		t.Errorf("a secret in the log:\n%s", got)
	}
	if !strings.Contains(got, "/v0/channels/lp") || strings.Count(got, "msg=http") != 3 {
		t.Errorf("requests are missing in the log:\n%s", got)
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
