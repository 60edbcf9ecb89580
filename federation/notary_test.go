package federation

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
	"parley/store/bolt"
)

const (
	home = protocol.Node("home.example")
	peer = protocol.Node("chat.example.org")
)

// keyOf is a key of its own for each number.
func keyOf(n byte) *Key { return &Key{private: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, 32))} }

// register is what a test says is published.
type register struct {
	of    map[protocol.Node]Published
	err   error
	asked int
}

func (r *register) publish(n protocol.Node, authentic bool, keys ...*Key) {
	p := Published{Authentic: authentic}
	for _, k := range keys {
		p.Keys = append(p.Keys, k.Public())
	}
	if r.of == nil {
		r.of = map[protocol.Node]Published{}
	}
	r.of[n] = p
}

func (r *register) Published(_ context.Context, n protocol.Node, _ ed25519.PublicKey) (Published, error) {
	r.asked++
	if r.err != nil {
		return Published{}, r.err
	}
	if p, ok := r.of[n]; ok {
		return p, nil
	}
	return Published{}, fmt.Errorf("%w: by nobody", ErrNothing)
}

// office is a notary with registers and a store, in virtual time.
type office struct {
	*Notary
	t        *testing.T
	dns, web *register
}

func inOffice(t *testing.T, cfg NotaryConfig, f func(*office)) {
	synctest.Test(t, func(t *testing.T) {
		s, err := bolt.Open(filepath.Join(t.TempDir(), "db"), bolt.Options{Node: home, Create: true})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		o := &office{t: t, dns: &register{}, web: &register{}}
		cfg.Store, cfg.DNS, cfg.Web = s, o.dns, o.web
		o.Notary = NewNotary(cfg)
		f(o)
	})
}

func (o *office) proves(name protocol.Node, k *Key, want Proof) {
	o.t.Helper()
	got, err := o.Prove(o.t.Context(), name, k.Public())
	if err != nil || got != want {
		o.t.Errorf("%s: %v, %v; want %v", name, got, err, want)
	}
}

// refuses wants an error that says why.
func (o *office) refuses(name protocol.Node, k *Key, why string) {
	o.t.Helper()
	got, err := o.Prove(o.t.Context(), name, k.Public())
	if !errors.Is(err, ErrUnproven) || !strings.Contains(err.Error(), why) || got != NoProof {
		o.t.Errorf("%s: %v, %v; want a refusal because %q", name, got, err, why)
	}
}

func (o *office) learn(name protocol.Node, s *s2s.Statement, err error) error {
	o.t.Helper()
	if err != nil {
		o.t.Fatal(err)
	}
	return o.Learn(o.t.Context(), name, s)
}

func (o *office) learns(name protocol.Node, s *s2s.Statement, err error) {
	o.t.Helper()
	if err := o.learn(name, s, err); err != nil {
		o.t.Errorf("statement of kind %s: %v", s.Kind, err)
	}
}

func (o *office) doubts(name protocol.Node, s *s2s.Statement, err error) {
	o.t.Helper()
	if err := o.learn(name, s, err); !errors.Is(err, s2s.ErrStatement) {
		o.t.Errorf("statement of kind %s: %v, want it not believed", s.Kind, err)
	}
}

func (o *office) passes(d time.Duration) { time.Sleep(d) }

func TestFirstContactNeedsAProof(t *testing.T) {
	a, b := keyOf(1), keyOf(2)
	inOffice(t, NotaryConfig{}, func(o *office) {
		o.refuses(peer, a, "nothing shows it")
		o.dns.publish(peer, false, a)
		o.refuses(peer, a, "not authentically")
		o.web.publish(peer, true, a)
		o.proves(peer, a, ByWellKnown)
		o.refuses(home, a, "own name")
		for _, n := range []protocol.Node{"localhost", "b.localhost", "box", "x.alt", "x.onion"} {
			o.refuses(n, a, "by a pin only")
		}
		o.dns.publish("two.example.org", true, a, b)
		o.proves("two.example.org", a, ByDNS)
		o.proves("two.example.org", b, ByDNS)
	})
}

// An unauthenticated record only restricts; an authentic one decides.
func TestWhatDNSSays(t *testing.T) {
	a, b := keyOf(1), keyOf(2)
	inOffice(t, NotaryConfig{}, func(o *office) {
		o.web.publish(peer, true, a)
		o.dns.publish(peer, false, b)
		o.refuses(peer, a, "DNS names another key")
		o.refuses(peer, b, "web site names another key")
		o.dns.publish(peer, true, b)
		o.proves(peer, b, ByDNS)
	})
}

