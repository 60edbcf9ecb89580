package federation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"parley/protocol"
	"parley/protocol/s2s"
)

// Bounds of questions.
const (
	maxAnswers    = 32               // to one peer at a time; others are told to come later
	answerTimeout = 30 * time.Second // to find an answer
	askTimeout    = 30 * time.Second // to get one, if the asker sets no time
	bodyStall     = 30 * time.Second // without progress of a body
	busyWait      = 1                // seconds after which one may ask again
)

// Ask implements Network.
func (m *Mesh) Ask(ctx context.Context, to protocol.Node, a *s2s.Ask) (*s2s.Answer, io.ReadCloser, error) {
	if to == m.self || to == "" {
		return nil, nil, protocol.Errorf(protocol.Internal, "ask of %q", to)
	}
	wait, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	l, err := m.peer(to).await(wait)
	if err != nil {
		return nil, nil, err
	}
	return l.ask(ctx, wait, a)
}

// ask puts a question; first bounds the time until the answer begins, ctx the whole.
func (l *link) ask(ctx, first context.Context, a *s2s.Ask) (*s2s.Answer, io.ReadCloser, error) {
	l.busy.Add(1)
	s, err := l.conn.Open(first)
	if err != nil {
		l.busy.Add(-1)
		return nil, nil, askError(first, err)
	}
	b := &body{l: l, s: s, r: newFrameReader(s, l.codec, l.m.cfg.Limits.Frame)}
	b.stop = context.AfterFunc(ctx, func() { s.Stop(CloseGoodbye); s.Reset(CloseGoodbye) })
	stop := context.AfterFunc(first, func() { s.Stop(CloseGoodbye); s.Reset(CloseGoodbye) })
	defer stop()
	l.touch()
	l.p.counts.asks.Add(1)
	answer, err := b.exchange(a)
	if err != nil {
		b.Close()
		return nil, nil, askError(first, err)
	}
	if answer.Failed {
		b.Close()
		return nil, nil, failure(answer)
	}
	if answer.File == nil || answer.File.Follow <= 0 {
		b.Close()
		return answer, nil, nil
	}
	b.left = answer.File.Follow
	return answer, b, nil
}

// failure is why a question was not answered, and when it may be put again.
func failure(a *s2s.Answer) error {
	e := &protocol.Error{Fault: a.Fault, Err: errors.New(printable(a.Reason))}
	if a.Wait > 0 {
		e.What = fmt.Sprintf("%s; again in %v", printable(a.Reason), time.Duration(a.Wait)*time.Second)
		e.Err = nil
	}
	return e
}

// askError classes what has become of a question.
func askError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return protocol.Errorf(protocol.Timeout, "no answer in time")
	}
	return protocol.Errorf(protocol.Busy, "the link was lost: %w", err)
}

// body is what follows an answer.
type body struct {
	l    *link
	s    Stream
	r    *frameReader
	left int64
	stop func() bool
	over bool
}

func (b *body) exchange(a *s2s.Ask) (*s2s.Answer, error) {
	w := newFrameWriter(b.s, b.l.codec)
	w.count, b.r.count = &b.l.p.counts.asksOut, &b.l.p.counts.asksIn
	if err := errors.Join(w.write(a), w.flush()); err != nil {
		return nil, err
	}
	_ = b.s.Close() // fails if the peer has answered by now, and wants no more
	b.l.p.watchAsk(true, a, w.last)
	answer := new(s2s.Answer)
	_, err := b.r.read(answer)
	return answer, err
}

// Read implements io.Reader. What ends early is io.ErrUnexpectedEOF.
func (b *body) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	if err := b.s.SetReadDeadline(time.Now().Add(bodyStall)); err != nil {
		return 0, err
	}
	n, err := b.r.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	b.l.touch()
	b.l.p.counts.asksIn.Add(uint64(n))
	if errors.Is(err, io.EOF) && b.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// Close tells the peer that no more is wanted.
func (b *body) Close() error {
	if !b.over {
		b.over = true
		b.stop()
		b.s.Stop(CloseGoodbye)
		b.l.busy.Add(-1)
	}
	return nil
}

