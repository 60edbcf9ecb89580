package httpd

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

func TestStatic(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"web/index.html": "<p>app</p>", "web/app.js": "let x", "web/sub/index.html": "sub", "web/list/a.txt": "a",
		"web/.git/config": "hidden", "secret.txt": "outside",
	} {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(dir, "secret.txt"), filepath.Join(dir, "web", "link.txt")); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(filepath.Join(dir, "web"))
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	s := run(t, Config{Node: newEcho(), Web: root.FS()})
	for path, want := range map[string]string{
		"/": "<p>app</p>", "/index.html": "<p>app</p>", "/app.js": "let x", "/sub/": "sub",
		"/sub": "", "/list/": "", "/list": "", "/.git/config": "", "/nothing": "", "/link.txt": "",
		"/../secret.txt": "", "/%2e%2e/secret.txt": "", "/..%2fsecret.txt": "", "/a%00b": "",
	} {
		resp, body := raw(t, s.addr, path)
		if want == "" && resp.StatusCode != 404 && resp.StatusCode != 307 || want != "" && body != want {
			t.Errorf("%s: HTTP %d %q, want %q", path, resp.StatusCode, body, want)
		}
		if strings.Contains(body, "outside") || strings.Contains(body, "hidden") || strings.Contains(body, "a.txt") {
			t.Errorf("%s shows %q", path, body)
		}
	}
	resp, _ := do(t, "GET", "http://"+s.addr+"/app.js", "")
	for name, want := range map[string]string{"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Content-Type": "text/javascript; charset=utf-8"} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if resp, _ := do(t, "GET", "http://"+s.addr+"/app.js", "", "If-None-Match: "+resp.Header.Get("ETag")); resp.StatusCode != 304 {
		t.Errorf("If-None-Match: HTTP %d", resp.StatusCode)
	}
	if resp, _ := do(t, "POST", "http://"+s.addr+"/", ""); resp.StatusCode != 405 {
		t.Errorf("POST: HTTP %d", resp.StatusCode)
	}
}

// raw asks for a path as it is, which a client would clean.
func raw(t *testing.T, addr, path string) (*http.Response, string) {
	t.Helper()
	return do(t, "GET", "http://"+addr, "", "X-Raw: "+path)
}

func TestStaticWithoutTimes(t *testing.T) {
	s := run(t, Config{Node: newEcho(), Web: fstest.MapFS{"a.js": {Data: []byte("one")}, "b.js": {Data: []byte("two")}}})
	a, _ := do(t, "GET", "http://"+s.addr+"/a.js", "")
	b, _ := do(t, "GET", "http://"+s.addr+"/b.js", "")
	tag := a.Header.Get("ETag")
	if tag == "" || tag == b.Header.Get("ETag") {
		t.Errorf("tags %q and %q", tag, b.Header.Get("ETag"))
	}
	resp, body := do(t, "GET", "http://"+s.addr+"/a.js", "", "If-None-Match: "+tag)
	if resp.StatusCode != 304 || body != "" {
		t.Errorf("HTTP %d %q", resp.StatusCode, body)
	}
}

func TestOperators(t *testing.T) {
	n := newEcho()
	s := run(t, Config{Node: n, AdminHandler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write([]byte("admin " + r.URL.Path))
	})})
	do(t, "GET", "http://"+s.addr+"/v0/zzz", "")
	if _, body := do(t, "GET", "http://"+s.admin+"/metrics", ""); !strings.Contains(body, `parley_http_requests_total{route="/v0/",status="404"} 1`) || !strings.Contains(body, "go_goroutines") {
		t.Errorf("metrics:\n%s", body)
	}
	if _, body := do(t, "GET", "http://"+s.admin+"/debug/pprof/", ""); !strings.Contains(body, "goroutine") {
		t.Errorf("pprof: %s", body)
	}
	if _, body := do(t, "GET", "http://"+s.admin+"/admin/users", ""); body != "admin /admin/users" {
		t.Errorf("admin: %s", body)
	}
	for _, header := range []string{"Host: rebound.example", "Host: rebound.example:80", "Origin: https://evil.example", "Origin: null"} {
		if resp, _ := do(t, "GET", "http://"+s.admin+"/metrics", "", header); resp.StatusCode != 403 {
			t.Errorf("%s: HTTP %d", header, resp.StatusCode)
		}
	}
	for _, path := range []string{"/metrics", "/debug/pprof/", "/admin/users"} {
		if resp, _ := do(t, "GET", "http://"+s.addr+path, ""); resp.StatusCode != 404 {
			t.Errorf("%s for everybody: HTTP %d", path, resp.StatusCode)
		}
	}
	c, _ := dialWS(t, s.admin, goodKey, nil)
	exchange(t, c, "x")
	if _, refused := dialWS(t, s.admin, goodKey, http.Header{"Origin": {"https://evil.example"}}); refused == nil || refused.Status != 403 {
		t.Error("a foreign page reached the operators' channel")
	}
	c, _ = dialWS(t, s.addr, goodKey, nil)
	exchange(t, c, "x")
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.origins) != 2 || !n.origins[0].Admin || n.origins[1].Admin {
		t.Errorf("origins %+v", n.origins)
	}
}

func TestOperatorsOnlyOnLoopback(t *testing.T) {
	if _, err := New(Config{Node: newEcho(), Listener: listen(t), Admin: fakeListener{addr: "192.0.2.1:6061"}}); err == nil {
		t.Error("an operators' listener that the world can reach was accepted")
	}
}

type fakeListener struct {
	net.Listener
	addr string
}

func (f fakeListener) Addr() net.Addr {
	a, _ := net.ResolveTCPAddr("tcp", f.addr)
	return a
}

func TestConfigIsChecked(t *testing.T) {
	for name, cfg := range map[string]Config{
		"no node":          {Listener: listen(t)},
		"no listener":      {Node: newEcho()},
		"both":             {Node: newEcho(), Listener: listen(t), TLS: TLS{CertFile: "x"}, ACME: ACME{CacheDir: "y"}},
		"no certificate":   {Node: newEcho(), Listener: listen(t), TLS: TLS{CertFile: "/nonexistent", KeyFile: "/nonexistent"}},
		"useless redirect": {Node: newEcho(), Listener: listen(t), Redirect: listen(t)},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
