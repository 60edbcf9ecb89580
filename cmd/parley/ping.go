package main

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"parley/federation"
	"parley/federation/dns"
	"parley/federation/quic"
	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
)

// steered is what is known of other nodes, with links that follow what the operator says.
type steered struct {
	*federation.Notary
	mesh *federation.Mesh
}

// Pin implements httpd.Peers.
func (s steered) Pin(name protocol.Node, key ed25519.PublicKey, addrs []string) error {
	return s.after(name, s.Notary.Pin(name, key, addrs))
}

// Unpin implements httpd.Peers.
func (s steered) Unpin(name protocol.Node, forget bool) error {
	return s.after(name, s.Notary.Unpin(name, forget))
}

// SetAccess implements httpd.Peers.
func (s steered) SetAccess(name protocol.Node, a store.PeerAccess) error {
	return s.after(name, s.Notary.SetAccess(name, a))
}

func (s steered) after(name protocol.Node, err error) error {
	if err == nil {
		s.mesh.Drop(name)
	}
	return err
}

// ping reaches for a node step by step, as a link would, and asks it something. The steps
// go to whoever watches ctx.
func (l *links) ping(ctx context.Context, name protocol.Node) error {
	if err := l.notary.Wants(name); err != nil {
		err = fmt.Errorf("%w; let it in with: parley peer allow %s", err, name)
		federation.Tell(ctx, time.Now(), "operator", "", err)
		return err
	}
	linked := l.mesh.Linked(name)
	if linked {
		federation.Tell(ctx, time.Now(), "link", "there is one; this is how another would come about:", nil)
	}
	if err := l.reach(ctx, name); err != nil && !linked { // a link may have come from there, where this node cannot go
		return err
	}
	l.mesh.Retry(name)
	start := time.Now()
	_, body, err := l.mesh.Ask(ctx, name, &s2s.Ask{Ping: &s2s.Ping{}})
	closeBody(body)
	if err != nil {
		federation.Tell(ctx, start, "link", "", err)
		return err
	}
	start = time.Now() // without the making of the link
	_, body, err = l.mesh.Ask(ctx, name, &s2s.Ask{Ping: &s2s.Ping{}})
	closeBody(body)
	federation.Tell(ctx, start, "round trip", "the node answers", err)
	return err
}

func closeBody(b io.Closer) {
	if b != nil {
		b.Close()
	}
}

// reach finds, dials and proves a node, and hangs up.
func (l *links) reach(ctx context.Context, name protocol.Node) error {
	l.directory.Forget(name)
	at, err := l.directory.Find(ctx, name)
	if err != nil {
		return err
	}
	start := time.Now()
	c, err := l.quic.Dial(ctx, at)
	if err != nil {
		federation.Tell(ctx, start, "dial", "", err)
		return err
	}
	defer c.CloseWith(federation.CloseGoodbye, "ping")
	p := c.Peer()
	federation.Tell(ctx, start, "dial", "UDP "+p.Addr.String()+" answers", nil)
	federation.Tell(ctx, start, "TLS", fmt.Sprintf("it shows %s for %s", federation.Pin(p.Key), p.Name), nil)
	if p.Name != name {
		return fmt.Errorf("it is %s", p.Name)
	}
	if p.Succession != nil {
		err := l.notary.Learn(ctx, name, p.Succession)
		federation.Tell(ctx, start, "succession", "its key follows another", err)
	}
	_, err = l.notary.Prove(ctx, name, p.Key)
	return err
}

// advice is what others need to find this node and to prove its name.
func (l *links) advice(key *federation.Key) string {
	_, port, err := net.SplitHostPort(l.addr.String())
	if err != nil {
		return ""
	}
	switch federation.ScopeOf(l.self) {
	case federation.KeyScope:
		return "none: the name is made from the key, and found in the DHT"
	case federation.PublicScope:
		return "in the DNS, so that others find this node and believe its name:\n" + records(l.self, port, key.Public())
	}
	return fmt.Sprintf("none: others are told with: parley peer pin %s 127.0.0.1:%s %s", l.self, port, key.Pin())
}

