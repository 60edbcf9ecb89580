package httpd

import (
	"encoding/base64"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"parley/node"
	"parley/protocol"
	"parley/store"
)

// download gives a file to anybody who is logged in and knows its id.
func (s *Server) download(w http.ResponseWriter, r *http.Request) {
	if cors(w, r, "GET, HEAD, OPTIONS") {
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		refuse(w, protocol.Unsupported)
		return
	}
	if !s.needKey(w, r) {
		return
	}
	who, err := s.identify(r, func() url.Values { return nil })
	if err != nil {
		refuse(w, s.fault(err))
		return
	}
	f, b, err := s.openFile(r, who)
	if err != nil {
		refuse(w, s.fault(err))
		return
	}
	defer b.Close()
	timeout(w, requestTimeout+transferTime(f.Size))
	fileHeader(w.Header(), f, r.URL.Query().Has("asatt"))
	http.ServeContent(w, r, "", f.Created, b)
	if rec, ok := w.(*recorder); ok {
		s.metrics.downloaded.Add(float64(rec.bytes))
	}
}

// openFile finds the file that the path names, here or on another node.
func (s *Server) openFile(r *http.Request, who node.Identity) (*store.File, io.ReadSeekCloser, error) {
	id, ok := node.ParseFileName(r.PathValue("file"))
	home := s.node.Name()
	if named := r.PathValue("node"); named != "" && ok {
		var err error
		home, err = protocol.ParseNode(named)
		ok = err == nil
	}
	switch {
	case who.User == "":
		return nil, nil, protocol.Unauthorized
	case !ok:
		return nil, nil, protocol.NotFound
	case home != s.node.Name():
		return s.node.OpenRemoteFile(r.Context(), who, home, id)
	}
	return s.node.OpenFile(r.Context(), who, id)
}

// fileHeader makes sure that a file cannot act on our origin, whatever is in it:
// the type is taken as it is said, only what browsers merely draw or play is
// shown, and that in a sandbox.
func fileHeader(h http.Header, f *store.File, attachment bool) {
	h.Set("Content-Type", f.MIME)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "private, max-age=31536000, immutable")
	h.Set("ETag", `"`+base64.RawURLEncoding.EncodeToString(f.SHA256[:18])+`"`)
	if attachment || !harmless(f.MIME) {
		d := mime.FormatMediaType("attachment", map[string]string{"filename": f.Name})
		if f.Name == "" || d == "" {
			d = "attachment"
		}
		h.Set("Content-Disposition", d)
	}
}

// harmless reports whether a browser only draws or plays the type.
func harmless(t string) bool {
	major, minor, _ := strings.Cut(t, "/")
	switch major {
	case "audio", "video":
		return true
	case "image":
		return !strings.Contains(minor, "xml") && !strings.Contains(minor, "svg")
	}
	return false
}
