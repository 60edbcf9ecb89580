package testnet

import (
	"fmt"
	"net"
	"net/netip"

	"parley/protocol"
)

// FreeUDP is an address on loopback that nobody uses at the moment.
func FreeUDP() (netip.AddrPort, error) {
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return netip.AddrPort{}, err
	}
	return c.LocalAddr().(*net.UDPAddr).AddrPort(), c.Close()
}

// Peering is settings (TOML) for a node that listens for others at an address, and trusts
// one of a name that is at another and has a key, as a pin. more are other settings of
// [s2s], each a line.
func Peering(listen netip.AddrPort, more string, peer protocol.Node, at, key string) string {
	return fmt.Sprintf(`
[s2s]
listen = %q
%s[[s2s.peers]]
name = %q
addresses = [%q]
key = %q
trusted = true
`, listen, more, peer, at, key)
}
