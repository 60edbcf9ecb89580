package federation

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"time"

	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
)

// ErrDenied is wrapped by errors about peers that the operator does not want.
var ErrDenied = errors.New("federation: not wanted")

// String says how in words.
func (p Proof) String() string {
	switch p {
	case ByContinuity:
		return "by continuity"
	case ByWellKnown:
		return "by its web site"
	case ByDNS:
		return "by DNS"
	case ByPin:
		return "by a pin"
	case ByKeyName:
		return "by the name itself"
	}
	return "by nothing"
}

// change edits what is known of a peer, in one transaction.
func (n *Notary) change(name protocol.Node, edit func(*store.Peer) error) error {
	return n.cfg.Store.Update(func(tx store.Tx) error {
		p, err := tx.Peer(name)
		if errors.Is(err, store.ErrNotFound) {
			p, err = &store.Peer{Name: name, First: n.cfg.Clock.Now().UTC()}, nil
		}
		if err == nil {
			err = edit(p)
		}
		if err != nil {
			return err
		}
		return tx.PutPeer(p)
	})
}

// keep notes that a key was proven; published, if not nil, are all keys of the name.
func (n *Notary) keep(name protocol.Node, key ed25519.PublicKey, proof Proof, published [][]byte) error {
	now := n.cfg.Clock.Now().UTC()
	return n.change(name, func(p *store.Peer) error {
		if old := keyIn(p, key); old != nil && published == nil {
			first := bytes.Equal(p.Keys[0].Key, key)
			if !old.Until.IsZero() || first && now.Sub(p.Proven) < proofLife/2 {
				return nil // it is on its way out, or all is said
			}
		}
		k := store.PeerKey{Key: key, Since: now}
		if i := slices.IndexFunc(p.Keys, func(k store.PeerKey) bool { return bytes.Equal(k.Key, key) }); i >= 0 {
			k = p.Keys[i]
			p.Keys = slices.Delete(p.Keys, i, i+1)
			k.Until = time.Time{}
		}
		p.Keys = bounded(slices.Insert(p.Keys, 0, k))
		if proof != ByContinuity {
			p.Proven = now
		}
		// Pins come and go, and what a name is made from cannot get weaker: the
		// ratchet is of what its owner publishes.
		if proof == ByDNS || proof == ByWellKnown {
			p.Proof = max(p.Proof, uint8(proof))
		}
		for i := range p.Keys[1:] {
			old := &p.Keys[i+1]
			if published != nil && old.Until.IsZero() && !slices.ContainsFunc(published, func(b []byte) bool { return bytes.Equal(b, old.Key) }) {
				old.Until = now
			}
		}
		return nil
	})
}

// bounded forgets the keys that ended first, but no revocation.
func bounded(keys []store.PeerKey) []store.PeerKey {
	for i := len(keys) - 1; len(keys) > maxKeys && i > 0; i-- {
		if !keys[i].Revoked {
			keys = slices.Delete(keys, i, i+1)
		}
	}
	return keys[:min(len(keys), maxKeys)]
}

// past is a key that is good for signatures until then, and for nothing now.
func past(key []byte, since, until time.Time, revoked bool) store.PeerKey {
	if !revoked {
		until = until.Add(-overlap)
	}
	return store.PeerKey{Key: key, Since: since, Until: until, Revoked: revoked}
}

// retire notes that a key is no more of a name, by what its owner publishes.
func (n *Notary) retire(name protocol.Node, key ed25519.PublicKey) error {
	p, err := n.peer(name)
	if err != nil || keyIn(p, key) == nil {
		return err
	}
	return n.change(name, func(p *store.Peer) error {
		if k := keyIn(p, key); k != nil && k.Until.IsZero() {
			*k = past(k.Key, k.Since, n.cfg.Clock.Now().UTC(), false)
		}
		return nil
	})
}

// Learn takes a statement about the keys of a name, wherever it comes from; what it lets
// a key do is judged by Prove. The error wraps s2s.ErrStatement if it is not to be
// believed.
func (n *Notary) Learn(ctx context.Context, name protocol.Node, s *s2s.Statement) error {
	if s == nil {
		return fmt.Errorf("%w: none", s2s.ErrStatement)
	}
	if _, err := n.known(ctx, name); err != nil {
		return err
	}
	switch {
	case s.Kind == KindSuccession:
		return n.learnSuccession(name, s)
	case s.Kind == KindRevocation:
		return n.learnRevocation(name, s)
	case s.Kind == KindHistory:
		return n.learnHistory(name, s)
	}
	return fmt.Errorf("%w: of unknown kind %q", s2s.ErrStatement, shorten(s.Kind))
}

