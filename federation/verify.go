package federation

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
)

// Historian is a Prover that knows which keys a node had when (spec/naming.md#key-history).
type Historian interface {
	KeysAt(ctx context.Context, name protocol.Node, at time.Time) ([]ed25519.PublicKey, error)
}

var (
	_ Historian = (*Notary)(nil)

	errSignature = errors.New("federation: the signature is not good")
)

// historyWait is how long a node is not asked again for keys that it did not tell.
const historyWait = time.Minute

// Verify implements Network. A node none of whose known keys has signed is asked for those
// it had.
func (m *Mesh) Verify(ctx context.Context, by protocol.Node, at int64, text, sig []byte) error {
	if by == m.self {
		if signedBy(m.ownKeys(at), text, sig) {
			return nil
		}
		return errSignature
	}
	keys, err := m.keysAt(ctx, by, at)
	if err != nil {
		return err
	}
	if signedBy(keys, text, sig) {
		return nil
	}
	asked, err := m.askKeys(ctx, by)
	if !asked && len(keys) > 0 {
		return errSignature
	}
	if err != nil {
		return err
	}
	if keys, err = m.keysAt(ctx, by, at); err != nil {
		return err
	}
	if !signedBy(keys, text, sig) {
		return errSignature
	}
	return nil
}

func signedBy(keys []ed25519.PublicKey, text, sig []byte) bool {
	for _, k := range keys {
		if len(k) == ed25519.PublicKeySize && ed25519.Verify(k, text, sig) {
			return true
		}
	}
	return false
}

// ownKeys are those that this node had at a time.
func (m *Mesh) ownKeys(at int64) []ed25519.PublicKey {
	return append(goodAt(m.cfg.Past, time.UnixMilli(at)), m.cfg.Key.Public())
}

func (m *Mesh) keysAt(ctx context.Context, by protocol.Node, at int64) ([]ed25519.PublicKey, error) {
	if h, ok := m.cfg.Prover.(Historian); ok {
		return h.KeysAt(ctx, by, time.UnixMilli(at))
	}
	var keys []ed25519.PublicKey
	err := m.cfg.Store.View(func(tx store.Tx) error {
		r, err := tx.Peer(by)
		if err == nil {
			keys = goodAt(r.Keys, time.UnixMilli(at))
		}
		return ignoreMissing(err)
	})
	return keys, err
}

// goodAt are those of the keys whose signatures of a time are good, the oldest without
// beginning.
func goodAt(known []store.PeerKey, at time.Time) []ed25519.PublicKey {
	var all []ed25519.PublicKey
	for i, k := range known {
		grace := overlap
		if k.Revoked {
			grace = 0
		}
		oldest := true
		for _, o := range known[i+1:] {
			oldest = oldest && !o.Since.Before(k.Since)
		}
		if (oldest || !at.Before(k.Since.Add(-skew))) && (k.Until.IsZero() || !at.After(k.Until.Add(grace))) {
			all = append(all, k.Key)
		}
	}
	return all
}

// askKeys asks a node which keys it has had, unless that was done lately, and reports
// whether it was asked. What it answers is believed as far as it is signed.
func (m *Mesh) askKeys(ctx context.Context, by protocol.Node) (bool, error) {
	if !m.mayAskKeys(by) {
		return false, nil
	}
	answer, body, err := m.Ask(ctx, by, &s2s.Ask{Keys: true})
	if body != nil {
		err = errors.Join(err, body.Close())
	}
	if err != nil {
		return true, fmt.Errorf("federation: ask %s for its keys: %w", by, err)
	}
	l, ok := m.cfg.Prover.(Learner)
	if !ok {
		return true, nil
	}
	for i := range answer.Keys[:min(len(answer.Keys), MaxStatements)] {
		if err := l.Learn(ctx, by, &answer.Keys[i]); err != nil {
			m.log.Debug("statement not believed", "peer", by, "err", err)
		}
	}
	return true, nil
}

// mayAskKeys notes that a node is asked.
func (m *Mesh) mayAskKeys(by protocol.Node) bool {
	now := time.Now()
	m.keysMu.Lock()
	defer m.keysMu.Unlock()
	for n, at := range m.keysAsked {
		if now.Sub(at).Abs() > historyWait {
			delete(m.keysAsked, n)
		}
	}
	if _, lately := m.keysAsked[by]; lately {
		return false
	}
	if m.keysAsked == nil {
		m.keysAsked = map[protocol.Node]time.Time{}
	}
	m.keysAsked[by] = now
	return true
}

// answerKeys tells what this node's keys have stated.
func (m *Mesh) answerKeys() *s2s.Answer {
	answer := &s2s.Answer{}
	if m.cfg.Statements == nil {
		return answer
	}
	for _, s := range m.cfg.Statements() {
		answer.Keys = append(answer.Keys, *s)
	}
	return answer
}
