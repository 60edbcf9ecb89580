package bench

import (
	"context"
	"errors"
	"sync"
	"time"
)

// runLogin: dial, hi, login, close; with passwords, c.Inflight at a time, for half of
// c.Duration, then with tokens one at a time.
func runLogin(ctx context.Context, t *target, c Case) (*Run, error) {
	if err := t.ensure(ctx, c.Users); err != nil {
		return nil, err
	}
	r := newRun()
	for _, scheme := range []struct {
		name   string
		atOnce int
	}{{"basic", c.Inflight}, {"token", 1}} {
		w := newWindow(t)
		w.prefix = scheme.name + " "
		if err := w.open(); err != nil {
			return nil, err
		}
		t.profileCPU(ctx, scheme.name+".", c.Duration/2)
		lat, err := t.logins(ctx, c, scheme.name, scheme.atOnce)
		if err != nil {
			return nil, err
		}
		if err := w.close(); err != nil {
			return nil, err
		}
		r.add(scheme.name+" logins", "1/s", float64(len(lat))/w.sec)
		r.latencies(scheme.name+" login", lat)
		w.report(r, float64(len(lat)), "login")
	}
	return r, nil
}

var errEnough = errors.New("time is up")

// logins tells how long each {login} took.
func (t *target) logins(ctx context.Context, c Case, scheme string, atOnce int) ([]int64, error) {
	const unlimited = 1 << 30
	var mu sync.Mutex
	var lat []int64
	n := c.Messages
	if n == 0 {
		n = unlimited
	}
	deadline := time.Now().Add(c.Duration / 2)
	err := parallel(atOnce, n, func(k int) error {
		if time.Now().After(deadline) {
			return errEnough
		}
		d, err := t.loginOnce(ctx, scheme, t.login(k%c.Users))
		mu.Lock()
		defer mu.Unlock()
		lat = append(lat, d)
		return err
	})
	if err != errEnough {
		return lat, err
	}
	return lat, nil
}

func (t *target) loginOnce(ctx context.Context, scheme, login string) (int64, error) {
	c, err := t.dial(ctx, hooks{packet: idle})
	if err != nil {
		return 0, err
	}
	defer c.Close()
	secret := []byte(login + ":" + password)
	if scheme == "token" {
		secret = t.session(login).Token
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	start := t.clock()
	_, err = c.Login(ctx, scheme, secret, nil)
	return t.clock() - start, err
}
