package cluster

import (
	"io"
	"sync"

	"parley/node"
)

// maxPipe is how many packets wait on the way between a client and its node.
const maxPipe = 256

// pipe is a client's connection to its node, inside of the process.
type pipe struct {
	up, down chan []byte
	once     sync.Once
	closed   chan struct{}
}

func newPipe() *pipe {
	return &pipe{up: make(chan []byte, maxPipe), down: make(chan []byte, maxPipe), closed: make(chan struct{})}
}

func (p *pipe) close() { p.once.Do(func() { close(p.closed) }) }

func (p *pipe) read(from chan []byte) ([]byte, error) {
	select {
	case b := <-from:
		return b, nil
	case <-p.closed:
		return nil, io.EOF
	}
}

func (p *pipe) write(to chan []byte, packets [][]byte) error {
	for _, b := range packets {
		select {
		case to <- b:
		case <-p.closed:
			return io.ErrClosedPipe
		}
	}
	return nil
}

// nodeEnd implements node.Conn, clientEnd client.Conn.
type (
	nodeEnd   struct{ *pipe }
	clientEnd struct{ *pipe }
)

func (e nodeEnd) Read() ([]byte, error)    { return e.read(e.up) }
func (e nodeEnd) Write(all [][]byte) error { return e.write(e.down, all) }
func (e nodeEnd) Close(node.CloseReason)   { e.close() }
func (e clientEnd) Read() ([]byte, error)  { return e.read(e.down) }
func (e clientEnd) Write(b [][]byte) error { return e.write(e.up, b) }
func (e clientEnd) Close() error           { e.close(); return nil }
