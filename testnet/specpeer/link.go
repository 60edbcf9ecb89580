package specpeer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/fxamacker/cbor/v2"
	"github.com/quic-go/quic-go"
)

// Heard is something that the other has said; one field is set.
type Heard struct {
	Post    *Post
	Settled uint64
	Cast    *Cast
	Ask     *Ask
	Goodbye *Goodbye
}

// heardRoom is how much may wait for the test to look at it.
const heardRoom = 256

// Link is a connection after both Hellos.
type Link struct {
	Mine, Theirs *Hello
	Anew         bool // one of the two was set back

	p      *Peer
	conn   *quic.Conn
	reader *bufio.Reader // of the other's control stream
	heard  chan Heard
	deaf   bool // posts are dropped unanswered, as by a node that dies
	ctx    context.Context
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	control *quic.SendStream // guarded by mu, as what follows
	casts   *quic.SendStream
	lanes   [lanes]*quic.SendStream
}

var config = &quic.Config{EnableDatagrams: true}

// Dial opens a link. Deaf says that posts are to be dropped, as by a node that dies before
// they are on its disk.
func (p *Peer) Dial(ctx context.Context, tr *quic.Transport, addr net.Addr, deaf bool) (*Link, error) {
	c, err := tlsConfig(p.Name, p.Key, p.Other, p.OtherKey)
	if err != nil {
		return nil, err
	}
	conn, err := tr.Dial(ctx, addr, c, config)
	if err != nil {
		return nil, err
	}
	l := p.link(conn, deaf)
	if err = l.say(ctx); err == nil {
		err = l.hear(ctx)
	}
	return l, l.begin(err)
}

// Listen lets the other dial; Accept waits until it has.
func (p *Peer) Listen(tr *quic.Transport) (*quic.Listener, error) {
	c, err := tlsConfig(p.Name, p.Key, p.Other, p.OtherKey)
	if err != nil {
		return nil, err
	}
	return tr.Listen(c, config)
}

// Accept takes a link that the other dials: that says its Hello first.
func (p *Peer) Accept(ctx context.Context, from *quic.Listener) (*Link, error) {
	conn, err := from.Accept(ctx)
	if err != nil {
		return nil, err
	}
	l := p.link(conn, false)
	if err = l.hear(ctx); err == nil {
		err = l.say(ctx)
	}
	return l, l.begin(err)
}

func (p *Peer) link(conn *quic.Conn, deaf bool) *Link {
	l := &Link{p: p, conn: conn, deaf: deaf, heard: make(chan Heard, heardRoom)}
	l.ctx, l.cancel = context.WithCancelCause(conn.Context())
	return l
}

// say opens the control stream with Hello.
func (l *Link) say(ctx context.Context) (err error) {
	l.Mine = l.p.hello()
	if l.control, err = l.open(ctx, controlStream); err != nil {
		return err
	}
	return writeFrame(l.control, Control{Hello: l.Mine})
}

func (l *Link) open(ctx context.Context, kind byte) (*quic.SendStream, error) {
	s, err := l.conn.OpenUniStreamSync(ctx)
	if err == nil {
		_, err = s.Write([]byte{kind})
	}
	return s, err
}

// hear reads the other's Hello, with which its control stream begins.
func (l *Link) hear(ctx context.Context) error {
	s, err := l.conn.AcceptUniStream(ctx)
	if err != nil {
		return err
	}
	r := bufio.NewReader(s)
	if kind, err := r.ReadByte(); err != nil || kind != controlStream {
		return errors.Join(err, errors.New("the first stream is not the control stream"))
	}
	var c Control
	if err := readFrame(r, &c); err != nil {
		return err
	}
	l.Theirs = c.Hello
	if h := c.Hello; h == nil || h.Name != l.p.Other || h.To != l.p.Name || len(h.Lanes) != lanes {
		return fmt.Errorf("not a Hello of %s: %+v", l.p.Other, h)
	}
	l.reader = r
	return nil
}

// begin starts the rest once both have said Hello: what was taken before is answered, what
// was not answered is sent again.
func (l *Link) begin(err error) error {
	if err == nil {
		l.Anew = l.p.agree(l.Mine, l.Theirs)
		err = errors.Join(l.greet(), l.again())
	}
	if err != nil {
		l.until(err)
		return errors.Join(err, l.Close())
	}
	l.wg.Go(func() { l.until(l.readControl(l.reader)) })
	l.wg.Go(func() { l.until(l.acceptStreams()) })
	l.wg.Go(func() { l.until(l.acceptAsks()) })
	l.wg.Go(func() { l.until(l.readDatagrams()) })
	return nil
}

