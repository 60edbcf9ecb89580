// Package names is where the names of an emulated federation are registered: a resolver
// that answers questions of the DNS, and the web sites of the names. Nodes ask both over
// the emulated network.
package names

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	mdns "github.com/miekg/dns"

	"parley/protocol"
)

// ResolverAddr is where each node finds its resolver: on its own machine, so that it
// believes what the resolver says of DNSSEC.
var ResolverAddr = netip.MustParseAddrPort("127.0.0.1:53")

// Zone is what the DNS has of a node's name.
type Zone struct {
	Addr netip.AddrPort // of the node
	Pin  string         // of its key
	// Signed: the zone has DNSSEC, and the resolver says that it has validated it.
	Signed bool
	TTL    time.Duration
}

// Failure is what is wrong with a zone.
type Failure string

// The failures.
const (
	Silent   Failure = "silent"   // no answer
	ServFail Failure = "servfail" // the resolver cannot find out, or what is signed is signed wrongly
	NXDomain Failure = "nxdomain" // the name is gone
)

// Failures are all.
var Failures = []Failure{Silent, ServFail, NXDomain}

// Resolver answers for all zones. It is a validating resolver as nodes see one: that the
// signatures are good it says, and does not show.
type Resolver struct {
	conn net.PacketConn
	wg   sync.WaitGroup

	mu     sync.Mutex
	zones  map[string]Zone    // guarded by mu; by name with the final dot
	broken map[string]Failure // guarded by mu
	asked  int                // guarded by mu
}

// NewResolver answers what comes to conn until Close.
func NewResolver(conn net.PacketConn) *Resolver {
	r := &Resolver{conn: conn, zones: map[string]Zone{}, broken: map[string]Failure{}}
	r.wg.Go(r.serve)
	return r
}

// Close ends it, and conn.
func (r *Resolver) Close() error {
	err := r.conn.Close()
	r.wg.Wait()
	return err
}

// Set makes or replaces the zone of a node.
func (r *Resolver) Set(n protocol.Node, z Zone) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.zones[mdns.Fqdn(string(n))] = z
}

// Fail breaks a zone; with "" it is well again.
func (r *Resolver) Fail(n protocol.Node, how Failure) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.broken[mdns.Fqdn(string(n))] = how
}

// Asked is how many questions there were.
func (r *Resolver) Asked() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked
}

// maxQuestion bounds a question, in bytes.
const maxQuestion = 1232

func (r *Resolver) serve() {
	b := make([]byte, maxQuestion)
	for {
		n, from, err := r.conn.ReadFrom(b)
		if err != nil {
			return
		}
		q := new(mdns.Msg)
		if q.Unpack(b[:n]) != nil || len(q.Question) != 1 {
			continue
		}
		m := r.answer(q)
		if m == nil {
			continue
		}
		if text, err := m.Pack(); err == nil {
			_, _ = r.conn.WriteTo(text, from) // what does not arrive is asked for again
		}
	}
}

// answer is nil if there is none.
func (r *Resolver) answer(q *mdns.Msg) *mdns.Msg {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked++
	m := new(mdns.Msg).SetReply(q)
	m.RecursionAvailable = true
	name := strings.ToLower(q.Question[0].Name)
	bare := strings.TrimPrefix(strings.TrimPrefix(name, "_parley."), "_udp.")
	z, there := r.zones[bare]
	switch r.broken[bare] {
	case Silent:
		return nil
	case ServFail:
		m.Rcode = mdns.RcodeServerFailure
		return m
	case NXDomain:
		there = false
	}
	m.AuthenticatedData = z.Signed
	if !there {
		m.Rcode = mdns.RcodeNameError
	} else if rr := z.record(name, bare, q.Question[0].Qtype); rr != nil {
		m.Answer = []mdns.RR{rr}
		return m
	}
	m.Ns = []mdns.RR{&mdns.SOA{Hdr: z.header(bare, mdns.TypeSOA), Ns: "ns." + bare, Mbox: "root." + bare, Minttl: negative}}
	return m
}

// negative is for how long it is good that there is nothing, in seconds.
const negative = 60

func (z *Zone) header(name string, kind uint16) mdns.RR_Header {
	return mdns.RR_Header{Name: name, Rrtype: kind, Class: mdns.ClassINET, Ttl: uint32(z.TTL.Seconds())}
}

// record is what there is at a name of the zone; nil: nothing.
func (z *Zone) record(name, bare string, kind uint16) mdns.RR {
	h := z.header(name, kind)
	switch {
	case kind == mdns.TypeSRV && name == "_parley._udp."+bare:
		return &mdns.SRV{Hdr: h, Port: z.Addr.Port(), Target: bare}
	case kind == mdns.TypeTXT && name == "_parley."+bare:
		return &mdns.TXT{Hdr: h, Txt: []string{fmt.Sprintf("v=parley1 key=%s", z.Pin)}}
	case kind == mdns.TypeA && name == bare && z.Addr.Addr().Is4():
		return &mdns.A{Hdr: h, A: z.Addr.Addr().AsSlice()}
	case kind == mdns.TypeAAAA && name == bare && z.Addr.Addr().Is6():
		return &mdns.AAAA{Hdr: h, AAAA: z.Addr.Addr().AsSlice()}
	}
	return nil
}

// Connected is a socket that has one other end: what a client of the DNS dials.
type Connected struct {
	net.PacketConn
	To net.Addr
}

// Read takes a packet.
func (c Connected) Read(b []byte) (int, error) {
	n, _, err := c.ReadFrom(b)
	return n, err
}

// Write sends one.
func (c Connected) Write(b []byte) (int, error) { return c.WriteTo(b, c.To) }

// RemoteAddr is the other end.
func (c Connected) RemoteAddr() net.Addr { return c.To }

var _ net.Conn = Connected{}
