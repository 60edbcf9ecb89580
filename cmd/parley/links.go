package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"parley/cmd/parley/config"
	"parley/federation"
	"parley/federation/dht"
	"parley/federation/dns"
	"parley/federation/quic"
	"parley/federation/wellknown"
	"parley/node"
	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
)

// links are a node's with others.
type links struct {
	mesh      *federation.Mesh
	notary    *federation.Notary
	directory *federation.Directory
	resolver  *dns.Resolver
	page      *wellknown.Page // nil: the name has no web site
	dht       *dht.Node       // nil: it takes no part
	quic      *quic.Transport
	addr      net.Addr
	self      protocol.Node
	bootstrap []string
	log       *slog.Logger
}

// newLinks makes what links with other nodes need; nil if the settings want none.
// traffic, if not nil, is told what crosses them.
func newLinks(ctx context.Context, s *config.Settings, p *parts, log *slog.Logger, traffic func(federation.Traffic)) (_ *links, err error) {
	l := &links{self: p.store.Meta().Node, bootstrap: s.S2S.Bootstrap, log: log}
	address := s.LinkAddress(string(l.self))
	if address == "" {
		return nil, nil
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.close())
		}
	}()
	id, err := federation.LoadIdentity(string(p.data))
	if err != nil {
		return nil, err
	}
	if own := federation.KeyOf(l.self); own != nil && !id.Leads(own) {
		return nil, fmt.Errorf("the node's name %s is made from another key than the one in %s; put the right one back", l.self, p.data.key())
	}
	conn, err := listenUDP(ctx, address)
	if err != nil {
		return nil, err
	}
	l.addr = conn.LocalAddr()
	if l.quic, err = quic.New(quic.Config{Key: p.key, Name: l.self, Conn: conn, Log: log, Succession: id.Succession()}); err != nil {
		return nil, err
	}
	if err := l.findAndProve(s, p, id, log); err != nil {
		return nil, err
	}
	l.mesh, err = federation.New(federation.Config{
		Key: p.key, Store: p.store, Transport: l.quic, Finder: l.directory, Prover: l.notary,
		Past: id.Past(), Statements: func() []*s2s.Statement {
			said, err := id.Statements(l.self, time.Now())
			if err != nil {
				log.Warn("the node's statements", "err", err)
			}
			return said
		},
		Log: log, Build: buildVersion(), Watch: traffic, Reach: s.Reach(),
	})
	return l, err
}

// findAndProve makes what finds nodes and proves their names.
func (l *links) findAndProve(s *config.Settings, p *parts, id *federation.Identity, log *slog.Logger) error {
	static, err := staticPeers(s)
	if err != nil {
		return err
	}
	fence := federation.NewFence(l.self, s.S2S.AllowPrivate)
	// A node that listens on loopback only is one for this machine, whatever its name.
	fence.Loopback = fence.Loopback || config.Loopback(l.addr.String())
	if l.resolver, err = dns.New(dns.Config{Servers: s.S2S.Resolvers, Fence: fence}); err != nil {
		return err
	}
	web := wellknown.New(wellknown.Config{Hosts: l.resolver, Fence: fence})
	rations := federation.NewRations(federation.RationLimits{})
	l.notary = federation.NewNotary(federation.NotaryConfig{
		Store: p.store, DNS: l.resolver, Web: web, Rations: rations, Static: static, Closed: s.S2S.Closed, Log: log,
	})
	where := federation.DirectoryConfig{
		Store: p.store, Static: static, Sources: []federation.Finder{l.resolver, web}, Rations: rations,
	}
	if part := s.PartInDHT(l.self); part != config.DHTOff {
		announced, err := addresses(s.S2S.Announce)
		if err != nil {
			return fmt.Errorf("s2s.announce: %w", err)
		}
		l.dht, err = dht.New(dht.Config{
			Identity: id, Socket: l.quic.Share(), Fence: fence, Server: part == config.DHTServer,
			Addrs: announced, Bootstrap: l.members, Log: log,
		})
		if err != nil {
			return err
		}
		where.Keys = l.dht
	}
	l.directory = federation.NewDirectory(where)
	if federation.ScopeOf(l.self) == federation.PublicScope {
		own, err := federation.LoadIdentity(string(p.data)) // which the page loads anew by itself
		if err != nil {
			return err
		}
		l.page, err = wellknown.NewPage(l.self, own, s.S2S.Announce)
		return err
	}
	return nil
}

