package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"syscall"

	"parley/cmd/parley/config"
	"parley/federation"
	"parley/federation/dns"
	"parley/federation/quic"
	"parley/node"
	"parley/protocol"
)

// links are a node's with others.
type links struct {
	mesh   *federation.Mesh
	notary *federation.Notary
	quic   *quic.Transport
	addr   net.Addr
}

// newLinks makes what links with other nodes need; nil if the settings want none.
// traffic, if not nil, is told what crosses them.
func newLinks(ctx context.Context, s *config.Settings, p *parts, log *slog.Logger, traffic func(federation.Traffic)) (*links, error) {
	self := p.store.Meta().Node
	address := s.LinkAddress(string(self))
	if address == "" {
		return nil, nil
	}
	static, err := staticPeers(s)
	if err != nil {
		return nil, err
	}
	fence := federation.NewFence(self, s.S2S.AllowPrivate)
	resolver, err := dns.New(dns.Config{Servers: s.S2S.Resolvers, Fence: fence})
	if err != nil {
		return nil, err
	}
	l := &links{}
	l.notary = federation.NewNotary(federation.NotaryConfig{
		Store: p.store, DNS: resolver, Static: static, Closed: s.S2S.Closed, Log: log,
	})
	conn, err := new(net.ListenConfig).ListenPacket(ctx, "udp", address)
	if err != nil {
		return nil, explainUDP(err, address)
	}
	l.addr = conn.LocalAddr()
	l.quic, err = quic.New(quic.Config{Key: p.key, Name: self, Conn: conn, Log: log})
	if err != nil {
		return nil, err
	}
	directory := federation.NewDirectory(federation.DirectoryConfig{Store: p.store, Static: static, Sources: []federation.Finder{resolver}})
	l.mesh, err = federation.New(federation.Config{
		Key: p.key, Store: p.store, Transport: l.quic, Finder: directory, Prover: l.notary,
		Log: log, Build: buildVersion(), Traffic: traffic,
	})
	if err != nil {
		return nil, errors.Join(err, l.quic.Close())
	}
	return l, nil
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

// explainUDP says what to change.
func explainUDP(err error, address string) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("another program uses the UDP address %s; choose another port for other nodes: use --s2s or set s2s.listen (%w)", address, err)
	}
	return fmt.Errorf("cannot listen for other nodes on UDP %s; choose another: use --s2s or set s2s.listen (%w)", address, err)
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
	err := l.mesh.Run(ctx, n, n)
	stop()
	wg.Wait()
	return err
}

// close ends what is left of them.
func (l *links) close() error { return l.quic.Close() }