func TestTransientFailuresProveNothingEitherWay(t *testing.T) {
	a := keyOf(1)
	inOffice(t, NotaryConfig{}, func(o *office) {
		o.web.err = errors.New("no route")
		_, err := o.Prove(t.Context(), peer, a.Public())
		if err == nil || errors.Is(err, ErrUnproven) {
			t.Errorf("a failure to find out: %v", err)
		}
	})
}

func TestProofsRatchet(t *testing.T) {
	a, b := keyOf(1), keyOf(2)
	inOffice(t, NotaryConfig{}, func(o *office) {
		o.dns.publish(peer, true, a)
		o.proves(peer, a, ByDNS)
		asked := o.dns.asked
		o.proves(peer, a, ByDNS)
		if o.dns.asked != asked {
			t.Error("a fresh proof is looked for again")
		}
		// The DNS is not authentic any more: a key that was proven goes on, another needs as much.
		o.passes(25 * time.Hour)
		o.dns.publish(peer, false, a)
		o.proves(peer, a, ByContinuity)
		o.dns.of, o.web.of = nil, nil
		o.web.publish(peer, true, b)
		o.refuses(peer, b, "shown by DNS before")
		o.web.of = nil
		o.refuses(peer, b, "it had another key")
		o.dns.publish(peer, true, b)
		o.proves(peer, b, ByDNS)
		// What the owner has replaced is out, though it was proven.
		o.refuses(peer, a, "DNS names another key")
		if err := o.Unpin(peer, true); err != nil { // the operator says: begin again
			t.Fatal(err)
		}
		o.dns.of = nil
		o.web.publish(peer, true, keyOf(3))
		o.proves(peer, keyOf(3), ByWellKnown)
	})
}

// A key that its owner has replaced while we were away is found out after a day.
func TestStolenKeyIsReplaced(t *testing.T) {
	a, b := keyOf(1), keyOf(2)
	inOffice(t, NotaryConfig{}, func(o *office) {
		o.web.publish(peer, true, a)
		o.proves(peer, a, ByWellKnown)
		o.web.publish(peer, true, b)
		o.passes(25 * time.Hour)
		o.refuses(peer, a, "names another key")
		o.web.err = errors.New("no route")
		if _, err := o.Prove(t.Context(), peer, a.Public()); err == nil {
			t.Error("a key that was replaced goes on by continuity")
		}
	})
}

func TestPins(t *testing.T) {
	a, b, c := keyOf(1), keyOf(2), keyOf(3)
	static := NotaryConfig{Static: []StaticPeer{{Name: "b.localhost", Key: c.Public()}}}
	inOffice(t, static, func(o *office) {
		o.proves("b.localhost", c, ByPin)
		o.refuses("b.localhost", a, "bound the name to "+c.Pin())
		o.dns.publish(peer, true, b)
		if err := o.Pin(peer, a.Public(), []string{"192.0.2.1:7788", "host.example:1"}); err != nil {
			t.Fatal(err)
		}
		o.proves(peer, a, ByPin)
		o.refuses(peer, b, "bound the name to "+a.Pin())
		if o.dns.asked != 0 {
			t.Error("DNS was asked about a pinned peer")
		}
		if err := o.Unpin(peer, false); err != nil {
			t.Fatal(err)
		}
		o.passes(25 * time.Hour)
		o.refuses(peer, a, "DNS names another key")
		o.proves(peer, b, ByDNS)
		if err := o.Unpin("unknown.example", false); !errors.Is(err, protocol.NotFound) {
			t.Errorf("unpin of an unknown peer: %v", err)
		}
		for _, bad := range []struct {
			name protocol.Node
			addr string
		}{{home, ""}, {KeyName(a.Public()), "x:1"}, {peer, "x"}, {peer, "x:0"}, {peer, "x:http"}, {peer, "a b:1"}} {
			if err := o.Pin(bad.name, b.Public(), []string{bad.addr}); err == nil {
				t.Errorf("a pin of %s at %q is taken", bad.name, bad.addr)
			}
		}
		all, err := o.Peers()
		if err != nil || len(all) != 2 || all[0].Name != "b.localhost" || !bytes.Equal(all[0].Pin, c.Public()) {
			t.Errorf("peers: %v, %v", all, err)
		}
	})
}

func TestOperatorsWord(t *testing.T) {
	a := keyOf(1)
	inOffice(t, NotaryConfig{}, func(o *office) {
		o.dns.publish(peer, true, a)
		o.proves(peer, a, ByDNS)
		if err := o.SetAccess(peer, store.AccessDeny); err != nil {
			t.Fatal(err)
		}
		if _, err := o.Prove(t.Context(), peer, a.Public()); !errors.Is(err, ErrDenied) {
			t.Errorf("denied: %v", err)
		}
	})
	inOffice(t, NotaryConfig{Closed: true}, func(o *office) {
		o.dns.publish(peer, true, a)
		if _, err := o.Prove(t.Context(), peer, a.Public()); !errors.Is(err, ErrDenied) || o.dns.asked > 0 {
			t.Errorf("a stranger of a closed node: %v", err)
		}
		if err := o.SetAccess(peer, store.AccessAllow); err != nil {
			t.Fatal(err)
		}
		o.proves(peer, a, ByDNS)
	})
}