// addresses are those of host:port that are no names.
func addresses(all []string) ([]netip.AddrPort, error) {
	var out []netip.AddrPort
	for _, hp := range all {
		if a, err := netip.ParseAddrPort(hp); err == nil {
			out = append(out, a)
			continue
		}
		a, err := net.ResolveUDPAddr("udp", hp)
		if err != nil {
			return nil, err
		}
		out = append(out, a.AddrPort())
	}
	return out, nil
}

// maxMembers is how many known peers are tried to join the DHT.
const maxMembers = 8

// members are where other nodes of the DHT may be.
func (l *links) members(ctx context.Context) []netip.AddrPort {
	out := []netip.AddrPort{}
	for _, hp := range l.bootstrap {
		a, err := addresses([]string{hp})
		if err != nil {
			l.log.Warn("s2s.bootstrap", "host", hp, "err", err)
		}
		out = append(out, a...)
	}
	peers, err := l.notary.Peers()
	if err != nil {
		l.log.Warn("known peers", "err", err)
	}
	slices.SortFunc(peers, func(a, b *store.Peer) int { return b.Seen.Compare(a.Seen) })
	for _, p := range peers[:min(len(peers), maxMembers)] {
		if federation.KeyOf(p.Name) != nil && len(p.Addrs) == 0 {
			continue // only the DHT itself knows where
		}
		if e, err := l.directory.Find(ctx, p.Name); err == nil {
			out = append(out, e.Addrs...)
		}
	}
	return out
}

// staticPeers are those of the settings, which have been checked.
func staticPeers(s *config.Settings) ([]federation.StaticPeer, error) {
	var all []federation.StaticPeer
	for _, p := range s.S2S.Peers {
		name, err := protocol.ParseNode(p.Name)
		if err != nil {
			return nil, err
		}
		one := federation.StaticPeer{Name: name, Addrs: p.Addresses}
		if p.Key != "" {
			if one.Key, err = federation.ParsePin(p.Key); err != nil {
				return nil, err
			}
		}
		all = append(all, one)
	}
	return all, nil
}

// trustedPeers are those of the settings to whom the operator gives that right.
func trustedPeers(s *config.Settings) []protocol.Node {
	var all []protocol.Node
	for _, p := range s.S2S.Peers {
		if p.Trusted {
			all = append(all, protocol.Node(strings.ToLower(p.Name)))
		}
	}
	return all
}

// listenUDP opens where other nodes come in, or says what to change.
func listenUDP(ctx context.Context, address string) (net.PacketConn, error) {
	conn, err := new(net.ListenConfig).ListenPacket(ctx, "udp", address)
	switch {
	case err == nil:
		return conn, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("another program uses the UDP address %s; choose another port for other nodes: use --s2s or set s2s.listen (%w)", address, err)
	}
	return nil, fmt.Errorf("cannot listen for other nodes on UDP %s; choose another: use --s2s or set s2s.listen (%w)", address, err)
}

// run keeps links until the node has ended: what it says last still goes out.
func (l *links) run(nodeEnded <-chan struct{}, n *node.Node) error {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() {
		<-nodeEnded
		stop()
	})
	if l.dht != nil {
		wg.Go(func() { _ = l.dht.Run(ctx) })
	}
	logs, _ := any(n).(federation.Logs)
	err := l.mesh.Run(ctx, n, logs)
	stop()
	wg.Wait()
	return err
}

// close ends what is left of them.
func (l *links) close() error {
	var err error
	if l.dht != nil {
		err = l.dht.Close()
	}
	if l.quic != nil {
		err = errors.Join(err, l.quic.Close())
	}
	return err
}
