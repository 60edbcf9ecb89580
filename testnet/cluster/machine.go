package cluster

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"sync"
	"sync/atomic"

	"parley/federation"
	"parley/federation/dht"
	"parley/federation/quic"
	"parley/node"
	"parley/node/auth"
	"parley/protocol"
	"parley/protocol/client"
	"parley/reputation"
	"parley/store"
	"parley/store/blob"
	"parley/testnet/diskfault"
)

// Machine is where a node runs: its address, its key and its disk stay when the node
// ends.
type Machine struct {
	Name  protocol.Node
	Label string // the name of the host, for people
	Addr  netip.AddrPort
	c     *Cluster
	no    int
	key   *federation.Key
	disk  *disk
	outer *diskfault.Disk // of a node that is a process of its own; nil: nothing is wrong with it

	sent  *traffic
	wrong atomic.Pointer[wrong] // nil: its clock is right

	// change is held by who starts or ends the node. That takes time, which in a bubble goes
	// by only while the others wait for a channel, not for a mutex.
	change chan struct{}

	host Host
	gate *gate // nil: the node is inside of this process

	mu     sync.Mutex
	run    *running        // guarded by mu; nil: down, or apart
	apart  *apart          // guarded by mu; nil: down, or inside
	starts int             // guarded by mu
	pipes  map[*pipe]bool  // guarded by mu; to a node inside
	faults func(f *faulty) // guarded by mu; of the disk, also of the next node; may be nil
}

// running is a node that runs.
type running struct {
	store *faulty
	links *quic.Transport
	dht   *dht.Node // nil: none
	mesh  *federation.Mesh
	node  *node.Node
	door  Door // nil: none
	stop  context.CancelFunc
	wg    sync.WaitGroup
}

// ErrDown is returned where a node is needed that does not run.
var ErrDown = errors.New("cluster: the node is down")

// Start starts the node, on what is on its disk; it does nothing if it runs.
func (m *Machine) Start() error {
	m.change <- struct{}{}
	defer func() { <-m.change }()
	if m.Up() {
		return nil
	}
	if m.gate != nil {
		if err := m.launch(); err != nil {
			return fmt.Errorf("start %s: %w", m.Name, err)
		}
		return nil
	}
	r, err := m.assemble()
	if err != nil {
		return fmt.Errorf("start %s: %w", m.Name, err)
	}
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	r.wg.Go(func() { m.c.report(r.mesh.Run(ctx, r.node, r.node)) })
	r.wg.Go(func() { m.c.report(r.node.Run(ctx)) })
	if r.dht != nil {
		r.wg.Go(func() { m.c.report(r.dht.Run(ctx)) })
	}
	if r.door != nil {
		r.wg.Go(func() { m.c.report(r.door.Run(ctx)) })
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.run = r
	m.starts++
	if m.faults != nil {
		r.store.set(m.faults)
	}
	m.c.plugged(m.no, true)
	return nil
}

// assemble makes the parts of a node, as parley serve does.
func (m *Machine) assemble() (_ *running, err error) {
	r := &running{}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	if r.store, err = openStore(m.disk, m.Name); err != nil {
		return nil, err
	}
	socket, err := m.c.Net.Listen(m.Addr)
	if err != nil {
		return nil, err
	}
	log := m.c.logOf(m.Name)
	if r.links, err = quic.New(quic.Config{Key: m.key, Name: m.Name, Conn: socket, Log: log, Clock: m.clock}); err != nil {
		return nil, err
	}
	directory, notary, err := m.finders(r)
	if err != nil {
		return nil, err
	}
	r.mesh, err = federation.New(federation.Config{
		Key: m.key, Store: r.store, Transport: r.links, Log: log, Build: "testnet",
		Finder: directory,
		Prover: notary,
		Times:  m.c.cfg.Times,
		Watch:  m.sent.watch,
		Clock:  m.clock,
	})
	if err != nil {
		return nil, err
	}
	tokens, err := auth.NewTokens(m.key.Secret("login tokens"), m.Name, auth.Lifetimes{})
	if err != nil {
		return nil, err
	}
	cfg := node.Config{
		Store: r.store, Network: r.mesh, Passwords: m.c.passwords, Tokens: tokens, Log: log, Build: "testnet", Limits: m.c.cfg.Limits, Clock: m.clock,
		OpinionKey: m.key.Private(), Federation: node.Federation{PassReports: m.host.Reports},
	}
	if m.c.cfg.Files != "" {
		if cfg.Blobs, err = blob.Open(filepath.Join(m.c.cfg.Files, m.Label)); err != nil {
			return nil, err
		}
	}
	if r.node, err = node.New(cfg); err == nil && m.c.cfg.Door != nil {
		r.door, err = m.c.cfg.Door(m.no, r.node)
	}
	return r, err
}

func (r *running) close() error {
	var err error
	if r.dht != nil {
		err = r.dht.Close()
	}
	if r.links != nil {
		err = errors.Join(err, r.links.Close())
	}
	if r.store != nil {
		err = errors.Join(err, r.store.Close())
	}
	return err
}

// Up reports whether the node runs.
func (m *Machine) Up() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.run != nil || m.apart != nil
}

// inside is the node that runs in this process; nil: it is down, or apart.
func (m *Machine) inside() *running {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.run
}

// Starts is how often the node was started.
func (m *Machine) Starts() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.starts
}

