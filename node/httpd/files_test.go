package httpd

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"parley/node"
	"parley/node/auth"
	"parley/protocol"
	"parley/store"
	"parley/store/blob"
	"parley/store/bolt"
)

const png = "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89"

// house is a real node with its store, served over HTTP on loopback.
type house struct {
	*running
	t     *testing.T
	node  *node.Node
	store store.Store
	token string // of a user named alice
}

func newHouse(t *testing.T, change func(*node.Config)) *house {
	t.Helper()
	dir := t.TempDir()
	db, err := bolt.Open(filepath.Join(dir, "parley.db"), bolt.Options{Node: "node.test", Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	blobs, err := blob.Open(filepath.Join(dir, "files"))
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := auth.NewTokens(make([]byte, auth.SecretLen), "node.test", auth.Lifetimes{})
	if err != nil {
		t.Fatal(err)
	}
	cfg := node.Config{Store: db, Blobs: blobs, Passwords: auth.NewArgon2(auth.Params{Time: 1, Memory: 8}, 0), Tokens: tokens,
		Limits: node.Limits{MaxFile: 2 << 20}}
	if change != nil {
		change(&cfg)
	}
	n, err := node.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = n.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	id, err := n.AddUser(t.Context(), "alice", "wonderland", store.LevelAuth, nil)
	if err != nil {
		t.Fatal(err)
	}
	token := tokens.Issue(node.Token{User: id, Level: store.LevelAuth, Expires: time.Now().Add(time.Hour)})
	return &house{running: run(t, Config{Node: n}), t: t, node: n, store: db, token: base64.StdEncoding.EncodeToString(token)}
}

// field is one part of a form; a file has a name.
type field struct{ name, value, file, kind string }

func multi(fields ...field) (body, contentType string) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, f := range fields {
		h := textproto.MIMEHeader{"Content-Disposition": {fmt.Sprintf("form-data; name=%q", f.name)}}
		if f.file != "" {
			h.Set("Content-Disposition", multipart.FileContentDisposition(f.name, f.file))
			h.Set("Content-Type", f.kind)
		}
		p, _ := w.CreatePart(h)
		_, _ = io.WriteString(p, f.value)
	}
	w.Close()
	return b.String(), "Content-Type: " + w.FormDataContentType()
}

const keyHeader = "X-Tinode-APIKey: " + protocol.DefaultAPIKey

// put uploads a form as alice.
func (h *house) put(fields ...field) (*http.Response, string) {
	h.t.Helper()
	body, kind := multi(fields...)
	return do(h.t, "POST", "http://"+h.addr+"/v0/file/u/", body, kind, keyHeader, "X-Tinode-Auth: Token "+h.token)
}

// file uploads one file and returns its path.
func (h *house) file(name, kind, content string) string {
	h.t.Helper()
	resp, body := h.put(field{name: "file", value: content, file: name, kind: kind}, field{name: "id", value: "77"})
	c := ctrlOf(h.t, body)
	path, _ := c.Params["url"].(string)
	if resp.StatusCode != 200 || c.Code != 200 || c.ID != "77" || !strings.HasPrefix(path, "/v0/file/s/node.test/") {
		h.t.Fatalf("upload: HTTP %d %s", resp.StatusCode, body)
	}
	return path
}

// get downloads as alice.
func (h *house) get(path string, header ...string) (*http.Response, string) {
	h.t.Helper()
	return do(h.t, "GET", "http://"+h.addr+path, "", append(header, keyHeader, "X-Tinode-Auth: Token "+h.token)...)
}

func TestDownload(t *testing.T) {
	h := newHouse(t, nil)
	path := h.file("a.txt", "text/plain", "hello file")
	if !strings.HasSuffix(path, ".txt") {
		t.Errorf("path %s", path)
	}
	resp, body := h.get(path)
	if resp.StatusCode != 200 || body != "hello file" {
		t.Fatalf("HTTP %d %q", resp.StatusCode, body)
	}
	for name, want := range map[string]string{"Content-Type": "text/plain", "X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox; default-src 'none'",
		"Referrer-Policy": "no-referrer", "Cache-Control": "private, max-age=31536000, immutable", "Content-Disposition": "attachment; filename=a.txt", "Accept-Ranges": "bytes", "Access-Control-Allow-Origin": "*"} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	tag := resp.Header.Get("ETag")
	for _, c := range []struct {
		method, path, header string
		status               int
		body, extra          string
	}{
		{"GET", path, "If-None-Match: " + tag, 304, "", ""},
		{"GET", path, `If-None-Match: "x"`, 200, "hello file", ""},
		{"GET", path, "Range: bytes=2-4", 206, "llo", "bytes 2-4/10"},
		{"GET", path, "Range: bytes=-3", 206, "ile", "bytes 7-9/10"},
		{"GET", path, "Range: bytes=20-", 416, "invalid range: failed to overlap\n", "bytes */10"},
		{"HEAD", path, "X: y", 200, "", ""},
		{"OPTIONS", path, "X: y", 204, "", ""},
		{"GET", strings.TrimSuffix(path, ".txt"), "X: y", 200, "hello file", ""},
		{"GET", strings.Replace(path, "node.test/", "", 1), "X: y", 200, "hello file", ""},
		{"GET", strings.Replace(path, "node.test", "Node.TEST", 1), "X: y", 200, "hello file", ""},
	} {
		resp, body := do(t, c.method, "http://"+h.addr+c.path, "", c.header, keyHeader, "X-Tinode-Auth: Token "+h.token)
		if resp.StatusCode != c.status || body != c.body || resp.Header.Get("Content-Range") != c.extra {
			t.Errorf("%s %s: HTTP %d %q %q, want %d %q", c.method, c.header, resp.StatusCode, body, resp.Header.Get("Content-Range"), c.status, c.body)
		}
		if c.method == "HEAD" && resp.ContentLength != 10 {
			t.Errorf("HEAD: length %d", resp.ContentLength)
		}
	}
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{"POST", path, 405}, {"DELETE", path, 405},
		{"GET", strings.Replace(path, "node.test", "other.test", 1), 404},
		{"GET", "/v0/file/s/node.test/AAAAAAAAAAAAAAAAAAAAAAAA.txt", 404},
		{"GET", "/v0/file/s/node.test/..%2f..%2fparley.db", 404},
		{"GET", "/v0/file/s/zzz", 404},
	} {
		resp, body := do(t, c.method, "http://"+h.addr+c.path, "", keyHeader, "X-Tinode-Auth: Token "+h.token)
		if resp.StatusCode != c.status || ctrlOf(t, body).Code != c.status {
			t.Errorf("%s %s: HTTP %d %s, want %d", c.method, c.path, resp.StatusCode, body, c.status)
		}
	}
}

