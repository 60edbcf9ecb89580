package client_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"parley/protocol"
)

// pipe is one end of a connection in memory.
type pipe struct {
	in, out   chan []byte
	closed    chan struct{} // of both ends
	closeOnce *sync.Once
}

func newPipe() (a, b *pipe) {
	x, y, closed, once := make(chan []byte, 64), make(chan []byte, 64), make(chan struct{}), new(sync.Once)
	return &pipe{x, y, closed, once}, &pipe{y, x, closed, once}
}

func (p *pipe) Read() ([]byte, error) {
	select {
	case b := <-p.in:
		return b, nil
	case <-p.closed:
		select {
		case b := <-p.in: // what was sent before the end arrives
			return b, nil
		default:
			return nil, io.EOF
		}
	}
}

func (p *pipe) Write(packets [][]byte) error {
	for _, b := range packets {
		select {
		case p.out <- b:
		case <-p.closed:
			return errors.New("broken pipe")
		}
	}
	return nil
}

func (p *pipe) Close() error {
	p.closeOnce.Do(func() { close(p.closed) })
	return nil
}

// node is the other end: it answers hi, and the rest as on says, which returns
// packets.
type node struct {
	conn *pipe
	on   func(r *protocol.Request) []string
}

func (n *node) serve() {
	for {
		b, err := n.conn.Read()
		if err != nil {
			return
		}
		r, err := protocol.Decode(b)
		if err != nil {
			panic(err)
		}
		if r.Hi != nil {
			n.say(fmt.Sprintf(`{"ctrl":{"id":%q,"code":201,"text":"created","params":{"ver":"0.25","maxSubscriberCount":512}}}`, r.Hi.ID))
			continue
		}
		n.say(n.on(r)...)
	}
}

func (n *node) say(packets ...string) {
	for _, p := range packets {
		if !json.Valid([]byte(p)) {
			panic("fake node: " + p)
		}
		n.conn.Write([][]byte{[]byte(p)})
	}
}
