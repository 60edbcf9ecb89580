package dht

import (
	"context"
	"crypto/ed25519"
	"sync"
	"time"

	kad "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Search is how a look-up went.
type Search struct {
	// Hops is how many nodes one after the other led to the farthest one that answered: 1
	// if all were in the own table.
	Hops int
	// Asked is how many nodes were asked, Answered how many of them answered.
	Asked, Answered int
	Took            time.Duration
}

// Trace is Locate, and tells how it went.
func (n *Node) Trace(ctx context.Context, key ed25519.PublicKey) (Search, error) {
	begin := time.Now()
	ctx, cancel := context.WithCancel(ctx)
	events, seen := kad.RegisterForLookupEvents(ctx)
	var s Search
	var wg sync.WaitGroup
	wg.Go(func() { s = follow(seen) })
	_, err := n.Locate(events, key)
	cancel() // closes seen
	wg.Wait()
	s.Took = time.Since(begin)
	return s, err
}

// follow reads the events of a look-up until there are no more.
func follow(seen <-chan *kad.LookupEvent) (s Search) {
	depth := map[peer.ID]int{} // of those asked
	for e := range seen {
		if q := e.Request; q != nil && q.Source != nil {
			for _, p := range q.Waiting {
				s.Asked++
				depth[p.Peer] = depth[q.Source.Peer] + 1 // of the own node: 0
			}
		}
		if a := e.Response; a != nil {
			for _, p := range a.Queried {
				s.Answered++
				s.Hops = max(s.Hops, depth[p.Peer])
			}
		}
	}
	return s
}
