// Package dht finds nodes by their keys, without any registry (spec/discovery.md#dht): a
// Kademlia table of the nodes themselves, by go-libp2p, in which each files a signed
// record of where it is. It uses the socket of the links.
package dht

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	kad "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/routing"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	p2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	ma "github.com/multiformats/go-multiaddr"
	quicgo "github.com/quic-go/quic-go"

	"parley/federation"
	"parley/protocol"
)

// Times.
const (
	locateTimeout = 10 * time.Second
	publishTime   = 30 * time.Second
	dialTimeout   = 2 * time.Second // of two round trips at most; who is gone holds up a look-up so long
	probeTimeout  = 5 * time.Second
	republish     = 6 * time.Hour
	settled       = time.Hour        // after which a record is filed again though the table has not grown
	joinRetry     = 15 * time.Second // while nobody is known; doubled up to joinSlow
	joinSlow      = 10 * time.Minute
	watchEvery    = time.Minute // for changed addresses, or a lost table
	connGrace     = time.Minute
	tableRefresh  = 10 * time.Minute
	settleStep    = 100 * time.Millisecond
	settleSteps   = 20
)

// Bounds.
const (
	maxConns       = 48
	lowConns       = 3 // this part of them is left when there are too many
	perNetwork     = 2 // nodes of one /24 or /48 in the table
	quorum         = 4 // records that are compared
	concurrency    = 6 // nodes that a look-up asks at a time: α; each that need not be asked costs a handshake
	hostKeyLabel   = "libp2p host key v1"
	protocolPrefix = "/parley"
	bucketSize     = 20
	maxBootstrap   = 16
)

// Config of a node of the DHT. Identity and Socket are needed.
type Config struct {
	Identity *federation.Identity
	Socket   Socket
	Fence    federation.Fence
	// Server answers others and keeps records for them; else the node only asks, and files
	// its own record.
	Server bool
	// Addrs are where this node is. Empty: what other nodes see of it, if public.
	Addrs []netip.AddrPort
	// Bootstrap tells where other nodes of the DHT may be; it is asked when few are known.
	Bootstrap func(context.Context) []netip.AddrPort
	Table     Table
	Log       *slog.Logger   // nil: no log
	Clock     protocol.Clock // by which records are good; nil: the machine's
}

// Table says how much is done for the table. The zero value of a field stands for the
// default.
type Table struct {
	// Refresh is how often its parts are looked up again. Default 10 min; at least 1 s.
	Refresh time.Duration
	// Conns is how many connections are kept, Grace for how long new ones stay in any
	// case. Defaults 48 (and down to a third of it), 1 min.
	Conns int
	Grace time.Duration
	// Bucket is how many nodes each part of the table has, and how many keep a record: k.
	// Default 20. It is the same for all nodes of a DHT.
	Bucket int
}

// Node is this node's part in the DHT. It implements federation.Locator.
type Node struct {
	cfg  Config
	log  *slog.Logger
	key  crypto.PrivKey
	host host.Host
	kad  *kad.IpfsDHT
	back func() error // gives the socket back

	mu    sync.Mutex
	filed []netip.AddrPort // addresses in the record that was filed last
	at    time.Time        // when
	again time.Duration    // after which it is filed again, if there is need
	known int              // how many nodes the table had then
}

var _ federation.Locator = (*Node)(nil)

// New makes a node that knows nobody yet: see Run. Close it before the socket.
func New(cfg Config) (*Node, error) {
	cfg.Table.Refresh = max(cmp.Or(cfg.Table.Refresh, tableRefresh), time.Second)
	cfg.Table.Conns, cfg.Table.Grace = cmp.Or(cfg.Table.Conns, maxConns), cmp.Or(cfg.Table.Grace, connGrace)
	cfg.Table.Bucket = cmp.Or(cfg.Table.Bucket, bucketSize)
	n := &Node{cfg: cfg, log: cmp.Or(cfg.Log, slog.New(slog.DiscardHandler))}
	var err error
	if n.key, err = hostKey(cfg.Identity.Key); err != nil {
		return nil, err
	}
	conns, back, err := lend(cfg.Socket)
	if err != nil {
		return nil, err
	}
	n.back = func() error {
		err := conns.Close()
		back()
		return err
	}
	if n.host, err = n.newHost(conns); err != nil {
		return nil, errors.Join(fmt.Errorf("dht: %w", err), n.back())
	}
	mode := kad.ModeClient
	if cfg.Server {
		mode = kad.ModeServer
	}
	n.kad, err = kad.New(n.host,
		kad.Mode(mode), kad.ProtocolPrefix(protocolPrefix), kad.Validator(validator{cfg.Clock}), kad.DisableProviders(),
		kad.Datastore(newShelf()), kad.MaxRecordAge(maxLife), kad.AddressFilter(fence{cfg.Fence}.filter),
		// Who joins looks for its own neighbours only, see Run: a look-up in each part of the
		// table, again and again while that fills, connects everybody with everybody.
		kad.DisableAutoRefresh(),
		kad.RoutingTableFilter(n.diverse), kad.RoutingTableRefreshPeriod(cfg.Table.Refresh),
		kad.BucketSize(cfg.Table.Bucket), kad.Concurrency(concurrency))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("dht: %w", err), n.host.Close(), n.back())
	}
	return n, nil
}

