package specpeer

import (
	"context"
	"errors"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"parley/protocol"
)

// TestImports: the peer knows nothing of the program, and its test only clients.
func TestImports(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	allowed := []string{"github.com/quic-go/quic-go", "github.com/quic-go/quic-go/quicvarint", "github.com/fxamacker/cbor/v2"}
	drivers := []string{"parley/protocol", "parley/protocol/client", "parley/testnet"}
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range f.Imports {
			path, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			first, _, _ := strings.Cut(path, "/")
			std := !strings.Contains(first, ".") && first != "parley"
			if !std && !slices.Contains(allowed, path) && !(strings.HasSuffix(name, "_test.go") && slices.Contains(drivers, path)) {
				t.Errorf("%s imports %s", name, path)
			}
		}
	}
}

// TestSpecOnly links the peer with a real node, in either direction, over links that end
// at bad times.
func TestSpecOnly(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a process")
	}
	w := newWorld(t)
	steps := []struct {
		name string
		do   func(*world)
	}{
		{"the node dials", (*world).dialled},
		{"the peer dials", (*world).dials},
		{"questions", (*world).asks},
		{"what was not answered comes again", (*world).resumes},
		{"a peer that was set back", (*world).setBack},
		{"a peer that breaks the rules", (*world).breaks},
	}
	for _, s := range steps {
		if !t.Run(s.name, func(t *testing.T) { w.t = t; s.do(w) }) {
			return
		}
	}
}

// dialled: alice writes to bob, whose node she has never heard of.
func (w *world) dialled() {
	from, err := w.peer.Listen(w.tr)
	if err != nil {
		w.t.Fatal(err)
	}
	defer from.Close()
	ctx, stop := w.ctx()
	defer stop()
	var l *Link
	var failed error
	var wg sync.WaitGroup
	wg.Go(func() { l, failed = w.peer.Accept(ctx, from) })
	if _, err := w.alice.Subscribe(ctx, &protocol.Sub{Topic: bob}); err != nil {
		w.t.Fatal(err)
	}
	w.pub("hello")
	if wg.Wait(); failed != nil {
		w.t.Fatal(failed)
	}
	defer l.Close()
	p := w.heard(l, "the message", isMessage("hello")).Post
	if full(p.From) != w.alice.User() || full(p.To) != bob || p.Message.Origin != 1 || p.At == 0 {
		w.t.Errorf("the message is %+v, %+v", p, p.Message)
	}
	w.pub("rude")
	w.heard(l, "the rude message", isMessage("rude"))
	w.heard(l, "Settled after a refusal", func(h Heard) bool { return h.Settled > 0 })
	w.expect("what became of it", func(r *protocol.Response) bool {
		told := r.Data != nil && strings.Contains(string(r.Data.Content), "not in this tone")
		if told && (len(r.Data.Content) > 300 || strings.Contains(string(r.Data.Content), `\n`)) {
			w.t.Errorf("a long reason goes on to alice: %d bytes, %.300s", len(r.Data.Content), r.Data.Content)
		}
		return told
	})
	w.pub("sorry") // the lane goes on
	w.heard(l, "the next message", isMessage("sorry"))
	first := w.message("hello yourself")
	first.Message.Card, first.Message.Mode = w.card(), &Mode{Want: Usual, Given: Usual}
	w.post(l, first, Applied, 0)
	w.data("hello yourself")
	w.casts(l)
}

// casts go both ways, on the stream and as datagrams.
func (w *world) casts(l *Link) {
	on := &Cast{Presence: &Presence{Users: []Status{{User: short(bob), Online: true}}, Digest: true, Watch: true}}
	if err := l.Cast(on, false); err != nil {
		w.t.Fatal(err)
	}
	w.expect("{pres on} of bob", func(r *protocol.Response) bool {
		return r.Pres != nil && r.Pres.What == "on" && r.Pres.Src == bob
	})
	w.heard(l, "presence of alice", func(h Heard) bool {
		return h.Cast != nil && h.Cast.Presence != nil && slices.ContainsFunc(h.Cast.Presence.Users, func(s Status) bool {
			return full(s.User) == w.alice.User() && s.Online
		})
	})
	kp := &Cast{Note: &Note{Topic: "p2p:" + short(min(bob, w.alice.User())) + "," + short(max(bob, w.alice.User())), From: short(bob), What: "kp"}}
	if err := l.Cast(kp, true); err != nil {
		w.t.Fatal(err)
	}
	w.expect("{info kp} of bob", func(r *protocol.Response) bool { return r.Info != nil && r.Info.What == "kp" && r.Info.From == bob })
	ctx, stop := w.ctx()
	defer stop()
	if err := w.alice.Note(ctx, protocol.Note{Topic: bob, What: "kp"}); err != nil {
		w.t.Fatal(err)
	}
	w.heard(l, "alice's note", func(h Heard) bool {
		return h.Cast != nil && h.Cast.Note != nil && h.Cast.Note.What == "kp" && full(h.Cast.Note.From) == w.alice.User()
	})
}

// dials: the peer opens the next link; bob writes, and what is wrong is refused.
func (w *world) dials() {
	l := w.dial(false)
	if l.Anew || l.Theirs.Known != l.Mine.Incarnation || l.Theirs.Incarnation != l.Mine.Known {
		w.t.Errorf("after one link the Hellos are %+v and %+v", l.Mine, l.Theirs)
	}
	w.post(l, w.message("again"), Applied, 0)
	w.data("again")
	forged := w.message("forged")
	forged.From = "usr__________8@c.localhost"
	w.post(l, forged, Refused, Denied)
	strange := w.message("of a later version")
	strange.Message = nil
	w.post(l, strange, Refused, Unsupported)
	w.post(l, w.message("the lane goes on"), Applied, 0)
	w.data("the lane goes on")
}

