package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"parley/protocol"
	"parley/protocol/client"
)

const password = "bench-password"

// hooks are what a session does with what the server says, from the goroutine that
// reads: see client.Config.
type hooks struct {
	packet func(packet []byte) bool
	event  func(*protocol.Response)
}

func (t *target) dial(ctx context.Context, h hooks) (*client.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if h.event == nil {
		h.event = func(*protocol.Response) {}
	}
	c, err := client.Dial(ctx, t.url, client.Config{Dial: t.cfg.Dial, APIKey: t.cfg.APIKey, UserAgent: "parley-bench/1.0",
		OnEvent: h.event, OnPacket: h.packet})
	if err == nil {
		t.seen.Do(func() { t.server = c.Server() })
	}
	return c, err
}

// login names the i-th account. Every scenario has its own, so that contacts made
// by one add no presence traffic to another.
func (t *target) login(i int) string {
	return fmt.Sprintf("%s%s%05d", t.cfg.Prefix, t.c.Scenario[:2], i)
}

func (t *target) session(login string) *client.Session {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.tokens[login]
}

// open returns a session of account i: by token, else by making the account, else
// by password.
func (t *target) open(ctx context.Context, i int, h hooks) (*client.Client, error) {
	c, err := t.dial(ctx, h)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if err := t.signIn(ctx, c, t.login(i)); err != nil {
		c.Close()
		return nil, fmt.Errorf("account %s: %w", t.login(i), err)
	}
	return c, nil
}

func (t *target) signIn(ctx context.Context, c *client.Client, login string) error {
	if s := t.session(login); s != nil {
		_, err := c.LoginToken(ctx, s.Token)
		return err
	}
	s, err := c.CreateAccount(ctx, client.Account{Login: login, Password: password, Public: map[string]string{"fn": login}})
	if errors.Is(err, protocol.Exists) {
		s, err = c.LoginBasic(ctx, login, password)
	}
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tokens[login] = s
	return nil
}

// ensure makes sure that accounts [0, n) exist and their tokens are known.
func (t *target) ensure(ctx context.Context, n int) error {
	start := time.Now()
	err := parallel(4, n, func(i int) error {
		c, err := t.open(ctx, i, hooks{})
		if err != nil {
			return err
		}
		return c.Close()
	})
	if err == nil {
		fmt.Fprintf(t.cfg.Log, "%d accounts ready in %.1fs\n", n, time.Since(start).Seconds())
	}
	return err
}

// attachMe subscribes to me with the query that real clients send.
func attachMe(ctx context.Context, c *client.Client) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	_, err := c.Subscribe(ctx, &protocol.Sub{Topic: "me", Get: &protocol.GetQuery{What: "sub desc tags cred"}})
	return err
}

// attach subscribes to any other topic and returns its name.
func attach(ctx context.Context, c *client.Client, topic string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	s, err := c.Subscribe(ctx, &protocol.Sub{Topic: topic, Get: &protocol.GetQuery{What: "desc"}})
	if err != nil {
		return "", err
	}
	return s.Topic, nil
}

// openAll opens accounts [first, first+n) and attaches them to me. prepare gives
// the hooks of each.
func (t *target) openAll(ctx context.Context, first, n int, prepare func(k int) hooks) (sessions, error) {
	cs := make(sessions, n)
	err := parallel(8, n, func(k int) error {
		c, err := t.open(ctx, first+k, prepare(k))
		if err != nil {
			return err
		}
		cs[k] = c
		return attachMe(ctx, c)
	})
	if err != nil {
		cs.close()
		return nil, err
	}
	return cs, nil
}

// sessions are some clients, nil where one could not be opened.
type sessions []*client.Client

func (cs sessions) close() {
	parallel(16, len(cs), func(k int) error {
		if cs[k] != nil {
			cs[k].Close()
		}
		return nil
	})
}

// lost counts the connections that have ended.
func (cs sessions) lost() int {
	n := 0
	for _, c := range cs {
		if c.Err() != nil {
			n++
		}
	}
	return n
}

// parallel calls f(0 … n-1) from w goroutines and returns the first error, after
// which no new calls are made.
func parallel(w, n int, f func(k int) error) error {
	var next atomic.Int64
	var once sync.Once
	var first error
	var wg sync.WaitGroup
	for range min(w, n) {
		wg.Go(func() {
			for {
				k := int(next.Add(1)) - 1
				if k >= n {
					return
				}
				if err := f(k); err != nil {
					once.Do(func() { first = err })
					next.Store(int64(n))
					return
				}
			}
		})
	}
	wg.Wait()
	return first
}

// pause waits, unless ctx ends first.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