// Stop ends the node as its operator would.
func (m *Machine) Stop() error {
	m.change <- struct{}{}
	defer func() { <-m.change }()
	return m.end()
}

// Kill ends the node without a word to anybody: clients and peers hear nothing more, and
// nothing more gets to the disk. What the node has acknowledged is there, or was lost by
// the node. The process's own end takes some time, in which it cannot do anything.
func (m *Machine) Kill() error {
	m.change <- struct{}{}
	defer func() { <-m.change }()
	m.mu.Lock()
	r := m.run
	for p := range m.pipes {
		p.close()
	}
	m.mu.Unlock()
	if m.outside() != nil {
		m.c.plugged(m.no, false)
		return m.leave(true)
	}
	if r == nil {
		return nil
	}
	m.c.plugged(m.no, false)
	if r.door != nil {
		r.door.Drop()
	}
	r.store.set(func(f *faulty) { f.gone = true })
	return m.end()
}

// end lets the node end, and waits for that.
func (m *Machine) end() error {
	if m.gate != nil {
		return m.leave(false)
	}
	m.mu.Lock()
	r := m.run
	m.run = nil
	m.mu.Unlock()
	if r == nil {
		return nil
	}
	r.stop()
	r.wg.Wait()
	return r.close()
}

// Disk changes what is wrong with the disk of the node, also after a restart; nil: nothing.
func (m *Machine) Disk(change func(d *Disk)) {
	d := Disk{}
	if change != nil {
		change(&d)
	}
	if m.outer != nil {
		m.outer.Set(diskfault.Faults(d))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.faults = func(f *faulty) { f.delay, f.full = d.Delay, d.Full }
	if m.run != nil {
		m.run.store.set(m.faults)
	}
}

// connect opens a connection of a client to the node.
func (m *Machine) connect() (client.Conn, error) {
	if a := m.outside(); a != nil {
		return a.dial()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.run == nil {
		return nil, ErrDown
	}
	r, p := m.run, newPipe()
	m.pipes[p] = true
	r.wg.Go(func() {
		o := node.Origin{Addr: netip.MustParseAddr("127.0.0.1"), Proto: "ws"}
		_ = r.node.Serve(context.Background(), nodeEnd{p}, o) // its end is the client's to notice
		p.close()
		m.mu.Lock()
		delete(m.pipes, p)
		m.mu.Unlock()
	})
	return clientEnd{p}, nil
}

// View reads the store of the node, if it runs.
func (m *Machine) View(fn func(store.Tx) error) error {
	r := m.inside()
	if r == nil {
		return ErrDown
	}
	return r.store.View(fn)
}

// Linked reports whether there is a link to another node.
func (m *Machine) Linked(to *Machine) bool {
	if a := m.outside(); a != nil {
		return a.linked()[to.Name]
	}
	r := m.inside()
	return r != nil && r.mesh.Linked(to.Name)
}

// AddUser makes an account.
func (m *Machine) AddUser(ctx context.Context, login, password string) (protocol.UserID, error) {
	if a := m.outside(); a != nil {
		return a.addUser(login, password)
	}
	r := m.inside()
	if r == nil {
		return "", ErrDown
	}
	return r.node.AddUser(ctx, login, password, store.LevelAuth, []byte(`{"fn":"`+login+`"}`))
}

// Waiting is how much the node still has to tell others: posts in its outbox, and nodes
// that are behind with its groups, each group counted; 0 if it is down.
func (m *Machine) Waiting() (int, error) {
	if a := m.outside(); a != nil {
		return a.waiting()
	}
	r := m.inside()
	if r == nil || r.store.isGone() {
		return 0, nil
	}
	peers, err := r.mesh.Stats()
	all := 0
	for _, p := range peers {
		behind, bad := r.node.Behind(p.Name)
		err = errors.Join(err, bad)
		all += int(p.Queued) + len(behind)
	}
	if r.store.isGone() { // meanwhile
		return 0, nil
	}
	return all, err
}

// pin is the entry of the node in the others' books.
func (m *Machine) pin() federation.StaticPeer {
	return federation.StaticPeer{Name: m.Name, Key: ed25519.PublicKey(m.key.Public()), Addrs: []string{m.Addr.String()}}
}

// operate calls f with the node, as its operator, if it runs.
func (m *Machine) operate(f func(n *node.Node) error) error {
	r := m.inside()
	switch {
	case r != nil:
		return f(r.node)
	case m.gate != nil && m.Up():
		return ErrApart
	}
	return ErrDown
}

// setStanding is the operator's word about another node.
func (m *Machine) setStanding(of protocol.Node, pin reputation.Pin) error {
	if a := m.outside(); a != nil {
		return a.setStanding(of, pin)
	}
	return m.operate(func(n *node.Node) error { return n.SetStanding(of, pin) })
}

// Standings are what the node thinks of others, by the names of the machines' nodes: from
// 0, all bad, to 1, all good. Whom it has no evidence of is missing.
func (m *Machine) Standings() map[protocol.Node]float64 {
	all := map[protocol.Node]float64{}
	_ = m.operate(func(n *node.Node) error { // ErrDown: thinks nothing
		for _, p := range n.Standings() {
			if p.P+p.N > 0 {
				all[p.Name] = p.P / (p.P + p.N)
			}
		}
		return nil
	})
	return all
}