// asks has questions answered by the node.
func (w *world) asks() {
	l := w.dial(false)
	ctx, stop := w.ctx()
	defer stop()
	ask := func(a *Ask) *Answer {
		w.t.Helper()
		answer, err := l.Ask(ctx, a)
		if err != nil {
			w.t.Fatal(err)
		}
		return answer
	}
	if a := ask(&Ask{Ping: &Ping{Data: []byte("ping")}}); a.Ping == nil || string(a.Ping.Data) != "ping" {
		w.t.Errorf("Ping: %+v", a)
	}
	alice := w.alice.User()
	a := ask(&Ask{Card: short(alice)})
	if a.Card == nil || full(a.Card.User) != alice || !strings.Contains(string(a.Card.Public), "Alice") {
		w.t.Fatalf("Card: %+v", a)
	}
	if !w.signed(a.Card) {
		w.t.Error("the signature of alice's card is wrong")
	}
	topic := "p2p:" + short(min(bob, alice)) + "," + short(max(bob, alice))
	h := ask(&Ask{History: &History{Topic: topic, Low: 1, High: 1000, Limit: 10, Of: short(alice)}})
	if len(h.Posts) != 3 || h.Posts[2].Message == nil || full(h.Posts[2].From) != alice {
		w.t.Fatalf("History: %+v", h)
	}
	r := ask(&Ask{Resume: &Compare{Topics: []TopicState{{Topic: topic}}}})
	if r.Compare == nil || len(r.Compare.Topics) != 1 || r.Compare.Topics[0].Mine != h.Posts[2].Message.Origin {
		w.t.Errorf("Resume: %+v", r.Compare)
	}
	if a := ask(&Ask{Later: "what is this?"}); !a.Failed || a.Fault != Unsupported {
		w.t.Errorf("an unknown question: %+v", a)
	}
}

// resumes: a link ends before posts are on the disk, and before a verdict is acted upon.
func (w *world) resumes() {
	deaf := w.dial(true)
	w.pub("unheard")
	first := w.heard(deaf, "the message", isMessage("unheard")).Post
	lost := w.message("lost on the way")
	w.peer.mu.Lock()
	w.peer.out[w.peer.lane(lost)].add(lost) // and the link ends before it is sent
	w.peer.mu.Unlock()
	if err := deaf.Close(); err != nil {
		w.t.Fatal(err)
	}
	l := w.dial(false)
	if l.Anew {
		w.t.Error("nobody was set back")
	}
	again := w.heard(l, "the message once more", isMessage("unheard")).Post
	if again.N != first.N || again.Message.Tag != first.Message.Tag {
		w.t.Errorf("%+v comes again as %+v", first, again)
	}
	ctx, stop := w.ctx()
	defer stop()
	if v, err := l.Verdict(ctx, lost); err != nil || v.Outcome != Applied {
		w.t.Errorf("the one that was lost: %+v, %v", v, err)
	}
	w.data("lost on the way")
}

// setBack: the peer's store is lost, and numbers of lanes begin anew.
func (w *world) setBack() {
	w.peer.Begin(8)
	l := w.dial(false)
	if !l.Anew {
		w.t.Fatalf("a new store goes unnoticed: %+v and %+v", l.Mine, l.Theirs)
	}
	w.heard(l, "the question of what there is", func(h Heard) bool { return h.Ask != nil && h.Ask.Resume != nil })
	w.post(l, w.message("back again"), Applied, 0)
	w.data("back again")
	w.pub("welcome back")
	w.heard(l, "the message", isMessage("welcome back"))
	if err := l.Close(); err != nil {
		w.t.Fatal(err)
	}
	if l = w.dial(false); l.Anew { // both have kept what they agreed on
		w.t.Errorf("anew once more: %+v and %+v", l.Mine, l.Theirs)
	}
	w.post(l, w.message("as ever"), Applied, 0)
	w.data("as ever")
}

// breaks: a gap in a lane, and a frame that is no CBOR, end the link with the right code;
// the next is good again.
func (w *world) breaks() {
	for what, do := range map[string]func(*Link) error{
		"a gap": func(l *Link) error {
			p := w.message("after a gap")
			w.peer.mu.Lock()
			p.N = w.peer.out[w.peer.lane(p)].next + 1
			w.peer.mu.Unlock()
			return l.send(p)
		},
		"rubbish": func(l *Link) error {
			_, err := l.control.Write([]byte{3, 0xa1, 0x02, 0xff})
			return err
		},
		"a second Hello": func(l *Link) error { return writeFrame(l.control, Control{Hello: l.Mine}) },
	} {
		l := w.dial(false)
		if err := do(l); err != nil {
			w.t.Fatal(err)
		}
		select {
		case <-l.conn.Context().Done():
		case <-time.After(patience):
			w.t.Fatalf("%s does not end the link", what)
		}
		var end *quic.ApplicationError
		if err := context.Cause(l.conn.Context()); !errors.As(err, &end) || !end.Remote || end.ErrorCode != closeProtocol {
			w.t.Errorf("%s ends the link with %v", what, err)
		}
	}
	w.post(w.dial(false), w.message("in order"), Applied, 0)
	w.data("in order")
}