func hostKey(k *federation.Key) (crypto.PrivKey, error) {
	key, err := crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed(k.Secret(hostKeyLabel)))
	if err != nil {
		return nil, fmt.Errorf("dht: %w", err)
	}
	return key, nil
}

// HostID is what the node with a key is called in the DHT.
func HostID(k *federation.Key) (peer.ID, error) {
	key, err := hostKey(k)
	if err != nil {
		return "", err
	}
	return peer.IDFromPrivateKey(key)
}

// newHost makes a libp2p host that does nothing but QUIC on the socket.
func (n *Node) newHost(conns *quicreuse.ConnManager) (host.Host, error) {
	t := n.cfg.Table
	limits, err := resources(max(t.Conns, maxConns))
	if err != nil {
		return nil, err
	}
	manager, err := connmgr.NewConnManager(t.Conns/lowConns, t.Conns, connmgr.WithGracePeriod(t.Grace))
	if err != nil {
		return nil, err
	}
	port := strconv.Itoa(portOf(n.cfg.Socket.LocalAddr()))
	reachable := libp2p.ForceReachabilityPrivate()
	if n.cfg.Server {
		reachable = libp2p.ForceReachabilityPublic()
	}
	return libp2p.New(
		libp2p.Identity(n.key), libp2p.NoTransports, libp2p.Transport(libp2pquic.NewTransport),
		libp2p.QUICReuse(func() *quicreuse.ConnManager { return conns }),
		libp2p.ListenAddrStrings("/ip4/0.0.0.0/udp/"+port+"/quic-v1", "/ip6/::/udp/"+port+"/quic-v1"),
		libp2p.ConnectionGater(fence{n.cfg.Fence}), libp2p.ResourceManager(limits), libp2p.ConnectionManager(manager),
		libp2p.AddrsFactory(n.announced), libp2p.MultiaddrResolver(unresolving{}), reachable,
		libp2p.DisableRelay(), libp2p.DisableMetrics(), libp2p.Ping(false), libp2p.UserAgent("parley"),
		libp2p.UDPBlackHoleSuccessCounter(nil), libp2p.IPv6BlackHoleSuccessCounter(nil),
		libp2p.WithDialTimeout(dialTimeout),
	)
}

// announced are the addresses that others are told.
func (n *Node) announced(seen []ma.Multiaddr) []ma.Multiaddr {
	if len(n.cfg.Addrs) == 0 {
		return fence{n.cfg.Fence}.filter(seen)
	}
	var all []ma.Multiaddr
	for _, a := range n.cfg.Addrs {
		if m, err := multi(a); err == nil {
			all = append(all, m)
		}
	}
	return all
}

// diverse keeps the table from being filled by whoever has one network.
func (n *Node) diverse(_ any, p peer.ID) bool {
	var others [][]netip.Prefix
	for _, other := range n.kad.RoutingTable().ListPeers() {
		if other != p {
			others = append(others, n.networks(other))
		}
	}
	return !crowded(n.networks(p), others)
}

// crowded reports whether the networks of one have enough nodes among the others.
func crowded(one []netip.Prefix, others [][]netip.Prefix) bool {
	count := 0
	for _, other := range others {
		if slices.ContainsFunc(other, func(s netip.Prefix) bool { return slices.Contains(one, s) }) {
			count++
		}
	}
	return count >= perNetwork
}

// networks are those from which a peer is connected; loopback is none.
func (n *Node) networks(p peer.ID) []netip.Prefix {
	var all []netip.Prefix
	for _, c := range n.host.Network().ConnsToPeer(p) {
		if a, ok := addrOf(c.RemoteMultiaddr()); ok && !a.Addr().IsLoopback() {
			all = append(all, federation.Source(a.Addr()))
		}
	}
	return all
}

// Run joins the DHT and keeps the node's record in it until ctx ends.
func (n *Node) Run(ctx context.Context) error {
	wait, refresh := joinRetry, n.refreshTime()
	for {
		switch {
		case n.Size() == 0:
			n.lost()
			n.join(ctx)
		case time.Since(refresh) >= 0:
			n.kad.RefreshRoutingTable() // goes on by itself
			refresh = n.refreshTime()
			fallthrough
		default:
			wait = joinRetry
		}
		next := watchEvery
		if n.Size() == 0 {
			next, wait = federation.Jitter(wait), min(2*wait, joinSlow) // not all at once
		} else if err := n.Publish(ctx); err != nil && ctx.Err() == nil {
			n.log.Warn("the node's record is not in the DHT", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(next):
		}
	}
}

// lost forgets that the record was filed: with whom, nobody knows any more.
func (n *Node) lost() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.filed = nil
}

