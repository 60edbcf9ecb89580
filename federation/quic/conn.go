package quic

import (
	"context"
	"errors"

	quicgo "github.com/quic-go/quic-go"

	"parley/federation"
)

// conn implements federation.Conn.
type conn struct {
	q      *quicgo.Conn
	peer   federation.ConnPeer
	ctx    context.Context // ends after that of q, with our kind of cause
	cancel context.CancelCauseFunc
}

var _ federation.Conn = (*conn)(nil)

func (c *conn) Peer() federation.ConnPeer { return c.peer }

func (c *conn) Context() context.Context { return c.ctx }

func (c *conn) CloseWith(why federation.CloseCode, reason string) {
	c.q.CloseWithError(code(why), clean(reason))
	<-c.ctx.Done()
}

func (c *conn) OpenSend(ctx context.Context) (federation.SendStream, error) {
	s, err := c.q.OpenUniStreamSync(ctx)
	if err != nil {
		return nil, closedError(err)
	}
	return sendStream{s}, nil
}

func (c *conn) AcceptReceive(ctx context.Context) (federation.ReceiveStream, error) {
	s, err := c.q.AcceptUniStream(ctx)
	if err != nil {
		return nil, closedError(err)
	}
	return receiveStream{s}, nil
}

func (c *conn) Open(ctx context.Context) (federation.Stream, error) {
	s, err := c.q.OpenStreamSync(ctx)
	if err != nil {
		return nil, closedError(err)
	}
	return stream{s}, nil
}

func (c *conn) Accept(ctx context.Context) (federation.Stream, error) {
	s, err := c.q.AcceptStream(ctx)
	if err != nil {
		return nil, closedError(err)
	}
	return stream{s}, nil
}

func (c *conn) SendDatagram(b []byte) error {
	err := c.q.SendDatagram(b)
	if _, ok := errors.AsType[*quicgo.DatagramTooLargeError](err); ok {
		return federation.ErrTooLarge
	}
	return closedError(err)
}

func (c *conn) ReceiveDatagram(ctx context.Context) ([]byte, error) {
	b, err := c.q.ReceiveDatagram(ctx)
	return b, closedError(err)
}

// sendStream, receiveStream and stream give quic-go's streams the words and errors of
// the contract.
type (
	sendStream    struct{ *quicgo.SendStream }
	receiveStream struct{ *quicgo.ReceiveStream }
	stream        struct{ *quicgo.Stream }
)

func (s sendStream) Write(b []byte) (int, error) {
	n, err := s.SendStream.Write(b)
	return n, closedError(err)
}

func (s sendStream) Close() error { return closedError(s.SendStream.Close()) }

func (s sendStream) Reset(why federation.CloseCode) { s.CancelWrite(streamCode(why)) }

func (s receiveStream) Read(b []byte) (int, error) {
	n, err := s.ReceiveStream.Read(b)
	return n, closedError(err)
}

func (s receiveStream) Stop(why federation.CloseCode) { s.CancelRead(streamCode(why)) }

func (s stream) Write(b []byte) (int, error) {
	n, err := s.Stream.Write(b)
	return n, closedError(err)
}

func (s stream) Close() error { return closedError(s.Stream.Close()) }

func (s stream) Reset(why federation.CloseCode) { s.CancelWrite(streamCode(why)) }

func (s stream) Read(b []byte) (int, error) {
	n, err := s.Stream.Read(b)
	return n, closedError(err)
}

func (s stream) Stop(why federation.CloseCode) { s.CancelRead(streamCode(why)) }
