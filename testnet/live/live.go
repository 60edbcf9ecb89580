// Package live shows a federation that goes on (testnet/run.Live) in a browser, and takes
// orders of the command line over HTTP on loopback:
//
//	GET  /        the page
//	GET  /state   where things stand, as JSON
//	POST /event   an event, as in a scenario, to happen now
//	POST /heal    the end of all that is wrong
//
// Orders need the token of the [Handle], which is in a file that only its user can read.
package live

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"parley/testnet/run"
)

//go:embed page.html
var page []byte

// Bounds.
const (
	maxOrder  = 64 << 10 // bytes
	orderTime = 30 * time.Second
	maxAnswer = 64 << 20 // bytes
)

// Federation is what is shown and ordered about; *run.Live is one.
type Federation interface {
	View() run.View
	Do(ctx context.Context, event string) error
	Heal(ctx context.Context) error
}

// Handle is where a federation that goes on is reached, and the right to give orders.
type Handle struct {
	URL   string `json:"url"`
	Token string `json:"token"`
}

// NewHandle makes one with a token of its own.
func NewHandle(url string) Handle { return Handle{url, rand.Text()} }

// fileName is that of a handle in the directory of runs.
const fileName = ".up.json"

// Write puts the handle where Read finds it; the function takes it away.
func (h Handle) Write(dir string) (remove func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	text, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, fileName)
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err // of a file that is there, the mode would stay
	}
	return func() { _ = os.Remove(file) }, os.WriteFile(file, text, 0o600)
}

// Read finds the federation that goes on in a directory of runs.
func Read(dir string) (Handle, error) {
	var h Handle
	text, err := os.ReadFile(filepath.Join(dir, fileName))
	if errors.Is(err, fs.ErrNotExist) {
		return h, fmt.Errorf("no federation goes on in %s: start one with \"parley testnet up\", or say with --dir where", dir)
	}
	if err == nil {
		err = json.Unmarshal(text, &h)
	}
	return h, err
}

// Handler serves a federation.
func (h Handle) Handler(f Federation) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'")
		_, _ = w.Write(page)
	})
	mux.HandleFunc("GET /state", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(f.View()) // who has gone has gone
	})
	mux.HandleFunc("POST /event", h.order(func(ctx context.Context, text string) error { return f.Do(ctx, text) }))
	mux.HandleFunc("POST /heal", h.order(func(ctx context.Context, _ string) error { return f.Heal(ctx) }))
	return mux
}

// order lets in who has the token.
func (h Handle) order(do func(ctx context.Context, text string) error) http.HandlerFunc {
	return func(w http.ResponseWriter, q *http.Request) {
		if subtle.ConstantTimeCompare([]byte(q.Header.Get("Authorization")), []byte("Bearer "+h.Token)) != 1 {
			http.Error(w, "the token is missing or wrong", http.StatusForbidden)
			return
		}
		text, err := io.ReadAll(http.MaxBytesReader(w, q.Body, maxOrder))
		if err == nil {
			ctx, cancel := context.WithTimeout(q.Context(), orderTime)
			defer cancel()
			err = do(ctx, string(text))
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	}
}

// Do gives an order: "event" with the text of one, or "heal".
func (h Handle) Do(ctx context.Context, what, text string) error {
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL+what, strings.NewReader(text))
	if err != nil {
		return err
	}
	q.Header.Set("Authorization", "Bearer "+h.Token)
	_, err = h.send(q)
	return err
}

// View asks where things stand.
func (h Handle) View(ctx context.Context) (*run.View, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, h.URL+"state", nil)
	if err != nil {
		return nil, err
	}
	text, err := h.send(q)
	if err != nil {
		return nil, err
	}
	v := &run.View{}
	return v, json.Unmarshal(text, v)
}

func (h Handle) send(q *http.Request) ([]byte, error) {
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		return nil, fmt.Errorf("the federation does not answer: %w", err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(io.LimitReader(r.Body, maxAnswer))
	if err == nil && r.StatusCode != http.StatusOK {
		err = errors.New(string(bytes.TrimSpace(text)))
	}
	return text, err
}