// records are lines of a zone file (spec/discovery.md#dns).
func records(name protocol.Node, port string, keys ...ed25519.PublicKey) string {
	lines := []string{fmt.Sprintf("_parley._udp.%s. 3600 IN SRV 0 0 %s %s.", name, port, name)}
	for _, k := range keys {
		lines = append(lines, fmt.Sprintf(`_parley.%s. 3600 IN TXT "v=parley1 key=%s"`, name, federation.Pin(k)))
	}
	return "            " + strings.Join(lines, "\n            ")
}

// checkNames looks at this node from outside, as far as that can be done from here: its
// records, and whether its port answers at the addresses in them.
func (d *doctor) checkNames(ctx context.Context, self protocol.Node, key *federation.Key) {
	if d.s.LinkAddress(string(self)) == "" || federation.ScopeOf(self) != federation.PublicScope || key == nil {
		return
	}
	fence := federation.NewFence(self, true) // these are our own addresses, wherever they lead
	fence.Allow = append(slices.Clone(fence.Allow), netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"))
	resolver, err := dns.New(dns.Config{Servers: d.s.S2S.Resolvers, Fence: fence})
	if err != nil {
		d.say("dns", bad, "%v", err)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	p, err := resolver.Published(ctx, self, key.Public())
	switch {
	case err != nil:
		d.say("dns", warn, "no key record is seen from here (%v); add the record that parley serve prints, or let the web site prove the name", err)
	case !p.Has(key.Public()):
		d.say("dns", bad, "the records at _parley.%s name another key, so others refuse this node; the key is %s", self, key.Pin())
	case !p.Authentic:
		d.say("dns", fine, "the key is named, as far as this resolver can say (%s)", authenticity(resolver))
	default:
		d.say("dns", fine, "the key is named, authentically")
	}
	at, err := resolver.Find(ctx, self)
	if err != nil {
		d.say("address", warn, "the name leads nowhere: %v", err)
		return
	}
	where := strings.Trim(fmt.Sprint(at.Addrs), "[]")
	if !d.running {
		d.say("address", fine, "%s; whether it answers shows while the node runs", where)
		return
	}
	d.reachSelf(ctx, self, key, at)
}

func authenticity(r *dns.Resolver) string {
	if r.Authentic() {
		return "no DNSSEC"
	}
	return "a resolver on this machine could tell whether it is signed"
}

// reachSelf dials the node as a stranger would.
func (d *doctor) reachSelf(ctx context.Context, self protocol.Node, key *federation.Key, at federation.Endpoint) {
	at.Keys = []ed25519.PublicKey{key.Public()}
	c, end, err := dialAsStranger(ctx, at)
	if err != nil {
		d.say("address", warn, "does not answer from here, which need not mean that it does not from elsewhere (%v); is UDP let in?", err)
		return
	}
	defer end()
	d.say("address", fine, "%s answers for %s", c.Peer().Addr, cmp.Or(c.Peer().Name, self))
}

// dialAsStranger connects with a key and a name of no account.
func dialAsStranger(ctx context.Context, at federation.Endpoint) (federation.Conn, func(), error) {
	dir, err := os.MkdirTemp("", "parley-check-")
	if err != nil {
		return nil, nil, err
	}
	defer os.RemoveAll(dir)
	key, err := federation.CreateKey(filepath.Join(dir, federation.KeyFile))
	if err != nil {
		return nil, nil, err
	}
	conn, err := new(net.ListenConfig).ListenPacket(ctx, "udp", ":0")
	if err != nil {
		return nil, nil, err
	}
	t, err := quic.New(quic.Config{Key: key, Name: federation.KeyName(key.Public()), Conn: conn})
	if err != nil {
		return nil, nil, err
	}
	end := func() { _ = t.Close() } // nothing of it is needed any more
	c, err := t.Dial(ctx, at)
	if err != nil {
		end()
	}
	return c, end, err
}
