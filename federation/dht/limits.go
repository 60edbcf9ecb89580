package dht

import (
	"context"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	ma "github.com/multiformats/go-multiaddr"
)

// What libp2p may use.
const (
	maxMemory    = 32 << 20 // bytes
	maxFiles     = 64
	connsPerNet4 = 8 // connections of a /24
	connsPerNet6 = 8 // of a /48
	netBits4     = 24
	netBits6     = 48
	// strangers is how many connections others may have beyond those that are wanted: those
	// of the two farthest parts of the table are kept in any case, up to 40, and who joins
	// must find room all the same.
	strangers = 96
)

// resources bounds connections, streams and memory, by how many connections are wanted.
func resources(conns int) (network.ResourceManager, error) {
	limits := rcmgr.DefaultLimits
	limits.SystemBaseLimit.Conns, limits.SystemBaseLimit.ConnsInbound = 2*conns+strangers, conns+strangers
	limits.SystemLimitIncrease.Conns, limits.SystemLimitIncrease.ConnsInbound = 0, 0
	return rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(limits.Scale(maxMemory, maxFiles)), rcmgr.WithMetricsDisabled(),
		rcmgr.WithLimitPerSubnet(
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: netBits4, ConnCount: connsPerNet4}},
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: netBits6, ConnCount: connsPerNet6}}))
}

// unresolving looks up no names: other nodes cannot make libp2p ask the DNS.
type unresolving struct{}

var _ network.MultiaddrDNSResolver = unresolving{}

// ResolveDNSAddr implements network.MultiaddrDNSResolver.
func (unresolving) ResolveDNSAddr(context.Context, peer.ID, ma.Multiaddr, int, int) ([]ma.Multiaddr, error) {
	return nil, nil
}

// ResolveDNSComponent implements network.MultiaddrDNSResolver.
func (unresolving) ResolveDNSComponent(context.Context, ma.Multiaddr, int) ([]ma.Multiaddr, error) {
	return nil, nil
}
