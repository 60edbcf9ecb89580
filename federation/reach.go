package federation

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"parley/protocol"
	"parley/store"
)

// Reach is whether other nodes can dial this one (spec/discovery.md#reach).
type Reach uint8

// The reaches. A node that cannot be dialled keeps up links with its partners, those with
// whom it had one lately: what they have for it comes that way or not at all.
const (
	ReachOpen    Reach = iota // others can dial it
	ReachAuto                 // not until one has
	ReachOutward              // others cannot
)

const (
	// partnerTime is how long after the last link a node is a partner.
	partnerTime = 30 * 24 * time.Hour
	// maxPartners bounds for how many links are made when the node begins to run.
	maxPartners = 256
	// natMemory is more than how long NATs and firewalls let a peer answer: 2 to 5
	// minutes by RFC 4787, section 4.3. Who dials us later finds us by himself.
	natMemory = 10 * time.Minute
	// reachMemory is how long a node believes that others can dial it.
	reachMemory = 30 * 24 * time.Hour
)

// outward reports whether links have to be kept up from here.
func (m *Mesh) outward() bool {
	switch m.cfg.Reach {
	case ReachOutward:
		return true
	case ReachAuto:
		return m.cfg.Clock.Since(time.Unix(0, m.dialed.Load())) > reachMemory
	}
	return false
}

// partners are the peers to link with when the node begins to run; it also learns
// whether the node can be dialled.
func (m *Mesh) partners(peers []acquaintance) []protocol.Node {
	now := m.cfg.Clock.Now()
	var lately []acquaintance
	var dialed time.Time
	for _, p := range peers {
		if p.dialed.After(dialed) {
			dialed = p.dialed
		}
		if now.Sub(p.seen) < partnerTime {
			lately = append(lately, p)
		}
	}
	if !dialed.IsZero() && !dialed.After(now) {
		m.dialed.Store(dialed.UnixNano())
	}
	if !m.outward() {
		return nil
	}
	slices.SortFunc(lately, func(a, b acquaintance) int { return cmp.Or(b.seen.Compare(a.seen), cmp.Compare(a.name, b.name)) })
	var names []protocol.Node
	for _, p := range lately[:min(len(lately), maxPartners)] {
		names = append(names, p.name)
	}
	return names
}

// holds reports whether the link is to stay, and to be made again. p.mu is held.
func (p *remote) holds() bool {
	return p.keep || !p.met.IsZero() && (p.link != nil || time.Since(p.met) < partnerTime) && p.m.outward()
}

// proves reports whether a connection that the peer has dialled shows that others can
// dial this node: it comes from outside, long after the last word between both. p.mu is
// held.
func (p *remote) proves(who ConnPeer) bool {
	from := who.Addr.Addr().Unmap()
	last := slices.MaxFunc([]time.Time{p.since, p.tried, p.m.began}, time.Time.Compare)
	return p.m.cfg.Reach == ReachAuto && !who.Dialed && public(from) && p.link == nil && time.Since(last) > natMemory
}

func public(a netip.Addr) bool { return a.IsGlobalUnicast() && !a.IsPrivate() }

// dialable notes that the peer has dialled this node by itself.
func (p *remote) dialable() {
	now := p.m.cfg.Clock.Now()
	if before := p.m.dialed.Swap(now.UnixNano()); now.Sub(time.Unix(0, before)) > reachMemory {
		p.m.log.Info("other nodes can dial this one", "peer", p.name)
	}
	if err := p.m.change(p.name, func(r *store.Peer) { r.Dialed = now }); err != nil {
		p.m.log.Error("peer not written", "peer", p.name, "error", err)
	}
}
