package client

import (
	"context"
	"fmt"

	"parley/protocol"
)

// A Receipt stands for the answer to a message that was published without waiting.
type Receipt struct {
	done chan struct{}
	seq  int
	err  error
}

// Send publishes a message without waiting for the answer. Messages sent one after
// the other keep that order. If p.ID is empty a fresh one is used; a message that
// is sent again under its id, in the same session, is one message.
func (c *Client) Send(ctx context.Context, p *protocol.Pub) (*Receipt, error) {
	r := &Receipt{done: make(chan struct{})}
	_, err := c.start(ctx, p.ID, r, func(id string) *protocol.Request {
		pub := *p
		pub.ID = id
		return &protocol.Request{Pub: &pub}
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// Done is closed when the answer is there or will never come.
func (r *Receipt) Done() <-chan struct{} { return r.done }

// Wait returns the number that the message got in its topic. If ctx ends first it
// can be called again. If the connection is lost, whether the message was accepted
// stays open.
func (r *Receipt) Wait(ctx context.Context) (seq int, err error) {
	select {
	case <-r.done:
		return r.seq, r.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

func (r *Receipt) answer(m *protocol.Response) bool {
	r.seq, r.err = seqOf(m)
	close(r.done)
	return true
}

func (r *Receipt) fail(err error) {
	r.err = err
	close(r.done)
}

func seqOf(m *protocol.Response) (int, error) {
	if m.Ctrl == nil {
		return 0, fmt.Errorf("%w: meta to a message", ErrUnexpected)
	}
	if err := asError(m.Ctrl); err != nil {
		return 0, err
	}
	seq, ok := m.Ctrl.Params["seq"].(float64)
	if !ok || seq < 1 {
		return 0, fmt.Errorf("%w: %d %s without seq", ErrUnexpected, m.Ctrl.Code, m.Ctrl.Text)
	}
	return int(seq), nil
}

// Publish publishes content, which marshals to JSON, and waits for the number that
// the message gets in its topic.
func (c *Client) Publish(ctx context.Context, topic string, content any) (seq int, err error) {
	body, err := raw(content)
	if err != nil {
		return 0, err
	}
	r, err := c.Send(ctx, &protocol.Pub{Topic: topic, Content: body})
	if err != nil {
		return 0, err
	}
	return r.Wait(ctx)
}
