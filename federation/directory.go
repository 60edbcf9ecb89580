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
	"sync"
	"time"

	"parley/protocol"
	"parley/store"
)

// How long what was found, or not found, is good.
const (
	foundLife    = 10 * time.Minute
	notFoundLife = time.Minute
	maxFound     = 4096 // nodes remembered
)

// DirectoryConfig is what a Directory is made of; Store is needed.
type DirectoryConfig struct {
	Store  store.Store
	Static []StaticPeer // of the settings
	// Sources are asked one after the other for nodes of which the operator has not said
	// where they are: the DNS, web sites. They fence what they find.
	Sources []Finder
	// Keys is asked last, by the keys that are known of a node: the DHT; nil: there is none.
	Keys Locator
	// Rations of searches that others cause; nil: none.
	Rations *Rations
	// Resolver is for host names that the operator has given; nil: the system's.
	Resolver *net.Resolver
}

// A Locator tells where the holders of keys are.
type Locator interface {
	// Locate returns addresses that the holder of the key has published, those that may
	// be gone to. The error wraps ErrNothing if there are none.
	Locate(ctx context.Context, key ed25519.PublicKey) ([]netip.AddrPort, error)
}

// Directory finds nodes: where the operator says that they are, else where the first
// source does that knows (spec/discovery.md). It implements Finder. Its methods may be
// called at once.
type Directory struct {
	cfg    DirectoryConfig
	static map[protocol.Node]*StaticPeer
	local  bool // this node keeps to its machine

	mu    sync.Mutex
	found map[protocol.Node]found
}

type found struct {
	at    Endpoint
	err   error
	until time.Time
}

var _ Finder = (*Directory)(nil)

// NewDirectory makes one.
func NewDirectory(cfg DirectoryConfig) *Directory {
	d := &Directory{cfg: cfg, static: map[protocol.Node]*StaticPeer{}, found: map[protocol.Node]found{}}
	d.local = ScopeOf(cfg.Store.Meta().Node) == LoopbackScope
	if cfg.Resolver == nil {
		d.cfg.Resolver = net.DefaultResolver
	}
	for i := range cfg.Static {
		d.static[cfg.Static[i].Name] = &cfg.Static[i]
	}
	return d
}

// Find implements Finder. Endpoint.Keys are those that the owner of the name publishes; a
// pin is not among them: another key may follow it, which is for the Prover to say.
func (d *Directory) Find(ctx context.Context, n protocol.Node) (Endpoint, error) {
	p, err := d.word(n)
	if err != nil {
		return Endpoint{}, err
	}
	if len(p.Addrs) > 0 {
		start := time.Now()
		at := Endpoint{Name: n}
		at.Addrs, err = d.resolve(ctx, n, p.Addrs)
		Tell(ctx, start, "operator", fmt.Sprint(at.Addrs), err)
		return at, err
	}
	if f, ok := d.remembered(n); ok {
		Tell(ctx, time.Now(), "remembered", fmt.Sprint(f.at.Addrs), f.err)
		return f.at, f.err
	}
	if d.cfg.Rations != nil {
		done, err := d.cfg.Rations.Take(ctx, n)
		if err != nil {
			return Endpoint{Name: n}, err
		}
		defer done()
	}
	at, err := d.ask(ctx, p)
	if ctx.Err() == nil {
		d.remember(n, at, err)
	}
	return at, err
}

// Forget drops what is remembered of a node, which was not where it was said to be.
func (d *Directory) Forget(n protocol.Node) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.found, n)
}

// word is what is known of a node, and what the operator has said of it.
func (d *Directory) word(n protocol.Node) (*store.Peer, error) {
	p := &store.Peer{Name: n}
	err := d.cfg.Store.View(func(tx store.Tx) error {
		got, err := tx.Peer(n)
		if err == nil {
			p = got
		}
		return ignoreMissing(err)
	})
	if s, ok := d.static[n]; ok {
		withStatic(p, s)
	}
	return p, err
}