func TestKeyNameProvesItself(t *testing.T) {
	a, op, op2 := keyOf(1), keyOf(2), keyOf(3)
	name := KeyName(a.Public())
	inOffice(t, NotaryConfig{}, func(o *office) {
		now := time.Now()
		o.proves(name, a, ByKeyName)
		o.refuses(name, op, "made from another key")
		second, err := a.succeed(name, op2.Public(), 2, now)
		o.learns(name, second, err)
		first, err := a.succeed(name, op.Public(), 1, now)
		o.doubts(name, first, err) // superseded
		o.proves(name, op2, ByKeyName)
		o.refuses(name, op, "no statement")
		third, err := op2.succeed(name, op.Public(), 3, now)
		o.learns(name, third, err)
		o.learns(name, third, err) // twice does no harm
		o.proves(name, op, ByKeyName)
		o.proves(name, op2, ByKeyName) // both are good for a while
		o.passes(3 * 24 * time.Hour)
		o.refuses(name, op2, "no statement")
		o.proves(name, op, ByKeyName)
		if o.dns.asked+o.web.asked > 0 {
			t.Error("a register was asked about a key name")
		}
	})
}

func TestSuccession(t *testing.T) {
	a, b, c := keyOf(1), keyOf(2), keyOf(3)
	inOffice(t, NotaryConfig{}, func(o *office) {
		now := time.Now()
		good, err := a.succeed(peer, b.Public(), 1, now)
		o.doubts(peer, good, err) // of a node that is not known
		o.dns.publish(peer, true, a)
		o.proves(peer, a, ByDNS)
		for what, s := range map[string]Succession{
			"another name": {Name: "other.example", Next: b.Public(), Seq: 1, From: now.UnixMilli(), Until: now.Add(time.Hour).UnixMilli()},
			"expired":      {Name: peer, Next: b.Public(), Seq: 1, From: now.UnixMilli(), Until: now.Add(-2 * time.Hour).UnixMilli()},
			"future":       {Name: peer, Next: b.Public(), Seq: 1, From: now.Add(2 * time.Hour).UnixMilli(), Until: now.Add(9 * time.Hour).UnixMilli()},
			"no key":       {Name: peer, Seq: 1, From: now.UnixMilli(), Until: now.Add(time.Hour).UnixMilli()},
			"number 0":     {Name: peer, Next: b.Public(), From: now.UnixMilli(), Until: now.Add(time.Hour).UnixMilli()},
		} {
			bad, err := a.State(KindSuccession, &s)
			if err := o.learn(peer, bad, err); !errors.Is(err, s2s.ErrStatement) {
				t.Errorf("%s: %v", what, err)
			}
		}
		foreign, err := c.succeed(peer, b.Public(), 1, now)
		o.doubts(peer, foreign, err)
		o.dns.publish(peer, false, b) // the owner tells of the new key, but DNSSEC is off
		o.refuses(peer, b, "it had another key")
		o.learns(peer, good, nil)
		o.proves(peer, b, ByContinuity)
		o.passes(3 * 24 * time.Hour)
		o.refuses(peer, a, "DNS names another key")
		// The thief of the old key cannot bring in a third.
		late, err := a.succeed(peer, c.Public(), 2, time.Now())
		o.doubts(peer, late, err)
	})
}

// What the owner publishes goes before what a stolen key states.
func TestThiefsSuccession(t *testing.T) {
	a, thief := keyOf(1), keyOf(66)
	inOffice(t, NotaryConfig{}, func(o *office) {
		o.web.publish(peer, true, a)
		o.proves(peer, a, ByWellKnown)
		s, err := a.succeed(peer, thief.Public(), 1, time.Now())
		o.learns(peer, s, err)
		o.refuses(peer, thief, "the web site names another key")
		o.proves(peer, a, ByWellKnown)
	})
}

func TestPinFollowsSuccession(t *testing.T) {
	a, b := keyOf(1), keyOf(2)
	inOffice(t, NotaryConfig{Static: []StaticPeer{{Name: "b.localhost", Key: a.Public()}}}, func(o *office) {
		o.proves("b.localhost", a, ByPin)
		s, err := a.succeed("b.localhost", b.Public(), 1, time.Now())
		o.learns("b.localhost", s, err)
		o.proves("b.localhost", b, ByPin)
		o.passes(3 * 24 * time.Hour)
		o.refuses("b.localhost", a, "another key follows")
		o.proves("b.localhost", b, ByPin)
	})
}

