package federation

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"parley/protocol"
)

// A Directory tells where the holders of keys are: the DHT.
type Directory interface {
	// Locate returns addresses that the holder of the key has published. The error wraps
	// ErrNothing if there are none.
	Locate(ctx context.Context, key ed25519.PublicKey) ([]netip.AddrPort, error)
}

// Search is a Finder that asks one after the other, and takes the first that has an
// address (spec/discovery.md). What is nil is not asked.
type Search struct {
	Notary *Notary // what the operator has said, and keys that are known; needed
	DNS    Finder
	Web    Finder
	DHT    Directory
	// Fence is around addresses, but for those that the operator has given.
	Fence   Fence
	Rations *Rations // of searches that others cause; nil: none
}

var _ Finder = (*Search)(nil)

// found is what a search has so far.
type found struct {
	Endpoint
	failed []error
}

// Find implements Finder.
func (s *Search) Find(ctx context.Context, name protocol.Node) (Endpoint, error) {
	if s.Rations != nil {
		done, err := s.Rations.Take(ctx, name)
		if err != nil {
			return Endpoint{Name: name}, err
		}
		defer done()
	}
	f := &found{Endpoint: Endpoint{Name: name}}
	for _, look := range []func(context.Context, *found) error{s.byOperator, s.byDNS, s.byWeb, s.byDHT} {
		if err := look(ctx, f); err != nil {
			f.failed = append(f.failed, err)
		}
		if len(f.Addrs) > 0 {
			return f.Endpoint, nil
		}
	}
	err := errors.Join(f.failed...)
	for _, one := range f.failed {
		if !errors.Is(one, ErrNothing) { // it may be there, another time
			return f.Endpoint, fmt.Errorf("federation: find %s: %w", name, err)
		}
	}
	return f.Endpoint, fmt.Errorf("federation: find %s: %w: %w", name, protocol.NotFound, err)
}

// byOperator takes the addresses that the operator has given.
func (s *Search) byOperator(ctx context.Context, f *found) error {
	p, _, err := s.Notary.Peer(f.Name)
	if err != nil || len(p.Addrs) == 0 {
		return err
	}
	start := time.Now()
	var failed []error
	for _, hp := range p.Addrs {
		addrs, err := resolve(ctx, hp)
		if err != nil {
			failed = append(failed, err)
		}
		f.Addrs = append(f.Addrs, addrs...)
	}
	fence := s.Fence
	if ScopeOf(f.Name) == LoopbackScope {
		fence = Fence{Loopback: true}
	}
	if fence.Loopback { // else the operator's word is enough
		if f.Addrs, err = fence.Filter(f.Addrs); err != nil {
			failed = append(failed, err)
		}
	}
	if err = errors.Join(failed...); len(f.Addrs) > 0 {
		err = nil
	}
	Tell(ctx, start, "operator", strings.Join(p.Addrs, ", "), err)
	return err
}

// resolve makes addresses of host:port as the operator has written it, with all that this
// machine knows of names.
func resolve(ctx context.Context, hostport string) ([]netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return nil, err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, err
	}
	addrs := []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}
	if a, bad := netip.ParseAddr(host); bad == nil {
		addrs = []netip.Addr{a}
	} else if host != "localhost" && !strings.HasSuffix(host, ".localhost") { // RFC 6761, 6.3
		if addrs, err = net.DefaultResolver.LookupNetIP(ctx, "ip", host); err != nil {
			return nil, err
		}
	}
	all := make([]netip.AddrPort, len(addrs))
	for i, a := range addrs {
		all[i] = netip.AddrPortFrom(a.Unmap(), uint16(n))
	}
	return all, nil
}

// byDNS asks for SRV, addresses and keys.
func (s *Search) byDNS(ctx context.Context, f *found) error { return s.byName(ctx, f, s.DNS) }

// byWeb asks the name's web site.
func (s *Search) byWeb(ctx context.Context, f *found) error { return s.byName(ctx, f, s.Web) }

func (s *Search) byName(ctx context.Context, f *found, by Finder) error {
	if by == nil || ScopeOf(f.Name) != PublicScope {
		return nil
	}
	e, err := by.Find(ctx, f.Name)
	if f.Keys == nil {
		f.Keys = e.Keys
	}
	if err != nil {
		return err
	}
	f.Addrs, err = s.Fence.Filter(e.Addrs)
	return err
}

// byDHT asks for the keys that are known of the name.
func (s *Search) byDHT(ctx context.Context, f *found) error {
	scope := ScopeOf(f.Name)
	if s.DHT == nil || scope == LoopbackScope {
		return nil
	}
	keys, err := s.keys(f)
	if err != nil {
		return err
	}
	var failed []error
	for _, key := range keys {
		start := time.Now()
		addrs, err := s.DHT.Locate(ctx, key)
		if err == nil {
			addrs, err = s.Fence.Filter(addrs)
		}
		Tell(ctx, start, "DHT", fmt.Sprintf("%s: %v", Pin(key), addrs), err)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		f.Addrs = append(f.Addrs, addrs...)
	}
	if len(f.Addrs) > 0 {
		return nil
	}
	return errors.Join(failed...)
}

// keys are those by which the DHT may know a node: never one that only the DHT itself has
// brought up.
func (s *Search) keys(f *found) ([]ed25519.PublicKey, error) {
	if own := KeyOf(f.Name); own != nil {
		return []ed25519.PublicKey{own}, nil
	}
	p, _, err := s.Notary.Peer(f.Name)
	if err != nil {
		return nil, err
	}
	keys := slices.Clone(f.Keys)
	if p.Pin != nil && !hasKey(keys, p.Pin) {
		keys = append(keys, p.Pin)
	}
	for _, k := range p.Keys {
		if k.Until.IsZero() && !k.Revoked && !hasKey(keys, k.Key) {
			keys = append(keys, k.Key)
		}
	}
	return keys[:min(len(keys), MaxPublishedKeys)], nil
}