// resolve makes addresses of host:port as the operator has written it, with all that this
// machine knows of names. There is no fence around them, but for names that keep to one
// machine.
func (d *Directory) resolve(ctx context.Context, n protocol.Node, all []string) ([]netip.AddrPort, error) {
	var out []netip.AddrPort
	var errs []error
	for _, hp := range all {
		addrs, err := d.hostPort(ctx, hp)
		if err != nil {
			errs = append(errs, err)
		}
		out = append(out, addrs...)
	}
	if d.local || ScopeOf(n) == LoopbackScope {
		var err error
		if out, err = (Fence{Loopback: true}).Filter(out); err != nil {
			errs = append(errs, err)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("federation: find %s: %w", n, errors.Join(errs...))
	}
	return out, nil
}

func (d *Directory) hostPort(ctx context.Context, hp string) ([]netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(hp)
	if err != nil {
		return nil, err
	}
	num, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, err
	}
	addrs := []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}
	if a, bad := netip.ParseAddr(host); bad == nil {
		addrs = []netip.Addr{a}
	} else if host != "localhost" && !strings.HasSuffix(host, ".localhost") { // RFC 6761, 6.3
		if addrs, err = d.cfg.Resolver.LookupNetIP(ctx, "ip", host); err != nil {
			return nil, err
		}
	}
	out := make([]netip.AddrPort, len(addrs))
	for i, a := range addrs {
		out[i] = netip.AddrPortFrom(a.Unmap(), uint16(num))
	}
	return out, nil
}

// ask goes through the sources.
func (d *Directory) ask(ctx context.Context, p *store.Peer) (Endpoint, error) {
	at, errs := Endpoint{Name: p.Name}, []error{}
	scope := ScopeOf(p.Name)
	for _, s := range d.cfg.Sources {
		if scope != PublicScope {
			break // no resolver is to see the name
		}
		got, err := s.Find(ctx, p.Name)
		if len(at.Keys) == 0 {
			at.Keys = got.Keys
		}
		if err == nil && len(got.Addrs) > 0 {
			at.Addrs = got.Addrs
			return at, nil
		}
		errs = append(errs, err)
	}
	if d.cfg.Keys != nil && scope != LoopbackScope {
		for _, key := range locatable(p, at.Keys) {
			start := time.Now()
			addrs, err := d.cfg.Keys.Locate(ctx, key)
			Tell(ctx, start, "DHT", fmt.Sprintf("%s: %v", Pin(key), addrs), err)
			if err == nil && len(addrs) > 0 {
				at.Addrs = addrs
				return at, nil
			}
			errs = append(errs, err)
		}
	}
	err := errors.Join(errs...)
	passing := func(e error) bool { return e != nil && !errors.Is(e, ErrNothing) }
	if slices.ContainsFunc(errs, passing) {
		return at, fmt.Errorf("federation: find %s: %w", p.Name, err)
	}
	nothing := fmt.Errorf("federation: nobody knows where %s is: %w", p.Name, protocol.NotFound)
	return at, errors.Join(nothing, err)
}

// locatable are the keys by which a Locator may know a node: never one that it has brought
// up itself.
func locatable(p *store.Peer, published []ed25519.PublicKey) []ed25519.PublicKey {
	if own := KeyOf(p.Name); own != nil {
		return []ed25519.PublicKey{own}
	}
	keys := slices.Clone(published)
	if p.Pin != nil && !hasKey(keys, p.Pin) {
		keys = append(keys, p.Pin)
	}
	for _, k := range p.Keys {
		if k.Until.IsZero() && !k.Revoked && !hasKey(keys, k.Key) {
			keys = append(keys, k.Key)
		}
	}
	return keys[:min(len(keys), MaxPublishedKeys)]
}

func (d *Directory) remembered(n protocol.Node) (found, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f, ok := d.found[n]
	return f, ok && time.Now().Before(f.until)
}

func (d *Directory) remember(n protocol.Node, at Endpoint, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	if len(d.found) >= maxFound {
		for old, f := range d.found {
			if now.After(f.until) || len(d.found) >= maxFound {
				delete(d.found, old)
			}
		}
	}
	life := foundLife
	if err != nil {
		life = notFoundLife
	}
	d.found[n] = found{at, err, now.Add(life)}
}
