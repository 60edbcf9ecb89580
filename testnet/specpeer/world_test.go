package specpeer

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"parley/protocol"
	"parley/protocol/client"
	"parley/testnet"
)

const (
	nodeName = "a.localhost"
	peerName = "b.localhost"
	bob      = "usrAAAAAAAAAAA@" + peerName
	patience = 20 * time.Second // for anything that must happen
)

// world is a real node with a user, and the peer beside it.
type world struct {
	t     *testing.T
	peer  *Peer
	tr    *quic.Transport
	node  net.Addr
	alice *client.Client
	seen  []*protocol.Response // by alice
	sent  int                  // messages of bob
}

func pin(k ed25519.PrivateKey) string {
	return "ed25519:" + base64.RawURLEncoding.EncodeToString(k.Public().(ed25519.PublicKey))
}

func socket(t *testing.T) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func newWorld(t *testing.T) *world {
	t.Helper()
	bin, err := testnet.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	_, theirs, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	_, ours, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, peer: &Peer{Name: peerName, Other: nodeName, Key: ours, OtherKey: theirs.Public().(ed25519.PublicKey), Boot: 1}}
	w.peer.Judge, w.peer.Answer = judge, w.answer
	w.peer.Begin(7)
	udp := socket(t)
	w.tr = &quic.Transport{Conn: udp}
	t.Cleanup(func() { w.tr.Close(); udp.Close() })

	free := socket(t)
	w.node = free.LocalAddr()
	free.Close()
	data := filepath.Join(t.TempDir(), "data")
	writeKey(t, data, theirs)
	proc, err := testnet.Start(t.Context(), testnet.Options{Binary: bin, Data: data, Config: fmt.Sprintf(`[node]
name = %q
[s2s]
listen = %q
[[s2s.peers]]
name = %q
addresses = [%q]
key = %q
trusted = true
`, nodeName, w.node, peerName, udp.LocalAddr(), pin(ours)), Log: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := proc.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	w.signUp(proc.WebSocket())
	return w
}

// writeKey gives a node its key, as spec/naming.md#key has it.
func writeKey(t *testing.T, dir string, k ed25519.PrivateKey) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "node.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) signUp(url string) {
	w.t.Helper()
	ctx, stop := w.ctx()
	defer stop()
	c, err := testnet.Dial(ctx, url, client.Config{Events: 1000})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = c.Close() })
	if _, err := c.CreateAccount(ctx, client.Account{Login: "alice", Password: "a long password", Public: map[string]string{"fn": "Alice"}}); err != nil {
		w.t.Fatal(err)
	}
	if _, err := c.Subscribe(ctx, &protocol.Sub{Topic: "me"}); err != nil {
		w.t.Fatal(err)
	}
	w.alice = c
}

func (w *world) ctx() (context.Context, context.CancelFunc) {
	return context.WithTimeout(w.t.Context(), patience)
}

// short is an id as the peer writes it.
func short(id string) string { return Short(id, peerName, nodeName) }

// full is an id that the node has written.
func full(id string) string { return Full(id, nodeName, peerName) }

// card is that of bob.
func (w *world) card() *Card {
	c := &Card{User: short(bob), Version: 1, Public: []byte(`{"fn":"Bob"}`), Auth: Usual}
	text, err := cardText(bob, c)
	if err != nil {
		w.t.Error(err)
	}
	c.Sig = ed25519.Sign(w.peer.Key, text)
	return c
}

// signed reports whether alice's node has signed a card of hers.
func (w *world) signed(c *Card) bool {
	text, err := cardText(full(c.User), c)
	return err == nil && ed25519.Verify(w.peer.OtherKey, text, c.Sig)
}

// judge refuses what is rude, and gives a reason that is longer than it should be.
func judge(p *Post) Verdict {
	if p.Message != nil && string(p.Message.Content) == `"rude"` {
		return Verdict{Outcome: Refused, Fault: Policy, Reason: "not in this tone" + strings.Repeat("\nat all", 2000)}
	}
	return Verdict{}
}

func (w *world) answer(a *Ask) *Answer {
	switch {
	case a.Ping != nil:
		return &Answer{Ping: a.Ping}
	case full(a.Card) == bob:
		return &Answer{Card: w.card()}
	case a.Resume != nil: // this node has lost all that it knew
		return &Answer{Compare: &Compare{}}
	}
	return &Answer{Failed: true, Fault: Unsupported}
}

// message is one of bob to alice.
func (w *world) message(text string) *Post {
	content, err := json.Marshal(text)
	if err != nil {
		w.t.Fatal(err)
	}
	w.sent++
	return &Post{From: short(bob), To: short(w.alice.User()), At: uint64(time.Now().UnixMilli()),
		Message: &Message{Origin: w.sent + 1000, Tag: uint32(w.sent), Content: content}}
}

// expect waits for something that alice is told.
func (w *world) expect(what string, pass func(*protocol.Response) bool) {
	w.t.Helper()
	for i, r := range w.seen {
		if pass(r) {
			w.seen = append(w.seen[:i], w.seen[i+1:]...)
			return
		}
	}
	ctx, stop := w.ctx()
	defer stop()
	for {
		select {
		case r, ok := <-w.alice.Events():
			if !ok {
				w.t.Fatalf("alice's connection ended before %s: %v", what, w.alice.Err())
			}
			if pass(r) {
				return
			}
			w.seen = append(w.seen, r)
		case <-ctx.Done():
			w.t.Fatalf("alice did not get %s", what)
		}
	}
}

func (w *world) data(text string) {
	w.t.Helper()
	w.expect("the message "+text, func(r *protocol.Response) bool {
		var got string
		return r.Data != nil && r.Data.From == bob && json.Unmarshal(r.Data.Content, &got) == nil && got == text
	})
}

func (w *world) pub(text string) {
	w.t.Helper()
	ctx, stop := w.ctx()
	defer stop()
	if _, err := w.alice.Publish(ctx, bob, text); err != nil {
		w.t.Fatal(err)
	}
}

// heard waits for something that the node says.
func (w *world) heard(l *Link, what string, pass func(Heard) bool) Heard {
	w.t.Helper()
	ctx, stop := w.ctx()
	defer stop()
	h, err := l.Await(ctx, pass)
	if err != nil {
		w.t.Fatalf("%s has not come: %v", what, err)
	}
	return h
}

func isMessage(text string) func(Heard) bool {
	return func(h Heard) bool {
		return h.Post != nil && h.Post.Message != nil && string(h.Post.Message.Content) == `"`+text+`"`
	}
}

func (w *world) dial(deaf bool) *Link {
	w.t.Helper()
	ctx, stop := w.ctx()
	defer stop()
	w.peer.Boot++
	l, err := w.peer.Dial(ctx, w.tr, w.node, deaf)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = l.Close() })
	return l
}

// post sends a post and checks what the node says of it.
func (w *world) post(l *Link, p *Post, outcome, fault int) {
	w.t.Helper()
	ctx, stop := w.ctx()
	defer stop()
	if _, err := l.Post(p); err != nil {
		w.t.Fatal(err)
	}
	v, err := l.Verdict(ctx, p)
	if err != nil {
		w.t.Fatal(err)
	}
	if v.Outcome != outcome || v.Fault != fault {
		w.t.Errorf("%+v is answered %+v", p, v)
	}
}
