package auth

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var testMessage = Message{Method: "email", To: "ann@example.org", Code: "314159", Lang: "en-US", Subject: "Your code", Text: "It is 314159.\n"}

func TestWriter(t *testing.T) {
	var b bytes.Buffer
	w := NewWriter(&b)
	reset := testMessage
	reset.Login = "ann"
	for _, m := range []Message{testMessage, reset} {
		if err := w.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	for i, want := range []string{" confirm email ann@example.org 314159", " reset email ann@example.org 314159"} {
		if len(lines) != 2 || !strings.HasSuffix(lines[i], want) {
			t.Errorf("line %d of %q does not end in %q", i, lines, want)
		}
	}
}

func TestCodeFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "codes")
	for range 2 { // is appended to
		f, err := OpenCodeFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Send(t.Context(), testMessage); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil || bytes.Count(b, []byte("314159\n")) != 2 {
		t.Errorf("file holds %q, %v", b, err)
	}
	if i, err := os.Stat(path); err != nil || i.Mode().Perm() != 0o600 {
		t.Errorf("others can read the codes: %v, %v", i.Mode(), err)
	}
}

func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "send")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestExec(t *testing.T) {
	t.Setenv("PARLEY_SECRET", "node's own")
	dir := t.TempDir()
	e, err := NewExec(script(t, `cat >"$1/in"; env >"$1/env"`), []string{dir}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Send(t.Context(), testMessage); err != nil {
		t.Fatal(err)
	}
	var got Message
	b, _ := os.ReadFile(filepath.Join(dir, "in"))
	if err := json.Unmarshal(b, &got); err != nil || got != testMessage {
		t.Errorf("the program read %s, %v", b, err)
	}
	if env, _ := os.ReadFile(filepath.Join(dir, "env")); len(env) == 0 || bytes.Contains(env, []byte("SECRET")) {
		t.Errorf("the program's environment: %s", env)
	}
}

func TestExecFails(t *testing.T) {
	if _, err := NewExec("sendmail", nil, 0); err == nil {
		t.Error("a program that depends on the search path was accepted")
	}
	e, _ := NewExec(script(t, "cat; cat >&2; exit 3"), nil, 0)
	if err := e.Send(t.Context(), testMessage); err == nil || strings.Contains(err.Error(), testMessage.Code) {
		t.Errorf("exit status 3 gave %v", err)
	}
	slow, _ := NewExec(script(t, "exec sleep 60"), nil, 50*time.Millisecond)
	begin := time.Now()
	if err := slow.Send(t.Context(), testMessage); err == nil || time.Since(begin) > 10*time.Second {
		t.Errorf("a program that hangs: %v after %v", err, time.Since(begin))
	}
}
