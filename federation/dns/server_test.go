package dns

import (
	"crypto"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	mdns "github.com/miekg/dns"
)

// zone is an authoritative server of one signed zone, on loopback, behind a resolver that
// validates: it says AD about what is signed by the zone's key, and SERVFAIL about what is
// signed wrongly, as RFC 4035 has it.
type zone struct {
	t      *testing.T
	addr   string
	key    *mdns.DNSKEY
	signer crypto.Signer

	mu      sync.Mutex
	records map[question][]mdns.RR
	sigs    map[question]*mdns.RRSIG
	asked   map[question]int
	rcode   int // of every answer, if not 0
	mute    bool
	cut     bool // over UDP
	other   bool // answers another question
}

const soa = "example.test. 60 IN SOA ns.example.test. root.example.test. 1 60 60 60 30"

func newZone(t *testing.T) *zone {
	z := &zone{t: t, records: map[question][]mdns.RR{}, sigs: map[question]*mdns.RRSIG{}, asked: map[question]int{}}
	z.key = &mdns.DNSKEY{
		Hdr:   mdns.RR_Header{Name: "example.test.", Rrtype: mdns.TypeDNSKEY, Class: mdns.ClassINET, Ttl: 60},
		Flags: 257, Protocol: 3, Algorithm: mdns.ED25519,
	}
	secret, err := z.key.Generate(256)
	if err != nil {
		t.Fatal(err)
	}
	z.signer = secret.(crypto.Signer)
	pc, l := listenBoth(t)
	z.addr = pc.LocalAddr().String()
	for _, s := range []*mdns.Server{{PacketConn: pc, Handler: z}, {Listener: l, Handler: z}} {
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		var wg sync.WaitGroup
		wg.Go(func() { _ = s.ActivateAndServe() })
		<-started
		t.Cleanup(func() {
			_ = s.Shutdown()
			wg.Wait()
		})
	}
	return z
}

// listenBoth listens on a port that is free for UDP and for TCP.
func listenBoth(t *testing.T) (net.PacketConn, net.Listener) {
	t.Helper()
	var err error
	for range 20 {
		var pc net.PacketConn
		if pc, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
			break
		}
		var l net.Listener
		if l, err = net.Listen("tcp", pc.LocalAddr().String()); err == nil {
			return pc, l
		}
		pc.Close()
	}
	t.Fatal(err)
	return nil, nil
}

// set replaces the records of each name and kind in the lines, signed.
func (z *zone) set(lines ...string) {
	z.t.Helper()
	z.mu.Lock()
	defer z.mu.Unlock()
	fresh := map[question]bool{}
	for _, line := range lines {
		rr, err := mdns.NewRR(line)
		if err != nil {
			z.t.Fatal(err)
		}
		q := question{rr.Header().Name, rr.Header().Rrtype}
		if !fresh[q] {
			z.records[q], fresh[q] = nil, true
		}
		z.records[q] = append(z.records[q], rr)
	}
	for q := range fresh {
		now := time.Now()
		sig := &mdns.RRSIG{
			Hdr:       mdns.RR_Header{Name: q.name, Rrtype: mdns.TypeRRSIG, Class: mdns.ClassINET, Ttl: 60},
			Inception: uint32(now.Add(-time.Hour).Unix()), Expiration: uint32(now.Add(time.Hour).Unix()),
			KeyTag: z.key.KeyTag(), SignerName: "example.test.", Algorithm: z.key.Algorithm,
		}
		if err := sig.Sign(z.signer, z.records[q]); err != nil {
			z.t.Fatal(err)
		}
		z.sigs[q] = sig
	}
}

// forge changes records without a new signature; unsign takes the signature away.
func (z *zone) forge(line string) {
	rr, err := mdns.NewRR(line)
	if err != nil {
		z.t.Fatal(err)
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	z.records[question{rr.Header().Name, rr.Header().Rrtype}] = []mdns.RR{rr}
}

func (z *zone) unsign(name string, kind uint16) {
	z.mu.Lock()
	defer z.mu.Unlock()
	delete(z.sigs, question{name, kind})
}

func (z *zone) with(change func()) {
	z.mu.Lock()
	defer z.mu.Unlock()
	change()
}

func (z *zone) count(name string, kind uint16) int {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.asked[question{name, kind}]
}

// ServeDNS implements mdns.Handler.
func (z *zone) ServeDNS(w mdns.ResponseWriter, r *mdns.Msg) {
	z.mu.Lock()
	defer z.mu.Unlock()
	m := new(mdns.Msg).SetReply(r)
	q := question{strings.ToLower(r.Question[0].Name), r.Question[0].Qtype}
	z.asked[q]++
	switch {
	case z.mute:
		return
	case z.rcode != 0:
		m.Rcode = z.rcode
	case z.cut && w.LocalAddr().Network() == "udp":
		m.Truncated = true
	case z.other:
		m.Question[0].Name = "other.test."
		m.Answer = z.records[q]
	default:
		z.answer(m, r, q)
	}
	_ = w.WriteMsg(m)
}

func (z *zone) answer(m, r *mdns.Msg, q question) {
	m.Answer = z.records[q]
	if sig := z.sigs[q]; sig != nil && len(m.Answer) > 0 {
		switch {
		case sig.Verify(z.key, m.Answer) != nil || !sig.ValidityPeriod(time.Now()):
			m.Answer, m.Rcode = nil, mdns.RcodeServerFailure
			return
		case r.AuthenticatedData || r.IsEdns0() != nil && r.IsEdns0().Do():
			m.AuthenticatedData = true
		}
		m.Answer = append(m.Answer[:len(m.Answer):len(m.Answer)], sig)
	}
	if len(m.Answer) == 0 {
		m.Rcode = mdns.RcodeNameError
		for k := range z.records {
			if k.name == q.name {
				m.Rcode = mdns.RcodeSuccess
			}
		}
		end, err := mdns.NewRR(soa)
		if err != nil {
			panic(err)
		}
		m.Ns = []mdns.RR{end}
	}
}
