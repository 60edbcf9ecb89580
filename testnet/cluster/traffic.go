package cluster

import (
	"maps"
	"sync"

	"parley/federation"
	"parley/protocol"
)

// Flow is a kind of frame on its way to a node.
type Flow struct {
	To   protocol.Node
	Kind string // "post message", "cast presence", "ask card", "log" …
}

// Count is how much there was.
type Count struct {
	Frames int
	Bytes  int // of frames, without what QUIC adds
}

// traffic counts what a machine sends.
type traffic struct {
	from protocol.Node

	mu   sync.Mutex
	sent map[Flow]Count // guarded by mu
}

func newTraffic(from protocol.Node) *traffic {
	return &traffic{from: from, sent: map[Flow]Count{}}
}

// watch implements federation.Config.Watch.
func (t *traffic) watch(f federation.Traffic) {
	if f.From != t.from {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	k := Flow{f.To, f.What}
	c := t.sent[k]
	t.sent[k] = Count{c.Frames + 1, c.Bytes + f.Bytes}
}

// Sent is what was sent from this machine until now.
func (m *Machine) Sent() map[Flow]Count {
	m.sent.mu.Lock()
	defer m.sent.mu.Unlock()
	return maps.Clone(m.sent.sent)
}

// Links is how many links the node has.
func (m *Machine) Links() int {
	n := 0
	if a := m.outside(); a != nil {
		for _, up := range a.linked() {
			if up {
				n++
			}
		}
		return n
	}
	r := m.inside()
	if r == nil {
		return 0
	}
	for _, p := range m.c.Machines {
		if p != m && r.mesh.Linked(p.Name) {
			n++
		}
	}
	return n
}
