// Package cluster runs federations: real nodes with real links, stores and clients, on an
// emulated network, and users who say what they are told to. Run it in virtual time
// (package vtime, or testing/synctest) or in real time.
//
//	c, err := cluster.New(cluster.Config{Names: []string{"a", "b"}})
//	alice, err := c.NewUser(ctx, 0, "alice")
//	bob, err := c.NewUser(ctx, 1, "bob")
//	err = c.Meet(ctx, alice, bob)
//	err = alice.Write(ctx, c.Room(alice, bob), 100)
//	c.Partition(...)
//	found, err := c.Finish(ctx, 5*time.Minute)
//	err = c.Close()
//
// Every message is noted by the clients in a ledger (package checks), by which Finish
// judges the whole run.
package cluster

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"parley/federation"
	"parley/federation/vnet"
	"parley/node"
	"parley/node/auth"
	"parley/protocol"
	"parley/testnet/checks"
	"parley/testnet/diskfault"
	"parley/testnet/names"
)

const port = federation.DefaultPort

// Config of a cluster.
type Config struct {
	Seed  uint64
	Hosts []Host
	// Link is what the network is like between two nodes, by number; nil: perfect.
	Link   func(from, to int) vnet.Link
	Times  federation.Times
	Limits node.Limits // zero: generous ones
	// Registers are what nodes are found by that are not in all settings.
	Registers Registers
	Log       slog.Handler // nil: none
	// Note is told of what goes wrong, Heard of each message that reaches a client; they
	// must be quick. nil: nobody is.
	// Door, if not nil, lets clients from outside into each node that is started.
	Door func(machine int, n *node.Node) (Door, error)
	// Processes, if not nil, has nodes run in processes of their own.
	Processes *Processes
	// Files is a directory for what users upload; "": they cannot.
	Files string
	Note  func(kind, text string)
	Heard func(*User, *checks.Message)
}

// Door is where clients come in.
type Door interface {
	Run(ctx context.Context) error // until ctx ends
	Drop()                         // all clients, without a word
}

// Host is one node's name and place.
type Host struct {
	Name protocol.Node // of a node that is found by key: what it is called here
	IPv6 bool
	Find Finding
	// Reports is whether it tells other nodes which of their users were reported.
	Reports bool
	// Faulty is whether its disk can be made slow or full (Machine.Disk) if the node is a
	// process of its own; others can be always.
	Faulty bool
}

// Disk is what is wrong with a disk.
type Disk struct {
	Delay time.Duration // of an update; in a process of its own, of each fsync of which that consists
	Full  bool
}

// Cluster is a federation. Its methods may be called at once, New and Close excepted.
type Cluster struct {
	Net      *vnet.Network
	Machines []*Machine
	Ledger   *checks.Ledger

	cfg       Config
	resolver  *names.Resolver // nil: no names are in the DNS
	sites     *names.Sites    // with it
	zones     bool
	dht       bool
	passwords node.Passwords
	book      []federation.StaticPeer
	at        map[netip.Addr]int // machines by address

	mu    sync.Mutex
	dead  []bool          // guarded by mu; nodes that were killed and not started again
	users []*User         // guarded by mu
	open  map[[2]int]bool // guarded by mu; machines, and those whose first contacts they admit
	rooms map[any]*Room   // guarded by mu
	errs  []error         // guarded by mu; what nodes ended with
}

// generous limits: the testnet's users are more eager than people.
func generous() node.Limits {
	return node.Limits{SessionRate: 1e5, SessionBurst: 1e5, UserBytes: 1e9, LoginRate: 1e5, LoginBurst: 1e5, SignupRate: 1e5, SignupBurst: 1e5, TopicQueue: 4096}
}

// Defaults of Registers.
const (
	defaultTTL       = 5 * time.Minute
	defaultBootstrap = 3
)

