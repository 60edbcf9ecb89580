package rogue

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"

	"parley/federation"
	"parley/protocol"
	"parley/protocol/s2s"
)

// Kinds of streams (spec/link.md).
const (
	controlStream = 0
	castStream    = 1
	laneStream    = 16
)

// State is what is kept from link to link.
type State struct {
	Next  [s2s.Lanes]uint64 // numbers of the next posts
	Known uint64            // the victim's incarnation; 0: not yet
}

// boots rise with each link, so that the newest counts.
var boots atomic.Uint64

// Peer is a connection on which anything can be said.
type Peer struct {
	codec s2s.Codec
	tr    federation.Transport
	conn  federation.Conn
	out   federation.SendStream // control
	in    *bufio.Reader
	lanes [s2s.Lanes]federation.SendStream
	state State
}

// Dial connects under a name, which need not be one's own.
func (w *World) Dial(ctx context.Context, name protocol.Node, key *federation.Key) (*Peer, error) {
	tr, err := w.Transport(name, key, w.Succession)
	if err != nil {
		return nil, err
	}
	conn, err := tr.Dial(ctx, w.endpoint())
	if err != nil {
		return nil, errors.Join(err, tr.Close())
	}
	return &Peer{codec: s2s.Codec{Self: name, Peer: w.Victim}, tr: tr, conn: conn}, nil
}

func (w *World) endpoint() federation.Endpoint {
	return federation.Endpoint{Name: w.Victim, Addrs: []netip.AddrPort{w.At}}
}

// Greet says Hello and hears the victim's.
func (p *Peer) Greet(ctx context.Context, s State) error {
	if err := p.Hello(ctx, s); err != nil {
		return err
	}
	f, err := p.Hear(ctx)
	if err != nil {
		return err
	}
	if f.Hello == nil {
		return fmt.Errorf("the victim begins with %+v", f)
	}
	p.state.Known = f.Hello.Incarnation
	return nil
}

// Hello says it.
func (p *Peer) Hello(ctx context.Context, s State) (err error) {
	h := &s2s.Hello{Name: p.codec.Self, To: p.codec.Peer, Boot: boots.Add(1), Incarnation: 7, Known: s.Known}
	for i := range s.Next {
		s.Next[i] = max(s.Next[i], 1)
		h.Lanes = append(h.Lanes, s2s.LaneState{Lowest: 1, Next: s.Next[i]})
	}
	p.state = s
	p.out, err = p.Stream(ctx, controlStream, &s2s.Control{Hello: h})
	return err
}

// Stream opens a stream of a kind.
func (p *Peer) Stream(ctx context.Context, kind byte, frames ...s2s.Frame) (federation.SendStream, error) {
	s, err := p.conn.OpenSend(ctx)
	if err != nil {
		return nil, err
	}
	b := []byte{kind}
	for _, f := range frames {
		if b, err = p.codec.AppendFrame(b, f); err != nil {
			return nil, err
		}
	}
	_, err = s.Write(b)
	return s, err
}

// Hear reads the next frame of the victim's control stream.
func (p *Peer) Hear(ctx context.Context) (*s2s.Control, error) {
	if p.in == nil {
		s, err := p.conn.AcceptReceive(ctx)
		if err != nil {
			return nil, err
		}
		p.in = bufio.NewReader(s)
		if kind, err := p.in.ReadByte(); err != nil || kind != controlStream {
			return nil, errors.Join(err, fmt.Errorf("a stream of kind %d comes first", kind))
		}
	}
	defer context.AfterFunc(ctx, func() { p.conn.CloseWith(federation.CloseGoodbye, "") })()
	f := new(s2s.Control)
	_, err := p.codec.ReadFrame(p.in, s2s.MaxFrame, f)
	return f, err
}

// Post sends a post and returns the verdict on it.
func (p *Peer) Post(ctx context.Context, post *s2s.Post) (s2s.Verdict, error) {
	lane := s2s.LaneOf(post.TopicID())
	post.N = p.state.Next[lane]
	if err := p.line(ctx, lane, &s2s.Line{Post: post}); err != nil {
		return s2s.Verdict{}, err
	}
	p.state.Next[lane]++
	for {
		f, err := p.Hear(ctx)
		switch {
		case err != nil:
			return s2s.Verdict{}, err
		case f.Ack == nil || f.Ack.Lane != lane || f.Ack.Upto < post.N:
			continue
		}
		for _, v := range f.Ack.Verdicts {
			if v.N == post.N {
				return v, nil
			}
		}
		return s2s.Verdict{N: post.N}, nil
	}
}

// line says something on a lane.
func (p *Peer) line(ctx context.Context, lane uint8, l *s2s.Line) error {
	b, err := p.codec.AppendFrame(nil, l)
	if err == nil && p.lanes[lane] == nil {
		p.lanes[lane], err = p.Stream(ctx, laneStream+lane)
	}
	if err == nil {
		_, err = p.lanes[lane].Write(b)
	}
	return err
}

// Ask puts a question.
func (p *Peer) Ask(ctx context.Context, a *s2s.Ask) (*s2s.Answer, error) {
	s, err := p.conn.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { s.Stop(federation.CloseGoodbye) })()
	b, err := p.codec.AppendFrame(nil, a)
	if err == nil {
		_, err = s.Write(b)
	}
	if err != nil {
		return nil, err
	}
	closed := s.Close() // fails if the victim has answered already, and reads no more
	answer := new(s2s.Answer)
	if _, err = p.codec.ReadFrame(bufio.NewReader(s), s2s.MaxFrame, answer); err != nil {
		return nil, errors.Join(err, closed)
	}
	return answer, nil
}

// Alive reports whether the connection is.
func (p *Peer) Alive() bool { return p.conn.Context().Err() == nil }

// Closed waits for the victim to end the connection with one of some codes, and returns its
// reason.
func (p *Peer) Closed(ctx context.Context, codes ...federation.CloseCode) (string, error) {
	select {
	case <-p.conn.Context().Done():
	case <-ctx.Done():
		return "", through("the link lives on")
	}
	e, ok := errors.AsType[*federation.ClosedError](context.Cause(p.conn.Context()))
	if !ok || !e.Remote || !slices.Contains(codes, e.Code) {
		return "", fmt.Errorf("the link has ended by %v, not with code %v", context.Cause(p.conn.Context()), codes)
	}
	return fmt.Sprintf("link closed (%d): %s", e.Code, e.Reason), nil
}

// Close ends it.
func (p *Peer) Close() error {
	p.conn.CloseWith(federation.CloseGoodbye, "")
	return p.tr.Close()
}
