package auth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

// Message is a code on its way to a user. Method is "email" or "tel"; Login is
// set if the code resets the secret of that login.
type Message struct {
	Method  string `json:"method"`
	To      string `json:"to"`
	Code    string `json:"code"`
	Lang    string `json:"lang,omitempty"`
	Login   string `json:"login,omitempty"`
	Subject string `json:"subject"`
	Text    string `json:"text"`
}

// A Sender brings messages to where they belong. Errors never contain the code.
type Sender interface {
	Send(ctx context.Context, m Message) error
}

// Writer writes codes to an operator's console or file, one line each, and sends
// them to nobody. Codes are secrets: w must not be the log of the node.
type Writer struct {
	mu sync.Mutex
	w  io.Writer
}

// NewWriter writes to w.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Send implements Sender.
func (s *Writer) Send(_ context.Context, m Message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	purpose := "confirm"
	if m.Login != "" {
		purpose = "reset"
	}
	_, err := fmt.Fprintf(s.w, "%s %s %s %s %s\n", time.Now().UTC().Format(time.RFC3339), purpose, m.Method, m.To, m.Code)
	return err
}

// CodeFile appends codes to a file that only its owner can read.
type CodeFile struct {
	*Writer
	f *os.File
}

// OpenCodeFile opens or makes the file.
func OpenCodeFile(path string) (*CodeFile, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("auth: file for codes: %w", err)
	}
	return &CodeFile{NewWriter(f), f}, nil
}

// Close closes the file.
func (c *CodeFile) Close() error { return c.f.Close() }

// Exec runs a program for each message, without a shell, the message as JSON on
// its standard input. It has to exit with status 0 once the message is on its way.
type Exec struct {
	path    string
	args    []string
	timeout time.Duration
}

// DefaultExecTimeout is how long a program may take.
const DefaultExecTimeout = 20 * time.Second

// NewExec runs the program at an absolute path. timeout 0 means DefaultExecTimeout.
func NewExec(path string, args []string, timeout time.Duration) (*Exec, error) {
	if !filepath.IsAbs(path) {
		return nil, fmt.Errorf("auth: the program that sends codes must be named by its full path, not %q", path)
	}
	if timeout <= 0 {
		timeout = DefaultExecTimeout
	}
	return &Exec{path, args, timeout}, nil
}

// Send implements Sender. What the program prints is dropped: it may show the code.
func (e *Exec) Send(ctx context.Context, m Message) error {
	in, err := json.Marshal(m)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	c := exec.CommandContext(ctx, e.path, e.args...)
	c.Stdin = bytes.NewReader(in)
	c.Env = []string{"PATH=" + os.Getenv("PATH")} // not the node's secrets
	c.WaitDelay = time.Second
	if err := c.Run(); err != nil {
		return errors.Join(ctx.Err(), fmt.Errorf("%s: %w", filepath.Base(e.path), err))
	}
	return nil
}
