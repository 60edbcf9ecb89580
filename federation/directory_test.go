package federation

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"parley/protocol"
)

// finder is a Finder and Directory of a test.
type finder struct {
	addrs string
	keys  []ed25519.PublicKey
	err   error
	asked []string
}

func (f *finder) Find(_ context.Context, n protocol.Node) (Endpoint, error) {
	f.asked = append(f.asked, string(n))
	return Endpoint{Name: n, Addrs: addrPorts(f.addrs), Keys: f.keys}, f.err
}

func (f *finder) Locate(_ context.Context, key ed25519.PublicKey) ([]netip.AddrPort, error) {
	f.asked = append(f.asked, Pin(key))
	return addrPorts(f.addrs), f.err
}

func addrPorts(s string) []netip.AddrPort {
	var all []netip.AddrPort
	for f := range strings.FieldsSeq(s) {
		all = append(all, netip.MustParseAddrPort(f))
	}
	return all
}

func TestDirectoryInOrder(t *testing.T) {
	nothing := fmt.Errorf("%w: x", ErrNothing)
	a, b := keyOf(1), keyOf(2)
	inOffice(t, NotaryConfig{Static: []StaticPeer{{Name: "static.example", Addrs: []string{"10.0.0.1:9"}}}}, func(o *office) {
		dns, web, dht := &finder{addrs: "1.0.0.1:1"}, &finder{addrs: "1.0.0.2:2"}, &finder{addrs: "1.0.0.3:3"}
		var s *Directory
		anew := func() { // nothing is remembered
			s = NewDirectory(DirectoryConfig{Store: o.cfg.Store, Static: o.cfg.Static, Sources: []Finder{dns, web}, Keys: dht})
		}
		finds := func(name protocol.Node, want string) {
			t.Helper()
			anew()
			e, err := s.Find(t.Context(), name)
			if err != nil || fmt.Sprint(e.Addrs) != want || e.Name != name {
				t.Errorf("%s: %v, %v; want %s", name, e, err, want)
			}
		}
		finds("static.example", "[10.0.0.1:9]") // no fence around the operator's word
		finds(peer, "[1.0.0.1:1]")
		dns.err, dns.keys = nothing, []ed25519.PublicKey{a.Public()}
		finds(peer, "[1.0.0.2:2]")
		web.err = nothing
		finds(peer, "[1.0.0.3:3]")
		if fmt.Sprint(dht.asked) != "["+a.Pin()+"]" {
			t.Errorf("the DHT was asked for %v, want the key in the DNS", dht.asked)
		}
		// Without a key that somebody else has named, the DHT is not asked.
		dns.keys, dht.asked = nil, nil
		anew()
		if _, err := s.Find(t.Context(), peer); !errors.Is(err, protocol.NotFound) || dht.asked != nil {
			t.Errorf("%v, asked for %v", err, dht.asked)
		}
		web.err = errors.New("no route")
		anew()
		if _, err := s.Find(t.Context(), peer); err == nil || errors.Is(err, protocol.NotFound) {
			t.Errorf("a failure that may pass: %v", err)
		}
		// A key name is looked for in the DHT only.
		dns.asked, web.asked = nil, nil
		finds(KeyName(b.Public()), "[1.0.0.3:3]")
		if len(dns.asked)+len(web.asked) > 0 || fmt.Sprint(dht.asked) != "["+b.Pin()+"]" {
			t.Errorf("DNS %v, web %v, DHT %v", dns.asked, web.asked, dht.asked)
		}
		// What was found, or not, is remembered for a while.
		dht.asked, dht.err = nil, nothing
		for range 3 {
			_, err := s.Find(t.Context(), KeyName(a.Public()))
			if e, err2 := s.Find(t.Context(), KeyName(b.Public())); !errors.Is(err, protocol.NotFound) || err2 != nil || len(e.Addrs) != 1 {
				t.Errorf("%v, %v", err, err2)
			}
		}
		if len(dht.asked) != 1 {
			t.Errorf("asked %d times", len(dht.asked))
		}
		s.Forget(KeyName(b.Public()))
		o.passes(2 * time.Minute)
		s.Find(t.Context(), KeyName(a.Public()))
		s.Find(t.Context(), KeyName(b.Public()))
		if len(dht.asked) != 3 {
			t.Errorf("asked %d times after it was forgotten", len(dht.asked))
		}
	})
}

func TestDirectoryOnLoopback(t *testing.T) {
	a := keyOf(1)
	inOffice(t, NotaryConfig{}, func(o *office) {
		all := &finder{addrs: "1.0.0.1:1"}
		s := NewDirectory(DirectoryConfig{Store: o.cfg.Store, Sources: []Finder{all}, Keys: all})
		for addr, want := range map[string]string{
			"localhost:7": "[127.0.0.1:7 [::1]:7]", "b.localhost:7": "[127.0.0.1:7 [::1]:7]", "[::1]:8": "[[::1]:8]", "192.0.2.1:7": "",
		} {
			if err := o.Pin("b.localhost", a.Public(), []string{addr}); err != nil {
				t.Fatal(err)
			}
			e, err := s.Find(t.Context(), "b.localhost")
			if got := fmt.Sprint(e.Addrs); want != "" && (err != nil || got != want) || want == "" && !errors.Is(err, ErrFenced) {
				t.Errorf("%s: %s, %v; want %s", addr, got, err, want)
			}
		}
		if _, err := s.Find(t.Context(), "c.localhost"); !errors.Is(err, protocol.NotFound) || all.asked != nil {
			t.Errorf("%v, asked %v", err, all.asked)
		}
	})
}

func TestDirectoryIsRationed(t *testing.T) {
	inOffice(t, NotaryConfig{}, func(o *office) {
		all := &finder{addrs: "1.0.0.1:1"}
		d := NewDirectory(DirectoryConfig{Store: o.cfg.Store, Sources: []Finder{all}, Rations: NewRations(RationLimits{Burst: 2})})
		ctx := CausedBy(t.Context(), netip.MustParseAddr("192.0.2.1"))
		for i := range 5 {
			_, err := d.Find(ctx, protocol.Node(fmt.Sprintf("n%d.example", i)))
			if rationed := errors.Is(err, ErrRationed); rationed != (i >= 2) {
				t.Errorf("search %d: %v", i, err)
			}
		}
		if len(all.asked) != 2 {
			t.Errorf("%d searches", len(all.asked))
		}
	})
}
