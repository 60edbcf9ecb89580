// Package rogue is a node that misbehaves towards a real one, over a real transport. It
// holds one attack for each row of the table in spec/security.md, and says of each
// whether it was refused, and how. Whoever runs it brings the victim, a user on it, and
// the transports (package testnet/siege).
package rogue

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"sync"

	"parley/federation"
	"parley/protocol"
	"parley/protocol/s2s"
)

// World is what an attack has before it.
type World struct {
	Victim protocol.Node
	At     netip.AddrPort
	Alice  protocol.UserID // who has accepted a conversation with Mallory
	// Carol has accepted nobody.
	Carol protocol.UserID
	Group protocol.TopicID // of Alice, who is its only member

	Self protocol.Node // the rogue, whose name is proven to the victim
	Key  *federation.Key
	// Succession, if not nil, goes along with Key: it follows another.
	Succession *s2s.Statement
	// Transport makes a socket of its own for a node of a name.
	Transport func(name protocol.Node, key *federation.Key, s *s2s.Statement) (federation.Transport, error)
	// Offer tries a handshake for a protocol; "": for none.
	Offer func(ctx context.Context, alpn string) error
	// Shown returns the messages that Alice has in her conversation with a user, as the
	// texts of the {data} packets.
	Shown func(ctx context.Context, with string) ([]string, error)

	// Attach has Alice join a topic, Say publish in it; the code is that of the answer.
	Attach func(ctx context.Context, topic string) error
	Say    func(ctx context.Context, topic, text string) (code int, err error)
	// Wants returns what the members of a group want, as Alice is told.
	Wants func(ctx context.Context, topic string) (map[string]protocol.Mode, error)
	// Fetch gets a file from the victim as Alice.
	Fetch func(ctx context.Context, ref string) (*File, error)
	// Register puts a name into the DNS that the victim asks, with a key if pin is not
	// empty; Asked is how many questions that has had.
	Register func(name protocol.Node, at netip.AddrPort, pin string)
	Asked    func() int

	// Member connects with the victim as a member of the DHT.
	Member func(ctx context.Context) (Member, error)
	// Log is the end of what the victim has written to its log.
	Log func() string

	mallory *Peer // the link that most attacks use
	wg      sync.WaitGroup
}

// Member is one of the DHT that keeps values for others.
type Member interface {
	Put(ctx context.Context, key string, value []byte) error
	Get(ctx context.Context, key string) ([]byte, error)
	Close() error
}

// File is what the victim has answered.
type File struct {
	Code   int
	Header http.Header
}

// Mallory is the rogue's user, to whom Alice talks; Trudy, one to whom nobody does.
func (w *World) Mallory() protocol.UserID { return protocol.NewUserID(1, w.Self) }

// Trudy is another, a stranger to all.
func (w *World) Trudy() protocol.UserID { return protocol.NewUserID(2, w.Self) }

// Third is a node that has nothing to do with the matter.
const Third protocol.Node = "c.example"

// Attack is a row of the table.
type Attack struct {
	Name   string
	Threat string
	// Do returns how the victim has refused it. An error that wraps ErrThrough: it has
	// not; another: the attack could not be tried.
	Do func(ctx context.Context, w *World) (refused string, err error)
}

// ErrThrough is wrapped by what Attack.Do returns if the victim has let it pass.
var ErrThrough = errors.New("it got through")

func through(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrThrough, fmt.Sprintf(format, args...))
}

// Attacks are all of them, in the order in which they are tried.
func Attacks() []Attack {
	return slices.Concat(words, questions, hubs, histories, links, replays, outward, floods)
}

// Close ends what attacks have left open.
func (w *World) Close() error {
	var err error
	if w.mallory != nil {
		err = w.mallory.Close()
	}
	w.wg.Wait()
	return err
}

// link is the link as a proven peer, opened anew if the last attack has cost it.
func (w *World) link(ctx context.Context) (*Peer, error) {
	var s State
	if w.mallory != nil {
		if w.mallory.Alive() {
			return w.mallory, nil
		}
		s = w.mallory.state
		if err := w.mallory.Close(); err != nil {
			return nil, err
		}
	}
	p, err := w.Dial(ctx, w.Self, w.Key)
	if err != nil {
		return nil, err
	}
	if err := p.Greet(ctx, s); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	w.mallory = p
	return p, nil
}
