package dht

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"parley/protocol/s2s"
)

// Publish files the node's record, if it is not there already with these addresses.
func (n *Node) Publish(ctx context.Context) error {
	now, addrs := n.cfg.Clock.Now(), n.Addrs()
	n.mu.Lock()
	done := len(addrs) == 0 || slices.Equal(addrs, n.filed) && !n.due(now)
	n.mu.Unlock()
	if done {
		return nil // also if it is not known where this node is: then nobody can come
	}
	ctx, cancel := context.WithTimeout(ctx, publishTime)
	defer cancel()
	var failed []error
	for _, r := range n.records(addrs, now) {
		value, err := n.encode(r)
		if err == nil {
			err = n.kad.PutValue(ctx, keyOf(r.Key), value)
		}
		if err != nil {
			failed = append(failed, err)
		}
	}
	if err := errors.Join(failed...); err != nil {
		return fmt.Errorf("dht: %w", err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	// Who has just come knows few, and files with those: soon it knows more, and others
	// have come who are nearer to the key.
	if n.again = min(2*n.again, republish); !slices.Equal(addrs, n.filed) {
		n.again = watchEvery / 2
	}
	n.filed, n.at, n.known = addrs, now, n.Size()
	return nil
}

// due reports whether the record that was filed should be filed again; n.mu is held.
func (n *Node) due(now time.Time) bool {
	age, grown := now.Sub(n.at).Abs(), 4*n.Size() > 5*n.known
	return age >= n.again && (grown || age >= settled)
}

// records are that of the present key, and those of the keys that it follows.
func (n *Node) records(addrs []netip.AddrPort, now time.Time) []*record {
	base := record{
		Key: n.cfg.Identity.Key.Public(), Addrs: encodeAddrs(addrs),
		Seq: uint64(now.UnixMilli()), Until: now.Add(maxLife).UnixMilli(), Host: []byte(n.host.ID()),
	}
	all := []*record{&base}
	var chain []s2s.Statement
	for _, s := range n.cfg.Identity.Chain() {
		if len(chain) == maxChain {
			break
		}
		chain = append([]s2s.Statement{*s}, chain...)
		r := base
		r.Key, r.Chain = s.Key, slices.Clone(chain)
		all = append(all, &r)
	}
	return all
}

func (n *Node) encode(r *record) ([]byte, error) {
	s, err := n.cfg.Identity.Key.State(kindRecord, r)
	if err != nil {
		return nil, err
	}
	value, err := s.Encode()
	if err == nil && len(value) > maxRecord {
		return nil, fmt.Errorf("%w: %d bytes", errRecord, len(value))
	}
	return value, err
}
