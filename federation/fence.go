package federation

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"

	"parley/protocol"
)

// ErrFenced is wrapped by errors about addresses that a node does not go to because a
// stranger says so.
var ErrFenced = errors.New("federation: not an address that other nodes may lead us to")

// A Fence says to which addresses a node goes when others cause it (RFC 6890). The zero
// Fence lets pass what is public. It is asked about addresses, at the moment of use,
// never about names: a name may lead elsewhere the next time.
type Fence struct {
	// Loopback lets pass this machine, and nothing else: for nodes that are named
	// localhost, or so.
	Loopback bool
	// Allow is what the operator lets pass besides.
	Allow []netip.Prefix
}

// NewFence is the fence of a node by its name. private lets networks pass that are not
// public, but not this machine.
func NewFence(self protocol.Node, private bool) Fence {
	f := Fence{Loopback: ScopeOf(self) == LoopbackScope}
	if private {
		f.Allow = privateNetworks
	}
	return f
}

// Private networks that an operator may open (RFC 1918, 6598, 4193).
var privateNetworks = prefixes("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")

var (
	// Addresses of IPv4 that are no single public host: RFC 6890, 5736, 5737, 2544, 7526, 1112.
	special4 = append(prefixes("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "192.0.2.0/24",
		"192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"), privateNetworks...)
	// Of IPv6, public is only 2000::/3, without what stands for something else: RFC 4380
	// and others (2001::/23), 3849, 3056, 9637.
	public6  = netip.MustParsePrefix("2000::/3")
	special6 = prefixes("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
	nat64    = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052: an IPv4 address in IPv6
)

func prefixes(texts ...string) []netip.Prefix {
	all := make([]netip.Prefix, len(texts))
	for i, t := range texts {
		all[i] = netip.MustParsePrefix(t)
	}
	return all
}

// Check returns nil if the address may be gone to, else an error that wraps ErrFenced.
func (f Fence) Check(a netip.Addr) error {
	if a.Zone() == "" && f.passes(embedded(a)) {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrFenced, a)
}

func (f Fence) passes(a netip.Addr) bool {
	switch {
	case !a.IsValid(), a.IsUnspecified(), a.IsMulticast():
		return false
	case within(a, f.Allow):
		return true
	case f.Loopback:
		return a.IsLoopback()
	case a.Is4():
		return !within(a, special4)
	}
	return public6.Contains(a) && !within(a, special6)
}

// embedded is the IPv4 address that one of IPv6 stands for, or the address itself.
func embedded(a netip.Addr) netip.Addr {
	a = a.Unmap()
	if nat64.Contains(a) {
		b := a.As16()
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return a
}

func within(a netip.Addr, all []netip.Prefix) bool {
	for _, p := range all {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// Filter returns the addresses that may be gone to. The error says what was left out if
// nothing remains of some.
func (f Fence) Filter(all []netip.AddrPort) ([]netip.AddrPort, error) {
	var good []netip.AddrPort
	var out []error
	for _, a := range all {
		if err := f.Check(a.Addr()); err != nil {
			out = append(out, err)
			continue
		}
		if a.Port() != 0 {
			good = append(good, a)
		}
	}
	if len(good) == 0 {
		return nil, errors.Join(out...)
	}
	return good, nil
}

// Control is for net.Dialer: it is called with the address that is about to be dialled,
// after all names have been resolved.
func (f Fence) Control(_, address string, _ syscall.RawConn) error {
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFenced, err)
	}
	return f.Check(a.Addr())
}