// acceptAsks takes the peer's questions.
func (l *link) acceptAsks() error {
	for {
		s, err := l.conn.Accept(l.ctx)
		if err != nil {
			return err
		}
		l.touch()
		select {
		case l.asks <- struct{}{}:
		default:
			l.start(func() error { return l.turnAway(s) })
			continue
		}
		l.start(func() error {
			defer func() { <-l.asks }()
			l.busy.Add(1)
			defer l.busy.Add(-1)
			l.reply(s)
			return nil
		})
	}
}

// turnAway answers a question that is one too many.
func (l *link) turnAway(s Stream) error {
	w := newFrameWriter(s, l.codec)
	if s.SetWriteDeadline(time.Now().Add(time.Second)) != nil ||
		w.write(&s2s.Answer{Failed: true, Fault: protocol.TooMany, Reason: "too many questions at a time", Wait: busyWait}) != nil ||
		w.flush() != nil {
		s.Reset(CloseOverloaded)
	}
	s.Stop(CloseOverloaded)
	s.Close()
	return nil
}

// reply answers one question. What goes wrong ends its stream, not the link.
func (l *link) reply(s Stream) {
	ctx, cancel := context.WithTimeout(l.ctx, answerTimeout)
	defer cancel()
	err := l.answer(ctx, s)
	if err != nil {
		s.Reset(CloseInternal)
		s.Stop(CloseInternal)
		l.m.log.Debug("question not answered", "peer", l.peer.Name, "error", err)
		return
	}
	s.Close()
	s.Stop(CloseGoodbye) // its end need not have come, and until it has it would take up room
}

func (l *link) answer(ctx context.Context, s Stream) error {
	if err := s.SetReadDeadline(time.Now().Add(answerTimeout)); err != nil {
		return err
	}
	r := newFrameReader(s, l.codec, l.m.cfg.Limits.Frame)
	r.count = &l.p.counts.asksIn
	a := new(s2s.Ask)
	n, err := r.read(a)
	if err != nil {
		return err
	}
	if err := l.limit.wait(ctx, n); err != nil {
		return err
	}
	l.p.counts.asked.Add(1)
	l.p.watchAsk(false, a, n)
	var answer *s2s.Answer
	var body io.ReadCloser
	if err := a.Check(l.peer.Name); err != nil {
		f := protocol.FaultOf(err)
		answer = &s2s.Answer{Failed: true, Fault: f, Reason: f.Text()}
	} else if a.Ping != nil {
		answer = &s2s.Answer{Ping: a.Ping}
	} else if a.Keys {
		answer = l.m.answerKeys()
	} else {
		answer, body = l.m.handler.Answer(ctx, l.peer, a)
	}
	if body != nil {
		defer body.Close()
	}
	if answer == nil {
		answer = &s2s.Answer{Failed: true, Fault: protocol.Unsupported}
	}
	w := newFrameWriter(s, l.codec)
	w.count = &l.p.counts.asksOut
	if err := s.SetWriteDeadline(time.Now().Add(bodyStall)); err != nil {
		return err
	}
	if err := w.write(answer); err != nil {
		return err
	}
	if body != nil {
		return l.pour(s, w, body)
	}
	return w.flush()
}

// pour sends a body as fast as the peer takes it.
func (l *link) pour(s Stream, w *frameWriter, body io.Reader) error {
	b := make([]byte, writeBuffer)
	for {
		n, err := body.Read(b)
		if n > 0 {
			if err := s.SetWriteDeadline(time.Now().Add(bodyStall)); err != nil {
				return err
			}
			if _, err := w.w.Write(b[:n]); err != nil {
				return err
			}
			l.touch()
			l.p.counts.asksOut.Add(uint64(n))
		}
		if errors.Is(err, io.EOF) {
			return w.flush()
		}
		if err != nil {
			return err
		}
	}
}

// compareTopics has the node find out what one of the two has lost.
func (l *link) compareTopics() error {
	h, ok := l.m.handler.(Restorer)
	if !ok {
		return nil
	}
	if err := h.Restored(l.ctx, l.peer); err != nil {
		if l.ctx.Err() == nil {
			l.m.quiet.warn(l.m.log, "topics not compared", l.peer.Name, err)
		}
		return nil // the next link will
	}
	return l.m.change(l.peer.Name, compared)
}
