package federation

import "parley/protocol/s2s"

// Gate is asked about each post of a peer before the node is.
type Gate interface {
	// Admit returns a verdict whose Outcome is s2s.Applied if the post may pass, else
	// the verdict that the peer gets; N is filled in by the caller. It must not wait.
	Admit(from Peer, p *s2s.Post) s2s.Verdict
}

// openGate admits everything.
type openGate struct{}

func (openGate) Admit(Peer, *s2s.Post) s2s.Verdict { return s2s.Verdict{} }
