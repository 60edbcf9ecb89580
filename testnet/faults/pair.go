package faults

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"sync"
	"time"

	"parley/protocol"
	"parley/protocol/client"
	"parley/testnet"
)

// pair is two nodes, the network between them, and a user at each.
type pair struct {
	binary   string
	dir      string
	scale    float64
	sender   *place
	receiver *place
	forth    *relay // to the receiver
	back     *relay // to the sender
}

// place is a node that can die and come back, with its user.
type place struct {
	name  protocol.Node
	login string
	data  string
	s2s   netip.AddrPort
	http  string
	conf  string

	mu   sync.Mutex
	proc *testnet.Process // guarded by mu; nil while dead
}

const password = "a long password"

func newPair(ctx context.Context, binary, dir string, scale float64) (_ *pair, err error) {
	p := &pair{binary: binary, dir: dir, scale: scale,
		sender: &place{name: "a.localhost", login: "alice"}, receiver: &place{name: "b.localhost", login: "bob"}}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	keys := map[*place]string{}
	for _, n := range []*place{p.sender, p.receiver} {
		n.data = filepath.Join(dir, n.login)
		if n.s2s, keys[n], err = testnet.Found(n.data); err != nil {
			return nil, err
		}
	}
	if p.forth, err = newRelay(p.receiver.s2s); err != nil {
		return nil, err
	}
	if p.back, err = newRelay(p.sender.s2s); err != nil {
		return nil, err
	}
	p.sender.configure(p.receiver.name, p.forth.addr(), keys[p.receiver])
	p.receiver.configure(p.sender.name, p.back.addr(), keys[p.sender])
	for _, n := range []*place{p.sender, p.receiver} {
		if err := p.start(ctx, n); err != nil {
			return nil, err
		}
		if err := n.signUp(ctx); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// configure makes the settings: limits that do not stand in the way, and where the other is.
func (n *place) configure(peer protocol.Node, at, key string) {
	n.conf = fmt.Sprintf("[node]\nname = %q\n", n.name) + testnet.Peering(n.s2s, "", peer, at, key) + `
[limits]
session_rate = 1e6
user_bytes = "1GiB"
session_burst = 1000000
signup_rate = 1e6
signup_burst = 1000000
[log]
level = "warn"
`
}

// start runs a node; where clients found it before, they find it again.
func (p *pair) start(ctx context.Context, n *place) error {
	proc, err := testnet.Start(ctx, testnet.Options{Binary: p.binary, Data: n.data, HTTP: n.http, Config: n.conf})
	if err != nil {
		return err
	}
	n.mu.Lock()
	n.proc = proc
	n.mu.Unlock()
	n.http = proc.HTTP[len("http://"):]
	return nil
}

// process is the node's process, nil while it is dead.
func (n *place) process() *testnet.Process {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.proc
}

// kill ends a node with SIGKILL.
func (n *place) kill() error {
	n.mu.Lock()
	proc := n.proc
	n.proc = nil
	n.mu.Unlock()
	return proc.Kill()
}

func (p *pair) close() {
	for _, n := range []*place{p.sender, p.receiver} {
		if n.process() != nil {
			_ = n.kill()
		}
	}
	for _, r := range []*relay{p.forth, p.back} {
		if r != nil {
			r.close()
		}
	}
}

func (n *place) signUp(ctx context.Context) error {
	c, err := testnet.Dial(ctx, n.process().WebSocket(), client.Config{})
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.CreateAccount(ctx, client.Account{Login: n.login, Password: password, Public: map[string]string{"fn": n.login}})
	return err
}

// connect signs the user in and attaches to me; it tries until the node is there.
func (n *place) connect(ctx context.Context, cfg client.Config) (*client.Client, error) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		if proc := n.process(); proc != nil {
			c, err := n.attempt(ctx, proc, cfg)
			if err == nil {
				return c, nil
			}
			last = err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), last)
		}
	}
}

func (n *place) attempt(ctx context.Context, proc *testnet.Process, cfg client.Config) (*client.Client, error) {
	ctx, stop := context.WithTimeout(ctx, 5*time.Second)
	defer stop()
	c, err := testnet.Dial(ctx, proc.WebSocket(), cfg)
	if err != nil {
		return nil, err
	}
	if _, err = c.LoginBasic(ctx, n.login, password); err == nil {
		_, err = c.Subscribe(ctx, &protocol.Sub{Topic: "me"})
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}
