package dns

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	mdns "github.com/miekg/dns"

	"parley/federation"
	"parley/protocol"
)

const node = protocol.Node("chat.example.test")

var (
	key1 = ed25519.PublicKey(bytes.Repeat([]byte{1}, 32))
	key2 = ed25519.PublicKey(bytes.Repeat([]byte{2}, 32))
	key3 = ed25519.PublicKey(bytes.Repeat([]byte{3}, 32))
	open = federation.Fence{Allow: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}}
)

func keyRecord(k ed25519.PublicKey) string {
	return fmt.Sprintf(`_parley.chat.example.test. 300 IN TXT "v=parley1 key=%s"`, federation.Pin(k))
}

func resolver(t *testing.T, z *zone, f federation.Fence) *Resolver {
	t.Helper()
	r, err := New(Config{Servers: []string{z.addr}, Fence: f})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func addrs(e federation.Endpoint) string { return told(e.Addrs) }

func TestFindBySRV(t *testing.T) {
	z := newZone(t)
	z.set(
		"_parley._udp.chat.example.test. 300 IN SRV 20 0 7000 late.example.test.",
		"_parley._udp.chat.example.test. 300 IN SRV 10 0 7001 first.example.test.",
		"first.example.test. 300 IN A 192.0.2.1",
		"first.example.test. 300 IN AAAA 2001:db8::1",
		"late.example.test. 300 IN A 192.0.2.9",
		"late.example.test. 300 IN A 127.0.0.1", // leads us to ourselves
		keyRecord(key1),
	)
	e, err := resolver(t, z, open).Find(t.Context(), node)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := addrs(e), "[2001:db8::1]:7001, 192.0.2.1:7001, 192.0.2.9:7000"; got != want {
		t.Errorf("addresses %s, want %s", got, want)
	}
	if len(e.Keys) != 1 || !bytes.Equal(e.Keys[0], key1) || e.Name != node {
		t.Errorf("endpoint %+v", e)
	}
}

func TestFindByAddress(t *testing.T) {
	z := newZone(t)
	z.set("chat.example.test. 300 IN A 192.0.2.1")
	e, err := resolver(t, z, open).Find(t.Context(), node)
	if err != nil || addrs(e) != "192.0.2.1:7788" || e.Keys != nil {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestFindNothing(t *testing.T) {
	z := newZone(t)
	r := resolver(t, z, open)
	z.set("gone.example.test. 300 IN A 192.0.2.1", "_parley._udp.gone.example.test. 300 IN SRV 0 0 0 .",
		"inside.example.test. 300 IN A 10.0.0.1", "_parley._udp.bad.example.test. 300 IN SRV 0 0 0 gone.example.test.",
		"_parley._udp.ip.example.test. 300 IN SRV 0 0 1 192.0.2.1.")
	for name, want := range map[protocol.Node]error{
		"none.example.test":             federation.ErrNothing,
		"gone.example.test":             federation.ErrNothing,
		"inside.example.test":           federation.ErrFenced,
		"bad.example.test":              federation.ErrMalformed,
		"ip.example.test":               federation.ErrMalformed,
		"a.localhost":                   federation.ErrNothing,
		federation.KeyName(key1):        federation.ErrNothing,
		"b." + federation.KeyName(key1): federation.ErrNothing,
	} {
		if e, err := r.Find(t.Context(), name); !errors.Is(err, want) || len(e.Addrs) > 0 {
			t.Errorf("%s: %v, %v; want %v", name, e.Addrs, err, want)
		}
	}
	z.with(func() {
		for q := range z.asked {
			if strings.HasSuffix(q.name, ".alt.") || strings.HasSuffix(q.name, "localhost.") {
				t.Errorf("the resolver was asked about %s", q.name)
			}
		}
	})
}

// Nobody is dialled whose keys cannot be known: what DNS names would not hold.
func TestFindNeedsTheKeysThatAreNamed(t *testing.T) {
	z := newZone(t)
	z.set("chat.example.test. 300 IN A 192.0.2.1", `_parley.chat.example.test. 300 IN TXT "v=parley1 key=ed25519:short"`)
	if e, err := resolver(t, z, open).Find(t.Context(), node); !errors.Is(err, federation.ErrMalformed) || len(e.Keys) > 0 {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestPublishedKeys(t *testing.T) {
	spf := `_parley.chat.example.test. 300 IN TXT "v=spf1 -all"`
	for _, c := range []struct {
		what    string
		records []string
		keys    int
		err     error
	}{
		{"one", []string{spf, keyRecord(key1)}, 1, nil},
		{"two", []string{keyRecord(key1), keyRecord(key2)}, 2, nil},
		{"twice the same", []string{keyRecord(key1), strings.Replace(keyRecord(key1), "key=", "note=x key=", 1)}, 1, nil},
		{"in pieces", []string{strings.Replace(keyRecord(key1), "key=", `" "key=`, 1)}, 1, nil},
		{"three", []string{keyRecord(key1), keyRecord(key2), keyRecord(key3)}, 0, federation.ErrMalformed},
		{"other version", []string{strings.Replace(keyRecord(key1), "parley1", "parley2", 1)}, 0, federation.ErrNothing},
		{"none", []string{spf}, 0, federation.ErrNothing},
	} {
		z := newZone(t)
		z.set(c.records...)
		p, err := resolver(t, z, open).Published(t.Context(), node, key1)
		if !errors.Is(err, c.err) || err == nil && (len(p.Keys) != c.keys || !p.Has(key1) || !p.Authentic) {
			t.Errorf("%s: %+v, %v", c.what, p, err)
		}
	}
}

// Only a validated answer of a resolver on this machine is authentic.
func TestAuthentic(t *testing.T) {
	z := newZone(t)
	z.set(keyRecord(key1))
	p, err := resolver(t, z, open).Published(t.Context(), node, key1)
	if err != nil || !p.Authentic {
		t.Errorf("signed: %+v, %v", p, err)
	}
	far := resolver(t, z, open)
	far.servers[0].trusted = false // as one that is not on loopback
	if p, err = far.Published(t.Context(), node, key1); err != nil || p.Authentic {
		t.Errorf("signed, by a resolver elsewhere: %+v, %v", p, err)
	}
	z.forge(keyRecord(key2))
	if p, err = resolver(t, z, open).Published(t.Context(), node, key2); err == nil {
		t.Errorf("forged: %+v", p)
	}
	z.unsign("_parley.chat.example.test.", mdns.TypeTXT)
	if p, err = resolver(t, z, open).Published(t.Context(), node, key2); err != nil || p.Authentic {
		t.Errorf("not signed: %+v, %v", p, err)
	}
	for s, want := range map[string]bool{"127.0.0.1:53": true, "[::1]:53": true, "192.0.2.1:53": false, "[::ffff:127.0.0.1]:53": true} {
		r, err := New(Config{Servers: []string{s}})
		if err != nil || r.servers[0].trusted != want || r.Authentic() != want {
			t.Errorf("resolver %s is trusted: %v, %v", s, r.servers[0].trusted, err)
		}
	}
}

func TestCachesByTTL(t *testing.T) {
	z := newZone(t)
	z.set(keyRecord(key1))
	r := resolver(t, z, open)
	ask := func(want ed25519.PublicKey) error {
		_, err := r.Published(t.Context(), node, want)
		return err
	}
	age := func(d time.Duration) {
		for _, a := range r.cache.answers {
			a.at, a.until = a.at.Add(-d), a.until.Add(-d)
		}
	}
	asked := func() int { return z.count("_parley.chat.example.test.", mdns.TypeTXT) }
	for range 3 {
		if err := ask(key1); err != nil {
			t.Fatal(err)
		}
	}
	if asked() != 1 {
		t.Errorf("asked %d times within the TTL, want 1", asked())
	}
	if ask(key2); asked() != 1 {
		t.Error("a quite new answer was asked for again")
	}
	z.set(keyRecord(key1), keyRecord(key2))
	age(2 * time.Minute)
	if err := ask(key2); err != nil || asked() != 2 {
		t.Errorf("a key that was added is not seen: %v, asked %d times", err, asked())
	}
	age(6 * time.Minute)
	if ask(key1); asked() != 3 {
		t.Errorf("asked %d times after the TTL, want 3", asked())
	}
	// Nothing, too, is remembered; for 30 s, as the zone says.
	const none = "_parley.none.example.test."
	for range 3 {
		r.Published(t.Context(), "none.example.test", nil)
	}
	if n := z.count(none, mdns.TypeTXT); n != 1 {
		t.Errorf("asked %d times for nothing, want 1", n)
	}
	age(31 * time.Second)
	r.Published(t.Context(), "none.example.test", nil)
	if n := z.count(none, mdns.TypeTXT); n != 2 {
		t.Errorf("asked %d times for nothing after 31 s, want 2", n)
	}
}

func TestCacheIsBounded(t *testing.T) {
	c, now := newCache(), time.Now()
	for i := range 2 * maxCached {
		c.put(question{fmt.Sprint(i), 1}, &answer{at: now, until: now.Add(time.Hour)})
	}
	if len(c.answers) > maxCached {
		t.Errorf("%d answers are kept", len(c.answers))
	}
}

func TestTroubledResolvers(t *testing.T) {
	z := newZone(t)
	z.set(keyRecord(key1))
	fails := func(what string, change func()) {
		t.Helper()
		z.with(change)
		if _, err := resolver(t, z, open).Published(t.Context(), node, key1); err == nil || errors.Is(err, federation.ErrNothing) {
			t.Errorf("%s: %v, want a failure that may pass", what, err)
		}
	}
	fails("server failure", func() { z.rcode = mdns.RcodeServerFailure })
	fails("refused", func() { z.rcode = mdns.RcodeRefused })
	fails("answer to another question", func() { z.rcode, z.other = 0, true })
	z.with(func() { z.other, z.cut = false, true })
	if _, err := resolver(t, z, open).Published(t.Context(), node, key1); err != nil {
		t.Errorf("cut off over UDP: %v", err)
	}
	z.with(func() { z.cut = false })
	dead := resolver(t, z, open)
	dead.servers = []server{{"127.0.0.1:1", true}, {z.addr, true}}
	if _, err := dead.Published(t.Context(), node, key1); err != nil {
		t.Errorf("the first of two resolvers is dead: %v", err)
	}
	z.with(func() { z.mute = true })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := resolver(t, z, open).Published(ctx, node, key1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a mute resolver: %v", err)
	}
}

// Many who want to know the same make one question.
func TestOneQuestionForAll(t *testing.T) {
	z := newZone(t)
	z.set(keyRecord(key1))
	r := resolver(t, z, open)
	var wg sync.WaitGroup
	z.mu.Lock() // nobody is answered yet
	for range 50 {
		wg.Go(func() {
			if _, err := r.Published(context.Background(), node, nil); err != nil {
				t.Error(err)
			}
		})
	}
	z.mu.Unlock()
	wg.Wait()
	if n := z.count("_parley.chat.example.test.", mdns.TypeTXT); n != 1 {
		t.Errorf("asked %d times, want 1", n)
	}
}

func TestWeights(t *testing.T) {
	first := map[string]int{}
	for range 1000 {
		all := inOrder([]*mdns.SRV{{Target: "light.", Weight: 1}, {Target: "heavy.", Weight: 9}, {Target: "later.", Priority: 1, Weight: 1000}})
		first[all[0].Target]++
	}
	if first["later."] != 0 || first["heavy."] < 800 || first["light."] < 50 {
		t.Errorf("who came first: %v", first)
	}
}

func TestSystemServers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	if got := systemServers(path); len(got) != 1 || got[0] != "127.0.0.1:53" {
		t.Errorf("without a file: %v", got)
	}
	if err := os.WriteFile(path, []byte("search x\nnameserver ::1\nnameserver 192.0.2.1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(systemServers(path), " "); got != "[::1]:53 192.0.2.1:53" {
		t.Errorf("got %s", got)
	}
	if _, err := New(Config{Servers: []string{"resolver.example:53"}}); err == nil {
		t.Error("a resolver by name is taken")
	}
}

func FuzzKeyRecord(f *testing.F) {
	f.Add("v=parley1 key=" + federation.Pin(key1))
	f.Add("v=parley1 key=ed25519:")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parse(&answer{records: []mdns.RR{&mdns.TXT{Txt: []string{text}}}})
		if err == nil && (len(p.Keys) == 0 || len(p.Keys) > federation.MaxPublishedKeys || len(p.Keys[0]) != 32) {
			t.Errorf("%q gives %v", text, p)
		}
	})
}