func (n *Notary) learnSuccession(name protocol.Node, s *s2s.Statement) error {
	now := n.cfg.Clock.Now().UTC()
	v, err := readSuccession(s, name, now)
	if err != nil {
		return err
	}
	p, err := n.peer(name)
	if err != nil {
		return err
	}
	if v.Seq <= p.Succession {
		if k := keyIn(p, v.Next); k != nil && bytes.Equal(k.Before, s.Key) {
			return nil // heard before
		}
		return fmt.Errorf("%w: superseded by a later one", s2s.ErrStatement)
	}
	return n.change(name, func(p *store.Peer) error {
		own := KeyOf(name)
		root := bytes.Equal(s.Key, own) || bytes.Equal(s.Key, n.pin(p))
		signer := keyIn(p, s.Key)
		if v.Seq <= p.Succession || signer != nil && signer.Revoked || !root && current(p, s.Key, now) == nil {
			return fmt.Errorf("%w: not by a key that is known to be of %s", s2s.ErrStatement, name)
		}
		from := time.UnixMilli(v.From).UTC()
		if signer == nil {
			p.Keys = append(p.Keys, store.PeerKey{Key: s.Key})
		}
		for i := range p.Keys { // one key at a time, but for what the name is made from
			if k := &p.Keys[i]; k.Until.IsZero() && !bytes.Equal(k.Key, own) {
				k.Until = from
			}
		}
		p.Keys = slices.DeleteFunc(p.Keys, func(k store.PeerKey) bool { return bytes.Equal(k.Key, v.Next) && !k.Revoked })
		if keyIn(p, v.Next) != nil {
			return fmt.Errorf("%w: the next key is revoked", s2s.ErrStatement)
		}
		p.Keys = bounded(slices.Insert(p.Keys, 0, store.PeerKey{Key: v.Next, Since: from, Before: s.Key}))
		p.Succession, p.Proven = v.Seq, time.Time{} // the registers are asked about the new key
		return nil
	})
}

func (n *Notary) learnRevocation(name protocol.Node, s *s2s.Statement) error {
	var v Revocation
	if err := s.Read(KindRevocation, &v); err != nil {
		return err
	}
	if v.Name != name {
		return fmt.Errorf("%w: about %q", s2s.ErrStatement, shorten(string(v.Name)))
	}
	p, err := n.peer(name)
	if err != nil {
		return err
	}
	if k := keyIn(p, s.Key); k != nil && k.Revoked {
		return nil
	} else if k == nil && !bytes.Equal(s.Key, KeyOf(name)) && !bytes.Equal(s.Key, n.pin(p)) {
		return fmt.Errorf("%w: of a key that is not known to be of %s", s2s.ErrStatement, name)
	}
	n.cfg.Log.Warn("a key was revoked", "peer", name, "key", Pin(s.Key))
	return n.change(name, func(p *store.Peer) error {
		if keyIn(p, s.Key) == nil {
			p.Keys = append(p.Keys, store.PeerKey{Key: s.Key})
		}
		k := keyIn(p, s.Key)
		k.Revoked, k.Until = true, time.UnixMilli(min(v.At, n.cfg.Clock.Now().UnixMilli())).UTC()
		return nil
	})
}

// learnHistory adds keys of the past, for signatures of the past: of a node only by
// itself, and none that is in use.
func (n *Notary) learnHistory(name protocol.Node, s *s2s.Statement) error {
	var v History
	if err := s.Read(KindHistory, &v); err != nil {
		return err
	}
	now := n.cfg.Clock.Now().UTC()
	if v.Name != name || len(v.Keys) > maxKeys || time.UnixMilli(v.Until).Before(now.Add(-skew)) {
		return fmt.Errorf("%w: of another node, too long, or expired", s2s.ErrStatement)
	}
	return n.change(name, func(p *store.Peer) error {
		if current(p, s.Key, now) == nil {
			return fmt.Errorf("%w: not by a key that is known to be of %s", s2s.ErrStatement, name)
		}
		for _, h := range v.Keys {
			k := keyIn(p, h.Key)
			since, until := time.UnixMilli(h.Since).UTC(), time.UnixMilli(h.Until).UTC()
			switch {
			case len(h.Key) != ed25519.PublicKeySize:
			case k != nil && since.Before(k.Since):
				k.Since = since
			case k == nil && h.Until > 0 && until.Before(now.Add(skew)):
				p.Keys = append(p.Keys, past(h.Key, since, until, h.Revoked))
			}
		}
		p.Keys = bounded(p.Keys)
		return nil
	})
}

// KeysAt returns the keys that were of a node at a time, as far as is known here: those by
// which signatures of that time are checked.
func (n *Notary) KeysAt(_ context.Context, name protocol.Node, at time.Time) ([]ed25519.PublicKey, error) {
	p, err := n.peer(name)
	if err != nil {
		return nil, err
	}
	var all []ed25519.PublicKey
	if own := KeyOf(name); own != nil && keyIn(p, own) == nil {
		all = append(all, own)
	}
	if pin := n.pin(p); pin != nil && keyIn(p, pin) == nil {
		all = append(all, pin)
	}
	return append(all, goodAt(p.Keys, at)...), nil
}
