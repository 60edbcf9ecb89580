package federation

import "parley/protocol/s2s"

// Gate is asked about each post of a peer before the node is. A Handler that is one is
// asked if the configuration has none.
type Gate interface {
	// Screen returns a verdict whose Outcome is s2s.Applied if the post may pass, else
	// the verdict that the peer gets; N is filled in by the caller. It must not wait.
	Screen(from Peer, p *s2s.Post) s2s.Verdict
}

// gateOf is the gate of a handler.
func gateOf(h Handler) Gate {
	if g, ok := h.(Gate); ok {
		return g
	}
	return openGate{}
}

// openGate admits everything.
type openGate struct{}

func (openGate) Screen(Peer, *s2s.Post) s2s.Verdict { return s2s.Verdict{} }