func TestCredentialPlaces(t *testing.T) {
	h := newHouse(t, nil)
	path := h.file("a.txt", "text/plain", "hello file")
	basic := base64.StdEncoding.EncodeToString([]byte("alice:wonderland"))
	wrong := base64.StdEncoding.EncodeToString([]byte("alice:looking-glass"))
	esc := url.QueryEscape
	for _, c := range []struct {
		name, query string
		header      []string
		want        int
	}{
		{"none", goodKey, nil, 401},
		{"no key", "?auth=token&secret=" + esc(h.token), nil, 403},
		{"nothing", "", nil, 403},
		{"X-Tinode-Auth", goodKey, []string{"X-Tinode-Auth: Token " + h.token}, 200},
		{"lower case", goodKey, []string{"X-Tinode-Auth: token " + h.token}, 200},
		{"Authorization", goodKey, []string{"Authorization: Token " + h.token}, 200},
		{"Basic", goodKey, []string{"Authorization: Basic " + basic}, 200},
		{"wrong password", goodKey, []string{"Authorization: Basic " + wrong}, 401},
		{"query", goodKey + "&auth=token&secret=" + esc(h.token), nil, 200},
		{"query, not escaped", goodKey + "&auth=token&secret=" + h.token, nil, 200},
		{"query basic", goodKey + "&auth=basic&secret=" + esc(basic), nil, 200},
		{"cookies", "", []string{"Cookie: apikey=" + protocol.DefaultAPIKey + "; auth=token; secret=" + esc(h.token)}, 200},
		{"header before query", goodKey + "&auth=token&secret=" + esc(h.token), []string{"Authorization: Basic " + wrong}, 401},
		{"garbage", goodKey, []string{"X-Tinode-Auth: Token !!!"}, 400},
		{"not a token", goodKey, []string{"X-Tinode-Auth: Token QUJD"}, 400},
	} {
		resp, body := do(t, "GET", "http://"+h.addr+path+c.query, "", c.header...)
		if resp.StatusCode != c.want {
			t.Errorf("%s: HTTP %d %s, want %d", c.name, resp.StatusCode, body, c.want)
		}
	}
}

