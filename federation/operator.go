package federation

import (
	"cmp"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"

	"parley/protocol"
	"parley/store"
)

// maxPeerAddrs is how many addresses an operator may give for a peer.
const maxPeerAddrs = 8

// CheckHostPort says what is wrong with "host:port" of a peer, host being an address or a
// name.
func CheckHostPort(s string) error {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Errorf("%q is not host:port: %w", s, err)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("%q is not host:port: a port is a number from 1 to 65535", s)
	}
	if net.ParseIP(host) == nil {
		if _, err := protocol.ParseNode(host); err != nil {
			return fmt.Errorf("%q is not host:port: %w", s, err)
		}
	}
	return nil
}

// Pin binds a name to a key by the word of the operator, and says where the node is. A key
// that was known of the name before and does not lead to this one is forgotten.
func (n *Notary) Pin(name protocol.Node, key ed25519.PublicKey, addrs []string) error {
	if name == n.self {
		return errors.New("federation: that is this node's own name")
	}
	if own := KeyOf(name); own != nil && !own.Equal(key) {
		return fmt.Errorf("federation: the name %s is made from another key: %s", name, Pin(own))
	}
	if len(addrs) > maxPeerAddrs {
		return fmt.Errorf("federation: %d addresses, at most %d", len(addrs), maxPeerAddrs)
	}
	for _, a := range addrs {
		if err := CheckHostPort(a); err != nil {
			return fmt.Errorf("federation: %w", err)
		}
	}
	return n.change(name, func(p *store.Peer) error {
		if k := keyIn(p, key); k != nil && k.Revoked {
			return fmt.Errorf("federation: %s was revoked by whoever has it", Pin(key))
		}
		p.Pin, p.Addrs = key, slices.Clone(addrs)
		return nil
	})
}

// Unpin takes the word back: pin and addresses. With forget, all that is known of the
// peer's keys goes too, so that the next one that is proven is taken, whatever was
// before; revoked keys are remembered.
func (n *Notary) Unpin(name protocol.Node, forget bool) error {
	return n.edit(name, func(p *store.Peer) {
		p.Pin, p.Addrs = nil, nil
		if forget {
			p.Proof, p.Succession = 0, 0
			p.Keys = slices.DeleteFunc(p.Keys, func(k store.PeerKey) bool { return !k.Revoked })
		}
	})
}

// edit changes a peer that is known; else the error is protocol.NotFound.
func (n *Notary) edit(name protocol.Node, f func(*store.Peer)) error {
	return n.cfg.Store.Update(func(tx store.Tx) error {
		p, err := tx.Peer(name)
		if errors.Is(err, store.ErrNotFound) {
			return protocol.NotFound
		}
		if err != nil {
			return err
		}
		f(p)
		return tx.PutPeer(p)
	})
}

// SetAccess allows or denies a peer, known or not.
func (n *Notary) SetAccess(name protocol.Node, a store.PeerAccess) error {
	return n.change(name, func(p *store.Peer) error {
		p.Access = a
		return nil
	})
}

// Peer is what is known of a node, and whether that is anything.
func (n *Notary) Peer(name protocol.Node) (*store.Peer, bool, error) {
	p, err := n.peer(name)
	if err != nil {
		return nil, false, err
	}
	s, static := n.static[name]
	if static {
		withStatic(p, s)
	}
	return p, static || !p.First.IsZero(), nil
}

// withStatic fills in what the settings say and the store does not.
func withStatic(p *store.Peer, s *StaticPeer) {
	if p.Pin == nil {
		p.Pin = s.Key
	}
	if len(p.Addrs) == 0 {
		p.Addrs = s.Addrs
	}
}

// Peers is what is known of all nodes, by name.
func (n *Notary) Peers() ([]*store.Peer, error) {
	var all []*store.Peer
	seen := map[protocol.Node]bool{}
	err := n.cfg.Store.View(func(tx store.Tx) error {
		for p, err := range tx.AllPeers() {
			if err != nil {
				return err
			}
			if s, ok := n.static[p.Name]; ok {
				withStatic(p, s)
			}
			seen[p.Name] = true
			all = append(all, p)
		}
		return nil
	})
	for name, s := range n.static {
		if !seen[name] {
			p := &store.Peer{Name: name}
			withStatic(p, s)
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b *store.Peer) int { return cmp.Compare(a.Name, b.Name) })
	return all, err
}
