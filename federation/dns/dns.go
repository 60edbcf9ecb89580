// Package dns finds nodes and their keys in the DNS (spec/discovery.md#dns): where by SRV
// records at _parley._udp.<name>, or the addresses of the name itself; which keys by TXT
// records at _parley.<name>. It is a client of a resolver, and does not validate DNSSEC
// itself: that an answer is authentic it believes of a resolver on this machine only.
package dns

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	mdns "github.com/miekg/dns"

	"parley/federation"
	"parley/protocol"
)

// Bounds of what a name's owner can make us look at.
const (
	maxRecords = 16 // of one answer
	maxTargets = 4  // of SRV
	maxAddrs   = 8
)

// The names under which records are found.
const (
	srvPrefix = "_parley._udp."
	txtPrefix = "_parley."
	version   = "v=parley1"
	keyField  = "key="
)

// Config of a Resolver.
type Config struct {
	// Servers are resolvers, "address:port". Empty: those of /etc/resolv.conf, or
	// 127.0.0.1:53 if it has none.
	Servers []string
	// Fence is around the addresses that are found.
	Fence federation.Fence
	// Dial reaches a server over "udp" or "tcp"; nil: as this machine does. A net.Conn that
	// is a net.PacketConn, too, carries datagrams.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Port of nodes whose name has addresses and no SRV record; federation.DefaultPort.
	Port uint16
}

// Resolver implements federation.Finder and federation.Register. Its methods may be
// called at once.
type Resolver struct {
	fence   federation.Fence
	port    uint16
	servers []server
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
	cache   *cache
}

var _ federation.Register = (*Resolver)(nil)

// New makes a resolver client. The error is about the servers.
func New(cfg Config) (*Resolver, error) {
	if len(cfg.Servers) == 0 {
		cfg.Servers = systemServers("/etc/resolv.conf")
	}
	r := &Resolver{fence: cfg.Fence, port: cmp.Or(cfg.Port, federation.DefaultPort), cache: newCache(), dial: cfg.Dial}
	if r.dial == nil {
		r.dial = new(net.Dialer).DialContext
	}
	for _, s := range cfg.Servers {
		a, err := netip.ParseAddrPort(s)
		if err != nil {
			return nil, fmt.Errorf("dns: a resolver is an address with port: %w", err)
		}
		r.servers = append(r.servers, server{addr: s, trusted: a.Addr().Unmap().IsLoopback()})
	}
	return r, nil
}

func systemServers(path string) []string {
	c, err := mdns.ClientConfigFromFile(path)
	var all []string
	if err == nil {
		for _, s := range c.Servers {
			all = append(all, net.JoinHostPort(s, c.Port))
		}
	}
	if len(all) == 0 {
		return []string{"127.0.0.1:53"}
	}
	return all
}

// Authentic reports whether answers can be authentic at all: all resolvers are on this
// machine.
func (r *Resolver) Authentic() bool {
	return !slices.ContainsFunc(r.servers, func(s server) bool { return !s.trusted })
}

// Find implements federation.Finder: where a node is, and which keys it may show.
func (r *Resolver) Find(ctx context.Context, name protocol.Node) (federation.Endpoint, error) {
	e := federation.Endpoint{Name: name}
	if federation.ScopeOf(name) != federation.PublicScope {
		return e, fmt.Errorf("dns: %w: %s is no name of the DNS", federation.ErrNothing, name)
	}
	start := time.Now()
	addrs, err := r.locate(ctx, name)
	federation.Tell(ctx, start, "DNS", told(addrs), err)
	if err != nil {
		return e, fmt.Errorf("dns: %w", err)
	}
	e.Addrs = addrs
	p, err := r.Published(ctx, name, nil)
	if err != nil && !errors.Is(err, federation.ErrNothing) {
		return e, err // without knowing the keys, nobody is dialled
	}
	e.Keys = p.Keys
	return e, nil
}

func told(addrs []netip.AddrPort) string {
	all := make([]string, len(addrs))
	for i, a := range addrs {
		all[i] = a.String()
	}
	return strings.Join(all, ", ")
}

// locate finds addresses that may be gone to.
func (r *Resolver) locate(ctx context.Context, name protocol.Node) ([]netip.AddrPort, error) {
	targets, err := r.targets(ctx, name)
	if err != nil {
		return nil, err
	}
	var all []netip.AddrPort
	var failed []error
	for _, t := range targets {
		addrs, err := r.Addrs(ctx, t.host)
		if err != nil {
			failed = append(failed, err)
		}
		for _, a := range addrs {
			all = append(all, netip.AddrPortFrom(a, t.port))
		}
	}
	if len(all) == 0 {
		return nil, errors.Join(failed...)
	}
	all, err = r.fence.Filter(all)
	return all[:min(len(all), maxAddrs)], err
}

// target is a host and port that an SRV record names.
type target struct {
	host string
	port uint16
}

