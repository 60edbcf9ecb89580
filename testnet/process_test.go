package testnet

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// script makes a stand-in for the parley binary: it writes run.json where serve
// would, and then does body.
func script(t *testing.T, body string) Options {
	t.Helper()
	dir := t.TempDir()
	bin := filepath.Join(dir, "parley")
	text := "#!/bin/sh\n# serve --data DIR\ndata=$3\n" + body + "\n"
	if err := os.WriteFile(bin, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return Options{Binary: bin, Data: filepath.Join(dir, "data")}
}

const listen = `printf '{"pid":%d,"http":"http://127.0.0.1:1234/","admin":"http://127.0.0.1:1235"}' $$ >$data/tmp
mv $data/tmp $data/run.json
`

func TestStartReadsAddresses(t *testing.T) {
	opt := script(t, listen+"exec sleep 60")
	if err := os.MkdirAll(opt.Data, 0o700); err != nil {
		t.Fatal(err)
	}
	stale := []byte(`{"pid":1,"http":"http://127.0.0.1:9/"}`) // of one that was killed
	if err := os.WriteFile(filepath.Join(opt.Data, "run.json"), stale, 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := Start(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	if p.HTTP != "http://127.0.0.1:1234" || p.WebSocket() != "ws://127.0.0.1:1234/v0/channels" || p.Admin != "http://127.0.0.1:1235" {
		t.Errorf("addresses %q %q %q", p.HTTP, p.WebSocket(), p.Admin)
	}
	if err := p.Kill(); err != nil {
		t.Error(err)
	}
	select {
	case <-p.Ended():
	default:
		t.Error("killed, and still there")
	}
}

func TestStartTellsWhyNot(t *testing.T) {
	_, err := Start(t.Context(), script(t, "echo the cellar is flooded; exit 3"))
	if err == nil || !strings.Contains(err.Error(), "cellar is flooded") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("got %v", err)
	}
}

func TestConfigIsPassedOn(t *testing.T) {
	opt := script(t, `while [ $# -gt 1 ]; do [ $1 = --config ] && cat $2; shift; done; exit 1`)
	opt.Config = "limits = 'of the test'"
	if _, err := Start(t.Context(), opt); err == nil || !strings.Contains(err.Error(), opt.Config) {
		t.Errorf("got %v", err)
	}
}

func TestWrap(t *testing.T) {
	opt := script(t, listen+"exec sleep 60")
	opt.Wrap = []string{"sh", "-c", `exec "$@"`, "sh"}
	p, err := Start(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Kill()
	if _, err := os.Stat(p.Path("run.json")); err != nil {
		t.Error(err)
	}
}

func TestStop(t *testing.T) {
	p, err := Start(t.Context(), script(t, "trap 'exit 0' TERM\n"+listen+"while :; do sleep 0.01; done"))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(t.Context()); err != nil {
		t.Errorf("one that stops: %v", err)
	}
	p, err = Start(t.Context(), script(t, "trap '' TERM\n"+listen+"while :; do sleep 0.01; done"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := p.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("one that does not: %v", err)
	}
}

func TestTailKeepsTheEnd(t *testing.T) {
	w := &tail{}
	for range 100 {
		w.Write([]byte(strings.Repeat("x", maxTail/10)))
	}
	w.Write([]byte("the end"))
	if s := w.String(); len(s) != maxTail || !strings.HasSuffix(s, "the end") {
		t.Errorf("%d bytes", len(s))
	}
}
