package federation

import (
	"cmp"
	"errors"
	"log/slog"
	"time"

	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
)

// Config of a mesh. Key, Store, Transport, Finder and Prover are needed; the name of
// the node is that of its store.
type Config struct {
	Key       *Key
	Store     store.Store
	Transport Transport
	Finder    Finder
	// Past are earlier keys of this node, whose signatures are still about; Statements are
	// what its keys have stated, for peers who ask. Both may be nil.
	Past       []store.PeerKey
	Statements func() []*s2s.Statement
	Prover     Prover
	Gate       Gate         // nil: the handler, if it is one; else every post passes
	Log        *slog.Logger // nil: no log
	Build      string       // of the program, told to peers
	Features   []string     // told to peers, and used; nil: all that this package knows
	// Limits are what this node accepts of a peer. The zero value of a field stands for
	// the default: frames, contents as in s2s; 256 posts unanswered in a lane; no limit
	// of rate.
	Limits s2s.Limits
	Queue  QueueLimits
	Times  Times
	Reach  Reach
	Clock  protocol.Clock // nil: the machine's
	// Watch, if not nil, sees what crosses links. It must not wait.
	Watch func(Traffic)
}

// QueueLimits are how much may wait for one peer. The zero value of a field stands for
// the default.
type QueueLimits struct {
	Posts uint64 // default 100,000
	Bytes uint64 // default 256 MiB
}

// Times of links and posts. The zero value of a field stands for the default.
type Times struct {
	Held    time.Duration // until the author is told that the peer wants a topic later. Default 1 min
	Delayed time.Duration // until the author is told that a post waits. Default 4 h
	Expiry  time.Duration // of a post. Default 5 days
	Idle    time.Duration // of a link without a reason to stay. Default 5 min
	Retry   time.Duration // after the first failure. Default 1 s; then longer and longer
	Longest time.Duration // between two attempts. Default 30 min
	Drain   time.Duration // at shutdown. Default 2 s
}

// Defaults.
const (
	defaultWindow     = 256
	defaultQueuePosts = 100_000
	defaultQueueBytes = 256 << 20
)

func (c Config) withDefaults() (Config, error) {
	if c.Key == nil || c.Store == nil || c.Transport == nil || c.Finder == nil || c.Prover == nil {
		return c, errors.New("federation: key, store, transport, finder and prover are needed")
	}
	c.Log = cmp.Or(c.Log, slog.New(slog.DiscardHandler))
	c.Limits.Frame = cmp.Or(c.Limits.Frame, s2s.MaxFrame)
	c.Limits.Content = cmp.Or(c.Limits.Content, s2s.MaxContent)
	c.Limits.Window = cmp.Or(c.Limits.Window, defaultWindow)
	c.Queue.Posts = cmp.Or(c.Queue.Posts, defaultQueuePosts)
	c.Queue.Bytes = cmp.Or(c.Queue.Bytes, defaultQueueBytes)
	if c.Features == nil {
		c.Features = []string{s2s.FeatureEarly}
	}
	c.Times.Held = cmp.Or(c.Times.Held, time.Minute)
	c.Times.Delayed = cmp.Or(c.Times.Delayed, 4*time.Hour)
	c.Times.Expiry = cmp.Or(c.Times.Expiry, 5*24*time.Hour)
	c.Times.Idle = cmp.Or(c.Times.Idle, 5*time.Minute)
	c.Times.Retry = cmp.Or(c.Times.Retry, time.Second)
	c.Times.Longest = cmp.Or(c.Times.Longest, 30*time.Minute)
	c.Times.Drain = cmp.Or(c.Times.Drain, 2*time.Second)
	return c, nil
}
