package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"parley/federation"
	"parley/node/httpd"
	"parley/protocol"
	"parley/protocol/client"
	"parley/reputation"
	"parley/testnet"
)

// Processes has each node run in a process of its own: the real program, on a real disk.
// Time is real then.
type Processes struct {
	Binary string // of parley
	Dir    string // for the data of the nodes, a directory each
}

// ErrApart is returned for what can only be done with nodes inside of this process.
var ErrApart = errors.New("cluster: the node is a process of its own")

// apart is a node that runs in a process of its own.
type apart struct {
	proc     *testnet.Process
	operator httpd.AdminClient
}

// Times of processes.
const (
	launchTime = 30 * time.Second
	adminTime  = 10 * time.Second
)

// home makes the data directory and the key of a machine, once.
func (p *Processes) home(h Host) (*federation.Key, error) {
	dir := p.data(h)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return federation.CreateKey(filepath.Join(dir, federation.KeyFile))
}

func (p *Processes) data(h Host) string { return filepath.Join(p.Dir, string(h.Name)) }

// settings of a node, which reaches the others through the gate.
func (m *Machine) settings() string {
	var s strings.Builder
	fmt.Fprintf(&s, `[node]
name = %q
[s2s]
listen = %q
[limits]
session_rate = 1e5
session_burst = 100000
user_bytes = "1GiB"
login_rate = 1e5
login_burst = 100000
signup_rate = 1e5
signup_burst = 100000
[reputation]
pass_reports = %v
[log]
level = "warn"
`, m.Name, m.gate.node, m.host.Reports)
	for _, o := range m.c.Machines {
		if o != m {
			fmt.Fprintf(&s, "[[s2s.peers]]\nname = %q\naddresses = [%q]\nkey = %q\n", o.Name, m.gate.to[o.no].LocalAddr(), o.key.Pin())
		}
	}
	return s.String()
}

// launch starts the process of the node.
func (m *Machine) launch() error {
	ctx, cancel := context.WithTimeout(context.Background(), launchTime)
	defer cancel()
	p := m.c.cfg.Processes
	o := testnet.Options{Binary: p.Binary, Data: p.data(m.host), Config: m.settings(), Log: m.output()}
	if m.outer != nil {
		end, err := m.outer.Attach()
		if err != nil {
			return err
		}
		defer end.Close()
		o.Files, o.Wrap = []*os.File{end}, []string{p.Binary, "testnet", "on-disk"}
	}
	proc, err := testnet.Start(ctx, o)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.apart = &apart{proc, httpd.AdminClient{HTTP: http.DefaultClient, Base: proc.Admin, Token: proc.Token}}
	m.starts++
	m.c.plugged(m.no, true)
	return nil
}

// output takes what a node prints.
func (m *Machine) output() io.Writer {
	if m.c.cfg.Log == nil {
		return nil
	}
	return lines{m}
}

// lines hands on what a process prints, as notes of the cluster.
type lines struct{ m *Machine }

func (l lines) Write(b []byte) (int, error) {
	l.m.c.logOf(l.m.Name).Info(strings.TrimSpace(string(b)))
	return len(b), nil
}

// outside is the process of the node; nil: it is down, or inside.
func (m *Machine) outside() *apart {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.apart
}

// leave ends the process of a node: as its operator would, or by SIGKILL.
func (m *Machine) leave(kill bool) error {
	m.mu.Lock()
	a := m.apart
	m.apart = nil
	m.mu.Unlock()
	if a == nil {
		return nil
	}
	if kill {
		return a.proc.Kill()
	}
	return a.proc.Stop(context.Background())
}

// dial opens a connection of a client.
func (a *apart) dial() (client.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return testnet.Dialer(ctx, a.proc.WebSocket()+"?apikey="+url.QueryEscape(protocol.DefaultAPIKey), nil)
}

// do is a request of the node's operator; in and out are JSON unless nil.
func (a *apart) do(method, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(context.Background(), adminTime)
	defer cancel()
	return a.operator.Do(ctx, method, path, in, out)
}

func (a *apart) addUser(login, password string) (protocol.UserID, error) {
	var u httpd.AdminUser
	err := a.do(http.MethodPost, "/admin/users", &httpd.AdminNewUser{Login: login, Password: password}, &u)
	return protocol.UserID(u.ID), err
}

func (a *apart) setStanding(of protocol.Node, pin reputation.Pin) error {
	return a.do(http.MethodPut, "/admin/reputation/"+url.PathEscape(string(of)), &httpd.AdminWord{Word: httpd.WordOf(pin)}, nil)
}

// unleash makes the node forget what it has counted of its own users.
func (a *apart) unleash() error {
	var state reputation.State
	if err := a.do(http.MethodGet, "/admin/reputation-state", nil, &state); err != nil {
		return err
	}
	state.Accounts = nil
	return a.do(http.MethodPut, "/admin/reputation-state", &state, nil)
}

// peers are the links of the node.
func (a *apart) peers() (all []httpd.AdminPeer, err error) {
	err = a.do(http.MethodGet, "/admin/peers", nil, &all)
	if err != nil && a.ended() {
		return nil, nil
	}
	return all, err
}

func (a *apart) ended() bool {
	select {
	case <-a.proc.Ended():
		return true
	default:
		return false
	}
}

// waiting is how much waits for others.
func (a *apart) waiting() (int, error) {
	all, err := a.peers()
	n := 0
	for _, p := range all {
		if p.Link != nil {
			n += int(p.Link.Queue.Posts)
		}
	}
	return n, err
}

// linked are the nodes with which there is a link.
func (a *apart) linked() map[protocol.Node]bool {
	up := map[protocol.Node]bool{}
	all, err := a.peers()
	if err != nil {
		return up // it is down, or too busy to say
	}
	for _, p := range all {
		up[protocol.Node(p.Name)] = p.Link != nil && p.Link.State == string(federation.StateUp)
	}
	return up
}
