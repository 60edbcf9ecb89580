package quic

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	quicgo "github.com/quic-go/quic-go"

	"parley/federation"
)

const (
	raceStep = 250 * time.Millisecond // head start of an address over the next (RFC 8305)
	maxRace  = 8                      // addresses tried
)

var errNoAddress = errors.New("no address")

// Dial implements federation.Transport. An address is tried when the one before has
// failed or had 250 ms, IPv6 and IPv4 in turn.
func (t *Transport) Dial(ctx context.Context, to federation.Endpoint) (federation.Conn, error) {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return nil, fmt.Errorf("quic: dial %s: %w", to.Name, net.ErrClosed)
	}
	t.dials.Add(1)
	t.mu.Unlock()
	defer t.dials.Done()

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(t.ctx, cancel)()
	q, err := t.race(ctx, to, inTurn(to.Addrs))
	if err != nil {
		if t.ctx.Err() != nil {
			err = net.ErrClosed
		}
		return nil, fmt.Errorf("quic: dial %s: %w", to.Name, err)
	}
	c, err := t.adopt(q, true)
	if err != nil {
		return nil, fmt.Errorf("quic: dial %s: %w", to.Name, closedError(err))
	}
	return c, nil
}

// result of one address.
type result struct {
	q    *quicgo.Conn
	addr netip.AddrPort
	err  error
}

// race returns the first connection that is made, after all others have ended.
func (t *Transport) race(ctx context.Context, to federation.Endpoint, addrs []netip.AddrPort) (*quicgo.Conn, error) {
	if len(addrs) == 0 {
		return nil, errNoAddress
	}
	ctx, cancel := context.WithCancel(ctx)
	results := make(chan result, len(addrs))
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	start := func(a netip.AddrPort) {
		running.Go(func() {
			q, err := t.quic.Dial(ctx, net.UDPAddrFromAddrPort(a), t.certs.client(to), t.settings)
			results <- result{q, a, err}
		})
	}
	next := time.NewTimer(0)
	defer next.Stop()
	var failed []error
	for begun := 0; ; {
		select {
		case <-next.C:
			if begun < len(addrs) {
				start(addrs[begun])
				begun++
				next.Reset(raceStep)
			}
		case r := <-results:
			if r.err == nil {
				cancel()
				running.Wait()
				leave(results)
				return r.q, nil
			}
			failed = append(failed, fmt.Errorf("%s: %w", r.addr, closedError(r.err)))
			if len(failed) == len(addrs) || ctx.Err() != nil {
				return nil, errors.Join(failed...)
			}
			next.Reset(0)
		}
	}
}

// leave ends connections that came second.
func leave(results <-chan result) {
	for len(results) > 0 {
		if r := <-results; r.err == nil {
			r.q.CloseWithError(code(federation.CloseReplaced), "another address was faster")
		}
	}
}

// inTurn orders addresses so that the families alternate, beginning with IPv6.
func inTurn(addrs []netip.AddrPort) []netip.AddrPort {
	var v6, v4, all []netip.AddrPort
	for _, a := range addrs {
		a = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
		if a.Addr().Is4() {
			v4 = append(v4, a)
		} else {
			v6 = append(v6, a)
		}
	}
	for i := range max(len(v6), len(v4)) {
		if i < len(v6) {
			all = append(all, v6[i])
		}
		if i < len(v4) {
			all = append(all, v4[i])
		}
	}
	return all[:min(len(all), maxRace)]
}
