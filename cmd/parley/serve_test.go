package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"parley/cmd/parley/config"
	"parley/federation"
)

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// A newcomer starts a node in an empty directory, opens what it says, and ends it.
func TestFirstRun(t *testing.T) {
	data := filepath.Join(t.TempDir(), "parley-data")
	p := start(t, data)
	greeting := p.out.String()
	for _, want := range []string{"node localhost", "Open http://127.0.0.1:", p.run.HTTP, p.run.Admin[len("http://"):], "ed25519:", data + " (new)", "Ctrl-C"} {
		if !strings.Contains(greeting, want) {
			t.Errorf("the greeting does not say %q:\n%s", want, greeting)
		}
	}
	for path, want := range map[string]os.FileMode{data: 0o700, dataDir(data).key(): 0o600, dataDir(data).run(): 0o600} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %04o, want %04o", path, info.Mode().Perm(), want)
		}
	}
	if code, body := get(t, p.run.HTTP); code != http.StatusOK || !strings.Contains(body, "<html") {
		t.Errorf("the page is %d %.100q", code, body)
	}
	for _, url := range []string{p.run.HTTP + "healthz", p.run.Admin + "/metrics"} {
		if code, _ := get(t, url); code != http.StatusOK {
			t.Errorf("%s answers %d", url, code)
		}
	}
	p.stop()
	if _, err := os.Stat(dataDir(data).run()); err == nil {
		t.Error("run.json is still there")
	}
	if errs := p.errs.String(); errs != "" {
		t.Errorf("a quiet run logs:\n%s", errs)
	}
	start(t, data).stop() // and again
}

func TestInterruptStopsWithClientsThere(t *testing.T) {
	p := start(t, t.TempDir())
	c := p.dial(p.run.HTTP)
	p.signal(syscall.SIGINT)
	if code, took := p.wait(); code != exitOK || took > stopTimeout {
		t.Errorf("exit code %d after %v: %s", code, took, p.errs)
	}
	<-c.Done()
}

// While a request keeps the node from stopping, a second signal ends it at once.
func TestSecondSignal(t *testing.T) {
	p := start(t, t.TempDir())
	conn, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(p.run.HTTP, "http://"), "/"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /v0/file/u/?apikey=AQEAAAABAAD_rAp4DJh05a1HAwFT3A6K HTTP/1.1\r\nHost: localhost\r\n"+
		"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n")
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") { // it reads the request
		t.Fatalf("%q, %v", line, err)
	}
	p.signal(syscall.SIGTERM)
	p.says("Stopping.")
	p.signal(syscall.SIGTERM)
	code, took := p.wait()
	if code != exitFailed || took > time.Second || !strings.Contains(p.errs.String(), "second time") {
		t.Errorf("exit code %d after %v: %s", code, took, p.errs)
	}
}

func TestSecondOpener(t *testing.T) {
	data := t.TempDir()
	p := start(t, data)
	fails(t, exitFailed, parley(t, "", "serve", "--data", data, "--http", "127.0.0.1:0"),
		fmt.Sprintf("process %d uses %s", p.run.PID, data), "--data")
	if code, _ := get(t, p.run.HTTP+"healthz"); code != http.StatusOK {
		t.Errorf("the first node is not well: %d", code)
	}
}

func TestPortInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := l.Addr().String()
	fails(t, exitFailed, parley(t, "", "serve", "--data", t.TempDir(), "--http", taken, "--admin", "127.0.0.1:0"),
		"another program listens on "+taken, "--http", "http.listen")
	fails(t, exitFailed, parley(t, "", "serve", "--data", t.TempDir(), "--http", "127.0.0.1:0", "--admin", taken),
		"another program listens on "+taken, "--admin", "admin.listen")
}

