package federation

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
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
	// where they are: the DNS, web sites, the DHT.
	Sources []Finder
	// Resolver is for host names that the operator has given; nil: the system's.
	Resolver *net.Resolver
}

// Directory finds nodes: where the operator says that they are, else where the first
// source does that knows. It implements Finder. Its methods may be called at once.
type Directory struct {
	cfg    DirectoryConfig
	static map[protocol.Node]StaticPeer

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
	d := &Directory{cfg: cfg, static: map[protocol.Node]StaticPeer{}, found: map[protocol.Node]found{}}
	if cfg.Resolver == nil {
		d.cfg.Resolver = net.DefaultResolver
	}
	for _, p := range cfg.Static {
		d.static[p.Name] = p
	}
	return d
}

// Find implements Finder.
func (d *Directory) Find(ctx context.Context, n protocol.Node) (Endpoint, error) {
	pin, addrs, err := d.word(n)
	if err != nil {
		return Endpoint{}, err
	}
	if len(addrs) > 0 {
		start := time.Now()
		at := Endpoint{Name: n}
		at.Addrs, err = d.resolve(ctx, addrs)
		Tell(ctx, start, "operator", fmt.Sprint(at.Addrs), err)
		return d.pinned(at, pin), err
	}
	if f, ok := d.remembered(n); ok {
		Tell(ctx, time.Now(), "remembered", fmt.Sprint(f.at.Addrs), f.err)
		return d.pinned(f.at, pin), f.err
	}
	at, err := d.ask(ctx, n)
	if ctx.Err() == nil {
		d.remember(n, at, err)
	}
	return d.pinned(at, pin), err
}

// Forget drops what is remembered of a node, which was not where it was said to be.
func (d *Directory) Forget(n protocol.Node) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.found, n)
}

func (d *Directory) pinned(at Endpoint, pin ed25519.PublicKey) Endpoint {
	if pin != nil {
		at.Keys = []ed25519.PublicKey{pin}
	}
	return at
}

// word is what the operator has said of a node. A key that was succeeded by another
// binds no more, so the pin counts only while it is the node's present key.
func (d *Directory) word(n protocol.Node) (pin ed25519.PublicKey, addrs []string, err error) {
	s := d.static[n]
	pin, addrs = s.Key, s.Addrs
	err = d.cfg.Store.View(func(tx store.Tx) error {
		p, err := tx.Peer(n)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if len(p.Addrs) > 0 {
			addrs = p.Addrs
		}
		if len(p.Pin) > 0 {
			pin = p.Pin
		}
		if len(p.Keys) > 0 && pin != nil && !pin.Equal(ed25519.PublicKey(p.Keys[0].Key)) {
			pin = nil // whether the other follows from it is for the Prover to say
		}
		return nil
	})
	return pin, addrs, err
}

// resolve makes addresses of "host:port".
func (d *Directory) resolve(ctx context.Context, all []string) ([]netip.AddrPort, error) {
	var out []netip.AddrPort
	var errs []error
	for _, a := range all {
		if ap, err := netip.ParseAddrPort(a); err == nil {
			out = append(out, ap)
			continue
		}
		host, port, err := net.SplitHostPort(a)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		p, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		ips, err := d.cfg.Resolver.LookupNetIP(ctx, "ip", host)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, ip := range ips {
			out = append(out, netip.AddrPortFrom(ip.Unmap(), uint16(p)))
		}
	}
	if len(out) == 0 {
		return nil, errors.Join(errs...)
	}
	return out, nil
}

// ask goes through the sources.
func (d *Directory) ask(ctx context.Context, n protocol.Node) (Endpoint, error) {
	nothing := fmt.Errorf("federation: nobody knows where %s is: %w", n, protocol.NotFound)
	errs := []error{nothing}
	for _, s := range d.cfg.Sources {
		at, err := s.Find(ctx, n)
		if err == nil && len(at.Addrs) > 0 {
			return at, nil
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	return Endpoint{Name: n}, errors.Join(errs...)
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
