package federation_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"parley/federation"
	"parley/federation/fedtest"
	"parley/protocol"
	"parley/protocol/s2s"
)

// rogue is node b without a mesh: it says what a test wants.
type rogue struct {
	w    *world
	host *fedtest.Host
	conn federation.Conn
	in   *bufio.Reader         // control stream of the other
	out  federation.SendStream // ours
}

// approach connects to a node, with the key and the address of another that has been
// halted, as one of a name.
func (w *world) approach(to *node, name protocol.Node, as *node) *rogue {
	w.Helper()
	return w.dial(w.pose(name, as), to)
}

// pose listens with the key and at the address of a node that has been halted, as one of
// a name.
func (w *world) pose(name protocol.Node, as *node) *fedtest.Host {
	w.Helper()
	host, err := w.net.Listen(name, as.key, as.at)
	if err != nil {
		w.Fatal(err)
	}
	return host
}

// dial connects a host to a node.
func (w *world) dial(host *fedtest.Host, to *node) *rogue {
	w.Helper()
	at, err := w.Find(w.Context(), to.name)
	if err != nil {
		w.Fatal(err)
	}
	conn, err := host.Dial(w.Context(), at)
	if err != nil {
		w.Fatal(err)
	}
	return &rogue{w: w, host: host, conn: conn}
}

// rogueWorld runs f with node a, and a connection of b to it on which b has said h.
func rogueWorld(t *testing.T, change func(*s2s.Hello), f func(w *world, r *rogue)) {
	t.Helper()
	bubble(t, two, func(w *world) {
		a, b := w.ab()
		b.halt()
		r := w.approach(a, b.name, b)
		defer r.host.Close()
		hello := greeting(b.name, a.name, 1)
		if change != nil {
			change(hello.Hello)
		}
		r.out = r.stream(0, hello)
		f(w, r)
	})
}

// stream opens a stream of a kind with frames.
func (r *rogue) stream(kind byte, frames ...any) federation.SendStream {
	r.w.Helper()
	s, err := r.conn.OpenSend(r.w.Context())
	if err != nil {
		r.w.Fatal(err)
	}
	if _, err := s.Write([]byte{kind}); err != nil {
		r.w.Fatal(err)
	}
	r.write(s, frames...)
	return s
}

func (r *rogue) write(s io.Writer, frames ...any) {
	r.w.Helper()
	for _, f := range frames {
		b, raw := f.([]byte)
		if !raw {
			var err error
			if b, err = s2s.Marshal(f); err != nil {
				r.w.Fatal(err)
			}
		}
		if _, err := s.Write(append(s2s.AppendVarint(nil, uint64(len(b))), b...)); err != nil {
			r.w.Fatal(err)
		}
	}
}

// hear reads the next frame of the control stream.
func (r *rogue) hear() *s2s.Control {
	r.w.Helper()
	if r.in == nil {
		s, err := r.conn.AcceptReceive(r.w.Context())
		if err != nil {
			r.w.Fatal(err)
		}
		r.in = bufio.NewReader(s)
		if kind, err := r.in.ReadByte(); err != nil || kind != 0 {
			r.w.Fatalf("stream of kind %d, %v", kind, err)
		}
	}
	f := new(s2s.Control)
	if _, err := (s2s.Codec{}).ReadFrame(r.in, s2s.MaxFrame, f); err != nil {
		r.w.Fatal(err)
	}
	return f
}

// closed waits for the end of the connection, by the other, for a reason.
func (r *rogue) closed(code federation.CloseCode) {
	r.w.Helper()
	select {
	case <-r.conn.Context().Done():
	case <-time.After(time.Minute):
		r.w.Fatal("the connection lives")
	}
	e, ok := errors.AsType[*federation.ClosedError](context.Cause(r.conn.Context()))
	if !ok || e.Code != code || !e.Remote {
		r.w.Errorf("cause %v, want code %d", e, code)
	}
}

