package rogue

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"parley/federation"
	"parley/protocol"
	"parley/protocol/s2s"
)

// What is done to links, and by those who have no right to one.
var links = []Attack{
	{"stolen name", "another key under the name of a peer that is known", stolen},
	{"unproven name", "a stranger whose name nothing proves", unproven},
	{"Hello of another", "a proven peer says Hello as a third node", helloOfAnother},
	{"post out of order", "a number is left out, so that a post is lost unseen", gap},
	{"deep frames", "CBOR nested without end", deep},
	{"endless frame", "a frame that declares a terabyte", endless},
}

// What takes up the rations of a source: at the end, since other attacks need them.
var floods = []Attack{
	{"proofs by the dozen", "strangers under many names, each of which must be looked up", lookups},
	{"flood of the DHT", "forged, old and endless records, and thousands of good ones", records},
	{"handshake flood", "handshakes by the hundred", handshakes},
}

// timeout is how long the victim may take to end a link.
const timeout = 3 * time.Second

func strange() *federation.Key {
	var seed [ed25519.SeedSize]byte
	rand.Read(seed[:]) // never fails
	return federation.KeyFromSeed(seed)
}

// turnedAway dials under a name and says Hello; the victim must close, as unproven if no
// codes are given.
func turnedAway(ctx context.Context, w *World, name, hello protocol.Node, key *federation.Key, codes ...federation.CloseCode) (string, error) {
	if len(codes) == 0 {
		codes = []federation.CloseCode{federation.CloseUnproven}
	}
	ctx, stop := context.WithTimeout(ctx, timeout)
	defer stop()
	p, err := w.Dial(ctx, name, key)
	if e, ok := errors.AsType[*federation.ClosedError](err); ok && e.Remote && slices.Contains(codes, e.Code) {
		return "no handshake: " + e.Error(), nil // the victim was the faster one
	}
	if err != nil {
		return "", err
	}
	defer p.Close()
	p.codec.Self = hello
	if err := p.Hello(ctx, State{}); err != nil && p.Alive() {
		return "", err
	}
	return p.Closed(ctx, codes...)
}

func stolen(ctx context.Context, w *World) (string, error) {
	return turnedAway(ctx, w, w.Self, w.Self, strange())
}

func unproven(ctx context.Context, w *World) (string, error) {
	return turnedAway(ctx, w, "d.example", "d.example", strange())
}

func helloOfAnother(ctx context.Context, w *World) (string, error) {
	return turnedAway(ctx, w, w.Self, Third, w.Key)
}

// breaks says something on a lane after which the link must end.
func breaks(ctx context.Context, w *World, say func(p *Peer) []byte) (string, error) {
	p, err := w.link(ctx)
	if err != nil {
		return "", err
	}
	const lane = 0
	if p.lanes[lane] == nil {
		if p.lanes[lane], err = p.Stream(ctx, laneStream+lane); err != nil {
			return "", err
		}
	}
	if _, err := p.lanes[lane].Write(say(p)); err != nil && p.Alive() {
		return "", err
	}
	ctx, stop := context.WithTimeout(ctx, timeout)
	defer stop()
	return p.Closed(ctx, federation.CloseProtocol)
}

func gap(ctx context.Context, w *World) (string, error) {
	return breaks(ctx, w, func(p *Peer) []byte {
		post := text(w.Mallory(), w.Alice, 900, `"after a gap"`)
		post.N = p.state.Next[0] + 5
		b, err := p.codec.AppendFrame(nil, &s2s.Line{Post: post})
		if err != nil {
			return nil // the link then lives, which is reported
		}
		return b
	})
}

func deep(ctx context.Context, w *World) (string, error) {
	return breaks(ctx, w, func(*Peer) []byte {
		const depth = 1 << 19
		return append(s2s.AppendVarint(nil, depth+2), append([]byte{0xa1, 0x18}, bytes.Repeat([]byte{0x81}, depth)...)...)
	})
}

func endless(ctx context.Context, w *World) (string, error) {
	return breaks(ctx, w, func(*Peer) []byte { return s2s.AppendVarint(nil, 1<<40) })
}

// hands is how many shake at once, and rush how many times: about three times of what one
// source has (quic.Limits).
const (
	hands = 16
	rush  = 640
)

// handshakes must not keep the victim from answering a peer that it knows.
func handshakes(ctx context.Context, w *World) (string, error) {
	p, err := w.link(ctx)
	if err != nil {
		return "", err
	}
	tr, err := w.Transport("d.example", strange(), nil)
	if err != nil {
		return "", err
	}
	start := time.Now()
	var wg sync.WaitGroup
	var done, turned atomic.Int64
	for range hands {
		wg.Go(func() {
			for range rush / hands {
				short, stop := context.WithTimeout(ctx, timeout)
				c, err := tr.Dial(short, w.endpoint())
				stop()
				e, closed := errors.AsType[*federation.ClosedError](err)
				switch {
				case err == nil:
					done.Add(1)
					c.CloseWith(federation.CloseGoodbye, "")
				case closed && e.Remote && e.Code == federation.CloseOverloaded && e.Err != nil: // by QUIC
					turned.Add(1)
				case closed && e.Remote: // after it, for the name
					done.Add(1)
				}
			}
		})
	}
	short, stop := context.WithTimeout(ctx, timeout)
	answer, err := p.Ask(short, &s2s.Ask{Ping: &s2s.Ping{Data: []byte("there?")}})
	stop()
	took := time.Since(start)
	wg.Wait()
	all := time.Since(start)
	if failed := tr.Close(); failed != nil {
		return "", failed
	}
	if err != nil || answer.Ping == nil {
		return "", through("a known peer is not answered meanwhile: %v", err)
	}
	if turned.Load() == 0 {
		return "", through("%d handshakes of one source within %v", done.Load(), all)
	}
	return fmt.Sprintf("%d handshakes done, %d refused, in %.1f s; a known peer is answered meanwhile, in %v",
		done.Load(), turned.Load(), all.Seconds(), took.Round(time.Millisecond)), nil
}
