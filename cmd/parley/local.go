package main

import (
	"io"
	"net/http"
	"sync"
)

// local is a transport to a handler in this process.
type local struct {
	handler http.Handler
	wg      sync.WaitGroup
}

// RoundTrip implements http.RoundTripper. The body must be read to its end, or closed.
func (l *local) RoundTrip(r *http.Request) (*http.Response, error) {
	body, pipe := io.Pipe()
	w := &localWriter{header: http.Header{}, pipe: pipe, began: make(chan struct{})}
	r = r.Clone(r.Context())
	if r.Body == nil {
		r.Body = http.NoBody
	}
	l.wg.Go(func() {
		defer func() {
			cut := recover()
			w.WriteHeader(http.StatusOK)
			if cut != nil { // http.ErrAbortHandler, as on the network
				pipe.CloseWithError(io.ErrUnexpectedEOF)
			}
			pipe.Close()
			if cut != nil && cut != http.ErrAbortHandler {
				panic(cut)
			}
		}()
		l.handler.ServeHTTP(w, r)
	})
	<-w.began
	return &http.Response{
		Status: http.StatusText(w.status), StatusCode: w.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.header, Body: body, ContentLength: -1, Request: r,
	}, nil
}

// localWriter is the other end of a local response.
type localWriter struct {
	header http.Header
	pipe   *io.PipeWriter
	status int
	once   sync.Once
	began  chan struct{}
}

// Header implements http.ResponseWriter.
func (w *localWriter) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter; only the first call counts.
func (w *localWriter) WriteHeader(status int) {
	w.once.Do(func() {
		w.status = status
		close(w.began)
	})
}

// Write implements http.ResponseWriter.
func (w *localWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.pipe.Write(p)
}
