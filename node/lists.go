package node

import (
	"context"
	"crypto/ed25519"
	"errors"
	"sync"
	"time"

	"parley/protocol"
	"parley/reputation"
	"parley/store"
)

// Lists of other operators that this one follows (spec/reputation.md#lists). What the own
// operator says of a node goes before them.

// ListSource is a list that is followed.
type ListSource struct {
	Name string // for people
	Key  ed25519.PublicKey
	// Fetch gets the text, at most reputation.MaxList bytes of it.
	Fetch func(ctx context.Context) ([]byte, error)
}

const (
	listsEvery = 6 * time.Hour
	listTime   = time.Minute
	valueList  = "standing list " // and its name: the last text
	listLife   = 30 * 24 * time.Hour
)

// lists are those that were read and are good.
type lists struct {
	mu   sync.Mutex
	at   time.Time // of the last look
	good map[string]*reputation.List
}

// said is what a list says of a node, and which; of several that deny goes first.
func (l *lists) said(name protocol.Node, now time.Time) (pin reputation.Pin, which string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for source, list := range l.good {
		p := list.Pins[name]
		if now.Before(list.Expires) && (p > pin || p == pin && p != reputation.Auto && source < which) {
			pin, which = p, source
		}
	}
	return pin, which
}

// due reports whether it is time to look, and notes that one does.
func (l *lists) due(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.at.IsZero() && now.Sub(l.at) < listsEvery {
		return false
	}
	l.at = now
	return true
}

// readLists reads the lists anew. One that cannot be had, or is not good, leaves the last in
// force, until that expires.
func (s *standing) readLists() {
	if len(s.n.cfg.Federation.Lists) == 0 || !s.lists.due(time.Now()) {
		return
	}
	for _, src := range s.n.cfg.Federation.Lists {
		ctx, stop := context.WithTimeout(s.n.outside, listTime)
		text, err := src.Fetch(ctx)
		stop()
		fresh := err == nil
		if !fresh {
			s.n.log.Warn("a list of nodes cannot be had", "list", src.Name, "err", err)
			if text, err = s.keptList(src.Name); err != nil {
				continue
			}
		}
		if err := s.followList(src, text, fresh); err != nil {
			s.n.log.Warn("a list of nodes is not followed", "list", src.Name, "err", err)
		}
	}
}

// followList puts a list into force, unless that is older than the one that is.
func (s *standing) followList(src ListSource, text []byte, fresh bool) error {
	list, err := reputation.ReadList(text, src.Key, s.n.wall())
	if err != nil {
		return err
	}
	s.lists.mu.Lock()
	old := s.lists.good[src.Name]
	newer := old == nil || !list.Issued.Before(old.Issued)
	if newer {
		s.lists.good[src.Name] = list
	}
	s.lists.mu.Unlock()
	if !newer || old != nil && old.Issued.Equal(list.Issued) {
		return nil
	}
	s.n.log.Info("a list of nodes is followed", "list", src.Name, "nodes", len(list.Pins), "issued", list.Issued)
	if !fresh {
		return nil
	}
	return s.n.store.Update(func(tx store.Tx) error { return tx.PutValue(valueList+src.Name, text) })
}

// keptList is the last text that was good.
func (s *standing) keptList(name string) (text []byte, err error) {
	err = s.n.store.View(func(tx store.Tx) (err error) {
		text, err = tx.Value(valueList + name)
		return err
	})
	return text, err
}

// listed is what lists say of a node of which the operator has said nothing; not nil: it
// waits.
func (s *standing) listed(name protocol.Node) (admit bool, w *waiting) {
	pin, which := s.lists.said(name, s.n.wall())
	if pin == reputation.Auto {
		return false, nil
	}
	class := reputation.Stranger
	s.with(func(e *reputation.Engine, now time.Time) { class = e.Class(now, name) })
	switch {
	case class == reputation.Allowed || class == reputation.Denied:
		return false, nil
	case pin == reputation.Allow:
		return true, nil
	}
	return false, &waiting{reputation.MaxWait, "denied by a list that the operator follows: " + which}
}

// ErrNoKey says that a node without links signs nothing.
var ErrNoKey = errors.New("node: it has no key to sign with")

// SignedList is what the operator has said of other nodes, for others to follow for 30 days.
func (n *Node) SignedList() ([]byte, error) {
	if n.cfg.OpinionKey == nil {
		return nil, ErrNoKey
	}
	now := n.wall()
	l := reputation.List{Issued: now, Expires: now.Add(listLife), Pins: map[protocol.Node]reputation.Pin{}}
	for _, p := range n.Standings() {
		if p.Pin != reputation.Auto {
			l.Pins[p.Name] = p.Pin
		}
	}
	return l.Sign(n.cfg.OpinionKey), nil
}