// refreshTime is when the table is looked through the next time.
func (n *Node) refreshTime() time.Time {
	return time.Now().Add(federation.Jitter(n.cfg.Table.Refresh))
}

// join connects with nodes that may be there, and finds those that are near.
func (n *Node) join(ctx context.Context) {
	if n.cfg.Bootstrap == nil {
		return
	}
	addrs := n.cfg.Bootstrap(ctx)
	var wg sync.WaitGroup
	for _, a := range addrs[:min(len(addrs), maxBootstrap)] {
		wg.Go(func() {
			if err := n.Connect(ctx, a); err != nil {
				n.log.Debug("no node of the DHT", "addr", a, "err", err)
			}
		})
	}
	wg.Wait()
	n.settle(ctx)
	if n.Size() == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, publishTime)
	defer cancel()
	if _, err := n.kad.GetClosestPeers(ctx, string(n.host.ID())); err != nil {
		n.log.Debug("neighbours in the DHT not found", "err", err)
	}
}

// settle waits a moment for those that were met to be taken into the table.
func (n *Node) settle(ctx context.Context) {
	tick := time.NewTicker(settleStep)
	defer tick.Stop()
	for range settleSteps {
		if n.Size() > 0 {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// Connect gets to know a node by its address alone: who it is shows in the handshake. That
// proves nothing, and need not: records prove themselves.
func (n *Node) Connect(ctx context.Context, a netip.AddrPort) error {
	ctx, cancel := context.WithTimeout(ctx, 2*probeTimeout)
	defer cancel()
	a = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
	id, err := n.probe(ctx, a)
	if err != nil {
		return fmt.Errorf("dht: %s: %w", a, err)
	}
	m, err := multi(a)
	if err != nil {
		return fmt.Errorf("dht: %s: %w", a, err)
	}
	if err := n.host.Connect(ctx, peer.AddrInfo{ID: id, Addrs: []ma.Multiaddr{m}}); err != nil {
		return fmt.Errorf("dht: %s: %w", a, err)
	}
	return nil
}

// probe asks who is at an address.
func (n *Node) probe(ctx context.Context, a netip.AddrPort) (peer.ID, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	self, err := p2ptls.NewIdentity(n.key)
	if err != nil {
		return "", err
	}
	conf, keys := self.ConfigForPeer("")
	conf.NextProtos = []string{ALPN}
	q, err := n.cfg.Socket.Dial(ctx, net.UDPAddrFromAddrPort(a), light(conf), &quicgo.Config{})
	if err != nil {
		return "", err
	}
	defer q.CloseWithError(0, "")
	select {
	case key := <-keys:
		return peer.IDFromPublicKey(key)
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// Addrs are where this node is, as far as it knows.
func (n *Node) Addrs() []netip.AddrPort {
	var all []netip.AddrPort
	for _, m := range n.host.Addrs() {
		if a, ok := addrOf(m); ok {
			all = append(all, a)
		}
	}
	return all[:min(len(all), maxAddrs)]
}

// Locate implements federation.Locator.
func (n *Node) Locate(ctx context.Context, key ed25519.PublicKey) ([]netip.AddrPort, error) {
	ctx, cancel := context.WithTimeout(ctx, locateTimeout)
	defer cancel()
	if n.Size() == 0 {
		return nil, errors.New("dht: no other node of the DHT is known")
	}
	value, err := n.kad.GetValue(ctx, keyOf(key), kad.Quorum(quorum))
	if errors.Is(err, routing.ErrNotFound) {
		return nil, fmt.Errorf("dht: %w: no record of %s", federation.ErrNothing, federation.Pin(key))
	}
	if err != nil {
		return nil, fmt.Errorf("dht: %w", err)
	}
	r, err := read(keyOf(key), value, n.cfg.Clock.Now())
	if err != nil || !bytes.Equal(r.Key, key) {
		return nil, fmt.Errorf("dht: %w", cmp.Or(err, errRecord))
	}
	var all []netip.AddrPort
	for _, b := range r.Addrs {
		if a, ok := decodeAddr(b); ok {
			all = append(all, a)
		}
	}
	all, err = n.cfg.Fence.Filter(all)
	if err != nil {
		return nil, fmt.Errorf("dht: %w", err)
	}
	return all, nil
}

// Filed reports whether the node's record has been filed.
func (n *Node) Filed() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.at.IsZero()
}

// Size is how many nodes the table has.
func (n *Node) Size() int { return n.kad.RoutingTable().Size() }

// Close leaves the DHT and gives the socket back. Run must have returned.
func (n *Node) Close() error {
	return errors.Join(n.kad.Close(), n.host.Close(), n.back())
}

func itoa(p uint16) string { return strconv.Itoa(int(p)) }
