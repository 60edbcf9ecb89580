package httpd

import (
	"encoding/base64"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"parley/node"
	"parley/protocol"
)

// maxForm is how many bytes a form may have that is not an upload.
const maxForm = 64 << 10

// form reads the fields of a form in a request's body, if that is what it holds.
func form(w http.ResponseWriter, r *http.Request) url.Values {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return nil
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if r.ParseForm() != nil {
		return nil
	}
	return r.PostForm
}

// first of the places where clients put a value: fields may be nil.
func first(header string, r *http.Request, name string, fields func() url.Values) string {
	if header != "" {
		return header
	}
	if v := r.URL.Query().Get(name); v != "" {
		return v
	}
	if v := fields().Get(name); v != "" {
		return v
	}
	if c, err := r.Cookie(name); err == nil {
		if v, err := url.QueryUnescape(c.Value); err == nil {
			return v
		}
	}
	return ""
}

// hasKey looks for an API key in all four places. fields is called if need be.
func (s *Server) hasKey(r *http.Request, fields func() url.Values) bool {
	return s.keys[first(r.Header.Get("X-Tinode-APIKey"), r, "apikey", fields)]
}

// needKey reports whether the request has a key, and answers it if not.
func (s *Server) needKey(w http.ResponseWriter, r *http.Request) bool {
	if s.hasKey(r, func() url.Values { return form(w, r) }) {
		return true
	}
	reply(w, protocol.Ctrl{Code: http.StatusForbidden, Text: textKey})
	return false
}

// identify finds out who makes a request: nobody, without an error, if it bears no
// credentials.
func (s *Server) identify(r *http.Request, fields func() url.Values) (node.Identity, error) {
	scheme, secret := headerCredentials(r)
	if scheme == "" {
		scheme = strings.ToLower(first("", r, "auth", fields))
		secret = first("", r, "secret", fields)
	}
	if scheme == "" {
		return node.Identity{}, nil
	}
	raw, err := decodeSecret(secret)
	if err != nil {
		return node.Identity{}, &protocol.Error{Fault: protocol.Malformed, Err: err}
	}
	return s.node.Authenticate(r.Context(), scheme, raw, s.origin(r, "http", false))
}

// headerCredentials reads "Token …" or "Basic …".
func headerCredentials(r *http.Request) (scheme, secret string) {
	for _, name := range []string{"X-Tinode-Auth", "Authorization"} {
		if scheme, secret, ok := strings.Cut(r.Header.Get(name), " "); ok {
			return strings.ToLower(scheme), strings.TrimSpace(secret)
		}
	}
	return "", ""
}

// decodeSecret reads base64 in any of its alphabets, padded or not. A "+" that was
// not escaped in a query arrives as a blank.
func decodeSecret(s string) ([]byte, error) {
	s = strings.NewReplacer(" ", "+", "-", "+", "_", "/").Replace(strings.TrimRight(s, "="))
	return base64.RawStdEncoding.DecodeString(s)
}
