package testnet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Options say how to start a node.
type Options struct {
	Binary string // of parley
	Data   string // its data directory; made if need be
	HTTP   string // address for clients; "": 127.0.0.1 and a free port
	Config string // TOML, beside what the other fields say; "": all defaults
	// Wrap, if set, is a command that executes the node's command, which follows it
	// as its arguments, in its own place: {"unshare", "-m", "sh", "-c", …}.
	Wrap  []string
	Files []*os.File // that the command inherits, from descriptor 3 on
	Log   io.Writer  // gets what the node prints; nil: discarded
	Env   []string   // more environment
}

// A Process is a running node. Kill, Stop or Wait must be called.
type Process struct {
	HTTP  string // base URL for clients: "http://127.0.0.1:1234"
	Admin string // base URL of the admin listener
	Token string // of its operator
	opt   Options
	cmd   *exec.Cmd
	wg    sync.WaitGroup // the reaper's, which ends with the process
	ended chan struct{}
	err   error // of the process, once ended is closed
	tail  *tail
}

// startTimeout is how long a node may take until it listens; recovery included.
const startTimeout = 30 * time.Second

// Start starts a node and returns when it listens.
func Start(ctx context.Context, opt Options) (*Process, error) {
	p, err := Launch(opt)
	if err != nil {
		return nil, err
	}
	if err := p.Ready(ctx); err != nil {
		return nil, errors.Join(err, p.Kill())
	}
	return p, nil
}

// Launch starts a node and does not wait until it listens.
func Launch(opt Options) (*Process, error) {
	if err := os.MkdirAll(opt.Data, 0o700); err != nil {
		return nil, err
	}
	if opt.HTTP == "" {
		opt.HTTP = "127.0.0.1:0"
	}
	args := []string{opt.Binary, "serve", "--data", opt.Data, "--http", opt.HTTP, "--admin", "127.0.0.1:0"}
	if opt.Config != "" {
		file := strings.TrimSuffix(opt.Data, "/") + ".toml"
		if err := os.WriteFile(file, []byte(opt.Config), 0o600); err != nil {
			return nil, err
		}
		args = append(args, "--config", file)
	}
	args = append(append([]string{}, opt.Wrap...), args...)
	p := &Process{opt: opt, ended: make(chan struct{}), tail: &tail{to: opt.Log}}
	p.cmd = exec.Command(args[0], args[1:]...)
	p.cmd.Stdout, p.cmd.Stderr = p.tail, p.tail
	p.cmd.Env, p.cmd.ExtraFiles = append(os.Environ(), opt.Env...), opt.Files
	dieWithParent(p.cmd)
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting a node: %w", err)
	}
	p.wg.Go(p.reap)
	return p, nil
}

func (p *Process) reap() {
	p.err = p.cmd.Wait()
	close(p.ended)
}

// pollEvery is how often Ready looks whether the node listens.
const pollEvery = 2 * time.Millisecond

// Ready returns when the node listens, or has ended.
func (p *Process) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		if p.readRun() {
			return nil
		}
		select {
		case <-tick.C:
		case <-p.ended:
			return fmt.Errorf("the node ended at once: %w\n%s", p.err, p.tail)
		case <-ctx.Done():
			return fmt.Errorf("the node does not listen: %w\n%s", ctx.Err(), p.tail)
		}
	}
}

// readRun reads the addresses from the file that a node writes once everything
// listens. One of an earlier process is told by its pid.
func (p *Process) readRun() bool {
	b, err := os.ReadFile(p.Path("run.json"))
	if err != nil {
		return false
	}
	var run struct {
		PID         int
		HTTP, Admin string
		Token       string
	}
	if json.Unmarshal(b, &run) != nil || run.PID != p.PID() {
		return false
	}
	p.HTTP = strings.TrimSuffix(run.HTTP, "/")
	p.Admin = strings.TrimSuffix(run.Admin, "/")
	p.Token = run.Token
	return true
}

// Path is where this process finds a file of the node's data directory, even if
// the node has mounts of its own.
func (p *Process) Path(name string) string {
	path := filepath.Join(p.opt.Data, name)
	if p.opt.Wrap != nil {
		path = fmt.Sprintf("/proc/%d/root%s", p.PID(), path)
	}
	return path
}

// PID of the node.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// WebSocket is the URL that clients dial.
func (p *Process) WebSocket() string {
	return "ws" + strings.TrimPrefix(p.HTTP, "http") + "/v0/channels"
}

// Ended is closed when the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Output is the last of what the node printed.
func (p *Process) Output() string { return p.tail.String() }

// Kill ends the node with SIGKILL, which it cannot notice, and waits for it.
func (p *Process) Kill() error {
	err := p.cmd.Process.Kill()
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	<-p.ended
	return err
}

// Signal sends a signal.
func (p *Process) Signal(s os.Signal) error { return p.cmd.Process.Signal(s) }

// Stop asks the node to end and waits for it; if ctx ends first it is killed. The
// error is the node's exit code, or that it had to be killed.
func (p *Process) Stop(ctx context.Context) error {
	if err := p.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.ended:
		return p.err
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("the node does not stop: %w", ctx.Err()), p.Kill())
	}
}
