package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"parley/protocol/client"
	"parley/testnet"
)

// limits lift what protects a node from clients that ask as much as ours do. The
// work of counting them stays.
const limits = `
[limits]
session_rate = 1000000
user_bytes = "1GiB"
session_burst = 1000000
login_rate = 1000000
login_burst = 1000000
signup_rate = 1000000
signup_burst = 1000000
topic_queue = 4096
[log]
level = "warn"
`

// requestTimeout bounds every wait for an answer.
const requestTimeout = 30 * time.Second

// target is the server of one run.
type target struct {
	cfg    Config
	c      Case
	url    string
	pids   []int
	epoch  time.Time
	proc   *testnet.Process // nil if the server ran already
	temp   string
	server client.Server
	seen   sync.Once // server

	mu     sync.Mutex
	tokens map[string]*client.Session // by login

	profile sync.WaitGroup

	wait patience
	calm calm
}

func newTarget(ctx context.Context, cfg Config, c Case) (*target, error) {
	t := &target{cfg: cfg, c: c, url: cfg.URL, pids: cfg.PIDs, epoch: time.Now(), tokens: map[string]*client.Session{},
		wait: usualPatience, calm: usualCalm}
	if t.url != "" {
		return t, nil
	}
	var err error
	if t.temp, err = os.MkdirTemp(cfg.Temp, "parley-bench-"); err != nil {
		return nil, err
	}
	if err := t.start(ctx); err != nil {
		return nil, errors.Join(err, os.RemoveAll(t.temp))
	}
	return t, nil
}

func (t *target) start(ctx context.Context) error {
	var err error
	t.proc, err = testnet.Start(ctx, testnet.Options{Binary: t.cfg.Binary, Data: filepath.Join(t.temp, "data"), Config: limits})
	if err != nil {
		return err
	}
	t.url = t.proc.WebSocket()
	t.pids = []int{t.proc.PID()}
	return nil
}

// restart makes a node that this package started forget in memory what it did so
// far, such as the memory for hashing passwords.
func (t *target) restart(ctx context.Context) error {
	if t.proc == nil {
		return nil
	}
	stopping, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	if err := t.proc.Stop(stopping); err != nil {
		return err
	}
	return t.start(ctx)
}

// stopTimeout is how long a node may take to end.
const stopTimeout = 10 * time.Second

func (t *target) stop(ctx context.Context) error {
	t.profile.Wait()
	if t.proc == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	return errors.Join(t.proc.Stop(ctx), os.RemoveAll(t.temp))
}

// profileCPU profiles the node for d, beside the load of a part of the case; most
// cases have one part without a name.
func (t *target) profileCPU(ctx context.Context, part string, d time.Duration) {
	path := fmt.Sprintf("profile?seconds=%d", max(1, int(d.Seconds())))
	t.profile.Go(func() { t.fetchProfile(ctx, part+"cpu", path) })
}

// profileHeap tells what the node has in memory, garbage included.
func (t *target) profileHeap(ctx context.Context) { t.fetchProfile(ctx, "heap", "heap") }

// fetchProfile keeps a profile of the node, if that is wanted; without one a run is
// as good.
func (t *target) fetchProfile(ctx context.Context, kind, path string) {
	if t.cfg.Profiles == "" || t.proc == nil {
		return
	}
	file := filepath.Join(t.cfg.Profiles, t.c.Name+"."+kind+".pprof")
	if err := download(ctx, t.proc.Admin+"/debug/pprof/"+path, file); err != nil {
		fmt.Fprintf(t.cfg.Log, "no %s profile: %v\n", kind, err)
	}
}

func download(ctx context.Context, url, file string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, resp.Body)
	return errors.Join(err, f.Close())
}
