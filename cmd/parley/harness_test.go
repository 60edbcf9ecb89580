package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"parley/protocol/client"
	"parley/testnet"
)

// patience bounds every wait of these tests; none of it is spent when all is well.
const patience = 20 * time.Second

// binary makes the program once.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "parley-cmd-*")
	if err != nil {
		return "", err
	}
	return testnet.Build(context.Background(), dir)
})

func TestMain(m *testing.M) {
	code := m.Run()
	if bin, err := binary(); err == nil && os.Getenv("PARLEY_BINARY") == "" {
		os.RemoveAll(filepath.Dir(bin))
	}
	os.Exit(code)
}

// result is what a command did.
type result struct {
	out, err string
	code     int
}

// parley runs the program to its end.
func parley(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := command(t, ctx, args...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	err := cmd.Run()
	if _, exited := err.(*exec.ExitError); err != nil && !exited { //nolint:errorlint
		t.Fatal(err)
	}
	return result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

func command(t *testing.T, ctx context.Context, args ...string) *exec.Cmd {
	t.Helper()
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, bin, args...)
	cmd.Dir = t.TempDir() // so that no ./parley-data is anywhere else
	return cmd
}

// good is parley for a command that must succeed.
func good(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	r := parley(t, stdin, args...)
	if r.code != exitOK {
		t.Fatalf("parley %s: exit code %d\n%s%s", strings.Join(args, " "), r.code, r.out, r.err)
	}
	return r.out
}

// fails wants an exit code, and all of the words in what is said.
func fails(t *testing.T, code int, r result, words ...string) {
	t.Helper()
	if r.code != code {
		t.Errorf("exit code %d, want %d; it says %s", r.code, code, r.err)
	}
	for _, w := range words {
		if !strings.Contains(r.err, w) {
			t.Errorf("%q does not say %q", r.err, w)
		}
	}
}

// process is a node that runs.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	data string
	run  runFile
	out  *lockedBuffer
	errs *lockedBuffer
	done chan struct{}
	wg   sync.WaitGroup
}

// lockedBuffer is written by a process and read by a test.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start runs "parley serve" and waits until it listens.
func start(t *testing.T, data string, args ...string) *process {
	t.Helper()
	args = append([]string{"serve", "--data", data, "--http", "127.0.0.1:0", "--admin", "127.0.0.1:0"}, args...)
	p := &process{t: t, data: data, out: &lockedBuffer{}, errs: &lockedBuffer{}, done: make(chan struct{})}
	p.cmd = command(t, context.Background(), args...)
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.errs
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.wg.Go(func() {
		p.cmd.Wait()
		close(p.done)
	})
	t.Cleanup(func() {
		p.cmd.Process.Kill() // an error says that it has ended
		p.wg.Wait()
	})
	p.until("start", func() bool {
		var err error
		p.run, err = readRunFile(dataDir(data).run())
		return err == nil && p.run.PID == p.cmd.Process.Pid
	})
	p.says("Ctrl-C")
	return p
}

// says waits until the node has printed a text.
func (p *process) says(text string) {
	p.t.Helper()
	p.until("say "+text, func() bool { return strings.Contains(p.out.String(), text) })
}

// until waits for what another process does; there is nothing but to look.
func (p *process) until(what string, done func() bool) {
	p.t.Helper()
	look := time.NewTicker(2 * time.Millisecond)
	defer look.Stop()
	late := time.After(patience)
	for !done() {
		select {
		case <-look.C:
		case <-p.done:
			p.t.Fatalf("the node ended: %s%s", p.out, p.errs)
		case <-late:
			p.t.Fatalf("the node does not %s: %s%s", what, p.out, p.errs)
		}
	}
}

// signal sends one.
func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// wait returns the exit code, and how long it took.
func (p *process) wait() (int, time.Duration) {
	p.t.Helper()
	from := time.Now()
	select {
	case <-p.done:
	case <-time.After(patience):
		p.t.Fatalf("the node does not end: %s%s", p.out, p.errs)
	}
	return p.cmd.ProcessState.ExitCode(), time.Since(from)
}

// stop ends the node as it should be.
func (p *process) stop() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	if code, took := p.wait(); code != exitOK || took > stopTimeout {
		p.t.Errorf("stopped with exit code %d after %v: %s", code, took, p.errs)
	}
}

// dial connects a client to an address of the node.
func (p *process) dial(base string) *client.Client {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	url := "ws" + strings.TrimPrefix(strings.TrimSuffix(base, "/"), "http") + "/v0/channels"
	c, err := testnet.Dial(ctx, url, client.Config{})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { c.Close() })
	return c
}

// signIn tells whether a password lets in.
func (p *process) signIn(base, login, password string) error {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	c := p.dial(base)
	defer c.Close()
	if _, err := c.LoginBasic(ctx, login, password); err != nil {
		return fmt.Errorf("sign in as %s: %w", login, err)
	}
	return nil
}