func TestUploadCredentialsInFields(t *testing.T) {
	h := newHouse(t, nil)
	file := field{name: "file", value: "hello", file: "a.txt", kind: "text/plain"}
	key, scheme, secret := field{name: "apikey", value: protocol.DefaultAPIKey}, field{name: "auth", value: "token"}, field{name: "secret", value: h.token}
	newacc, topic := field{name: "topic", value: "newacc"}, field{name: "topic", value: "me"}
	for _, c := range []struct {
		name   string
		header string
		fields []field
		want   int
	}{
		{"all before", "X: y", []field{key, scheme, secret, file}, 200},
		{"credentials behind", "X: y", []field{key, file, scheme, secret}, 200},
		{"key behind", "X: y", []field{file, key, scheme, secret}, 403},
		{"no credentials", keyHeader, []field{file}, 401},
		{"no credentials for a topic", keyHeader, []field{file, topic}, 401},
		{"new account", keyHeader, []field{file, newacc}, 200},
		{"new account, before", keyHeader, []field{newacc, file}, 200},
		{"bad token behind", keyHeader, []field{file, scheme, {name: "secret", value: "QUJD"}}, 400},
		{"no file", keyHeader, []field{{name: "id", value: "9"}}, 400},
		{"two files", keyHeader, []field{key, scheme, secret, file, file}, 400},
	} {
		body, kind := multi(c.fields...)
		resp, answer := do(t, "POST", "http://"+h.addr+"/v0/file/u", body, kind, c.header)
		if got := ctrlOf(t, answer); resp.StatusCode != c.want || got.Code != c.want {
			t.Errorf("%s: HTTP %d %s, want %d", c.name, resp.StatusCode, answer, c.want)
		}
	}
	if n := h.files(); n != 4 {
		t.Errorf("%d files are kept, want 4", n)
	}
}