// New makes a federation whose nodes do not run yet.
func New(cfg Config) (*Cluster, error) {
	if cfg.Limits == (node.Limits{}) {
		cfg.Limits = generous()
	}
	cfg.Registers.TTL = cmp.Or(cfg.Registers.TTL, defaultTTL)
	cfg.Registers.Bootstrap = cmp.Or(cfg.Registers.Bootstrap, defaultBootstrap)
	c := &Cluster{
		Net: vnet.New(cfg.Seed, vnet.Link{}), Ledger: checks.NewLedger(), cfg: cfg,
		// As cheap as can be: passwords are not what is tried here.
		passwords: auth.NewArgon2(auth.Params{Time: 1, Memory: 8}, 0),
		at:        map[netip.Addr]int{}, dead: make([]bool, len(cfg.Hosts)), rooms: map[any]*Room{}, open: map[[2]int]bool{},
	}
	for i, h := range cfg.Hosts {
		m, err := c.machine(i, h)
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		c.Machines = append(c.Machines, m)
		if h.Find == BySettings {
			c.book = append(c.book, m.pin())
		}
		c.at[m.Addr.Addr()] = i
	}
	c.Net.SetPolicy(c.policy)
	if cfg.Processes != nil {
		if err := c.gates(); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	if err := c.register(); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func (c *Cluster) machine(i int, h Host) (*Machine, error) {
	file, err := newDisk(string(h.Name))
	if err != nil {
		return nil, err
	}
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], c.cfg.Seed)
	binary.LittleEndian.PutUint64(seed[8:], uint64(i)+1)
	key := federation.KeyFromSeed(seed)
	if p := c.cfg.Processes; p != nil {
		if key, err = p.home(h); err != nil {
			return nil, errors.Join(err, file.Close())
		}
	}
	name := nameOf(h, key)
	m := &Machine{
		Name: name, Label: string(h.Name), Addr: netip.AddrPortFrom(address(i, h.IPv6), port), c: c, no: i, host: h,
		key: key, disk: &disk{file}, pipes: map[*pipe]bool{}, sent: newTraffic(name), change: make(chan struct{}, 1),
	}
	if h.Faulty && c.cfg.Processes != nil {
		m.outer = &diskfault.Disk{}
	}
	return m, nil
}

// address is a public one, each in a network of its own: nodes judge strangers by theirs.
func address(i int, v6 bool) netip.Addr {
	if v6 {
		return netip.AddrFrom16([16]byte{0x2a, 0x0e, byte(i >> 8), byte(i), 15: 1})
	}
	return netip.AddrFrom4([4]byte{5, byte(i >> 8), byte(i), 1})
}

// policy is what the network is like now.
func (c *Cluster) policy(from, to netip.Addr) vnet.Link {
	if resolver := names.ResolverAddr.Addr(); from == resolver {
		return c.toResolver(to)
	} else if to == resolver {
		return c.toResolver(from)
	}
	a, b := c.at[from], c.at[to]
	c.mu.Lock()
	dead := c.dead[a] || c.dead[b]
	c.mu.Unlock()
	switch {
	case dead:
		return vnet.Link{Cut: true}
	case c.cfg.Link == nil:
		return vnet.Link{}
	}
	return c.cfg.Link(a, b)
}

func (c *Cluster) plugged(i int, in bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dead[i] = !in
}

// report notes an error with which a part of a node has ended.
func (c *Cluster) report(err error) {
	if err == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.errs = append(c.errs, err)
}

// StartAll starts all nodes.
func (c *Cluster) StartAll() error {
	for _, m := range c.Machines {
		if err := m.Start(); err != nil {
			return err
		}
	}
	return nil
}

// Users are those that were made, in that order.
func (c *Cluster) Users() []*User {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.users
}

// Close ends everything. The error is of nodes that did not end well.
func (c *Cluster) Close() error {
	for _, u := range c.Users() {
		u.leave()
	}
	var ending sync.WaitGroup
	for _, m := range c.Machines {
		ending.Go(func() {
			if err := m.Stop(); err != nil {
				c.report(fmt.Errorf("stop %s: %w", m.Name, err))
			}
			if m.outer != nil {
				m.outer.Wait()
			}
			c.report(m.disk.file.Close())
			if m.gate != nil {
				c.report(m.gate.close())
			}
		})
	}
	ending.Wait()
	c.report(c.closeRegisters())
	c.mu.Lock()
	defer c.mu.Unlock()
	return errors.Join(c.errs...)
}

func (c *Cluster) logOf(n protocol.Node) *slog.Logger {
	if c.cfg.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(c.cfg.Log).With("node", n)
}
