package httpd

import (
	"bufio"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"parley/node"
	"parley/protocol"
)

// Limits of uploads, beside node.Limits.MaxFile.
const (
	maxUploads     = 64 // at once
	maxUploadsEach = 8  // of one user
	maxGuests      = 8  // at once without credentials, for accounts to be
	maxGuestsEach  = 2  // from one address
	maxFields      = 16 // beside the file
	maxField       = 4 << 10
	maxName        = 255
	sniffBytes     = 512
	slowestBytes   = 16 << 10 // a second, up and down
	overhead       = 64 << 10 // of multipart, generously
	drainBytes     = 64 << 20 // read after a refusal, so that it can be read
	drainTime      = 15 * time.Second
)

// uploading is one upload: a form whose file is streamed to the disk. Credentials
// and purpose may stand in fields before or behind it.
type uploading struct {
	s      *Server
	w      http.ResponseWriter
	r      *http.Request
	parts  *multipart.Reader
	fields url.Values
	who    node.Identity
	count  int
}

func (s *Server) upload(w http.ResponseWriter, r *http.Request) {
	if cors(w, r, "POST, OPTIONS") {
		return
	}
	switch r.Method {
	case http.MethodHead:
		return
	case http.MethodPost:
	default:
		refuse(w, protocol.Unsupported)
		return
	}
	limit := s.node.Limits().MaxFile
	timeout(w, requestTimeout+transferTime(limit))
	body := r.Body
	r.Body = http.MaxBytesReader(nil, r.Body, limit+overhead)
	u := &uploading{s: s, w: w, r: r, fields: url.Values{}}
	err := u.run()
	if err == nil {
		return
	}
	drain(w, body)
	if errors.Is(err, errNoKey) {
		reply(w, protocol.Ctrl{Code: http.StatusForbidden, Text: textKey})
		return
	}
	refuseID(w, s.fault(err), u.fields.Get("id"))
}

var errNoKey = errors.New("httpd: no API key")

// transferTime is how long n bytes may take.
func transferTime(n int64) time.Duration { return time.Duration(n/slowestBytes) * time.Second }

// drain reads the rest of a body: a client that is still sending would see a
// broken connection instead of the answer.
func drain(w http.ResponseWriter, body io.Reader) {
	timeout(w, drainTime)
	_, _ = io.CopyN(io.Discard, body, drainBytes)
	timeout(w, requestTimeout)
}

func (u *uploading) run() error {
	var err error
	if u.parts, err = u.r.MultipartReader(); err != nil {
		if !u.key() {
			return errNoKey
		}
		return &protocol.Error{Fault: protocol.Malformed, Err: err}
	}
	file, err := u.next()
	switch {
	case err != nil:
		return err
	case !u.key():
		return errNoKey
	case file == nil:
		return protocol.Malformed
	}
	if u.who, err = u.s.identify(u.r, u.form); err != nil {
		return err
	}
	free, ok := u.slot()
	if !ok {
		return protocol.TooMany
	}
	defer free()
	return u.save(file)
}

func (u *uploading) form() url.Values { return u.fields }

func (u *uploading) key() bool { return u.s.hasKey(u.r, u.form) }

func (u *uploading) slot() (free func(), ok bool) {
	if u.who.User == "" {
		return u.s.guests.take(u.s.clientAddr(u.r).String())
	}
	return u.s.uploads.take(string(u.who.User))
}

// next reads fields up to a file, or to the end, where it returns nil.
func (u *uploading) next() (*multipart.Part, error) {
	for {
		p, err := u.parts.NextPart()
		if err == io.EOF {
			return nil, nil
		}
		if err != nil {
			return nil, &protocol.Error{Fault: bodyFault(err), Err: err}
		}
		if p.FormName() == "file" {
			return p, nil
		}
		if u.count++; u.count > maxFields {
			return nil, protocol.Malformed
		}
		value, err := io.ReadAll(http.MaxBytesReader(nil, p, maxField))
		if err != nil {
			return nil, &protocol.Error{Fault: protocol.Malformed, Err: err}
		}
		u.fields.Add(p.FormName(), string(value))
	}
}

func (u *uploading) save(file *multipart.Part) error {
	body := bufio.NewReaderSize(bodyReader{file}, sniffBytes)
	head, err := body.Peek(sniffBytes)
	if err != nil && err != io.EOF {
		return err
	}
	up := node.Upload{
		Who:   u.who,
		From:  u.s.origin(u.r, "http", false),
		Name:  fileName(file.FileName()),
		MIME:  fileType(file.Header.Get("Content-Type"), head),
		Body:  body,
		After: u.after,
	}
	f, err := u.s.node.SaveFile(u.r.Context(), up)
	if err != nil {
		return err
	}
	u.s.metrics.uploaded.Add(float64(f.Size))
	reply(u.w, protocol.Ctrl{ID: u.fields.Get("id"), Code: http.StatusOK, Text: "ok",
		Params: map[string]any{"url": node.FilePath(u.s.node.Name(), f)}})
	return nil
}

// after reads what stands behind the file.
func (u *uploading) after(up *node.Upload) error {
	second, err := u.next()
	if err != nil {
		return err
	}
	if second != nil {
		return protocol.Malformed
	}
	if up.Who.User == "" {
		if up.Who, err = u.s.identify(u.r, u.form); err != nil {
			return err
		}
	}
	up.Topic = u.fields.Get("topic")
	return nil
}

// bodyReader marks the client's errors as such.
type bodyReader struct{ r io.Reader }

func (b bodyReader) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err != nil && err != io.EOF {
		err = &protocol.Error{Fault: bodyFault(err), Err: err}
	}
	return n, err
}

// fileName is a name without control characters, and not too long.
func fileName(s string) string {
	s = strings.Map(func(c rune) rune {
		if c == utf8.RuneError || !unicode.IsPrint(c) || strings.ContainsRune(`/\`, c) {
			return -1
		}
		return c
	}, s)
	for len(s) > maxName {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	return s
}

// fileType is the type that the client declares, unless it is none or the bytes
// look like a document that can hold script.
func fileType(declared string, head []byte) string {
	sniffed, _, _ := mime.ParseMediaType(http.DetectContentType(head))
	t, _, err := mime.ParseMediaType(declared)
	if err != nil || len(t) > maxName || strings.Count(t, "/") != 1 || t == "application/octet-stream" || sniffed == "text/html" || sniffed == "text/xml" && t != "image/svg+xml" {
		return sniffed
	}
	return t
}
