package federation

import (
	"time"

	"parley/protocol"
)

// Drop ends the link with a node, if there is one, because the operator has said something
// about it: the next link is judged anew. What waits for the node stays.
func (m *Mesh) Drop(n protocol.Node) {
	m.mu.Lock()
	p := m.peers[n]
	m.mu.Unlock()
	if p == nil {
		return
	}
	if l := p.current(); l != nil {
		l.fail(closing(CloseDenied, "the operator has said something new"))
	}
	if d, ok := m.cfg.Finder.(interface{ Forget(protocol.Node) }); ok {
		d.Forget(n)
	}
}

// Retry makes the next attempt to reach a node come at once, whatever has failed before:
// the operator wants to see it.
func (m *Mesh) Retry(n protocol.Node) {
	p := m.peer(n)
	p.load()
	p.mu.Lock()
	p.next = time.Time{}
	p.mu.Unlock()
	p.kick()
}
