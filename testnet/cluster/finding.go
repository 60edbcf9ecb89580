package cluster

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"parley/federation"
	"parley/federation/dht"
	"parley/federation/dns"
	"parley/federation/vnet"
	"parley/federation/wellknown"
	"parley/protocol"
	"parley/testnet/names"
)

// Finding is how others find a node and prove its name.
type Finding uint8

// The ways.
const (
	BySettings Finding = iota // all others' settings say where it is and which key it has
	ByDNS                     // a zone with DNSSEC does
	ByWeb                     // a zone without says where it is, and its web site which key it has
	ByKey                     // its name is made from its key, and the DHT says where it is
)

// Registers are what those that are not in all settings are found by.
type Registers struct {
	TTL     time.Duration // of records of the DNS. Default 5 min
	Latency time.Duration // of an answer of the resolver
	// Bootstrap is how many of the first nodes that are found by key are known to all.
	// Default 3.
	Bootstrap int
	Table     dht.Table // of all nodes
}

// register makes what there is to find nodes by.
func (c *Cluster) register() error {
	for _, h := range c.cfg.Hosts {
		c.zones = c.zones || h.Find == ByDNS || h.Find == ByWeb
		c.dht = c.dht || h.Find == ByKey
	}
	if !c.zones {
		return nil
	}
	socket, err := c.Net.Listen(names.ResolverAddr)
	if err != nil {
		return err
	}
	c.resolver = names.NewResolver(socket)
	var seed [ed25519.SeedSize]byte
	binary.LittleEndian.PutUint64(seed[:], c.cfg.Seed)
	if c.sites, err = names.NewSites(seed, c.policy); err != nil {
		return err
	}
	for i, h := range c.cfg.Hosts {
		m := c.Machines[i]
		if h.Find != ByDNS && h.Find != ByWeb {
			continue
		}
		c.resolver.Set(m.Name, names.Zone{Addr: m.Addr, Pin: m.key.Pin(), Signed: h.Find == ByDNS, TTL: c.cfg.Registers.TTL})
		page, err := wellknown.Encode(m.Name, []ed25519.PublicKey{m.key.Public()}, nil, nil)
		if err == nil {
			err = c.sites.Set(m.Name, m.Addr.Addr(), func() []byte { return page })
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// FailDNS breaks the zone of a node's name; with "" it is well again.
func (c *Cluster) FailDNS(machine int, how names.Failure) {
	if c.resolver != nil {
		c.resolver.Fail(c.Machines[machine].Name, how)
	}
}

// Asked is how many questions nodes have put to their resolvers.
func (c *Cluster) Asked() int {
	if c.resolver == nil {
		return 0
	}
	return c.resolver.Asked()
}

// closeRegisters ends them.
func (c *Cluster) closeRegisters() error {
	var err error
	if c.resolver != nil {
		err = c.resolver.Close()
	}
	if c.sites != nil {
		c.sites.Close()
	}
	return err
}

// toResolver is the way between a machine and its resolver.
func (c *Cluster) toResolver(a netip.Addr) vnet.Link {
	c.mu.Lock()
	defer c.mu.Unlock()
	return vnet.Link{Latency: c.cfg.Registers.Latency / 2, Cut: c.dead[c.at[a]]}
}

// finders are the parts of a node by which it finds and proves others.
func (m *Machine) finders(r *running) (*federation.Directory, *federation.Notary, error) {
	fence := federation.NewFence(m.Name, false)
	where := federation.DirectoryConfig{Store: r.store, Static: m.c.book}
	proofs := federation.NotaryConfig{Store: r.store, Static: m.c.book, Log: m.c.logOf(m.Name), Clock: m.clock}
	if m.c.zones {
		resolver, err := dns.New(dns.Config{Servers: []string{names.ResolverAddr.String()}, Fence: fence, Dial: m.ask})
		if err != nil {
			return nil, nil, err
		}
		web := wellknown.New(wellknown.Config{
			Hosts: resolver, Fence: fence, Roots: m.c.sites.Roots(), Clock: m.clock,
			Dial: func(ctx context.Context, _, address string) (net.Conn, error) {
				return m.c.sites.Dial(ctx, m.Addr.Addr(), address)
			},
		})
		where.Sources, proofs.DNS, proofs.Web = []federation.Finder{resolver, web}, resolver, web
	}
	if m.c.dht {
		var err error
		r.dht, err = dht.New(dht.Config{
			Identity: &federation.Identity{Key: m.key}, Socket: r.links.Share(), Fence: fence, Server: true,
			Addrs: []netip.AddrPort{m.Addr}, Bootstrap: m.bootstrap, Table: m.c.cfg.Registers.Table, Log: m.c.logOf(m.Name),
			Clock: m.clock,
		})
		if err != nil {
			return nil, nil, err
		}
		where.Keys = r.dht
	}
	return federation.NewDirectory(where), federation.NewNotary(proofs), nil
}

// ask opens a socket to the resolver.
func (m *Machine) ask(_ context.Context, network, address string) (net.Conn, error) {
	if network != "udp" {
		return nil, errors.New("the resolver does not take TCP")
	}
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	socket, err := m.c.Net.Listen(netip.AddrPortFrom(m.Addr.Addr(), 0))
	if err != nil {
		return nil, err
	}
	return names.Connected{PacketConn: socket, To: net.UDPAddrFromAddrPort(to)}, nil
}

// bootstrap are nodes that may know the DHT.
func (m *Machine) bootstrap(context.Context) []netip.AddrPort {
	var all []netip.AddrPort
	for i, h := range m.c.cfg.Hosts {
		if len(all) == m.c.cfg.Registers.Bootstrap {
			break
		}
		if h.Find == ByKey && i != m.no {
			all = append(all, m.c.Machines[i].Addr)
		}
	}
	return all
}

// Known is how many nodes of the DHT the node knows; 0 if it is down or there is none.
func (m *Machine) Known() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.run == nil || m.run.dht == nil {
		return 0
	}
	return m.run.dht.Size()
}

// Join waits until all nodes that run are in the DHT, if there is one.
func (c *Cluster) Join(ctx context.Context) error {
	if !c.dht {
		return nil
	}
	err := poll(ctx, func() (bool, error) {
		up, in := 0, 0
		for _, m := range c.Machines {
			if m.Up() {
				up++
			}
			if m.Filed() {
				in++
			}
		}
		return in == up, nil
	})
	if err != nil {
		return fmt.Errorf("join the DHT: %w", err)
	}
	return nil
}

// Filed reports whether the node's record is in the DHT.
func (m *Machine) Filed() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.run != nil && m.run.dht != nil && m.run.dht.Filed()
}

// nameOf is the name of a host's node.
func nameOf(h Host, key *federation.Key) protocol.Node {
	if h.Find == ByKey {
		return federation.KeyName(key.Public())
	}
	return h.Name
}

// Search looks another node's key up in the DHT.
func (m *Machine) Search(ctx context.Context, target *Machine) (dht.Search, error) {
	r := m.inside()
	if r == nil || r.dht == nil {
		return dht.Search{}, ErrDown
	}
	return r.dht.Trace(ctx, target.key.Public())
}