// The default admin port gives way, since two nodes on one machine both have it.
func TestDefaultAdminPortGivesWay(t *testing.T) {
	s := config.New()
	l, err := listenAdmin(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	second, err := listenAdmin(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if a, b := l.Addr().String(), second.Addr().String(); a == b || !config.Loopback(b) {
		t.Errorf("listeners on %s and %s", a, b)
	}
}

func TestDataOfAnotherName(t *testing.T) {
	data := t.TempDir()
	start(t, data, "--name", "a.localhost").stop()
	fails(t, exitFailed, parley(t, "", "serve", "--data", data, "--name", "b.localhost", "--http", "127.0.0.1:0"),
		"a.localhost", "b.localhost", "--data")
	p := start(t, data) // no name: that of the data
	if !strings.Contains(p.out.String(), "node a.localhost") {
		t.Errorf("the node is another now: %s", p.out)
	}
	p.stop()
}

// A node that was killed in the first moment of its life, when its database had not its
// name yet, starts the next time. An empty file of that name is what is left of another one.
func TestFirstStartCutShort(t *testing.T) {
	data := t.TempDir()
	good(t, "", "key", "--create", "--data", data)
	start(t, data).stop()
	empty := t.TempDir()
	good(t, "", "key", "--create", "--data", empty)
	if err := os.WriteFile(dataDir(empty).db()+".1.new", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, empty).stop()
	if err := os.Truncate(dataDir(empty).db(), 0); err != nil {
		t.Fatal(err)
	}
	fails(t, exitFailed, parley(t, "", "serve", "--data", empty, "--http", "127.0.0.1:0", "--admin", "127.0.0.1:0"), "it is empty", "the last backup")
}

func TestKeyThatCannotBeUsed(t *testing.T) {
	data := t.TempDir()
	start(t, data).stop()
	key := dataDir(data).key()
	if err := os.Chmod(key, 0o644); err != nil {
		t.Fatal(err)
	}
	serve := func() result {
		return parley(t, "", "serve", "--data", data, "--http", "127.0.0.1:0", "--admin", "127.0.0.1:0")
	}
	fails(t, exitFailed, serve(), "chmod 600 "+key)
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	fails(t, exitFailed, serve(), key+" is missing", "parley key --create")
	good(t, "", "key", "--create", "--data", data)
	start(t, data).stop()
	if _, err := federation.LoadKey(key); err != nil {
		t.Error(err)
	}
}

func TestWebClientOfOurs(t *testing.T) {
	dir := t.TempDir()
	fails(t, exitUsage, parley(t, "", "serve", "--web", dir), "--web: ", "no index.html")
	if err := os.WriteFile(filepath.Join(dir, "index.html"), []byte("<html>ours"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, t.TempDir(), "--web", dir)
	if code, body := get(t, p.run.HTTP); code != http.StatusOK || body != "<html>ours" {
		t.Errorf("the page is %d %q", code, body)
	}
	p.stop()
}

func TestOpenRegistrationMustBeSaid(t *testing.T) {
	fails(t, exitUsage, parley(t, "", "serve", "--data", t.TempDir(), "--http", ":0"), "--http: others than this machine", "--registration")
}

func TestURLOf(t *testing.T) {
	for _, c := range []struct {
		name, listen string
		tls          bool
		want         string
	}{
		{"localhost", "127.0.0.1:6060", false, "http://127.0.0.1:6060/"},
		{"a.localhost", "127.0.0.1:80", false, "http://127.0.0.1/"},
		{"localhost", "[::]:6060", false, "http://127.0.0.1:6060/"},
		{"localhost", "[::1]:6060", false, "http://[::1]:6060/"},
		{"localhost", "[::1]:80", false, "http://[::1]/"},
		{"chat.example.org", "127.0.0.1:6060", false, "http://127.0.0.1:6060/"},
		{"chat.example.org", "0.0.0.0:6060", false, "http://chat.example.org:6060/"},
		{"chat.example.org", "0.0.0.0:443", true, "https://chat.example.org/"},
		{"a.localhost", "127.0.0.1:8443", true, "https://a.localhost:8443/"},
		{"chat.example.org", "127.0.0.1:8443", true, "https://chat.example.org:8443/"},
	} {
		s := config.New()
		if c.tls {
			s.HTTP.TLSCert = "x"
		}
		if got := urlOf(s, c.name, fakeListener(c.listen)); got != c.want {
			t.Errorf("%s on %s: %s, want %s", c.name, c.listen, got, c.want)
		}
	}
}

// fakeListener has an address only.
type fakeListener string

func (f fakeListener) Addr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(string(f)))
}
func (f fakeListener) Accept() (net.Conn, error) { return nil, net.ErrClosed }
func (f fakeListener) Close() error              { return nil }
