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
	t.proc, err = testnet.Start(ctx, testnet.Options{Binary: cfg.Binary, Data: filepath.Join(t.temp, "data"), Config: limits})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(t.temp))
	}
	t.url = t.proc.WebSocket()
	t.pids = []int{t.proc.PID()}
	return t, nil
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

// takeProfile profiles the node for d, beside the load.
func (t *target) takeProfile(ctx context.Context, d time.Duration) {
	if t.cfg.CPUProfile == "" || t.proc == nil {
		return
	}
	t.profile.Go(func() {
		if err := t.fetchProfile(ctx, d); err != nil {
			fmt.Fprintln(t.cfg.Log, "no profile:", err)
		}
	})
}

func (t *target) fetchProfile(ctx context.Context, d time.Duration) error {
	url := fmt.Sprintf("%s/debug/pprof/profile?seconds=%d", t.proc.Admin, max(1, int(d.Seconds())))
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
	f, err := os.Create(filepath.Join(t.cfg.CPUProfile, t.c.Name+".pprof"))
	if err != nil {
		return err
	}
	_, err = io.Copy(f, resp.Body)
	return errors.Join(err, f.Close())
}
