package dht

import (
	"net/netip"
	"strconv"

	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"parley/federation"
)

// fence keeps libp2p to addresses that other nodes may lead us to. It is a
// connmgr.ConnectionGater.
type fence struct{ federation.Fence }

// addrOf is the address and UDP port of a QUIC multiaddr.
func addrOf(m ma.Multiaddr) (netip.AddrPort, bool) {
	if _, err := m.ValueForProtocol(ma.P_QUIC_V1); err != nil {
		return netip.AddrPort{}, false
	}
	if _, err := m.ValueForProtocol(ma.P_CIRCUIT); err == nil {
		return netip.AddrPort{}, false
	}
	if len(m) == 0 || m[0].Protocol().Code != ma.P_IP4 && m[0].Protocol().Code != ma.P_IP6 { // no zones
		return netip.AddrPort{}, false
	}
	ip, good := netip.AddrFromSlice(m[0].RawValue())
	text, err := m.ValueForProtocol(ma.P_UDP)
	if !good || err != nil {
		return netip.AddrPort{}, false
	}
	port, err := strconv.ParseUint(text, 10, 16)
	return netip.AddrPortFrom(ip.Unmap(), uint16(port)), err == nil
}

// InterceptAddrDial stops a dial to where we do not go.
func (f fence) InterceptAddrDial(_ peer.ID, m ma.Multiaddr) bool {
	a, ok := addrOf(m)
	return ok && f.Check(a.Addr()) == nil
}

// InterceptPeerDial lets pass: only addresses matter.
func (fence) InterceptPeerDial(peer.ID) bool { return true }

// InterceptAccept lets pass: the socket has rationed it.
func (fence) InterceptAccept(network.ConnMultiaddrs) bool { return true }

// InterceptSecured lets pass.
func (fence) InterceptSecured(network.Direction, peer.ID, network.ConnMultiaddrs) bool { return true }

// InterceptUpgraded lets pass.
func (fence) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }

// filter leaves what may be gone to.
func (f fence) filter(all []ma.Multiaddr) []ma.Multiaddr {
	var good []ma.Multiaddr
	for _, m := range all {
		if f.InterceptAddrDial("", m) {
			good = append(good, m)
		}
	}
	return good
}

// multi makes the libp2p form of an address.
func multi(a netip.AddrPort) (ma.Multiaddr, error) {
	family := "ip6"
	if a.Addr().Is4() {
		family = "ip4"
	}
	return ma.NewMultiaddr("/" + family + "/" + a.Addr().String() + "/udp/" + itoa(a.Port()) + "/quic-v1")
}