func TestRevocation(t *testing.T) {
	a, b := keyOf(1), keyOf(2)
	inOffice(t, NotaryConfig{}, func(o *office) {
		gone, err := a.revoke(peer, time.Now())
		o.doubts(peer, gone, err) // not known
		o.dns.publish(peer, true, a)
		o.proves(peer, a, ByDNS)
		other, err := a.revoke("other.example", time.Now())
		o.doubts(peer, other, err)
		foreign, err := b.revoke(peer, time.Now())
		o.doubts(peer, foreign, err)
		o.learns(peer, gone, nil)
		o.refuses(peer, a, "revoked")
		if err := o.Unpin(peer, true); err != nil {
			t.Fatal(err)
		}
		o.refuses(peer, a, "revoked") // for ever
		if err := o.Pin(peer, a.Public(), nil); err == nil {
			t.Error("a revoked key is pinned")
		}
		back, err := a.succeed(peer, b.Public(), 9, time.Now())
		o.doubts(peer, back, err)
		o.dns.publish(peer, true, a, b)
		o.proves(peer, b, ByDNS)
	})
}

func TestKeysOfATime(t *testing.T) {
	old, a, b := keyOf(9), keyOf(1), keyOf(2)
	inOffice(t, NotaryConfig{}, func(o *office) {
		at := func(d time.Duration) string {
			keys, err := o.KeysAt(t.Context(), peer, time.Now().Add(d))
			if err != nil {
				t.Fatal(err)
			}
			names := ""
			for i, k := range []*Key{old, a, b} {
				if hasKey(keys, k.Public()) {
					names += string("oab"[i])
				}
			}
			return names
		}
		const day = 24 * time.Hour
		o.dns.publish(peer, true, a)
		o.proves(peer, a, ByDNS)
		if got := at(-30 * day); got != "a" {
			t.Errorf("the first key was always good, as far as we know: %q", got)
		}
		o.passes(30 * day)
		now := time.Now()
		s, err := a.succeed(peer, b.Public(), 1, now)
		o.learns(peer, s, err)
		past := History{Name: peer, Until: now.Add(day).UnixMilli(), Keys: []HistoryKey{
			{Key: old.Public(), Since: now.Add(-90 * day).UnixMilli(), Until: now.Add(-60 * day).UnixMilli()},
			{Key: keyOf(5).Public(), Since: now.UnixMilli()}, // a key in use is not brought in so
		}}
		foreign, err := keyOf(7).State(KindHistory, &past)
		o.doubts(peer, foreign, err)
		whole, err := b.State(KindHistory, &past)
		o.learns(peer, whole, err)
		o.refuses(peer, keyOf(5), "another key")
		o.refuses(peer, old, "another key")
		o.passes(30 * day)
		for d, want := range map[time.Duration]string{0: "b", -25 * day: "b", -31 * day: "a", -100 * day: "o", -91 * day: "o"} {
			if got := at(d); got != want {
				t.Errorf("%v ago: %q, want %q", -d, got, want)
			}
		}
	})
}

// Strangers do not make us ask, or remember, without bound.
func TestStrangersAreRationed(t *testing.T) {
	inOffice(t, NotaryConfig{Rations: NewRations(RationLimits{Burst: 4, ZoneBurst: 100})}, func(o *office) {
		ctx := CausedBy(t.Context(), netip.MustParseAddr("192.0.2.1"))
		rationed := 0
		for i := range 20 {
			k := keyOf(byte(i))
			if _, err := o.Prove(ctx, KeyName(k.Public()), k.Public()); errors.Is(err, ErrRationed) {
				rationed++
			}
			if _, err := o.Prove(ctx, protocol.Node(fmt.Sprintf("n%d.example", i)), k.Public()); err == nil {
				t.Error("proven by nothing")
			}
		}
		all, err := o.Peers()
		if err != nil || len(all)+o.dns.asked > 4 || rationed == 0 {
			t.Errorf("%d peers, %d questions, %d rationed; %v", len(all), o.dns.asked, rationed, err)
		}
	})
}

func TestManyKeysAreBounded(t *testing.T) {
	inOffice(t, NotaryConfig{}, func(o *office) {
		for i := range 2 * maxKeys {
			o.passes(48 * time.Hour)
			k := keyOf(byte(i))
			o.dns.publish(peer, true, k)
			o.proves(peer, k, ByDNS)
		}
		p, known, err := o.Peer(peer)
		if err != nil || !known || len(p.Keys) != maxKeys || !bytes.Equal(p.Keys[0].Key, keyOf(2*maxKeys-1).Public()) {
			t.Errorf("%d keys, %v, %v", len(p.Keys), known, err)
		}
	})
}