// lives checks that it is still there.
func (r *rogue) lives() {
	r.w.Helper()
	r.w.pass(time.Minute)
	if err := context.Cause(r.conn.Context()); err != nil {
		r.w.Errorf("the connection is gone: %v", err)
	}
}

func (w *world) line(n uint64, k int) *s2s.Line {
	b, a := w.nodes["b.example"], w.nodes["a.example"]
	return &s2s.Line{Post: &s2s.Post{N: n, From: user(b.name, 1), To: user(a.name, 1), At: 1,
		Message: &s2s.Message{Origin: k, Tag: uint32(k), Content: []byte("1")}}}
}

func (w *world) kind() byte {
	a, b := w.ab()
	return 16 + byte(federation.LaneOf(topic(a.name, b.name, 1)))
}

func TestGapInjected(t *testing.T) {
	rogueWorld(t, nil, func(w *world, r *rogue) {
		a, b := w.ab()
		r.hear()
		s := r.stream(w.kind(), w.line(1, 1), w.line(2, 2))
		if f := r.hear(); f.Ack == nil || f.Ack.Upto != 2 {
			w.Errorf("answer %+v", f.Ack)
		}
		r.write(s, w.line(4, 4))
		r.closed(federation.CloseProtocol)
		a.reads(b, 1, []int{1, 2}, time.Second)
	})
}

func TestReplayedPosts(t *testing.T) {
	rogueWorld(t, nil, func(w *world, r *rogue) {
		a, b := w.ab()
		a.book.refuse = func(p *s2s.Post) *s2s.Verdict {
			if p.Message.Origin == 2 {
				return &s2s.Verdict{Outcome: s2s.Refused, Fault: protocol.Policy, Reason: "two"}
			}
			return nil
		}
		r.hear()
		s := r.stream(w.kind(), w.line(1, 1), w.line(2, 2), w.line(3, 3))
		check := func() { // the answer may come in pieces
			w.Helper()
			var vs []s2s.Verdict
			for upto := uint64(0); upto < 3 || len(vs) == 0; {
				f := r.hear()
				if f.Ack == nil {
					w.Fatalf("%+v instead of an answer", f)
				}
				upto, vs = max(upto, f.Ack.Upto), append(vs, f.Ack.Verdicts...)
			}
			if len(vs) != 1 || vs[0].N != 2 || vs[0].Reason != "two" {
				w.Errorf("verdicts %+v", vs)
			}
		}
		check()
		a.book.refuse = nil
		r.write(s, w.line(1, 1), w.line(2, 2), w.line(3, 3))
		check()
		w.pass(time.Second)
		a.reads(b, 1, []int{1, 3}, time.Second)
		w.pass(time.Second)
		r.write(s, &s2s.Line{Settled: 3}, w.line(2, 2), w.line(4, 4))
		for {
			f := r.hear()
			if f.Ack == nil || len(f.Ack.Verdicts) != 0 {
				w.Fatalf("answer after it was settled: %+v", f.Ack)
			}
			if f.Ack.Upto == 4 {
				break
			}
		}
		if a.book.again > 0 {
			w.Error("a post was applied again")
		}
	})
}

// A topic that was to come later does, until the sender shows that it knows.
func TestLaterUntilItIsKnown(t *testing.T) {
	rogueWorld(t, nil, func(w *world, r *rogue) {
		a, b := w.ab()
		later := true
		a.book.refuse = func(p *s2s.Post) *s2s.Verdict {
			if later {
				return &s2s.Verdict{Outcome: s2s.Later, Wait: 9}
			}
			return nil
		}
		r.hear()
		s := r.stream(w.kind(), w.line(1, 1))
		if f := r.hear(); f.Ack == nil || len(f.Ack.Verdicts) != 1 || f.Ack.Verdicts[0].Outcome != s2s.Later || f.Ack.Verdicts[0].Wait != 9 {
			w.Errorf("answer %+v", f.Ack)
		}
		later = false
		r.write(s, w.line(2, 2))
		if f := r.hear(); f.Ack == nil || len(f.Ack.Verdicts) != 1 || f.Ack.Verdicts[0].Outcome != s2s.Later {
			w.Errorf("answer %+v", f.Ack)
		}
		r.write(s, &s2s.Line{Settled: 1}, w.line(3, 1), w.line(4, 2))
		r.hear()
		a.reads(b, 1, []int{1, 2}, time.Second)
	})
}

