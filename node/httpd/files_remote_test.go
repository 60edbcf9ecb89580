package httpd

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"parley/federation"
	"parley/node"
	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
)

// other is a network with one other node, which gives one file.
type other struct {
	federation.Network
	info s2s.FileInfo
	body string
	err  error
}

func (o *other) Ask(_ context.Context, to protocol.Node, a *s2s.Ask) (*s2s.Answer, io.ReadCloser, error) {
	if o.err != nil {
		return nil, nil, o.err
	}
	info := o.info
	info.Follow = info.Size - a.File.Offset
	return &s2s.Answer{File: &info}, io.NopCloser(strings.NewReader(o.body[a.File.Offset:])), nil
}

// TestFileOfAnotherNode checks what browsers get of files that were fetched: the
// same as of those that are here.
func TestFileOfAnotherNode(t *testing.T) {
	far := &other{}
	h := newHouse(t, func(c *node.Config) { c.Network = far })
	next := byte(0)
	named := func() string {
		next++
		id := base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{next}, 18))
		err := h.store.Update(func(tx store.Tx) error {
			return tx.PutFile(&store.File{ID: "far.test/" + id, Size: -1, Created: time.Now()})
		})
		if err != nil {
			t.Fatal(err)
		}
		return "/v0/file/s/far.test/" + id + ".bin"
	}
	get := func(method, path string, headers ...string) (*http.Response, string) {
		t.Helper()
		return do(t, method, "http://"+h.addr+path, "", append(headers, keyHeader, "X-Tinode-Auth: Token "+h.token)...)
	}
	give := func(mime, body string) string {
		sum := sha256.Sum256([]byte(body))
		far.info, far.body = s2s.FileInfo{Size: int64(len(body)), MIME: mime, Name: "a\r\n.x", SHA256: sum[:]}, body
		return named()
	}

	content := strings.Repeat(png, 3000)
	path := give("image/png", content)
	resp, body := get("GET", path)
	etag := resp.Header.Get("ETag")
	if resp.StatusCode != 200 || body != content || resp.Header.Get("Content-Type") != "image/png" ||
		resp.Header.Get("Content-Disposition") != "" || etag == "" {
		t.Errorf("HTTP %d, %d bytes, %v", resp.StatusCode, len(body), resp.Header)
	}
	if resp, _ := get("GET", path, "If-None-Match: "+etag); resp.StatusCode != 304 {
		t.Errorf("If-None-Match: HTTP %d", resp.StatusCode)
	}
	if resp, _ := get("HEAD", give("image/png", content)); resp.StatusCode != 200 || resp.ContentLength != int64(len(content)) {
		t.Errorf("HEAD: HTTP %d, %d bytes", resp.StatusCode, resp.ContentLength)
	}
	if resp, body := get("GET", give("video/mp4", content), "Range: bytes=1000-1999"); resp.StatusCode != 206 || body != content[1000:2000] {
		t.Errorf("Range: HTTP %d, %d bytes", resp.StatusCode, len(body))
	}
	if resp, _ := get("GET", path, "Range: bytes=9999999-"); resp.StatusCode != 416 {
		t.Errorf("Range beyond the end: HTTP %d", resp.StatusCode)
	}
	for _, mime := range []string{"text/html", "image/svg+xml", "IMAGE/SVG+XML", "application/xhtml+xml", "no type", "text/html\r\nX-Evil: 1", ""} {
		resp, _ := get("GET", give(mime, "<script>alert(1)</script>"))
		hd := resp.Header
		if !strings.HasPrefix(hd.Get("Content-Disposition"), "attachment") || hd.Get("X-Content-Type-Options") != "nosniff" ||
			!strings.HasPrefix(hd.Get("Content-Security-Policy"), "sandbox") || hd.Get("X-Evil") != "" {
			t.Errorf("%q: %v", mime, hd)
		}
	}
}

// TestFileOfAnotherNodeRefused checks that what cannot be had is said clearly, and
// that what is not what it was said to be does not look whole.
func TestFileOfAnotherNodeRefused(t *testing.T) {
	far := &other{}
	h := newHouse(t, func(c *node.Config) { c.Network = far })
	id := func(n byte) string { return base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{n}, 18)) }
	err := h.store.Update(func(tx store.Tx) error {
		for n := byte(1); n < 9; n++ {
			if err := tx.PutFile(&store.File{ID: "far.test/" + id(n), Size: -1, Created: time.Now()}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	get := func(path string, auth ...string) (*http.Response, string, error) {
		t.Helper()
		req, err := http.NewRequest("GET", "http://"+h.addr+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Tinode-APIKey", protocol.DefaultAPIKey)
		for _, a := range auth {
			req.Header.Set("X-Tinode-Auth", a)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		return resp, string(body), err
	}
	alice := "Token " + h.token
	for _, c := range []struct {
		path string
		err  error
		want int
	}{
		{"/v0/file/s/far.test/" + id(99), nil, 404},
		{"/v0/file/s/near.test/" + id(1), nil, 404},
		{"/v0/file/s/10.0.0.1/" + id(1), nil, 404},
		{"/v0/file/s/far.test:80/" + id(1), nil, 404},
		{"/v0/file/s/far.test/short", nil, 404},
		{"/v0/file/s/far.test/" + id(1), protocol.NotFound, 404},
		{"/v0/file/s/far.test/" + id(2), protocol.Busy, 503},
		{"/v0/file/s/far.test/" + id(3), protocol.Timeout, 504},
		{"/v0/file/s/far.test/" + id(4), protocol.TooMany, 429},
	} {
		far.err = c.err
		if resp, body, _ := get(c.path, alice); resp.StatusCode != c.want {
			t.Errorf("%s: HTTP %d %s, want %d", c.path, resp.StatusCode, body, c.want)
		}
	}
	far.err = nil
	if resp, _, _ := get("/v0/file/s/far.test/" + id(5)); resp.StatusCode != 401 {
		t.Errorf("without credentials: HTTP %d", resp.StatusCode)
	}
	far.body = strings.Repeat("x", 5000)
	far.info = s2s.FileInfo{Size: 5000, MIME: "image/png", SHA256: make([]byte, 32)}
	if resp, body, err := get("/v0/file/s/far.test/"+id(5), alice); err == nil && resp.StatusCode == 200 {
		t.Errorf("a wrong hash: HTTP %d and all %d bytes", resp.StatusCode, len(body))
	}
}