// until ends the link for a reason; the first counts.
func (l *Link) until(err error) {
	l.cancel(err)
	if err != nil && l.conn.Context().Err() == nil && !errors.Is(err, errClosed) {
		_ = l.conn.CloseWithError(closeProtocol, err.Error()) // it is over either way
	}
}

var errClosed = errors.New("closed here")

// Close says goodbye and ends the link.
func (l *Link) Close() error {
	l.cancel(errClosed)
	err := l.conn.CloseWithError(closeGoodbye, "")
	l.wg.Wait()
	return err
}

func (l *Link) readControl(r *bufio.Reader) error {
	for {
		var c Control
		if err := readFrame(r, &c); err != nil {
			return err
		}
		switch {
		case c.Ack != nil && c.Ack.Lane < lanes:
			for _, post := range l.p.answered(c.Ack) {
				if err := l.send(post); err != nil {
					return err
				}
			}
			if err := l.settle(c.Ack); err != nil {
				return err
			}
		case c.Goodbye != nil:
			l.tell(Heard{Goodbye: c.Goodbye})
		}
	}
}

func (l *Link) tell(h Heard) {
	select {
	case l.heard <- h:
	case <-l.ctx.Done():
	}
}

func (l *Link) acceptStreams() error {
	for {
		s, err := l.conn.AcceptUniStream(l.ctx)
		if err != nil {
			return err
		}
		r := bufio.NewReader(s)
		l.wg.Go(func() {
			kind, err := r.ReadByte()
			switch {
			case err != nil:
			case kind == castStream:
				err = l.readCasts(r)
			case kind >= laneStream && kind < laneStream+lanes:
				err = l.readLane(r, int(kind-laneStream))
			default: // of a later version
				s.CancelRead(closeGoodbye)
				return
			}
			l.until(err)
		})
	}
}

func (l *Link) readCasts(r *bufio.Reader) error {
	for {
		c := new(Cast)
		if err := readFrame(r, c); err != nil {
			return err
		}
		l.tell(Heard{Cast: c})
	}
}

func (l *Link) readDatagrams() error {
	for {
		b, err := l.conn.ReceiveDatagram(l.ctx)
		if err != nil {
			return err
		}
		if c := new(Cast); cbor.Unmarshal(b, c) == nil {
			l.tell(Heard{Cast: c})
		}
	}
}

func (l *Link) readLane(r *bufio.Reader, lane int) error {
	for {
		var f Line
		if err := readFrame(r, &f); err != nil {
			return err
		}
		n := f.Void
		if f.Post != nil {
			n = f.Post.N
		}
		switch {
		case f.Settled > 0:
			l.p.settled(lane, f.Settled)
			l.tell(Heard{Settled: f.Settled})
		case n > 0 && l.deaf:
			l.tell(Heard{Post: f.Post})
		case n > 0:
			ack, ok := l.p.take(lane, n, f.Post)
			if !ok {
				return fmt.Errorf("post %d of lane %d is out of order", n, lane)
			}
			if err := l.ack(ack); err != nil {
				return err
			}
			l.tell(Heard{Post: f.Post})
		}
	}
}

func (l *Link) acceptAsks() error {
	for {
		s, err := l.conn.AcceptStream(l.ctx)
		if err != nil {
			return err
		}
		l.wg.Go(func() {
			defer s.Close()
			a := new(Ask)
			if readFrame(bufio.NewReader(s), a) != nil {
				s.CancelWrite(closeProtocol)
				return
			}
			if writeFrame(s, l.p.Answer(a)) == nil {
				l.tell(Heard{Ask: a})
			}
		})
	}
}

// Ask puts a question and reads the answer.
func (l *Link) Ask(ctx context.Context, a *Ask) (*Answer, error) {
	s, err := l.conn.OpenStreamSync(ctx)
	if err != nil {
		return nil, err
	}
	defer s.CancelRead(closeGoodbye)
	if d, ok := ctx.Deadline(); ok {
		if err := s.SetDeadline(d); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(writeFrame(s, a), s.Close()); err != nil {
		return nil, err
	}
	answer := new(Answer)
	r := bufio.NewReader(s)
	if err := readFrame(r, answer); err != nil {
		return nil, err
	}
	if _, err := r.ReadByte(); err != io.EOF {
		return nil, fmt.Errorf("after the answer: %v", err)
	}
	return answer, nil
}
