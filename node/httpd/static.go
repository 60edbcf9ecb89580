package httpd

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"

	"parley/protocol"
)

// static serves a web client. Browsers ask every time whether a file has changed:
// clients come without versions in the names of their files.
func (s *Server) static() http.Handler {
	if s.cfg.Web == nil {
		return http.HandlerFunc(s.unknown)
	}
	return &webFiles{s: s, fs: s.cfg.Web}
}

type webFiles struct {
	s    *Server
	fs   fs.FS
	tags sync.Map // path → ETag, of files that bear no time since they never change
}

// ServeHTTP implements [http.Handler].
func (wf *webFiles) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		refuse(w, protocol.Unsupported)
		return
	}
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", "frame-ancestors 'self'; base-uri 'self'; object-src 'none'")
	h.Set("Cache-Control", "no-cache")
	name := strings.TrimPrefix(path.Clean(r.URL.Path), "/")
	if name == "" || strings.HasSuffix(r.URL.Path, "/") {
		name = path.Join(name, "index.html")
	}
	if err := wf.serve(w, r, name); err != nil {
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrInvalid) {
			wf.s.log.Warn("cannot serve a file of the web client", "err", err)
		}
		http.NotFound(w, r)
	}
}

// serve answers with one file. Directories and hidden files do not exist.
func (wf *webFiles) serve(w http.ResponseWriter, r *http.Request, name string) error {
	if strings.HasPrefix(name, ".") || strings.Contains(name, "/.") {
		return fs.ErrNotExist
	}
	f, err := wf.fs.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fs.ErrNotExist
	}
	content, ok := f.(io.ReadSeeker)
	if !ok {
		all, err := io.ReadAll(f)
		if err != nil {
			return err
		}
		content = bytes.NewReader(all)
	}
	tag, err := wf.tag(name, info, content)
	if err != nil {
		return err
	}
	w.Header().Set("ETag", tag)
	http.ServeContent(w, r, name, info.ModTime(), content)
	return nil
}

// tag names the version of a file, by its time or else by its content.
func (wf *webFiles) tag(name string, info fs.FileInfo, content io.ReadSeeker) (string, error) {
	if t := info.ModTime(); !t.IsZero() {
		return fmt.Sprintf(`"%x-%x"`, t.UnixNano(), info.Size()), nil
	}
	if tag, ok := wf.tags.Load(name); ok {
		return tag.(string), nil
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, content); err != nil {
		return "", err
	}
	if _, err := content.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	tag := `"` + base64.RawURLEncoding.EncodeToString(sum.Sum(nil)[:18]) + `"`
	wf.tags.Store(name, tag)
	return tag, nil
}