// files counts the records of files, finished or not, by letting all be old.
func (h *house) files() (n int) {
	h.t.Helper()
	err := h.store.View(func(tx store.Tx) error {
		n = 0
		for _, err := range tx.Unused(time.Now().Add(100 * time.Hour)) {
			if err != nil {
				return err
			}
			n++
		}
		return nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return n
}

func TestUploadRefusals(t *testing.T) {
	h := newHouse(t, nil)
	big := field{name: "file", value: strings.Repeat("x", 2<<20+1), file: "big", kind: "text/plain"}
	huge := field{name: "file", value: strings.Repeat("x", 9<<20), file: "huge", kind: "text/plain"}
	for _, f := range []field{big, huge} {
		if resp, body := h.put(field{name: "id", value: "5"}, f); resp.StatusCode != 413 || ctrlOf(t, body).Text != "too large" || ctrlOf(t, body).ID != "5" {
			t.Errorf("%s: HTTP %d %s", f.file, resp.StatusCode, body)
		}
	}
	guest := field{name: "file", value: strings.Repeat("x", 512<<10+1), file: "a", kind: "text/plain"}
	body, kind := multi(guest, field{name: "topic", value: "newacc"})
	if resp, body := do(t, "POST", "http://"+h.addr+"/v0/file/u/", body, kind, keyHeader); resp.StatusCode != 413 {
		t.Errorf("a guest's large file: HTTP %d %s", resp.StatusCode, body)
	}
	if resp, body := do(t, "POST", "http://"+h.addr+"/v0/file/u/", "x", keyHeader, "X-Tinode-Auth: Token "+h.token); resp.StatusCode != 400 {
		t.Errorf("not multipart: HTTP %d %s", resp.StatusCode, body)
	}
	for method, want := range map[string]int{"GET": 405, "PUT": 405, "HEAD": 200, "OPTIONS": 204} {
		if resp, _ := do(t, method, "http://"+h.addr+"/v0/file/u/", ""); resp.StatusCode != want {
			t.Errorf("%s: HTTP %d, want %d", method, resp.StatusCode, want)
		}
	}
	if resp, _ := h.put(field{name: "file", value: "", file: "empty", kind: "text/plain"}); resp.StatusCode != 200 {
		t.Errorf("empty file: HTTP %d", resp.StatusCode)
	}
	if n := h.files(); n != 1 {
		t.Errorf("%d files are kept, want only the empty one", n)
	}
}

// A browser writes the whole body before it reads the answer.
func TestRefusalReachesThoseWhoAreStillSending(t *testing.T) {
	h := newHouse(t, nil)
	body, kind := multi(field{name: "file", value: strings.Repeat("x", 30<<20), file: "huge", kind: "text/plain"})
	for name, auth := range map[string]string{"413 too large": "X-Tinode-Auth: Token " + h.token, "400 malformed": "X-Tinode-Auth: Token QUJD"} {
		c, err := net.Dial("tcp", h.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, err = fmt.Fprintf(c, "POST /v0/file/u/ HTTP/1.1\r\nHost: x\r\n%s\r\n%s\r\n%s\r\nContent-Length: %d\r\n\r\n%s", kind, keyHeader, auth, len(body), body)
		if err != nil {
			t.Errorf("%s: sending: %v", name, err)
			continue
		}
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		answer, _ := io.ReadAll(resp.Body)
		if got := ctrlOf(t, string(answer)); fmt.Sprint(resp.StatusCode, " ", got.Text) != name {
			t.Errorf("got HTTP %d %s, want %s", resp.StatusCode, answer, name)
		}
	}
}

func TestBrokenUploadLeavesNothing(t *testing.T) {
	h := newHouse(t, nil)
	body, kind := multi(field{name: "file", value: strings.Repeat("x", 1<<20), file: "a", kind: "text/plain"})
	r, w := io.Pipe()
	req, err := http.NewRequest("POST", "http://"+h.addr+"/v0/file/u/", r)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []string{kind, keyHeader, "X-Tinode-Auth: Token " + h.token} {
		name, value, _ := strings.Cut(v, ": ")
		req.Header.Set(name, value)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		_, _ = io.WriteString(w, body[:len(body)/2])
		w.CloseWithError(io.ErrUnexpectedEOF)
	})
	if resp, err := http.DefaultTransport.RoundTrip(req); err == nil {
		resp.Body.Close()
		t.Errorf("HTTP %d", resp.StatusCode)
	}
	wg.Wait()
	h.stop()
	if n := h.files(); n != 0 {
		t.Errorf("%d files are kept", n)
	}
}

func TestTypes(t *testing.T) {
	h := newHouse(t, nil)
	const html, svg = "<!DOCTYPE html><script>alert(1)</script>", `<svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>`
	for _, c := range []struct {
		name, declared, content string
		want                    string
		inline                  bool
	}{
		{"a.png", "image/png", png, "image/png", true},
		{"a.png", "", png, "image/png", true},
		{"a.png", "application/octet-stream", png, "image/png", true},
		{"a.ogg", "audio/ogg; codecs=opus", "OggS\x00", "audio/ogg", true},
		{"a.mp4", "video/mp4", "\x00\x00\x00\x18ftypmp42", "video/mp4", true},
		{"a.html", "text/html", html, "text/html", false},
		{"a.png", "image/png", html, "text/html", false}, // a document in disguise
		{"a.svg", "image/svg+xml", svg, "image/svg+xml", false},
		{"a.png", "image/png", `<?xml version="1.0"?>` + svg, "text/xml", false},
		{"a.xhtml", "application/xhtml+xml", "<html></html>", "text/html", false},
		{"a.pdf", "application/pdf", "%PDF-1.4", "application/pdf", false},
		{"a.js", "text/javascript", "alert(1)", "text/javascript", false},
		{"a.bin", "nonsense", "\x00\x01\x02", "application/octet-stream", false},
	} {
		resp, body := h.get(h.file(c.name, c.declared, c.content))
		disposition := resp.Header.Get("Content-Disposition")
		if got := resp.Header.Get("Content-Type"); body != c.content || got != c.want || (disposition == "") != c.inline {
			t.Errorf("%s as %q: %q, disposition %q; want %q, inline %v", c.name, c.declared, got, disposition, c.want, c.inline)
		}
		if resp.Header.Get("X-Content-Type-Options") != "nosniff" || !strings.HasPrefix(resp.Header.Get("Content-Security-Policy"), "sandbox;") {
			t.Errorf("%s: %v", c.name, resp.Header)
		}
	}
	resp, _ := h.get(h.file("a.png", "image/png", png) + "?asatt=1")
	if got := resp.Header.Get("Content-Disposition"); got != "attachment; filename=a.png" {
		t.Errorf("asatt: %q", got)
	}
	resp, _ = h.get(h.file("роза\u202e \"x\".bin", "application/zip", "PK\x03\x04"))
	if got, want := resp.Header.Get("Content-Disposition"), "attachment; filename*=utf-8''%D1%80%D0%BE%D0%B7%D0%B0%20%22x%22.bin"; got != want {
		t.Errorf("name: %q, want %q", got, want)
	}
}

func TestQuota(t *testing.T) {
	h := newHouse(t, func(c *node.Config) { c.FileQuota = 100 })
	text := func(n int) field {
		return field{name: "file", value: strings.Repeat("x", n), file: "a", kind: "text/plain"}
	}
	for _, c := range []struct{ size, want int }{{60, 200}, {41, 422}, {40, 200}, {0, 200}, {1, 422}} {
		if resp, body := h.put(text(c.size)); resp.StatusCode != c.want {
			t.Errorf("%d bytes: HTTP %d %s, want %d", c.size, resp.StatusCode, body, c.want)
		}
	}
	if n := h.files(); n != 3 {
		t.Errorf("%d files are kept, want 3", n)
	}
}
