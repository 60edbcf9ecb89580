package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// registry is a DNS server on loopback that calls what it says validated, as a resolver on
// the node's machine does.
type registry struct {
	addr string
	mu   sync.Mutex
	all  []dns.RR
}

func newRegistry(t *testing.T) *registry {
	t.Helper()
	r := &registry{}
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = pc.LocalAddr().String()
	started := make(chan struct{})
	s := &dns.Server{PacketConn: pc, Handler: r, NotifyStartedFunc: func() { close(started) }}
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.ActivateAndServe() })
	<-started
	t.Cleanup(func() {
		_ = s.Shutdown()
		wg.Wait()
	})
	return r
}

// add takes lines of a zone file.
func (r *registry) add(t *testing.T, zone string) {
	t.Helper()
	p := dns.NewZoneParser(strings.NewReader(zone), ".", "")
	r.mu.Lock()
	defer r.mu.Unlock()
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		r.all = append(r.all, rr)
	}
	if err := p.Err(); err != nil {
		t.Fatalf("%v in:\n%s", err, zone)
	}
}

// ServeDNS implements dns.Handler.
func (r *registry) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	m := new(dns.Msg).SetReply(q)
	m.AuthenticatedData, m.Rcode = true, dns.RcodeNameError
	r.mu.Lock()
	for _, rr := range r.all {
		if h := rr.Header(); h.Name == q.Question[0].Name {
			m.Rcode = dns.RcodeSuccess
			if h.Rrtype == q.Question[0].Qtype {
				m.Answer = append(m.Answer, rr)
			}
		}
	}
	r.mu.Unlock()
	_ = w.WriteMsg(m)
}

// advice is what a node prints to be added to the DNS.
func (p *process) advice() string {
	p.t.Helper()
	_, text, ok := strings.Cut(p.out.String(), "believe its name:\n")
	text, _, done := strings.Cut(text, "\n\n")
	if !ok || !done {
		p.t.Fatalf("no records in:\n%s", p.out)
	}
	return strings.ReplaceAll(text, "  ", "")
}

// Two nodes whose operators have done nothing but add the records that were printed find
// and believe each other.
func TestNodesInTheDNS(t *testing.T) {
	r := newRegistry(t)
	run := func(name string) *process {
		dir := t.TempDir()
		text := "[s2s]\nlisten = \"127.0.0.1:0\"\nresolvers = [\"" + r.addr + "\"]\n"
		if err := os.WriteFile(filepath.Join(dir, "parley.toml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		p := start(t, dir, "--name", name)
		r.add(t, p.advice()+"\n"+name+". 3600 IN A 127.0.0.1")
		return p
	}
	a, b := run("a.example.test"), run("b.example.test")
	contains(t, good(t, "", "peer", "ping", "b.example.test", "--data", a.data), "DNS ", "DNS keys", "authentic", "by DNS", "round trip")
	contains(t, good(t, "", "peer", "list", "--data", b.data), "a.example.test", "by DNS")
	contains(t, good(t, "", "check", "--data", a.data), "named, authentically", "answers for a.example.test")

	// A third that has taken b's address and name, but not its key, is not believed.
	at := b.linkAddress()
	b.stop()
	start(t, t.TempDir(), "--name", "b.example.test", "--s2s", at)
	out := parley(t, "", "peer", "ping", "b.example.test", "--data", a.data)
	if out.code != exitFailed || !strings.Contains(out.out, "shows another key") {
		t.Errorf("the thief: exit code %d, %s", out.code, out.out)
	}
}
