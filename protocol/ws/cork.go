package ws

import (
	"net"
	"sync"
	"time"
)

// corkSize is how many bytes of frames are collected for one system call.
const corkSize = 32 << 10

var corks = sync.Pool{New: func() any { b := make([]byte, 0, corkSize); return &b }}

// corked is a socket whose writes can be collected and sent as one. Control frames
// written meanwhile by others keep their place between the frames. It sets its own
// deadline for each write to the network and fails for good with the first error,
// since part of a frame may be out.
type corked struct {
	net.Conn
	wait time.Duration

	mu  sync.Mutex
	buf *[]byte // nil while not corked
	err error
}

// SetWriteDeadline does nothing: the library's deadline would be that of making a
// frame, not of sending it.
func (c *corked) SetWriteDeadline(time.Time) error { return nil }

// Write implements [net.Conn].
func (c *corked) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return 0, c.err
	}
	if c.buf == nil {
		return len(p), c.send(p)
	}
	if len(*c.buf)+len(p) > corkSize {
		if err := c.flush(); err != nil {
			return 0, err
		}
	}
	if len(p) > corkSize {
		return len(p), c.send(p)
	}
	*c.buf = append(*c.buf, p...)
	return len(p), nil
}

func (c *corked) cork() {
	c.mu.Lock()
	c.buf = corks.Get().(*[]byte)
	c.mu.Unlock()
}

func (c *corked) uncork() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.flush()
	corks.Put(c.buf)
	c.buf = nil
	return err
}

func (c *corked) flush() error {
	b := *c.buf
	*c.buf = b[:0]
	if len(b) == 0 || c.err != nil {
		return c.err
	}
	return c.send(b)
}

func (c *corked) send(p []byte) error {
	if err := c.Conn.SetWriteDeadline(time.Now().Add(c.wait)); err != nil {
		c.err = err
		return err
	}
	_, c.err = c.Conn.Write(p)
	return c.err
}
