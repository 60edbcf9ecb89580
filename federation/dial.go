package federation

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"time"

	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
)

// Times of what comes before a link.
const (
	dialTimeout  = 20 * time.Second // to find, connect and prove
	proveTimeout = 10 * time.Second
	helloTimeout = 10 * time.Second
	// raceGrace is how long a connection of the peer waits for ours that is being made.
	raceGrace = 2 * time.Second
	// raceSpan is how old a link must be for a second connection to show that the peer
	// has lost it: nobody dials who has a link.
	raceSpan = 15 * time.Second
)

// candidate is a connection to a proven peer that has said Hello.
type candidate struct {
	conn   Conn
	codec  s2s.Codec
	peer   Peer
	theirs *s2s.Hello
	heard  time.Time    // when
	in     *frameReader // control stream, after Hello
	mine   *s2s.Hello   // nil: not said yet
	out    *frameWriter // control stream, after Hello
	early  *early       // what followed on it at once; nil: nothing
}

// end closes the connection for an error.
func (c *candidate) end(err error) {
	code, reason := CloseInternal, "internal error"
	if e, ok := errors.AsType[*ClosedError](err); ok {
		code, reason = e.Code, e.Reason
	}
	c.conn.CloseWith(code, reason)
}

// closing makes the error of a connection that is to be closed. The reason is one line,
// also that of joined errors.
func closing(code CloseCode, format string, args ...any) error {
	return &ClosedError{Code: code, Reason: strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", "; ")}
}

// dial makes one attempt, and takes what the peer has dialled meanwhile instead if that
// is there first. Of two at once, both ends prefer the one dialled by the smaller name.
// Nil: the attempt has failed. A Hello must not be out on two connections, or what it
// says of the lanes could be outrun: so the other is closed before the chosen is used.
func (p *remote) dial() *candidate {
	err := p.attempt()
	var mine *s2s.Hello
	var first *early
	if err == nil {
		mine, err = p.hello()
	}
	if err == nil {
		first, err = p.takeEarly(mine)
	}
	if err != nil {
		p.failure(err)
		return nil
	}
	ctx, cancel := context.WithTimeout(p.m.ctx, dialTimeout)
	defer cancel()
	type result struct {
		c   *candidate
		err error
	}
	done := make(chan result, 1)
	p.m.wg.Go(func() {
		c, err := p.reach(ctx, &candidate{mine: mine, early: first})
		done <- result{c, err}
	})
	var other *candidate
	var grace <-chan time.Time
	for {
		select {
		case r := <-done:
			switch {
			case r.err == nil && other != nil && p.m.self < p.name:
				other.conn.CloseWith(CloseReplaced, "another connection stays")
				return r.c
			case r.err == nil && other != nil:
				r.c.conn.CloseWith(CloseReplaced, "another connection stays")
			case r.err == nil:
				return r.c
			case other == nil && p.m.ctx.Err() == nil:
				p.failure(r.err)
			}
			return other
		case c := <-p.arrivals:
			if other != nil {
				other.conn.CloseWith(CloseReplaced, "another connection stays")
			}
			other = c
			if p.m.self > p.name {
				cancel()
			} else {
				grace = time.After(raceGrace)
			}
		case <-grace:
			cancel()
		}
	}
}

// reach finds the peer, connects to it, has it proven, and exchanges Hellos.
func (p *remote) reach(ctx context.Context, c *candidate) (*candidate, error) {
	m, n := p.m, p.name
	select {
	case m.dials <- struct{}{}:
		defer func() { <-m.dials }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err := m.wanted(n); err != nil {
		return nil, err
	}
	to, err := m.cfg.Finder.Find(ctx, n)
	if err != nil {
		return nil, fmt.Errorf("find: %w", err)
	}
	start := time.Now()
	conn, err := m.cfg.Transport.Dial(ctx, to)
	Tell(ctx, start, "dial", dialled(conn), err)
	if err != nil {
		if f, ok := m.cfg.Finder.(interface{ Forget(protocol.Node) }); ok && ctx.Err() == nil {
			f.Forget(n) // it is looked for anew the next time
		}
		return nil, err
	}
	c.conn = conn
	if err := p.meet(ctx, c); err != nil {
		c.end(err)
		return nil, err
	}
	return c, nil
}

// meet proves who has been dialled, says Hello and hears the other's.
func (p *remote) meet(ctx context.Context, c *candidate) error {
	if err := p.m.prove(ctx, c, p.name); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, helloTimeout)
	defer cancel()
	if err := c.say(ctx, c.mine); err != nil {
		return err
	}
	if c.early != nil {
		if err := p.sayEarly(ctx, c); err != nil {
			return err
		}
	}
	return c.hear(ctx, p.m.self)
}

// wanted fails for a node that the operator does not want.
func (m *Mesh) wanted(n protocol.Node) error {
	access := store.AccessDefault
	err := m.cfg.Store.View(func(tx store.Tx) error {
		r, err := tx.Peer(n)
		if err == nil {
			access = r.Access
		}
		return err
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if access == store.AccessDeny {
		return closing(CloseDenied, "not wanted here")
	}
	return nil
}

// prove asks whether the key of a connection is of the name.
func (m *Mesh) prove(ctx context.Context, c *candidate, n protocol.Node) error {
	ctx, cancel := context.WithTimeout(ctx, proveTimeout)
	defer cancel()
	who := c.conn.Peer()
	if who.Name != n {
		return closing(CloseUnproven, "certificate of %q, not %q", who.Name, n)
	}
	if l, ok := m.cfg.Prover.(Learner); ok && who.Succession != nil {
		if err := l.Learn(ctx, n, who.Succession); err != nil { // then the key must be proven otherwise
			m.log.Debug("statement not believed", "peer", n, "err", err)
		}
	}
	proof, err := m.proof(ctx, n, who.Key)
	switch {
	case errors.Is(err, ErrUnproven):
		return closing(CloseUnproven, "%v", err)
	case err != nil:
		return closing(CloseOverloaded, "the proof was not found: %v", err)
	}
	c.codec = m.codec(n)
	c.peer = Peer{Name: n, Key: who.Key, Proof: proof, Addr: who.Addr.Addr()}
	return nil
}

// proof is what shows that a key is of a node. Errors: ErrUnproven, if nothing does; others, if
// that could not be found out.
func (m *Mesh) proof(ctx context.Context, n protocol.Node, key ed25519.PublicKey) (Proof, error) {
	proof, err := m.cfg.Prover.Prove(ctx, n, key)
	if err == nil && proof == NoProof {
		err = ErrUnproven
	}
	return proof, err
}

// provenEvery is how often the key of a link is asked about.
const provenEvery = time.Hour

// proveAgain ends a link whose key is not of the peer any more. That it could not be found
// out ends nothing.
func (l *link) proveAgain() error {
	ctx, cancel := context.WithTimeout(l.ctx, proveTimeout)
	defer cancel()
	_, err := l.m.proof(ctx, l.peer.Name, l.peer.Key)
	if errors.Is(err, ErrUnproven) {
		return closing(CloseUnproven, "%v", err)
	}
	return nil
}

// greet finds out who has dialled us, and hands the connection to the peer's worker.
func (m *Mesh) greet(conn Conn) {
	c := &candidate{conn: conn}
	n, err := m.admit(c)
	if err != nil {
		m.quiet.warn(m.log, "connection refused", n, err, "addr", conn.Peer().Addr)
		c.end(err)
		return
	}
	m.peer(n).arrive(c)
}

func (m *Mesh) admit(c *candidate) (protocol.Node, error) {
	who := c.conn.Peer()
	n, err := protocol.ParseNode(string(who.Name))
	switch {
	case err != nil || n != who.Name:
		return "", closing(CloseUnproven, "certificate without a node's name")
	case n == m.self:
		return n, closing(CloseProtocol, "this is %s itself", n)
	case who.Asked != "" && who.Asked != m.self:
		return n, closing(CloseProtocol, "%.100q is not here", who.Asked)
	}
	if err := m.wanted(n); err != nil {
		return n, err
	}
	if err := m.prove(CausedBy(m.ctx, who.Addr.Addr()), c, n); err != nil {
		return n, err
	}
	ctx, cancel := context.WithTimeout(m.ctx, helloTimeout)
	defer cancel()
	return n, c.hear(ctx, m.self)
}

// dialled says what has answered.
func dialled(c Conn) string {
	if c == nil {
		return ""
	}
	p := c.Peer()
	return p.Addr.String() + " shows " + Pin(p.Key) + " for " + string(p.Name)
}