func TestWrongHello(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*s2s.Hello)
		code   federation.CloseCode
	}{
		"for another":     {func(h *s2s.Hello) { h.To = "c.example" }, federation.CloseProtocol},
		"of another":      {func(h *s2s.Hello) { h.Name = "c.example" }, federation.CloseUnproven},
		"too few lanes":   {func(h *s2s.Hello) { h.Lanes = h.Lanes[:3] }, federation.CloseProtocol},
		"senseless lanes": {func(h *s2s.Hello) { h.Lanes[0].Lowest = 5 }, federation.CloseProtocol},
	} {
		t.Run(name, func(t *testing.T) {
			rogueWorld(t, c.change, func(w *world, r *rogue) { r.closed(c.code) })
		})
	}
}

func TestUnprovenPeer(t *testing.T) {
	bubble(t, append([]protocol.Node{"evil.example"}, two...), func(w *world) {
		a, evil := w.nodes["a.example"], w.nodes["evil.example"]
		evil.halt()
		r := w.approach(a, "b.example", evil) // claims to be b
		defer r.host.Close()
		r.closed(federation.CloseUnproven)
	})
}

func TestOddFrames(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(w *world, r *rogue)
		code federation.CloseCode
	}{
		"answer to what was not sent": {func(w *world, r *rogue) {
			r.write(r.out, &s2s.Control{Ack: &s2s.Ack{Upto: 5}})
		}, federation.CloseProtocol},
		"answer for no lane": {func(w *world, r *rogue) {
			r.write(r.out, &s2s.Control{Ack: &s2s.Ack{Lane: 9}})
		}, federation.CloseProtocol},
		"second Hello": {func(w *world, r *rogue) {
			r.write(r.out, &s2s.Control{Hello: &s2s.Hello{}})
		}, federation.CloseProtocol},
		"second stream of a lane": {func(w *world, r *rogue) {
			r.stream(16)
			r.stream(16)
		}, federation.CloseProtocol},
		"end of a lane": {func(w *world, r *rogue) {
			r.stream(16).Close()
		}, federation.CloseProtocol},
		"settled what did not come": {func(w *world, r *rogue) {
			r.stream(16, &s2s.Line{Settled: 3})
		}, federation.CloseProtocol},
		"no CBOR": {func(w *world, r *rogue) {
			r.stream(16).Write([]byte{3, 0xff, 0xff, 0xff})
		}, federation.CloseProtocol},
		"huge frame": {func(w *world, r *rogue) {
			r.stream(16).Write(s2s.AppendVarint(nil, 1<<40))
		}, federation.CloseProtocol},
	} {
		t.Run(name, func(t *testing.T) {
			rogueWorld(t, nil, func(w *world, r *rogue) {
				r.hear()
				c.do(w, r)
				r.closed(c.code)
			})
		})
	}
	t.Run("of a later version", func(t *testing.T) {
		rogueWorld(t, nil, func(w *world, r *rogue) {
			r.hear()
			r.stream(99).Write([]byte{1, 2, 3})
			r.stream(w.kind(), []byte{0xa1, 0x18, 77, 0x61, 'x'}, w.line(1, 1))
			r.write(r.out, []byte{0xa1, 0x18, 88, 0x61, 'y'})
			r.lives()
			a, b := w.ab()
			a.reads(b, 1, []int{1}, time.Second)
		})
	})
}
