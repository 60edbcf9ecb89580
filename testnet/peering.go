package testnet

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	"parley/federation"
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

// Found makes a node's folder with a key, and finds it an address to listen on for others:
// what these have to know before it runs. The key is as a pin.
func Found(data string) (at netip.AddrPort, key string, err error) {
	if err := os.MkdirAll(data, 0o700); err != nil {
		return at, "", err
	}
	k, err := federation.CreateKey(filepath.Join(data, federation.KeyFile))
	if err != nil {
		return at, "", err
	}
	at, err = FreeUDP()
	return at, k.Pin(), err
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