// targets are those of the SRV records, or the name itself.
func (r *Resolver) targets(ctx context.Context, name protocol.Node) ([]target, error) {
	got, err := r.lookup(ctx, srvPrefix+string(name), mdns.TypeSRV)
	if errors.Is(err, federation.ErrNothing) {
		return []target{{string(name), r.port}}, nil
	}
	if err != nil {
		return nil, err
	}
	var records []*mdns.SRV
	for _, rr := range got.records {
		if srv, ok := rr.(*mdns.SRV); ok {
			records = append(records, srv)
		}
	}
	if len(records) == 1 && records[0].Target == "." { // RFC 2782: decidedly not available
		return nil, fmt.Errorf("%w: the SRV record of %s says that there is no node", federation.ErrNothing, name)
	}
	var all []target
	for _, srv := range inOrder(records) {
		host, err := protocol.ParseNode(strings.TrimSuffix(srv.Target, "."))
		if err != nil || srv.Port == 0 {
			continue
		}
		all = append(all, target{string(host), srv.Port})
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: no SRV record of %s names a host and port", federation.ErrMalformed, name)
	}
	return all[:min(len(all), maxTargets)], nil
}

// inOrder sorts by priority, and by chance according to weight among equals (RFC 2782).
func inOrder(records []*mdns.SRV) []*mdns.SRV {
	chance := make(map[*mdns.SRV]float64, len(records))
	for _, s := range records { // the least of exponential times is of s with odds as its weight
		chance[s] = rand.ExpFloat64() / (float64(s.Weight) + 0.01)
	}
	slices.SortFunc(records, func(a, b *mdns.SRV) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(chance[a], chance[b]))
	})
	return records
}

// Addrs are the addresses of a host, whatever they are: whoever uses them must ask the
// fence.
func (r *Resolver) Addrs(ctx context.Context, host string) ([]netip.Addr, error) {
	if n, err := protocol.ParseNode(host); err != nil || federation.ScopeOf(n) != federation.PublicScope {
		return nil, fmt.Errorf("%w: %q is no name of the DNS", federation.ErrNothing, host)
	}
	var all []netip.Addr
	var failed []error
	for _, kind := range []uint16{mdns.TypeAAAA, mdns.TypeA} {
		got, err := r.lookup(ctx, host, kind)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		for _, rr := range got.records {
			var ip net.IP
			switch rr := rr.(type) {
			case *mdns.A:
				ip = rr.A
			case *mdns.AAAA:
				ip = rr.AAAA
			}
			if a, ok := netip.AddrFromSlice(ip); ok {
				all = append(all, a.Unmap())
			}
		}
	}
	if len(all) == 0 {
		for _, err := range failed { // a failure weighs more than "no such record"
			if !errors.Is(err, federation.ErrNothing) {
				return nil, err
			}
		}
		return nil, fmt.Errorf("%w: %s has no address", federation.ErrNothing, host)
	}
	return all, nil
}

// Published implements federation.Register.
func (r *Resolver) Published(ctx context.Context, name protocol.Node, want ed25519.PublicKey) (federation.Published, error) {
	if federation.ScopeOf(name) != federation.PublicScope {
		return federation.Published{}, fmt.Errorf("dns: %w: %s is no name of the DNS", federation.ErrNothing, name)
	}
	start := time.Now()
	p, err := r.published(ctx, name, want)
	if err != nil {
		err = fmt.Errorf("dns: %w", err)
	}
	federation.Tell(ctx, start, "DNS keys", describe(p), err)
	return p, err
}

func describe(p federation.Published) string {
	if len(p.Keys) == 0 {
		return ""
	}
	pins := make([]string, len(p.Keys))
	for i, k := range p.Keys {
		pins[i] = federation.Pin(k)
	}
	how := "not authentic (no DNSSEC, or the resolver is not on this machine)"
	if p.Authentic {
		how = "authentic"
	}
	return strings.Join(pins, ", ") + "; " + how
}

func (r *Resolver) published(ctx context.Context, name protocol.Node, want ed25519.PublicKey) (federation.Published, error) {
	got, err := r.lookup(ctx, txtPrefix+string(name), mdns.TypeTXT)
	if err != nil {
		return federation.Published{}, err
	}
	p, err := parse(got)
	if want == nil || err == nil && p.Has(want) || time.Since(got.at) < freshEnough {
		return p, err
	}
	r.cache.drop(txtPrefix+string(name), mdns.TypeTXT)
	if got, err = r.lookup(ctx, txtPrefix+string(name), mdns.TypeTXT); err != nil {
		return federation.Published{}, err
	}
	return parse(got)
}

// parse reads "v=parley1 key=ed25519:…" of TXT records; fields that it does not know, and
// other records, are passed over.
func parse(got *answer) (federation.Published, error) {
	p := federation.Published{Authentic: got.authentic}
	for _, rr := range got.records {
		txt, ok := rr.(*mdns.TXT)
		if !ok {
			continue
		}
		fields := strings.Fields(strings.Join(txt.Txt, ""))
		if len(fields) == 0 || fields[0] != version {
			continue
		}
		for _, f := range fields[1:] {
			pin, ok := strings.CutPrefix(f, keyField)
			if !ok {
				continue
			}
			key, err := federation.ParsePin(pin)
			if err != nil {
				return federation.Published{}, fmt.Errorf("%w: %w", federation.ErrMalformed, err)
			}
			if !p.Has(key) {
				p.Keys = append(p.Keys, key)
			}
		}
	}
	if len(p.Keys) > federation.MaxPublishedKeys {
		return federation.Published{}, fmt.Errorf("%w: %d keys, at most %d", federation.ErrMalformed, len(p.Keys), federation.MaxPublishedKeys)
	}
	if len(p.Keys) == 0 {
		return p, fmt.Errorf("%w: no key in the TXT records", federation.ErrNothing)
	}
	return p, nil
}
