package testnet

import (
	"io"
	"sync"
)

// maxTail is how many bytes of a node's output are kept for error messages.
const maxTail = 8 << 10

// tail keeps the end of what is written to it, and passes all of it on.
type tail struct {
	to io.Writer // nil: nowhere

	mu   sync.Mutex
	last []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = append(t.last, b...)
	if n := len(t.last) - maxTail; n > 0 {
		t.last = append(t.last[:0], t.last[n:]...)
	}
	if t.to != nil {
		return t.to.Write(b)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.last)
}
