package node

import (
	"context"
	"errors"
	"net/netip"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"parley/protocol"
)

// A session is one client's connection. Its reader is the goroutine that called
// Serve; a writer runs while packets wait.
type session struct {
	n      *Node
	conn   Conn
	origin Origin
	rate   *rate.Limiter
	over   int // requests in a row over the rate

	// Set by the reader: greeted and version by {hi}, who by login. Topics read who
	// only after the reader has sent them something, which is after login.
	version string
	greeted bool
	who     Identity

	profile atomic.Pointer[profile]
	// answered, if set, makes it a session without a connection: of another node's user,
	// on whose behalf that node asks. It keeps the first answer.
	answered *protocol.Ctrl

	mu      sync.Mutex // guards the rest
	out     [][]byte
	waiting int // bytes in out
	writing bool
	since   time.Time // when the writer began with what it is writing
	closed  bool      // no more is taken; what waits is still sent
	asking  int       // requests under way whose answers may be large
	// eased, if not nil, is closed when some of that is over: the reader waits for it.
	eased  chan struct{}
	why    CloseReason
	topics map[protocol.TopicID]*topic // attached to
	calls  map[protocol.TopicID]*topic // in which it has taken a call
}

// profile is what {hi} says of the client; replaced, never changed.
type profile struct {
	ua, lang, device, platform string
	background                 bool
}

// Errors with which Serve ends before it has begun.
var (
	ErrStopping = errors.New("node: shutting down")
	ErrCrowded  = errors.New("node: too many sessions")
)

// Admit counts a connection from addr before it is accepted, so that a refusal
// can still be HTTP 429, which clients respect. Every nil needs one Dismiss.
func (n *Node) Admit(addr netip.Addr) error {
	if !n.gate.admit(addr) {
		n.metrics.refused.Inc()
		return ErrCrowded
	}
	return nil
}

// Dismiss undoes Admit.
func (n *Node) Dismiss(addr netip.Addr) { n.gate.dismiss(addr) }

// Serve speaks to one client until it leaves, ctx ends or the node stops.
func (n *Node) Serve(ctx context.Context, c Conn, o Origin) error {
	s := &session{n: n, conn: c, origin: o, rate: rate.NewLimiter(rate.Limit(n.cfg.Limits.SessionRate), n.cfg.Limits.SessionBurst)}
	s.profile.Store(&profile{})
	if !n.enter() {
		c.Close(CloseShutdown)
		return ErrStopping
	}
	defer n.wg.Done()
	n.mu.Lock()
	n.sessions[s] = struct{}{}
	n.mu.Unlock()
	n.metrics.sessions.WithLabelValues(o.Proto).Inc()
	stop := context.AfterFunc(ctx, func() { s.close(CloseShutdown) })
	err := s.read()
	stop()
	s.end()
	n.metrics.sessions.WithLabelValues(o.Proto).Dec()
	return err
}

// read is the session's reader: one packet at a time, in order.
func (s *session) read() error {
	for {
		packet, err := s.conn.Read()
		if err != nil {
			return err
		}
		s.take(packet)
	}
}

// take handles one packet. It stands apart so that the stack of a reader that waits
// is small: the runtime shrinks it only if little of it is in use.
//
//go:noinline
func (s *session) take(packet []byte) {
	now := time.Now()
	if !s.rate.AllowN(now, 1) {
		s.throttled(packet)
		return
	}
	s.over = 0
	switch {
	case len(packet) > s.n.cfg.Limits.MaxMessage:
		s.reply(&protocol.Ctrl{Code: protocol.TooLarge.Code(), Text: protocol.TooLarge.Text()})
	case len(packet) == 1 && packet[0] == '1': // network probe
		s.queue([]byte("0"))
	default:
		s.guard(func() { s.dispatch(packet, now) })
	}
}

// guard keeps a fault in one request from ending the node.
func (s *session) guard(fn func()) {
	defer func() {
		if p := recover(); p != nil {
			s.n.metrics.panics.Inc()
			s.n.log.Error("request failed", "panic", p, "stack", string(debug.Stack()))
			s.close(CloseNormal)
		}
	}()
	fn()
}

// throttled answers what comes over the session's rate, without doing it; a session
// that goes on regardless is closed.
func (s *session) throttled(packet []byte) {
	s.n.metrics.throttled.Inc()
	if s.over++; s.over > s.n.cfg.Limits.SessionBurst {
		s.close(CloseFlood)
		return
	}
	ctrl := &protocol.Ctrl{Code: protocol.TooMany.Code(), Text: protocol.TooMany.Text(),
		Params: map[string]any{"retry": 1}}
	if r, err := protocol.Decode(packet); err == nil {
		ctrl.ID, ctrl.Topic = requestID(r)
	}
	s.reply(ctrl)
}

// reply sends an answer, stamped now.
func (s *session) reply(c *protocol.Ctrl) {
	if s.answered != nil {
		if s.answered.Code == 0 {
			*s.answered = *c
		}
		return
	}
	c.TS = protocol.At(s.n.wall())
	s.n.metrics.answers.WithLabelValues(codeLabel(c.Code)).Inc()
	s.queue((&protocol.Response{Ctrl: c}).Encode())
}

// send sends a response.
func (s *session) send(r *protocol.Response) { s.queue(r.Encode()) }

// queue never blocks: a client that does not read what it is sent is closed. A single
// packet is never too large for a queue that is less than half full: else one that
// is large for good, such as the list of a very large group, could never be had.
func (s *session) queue(packet []byte) {
	if s.answered != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	before := s.waiting
	s.out = append(s.out, packet)
	s.waiting += len(packet)
	if s.waiting > s.n.cfg.Limits.SendQueue && before > s.n.cfg.Limits.SendQueue/2 {
		s.n.metrics.slow.Inc()
		s.closeLocked(CloseSlow)
		return
	}
	if !s.writing {
		s.writing, s.since = true, time.Now()
		s.n.start(s.write)
	}
}

// hintShare is the part of a session's queue over which hints are not added to it.
const hintShare = 8

// isHint reports whether a response may as well be missed: that somebody is typing, say.
func isHint(r *protocol.Response) bool {
	if r.Info == nil {
		return false
	}
	switch r.Info.What {
	case "kp", "kpa", "kpv", "data":
		return true
	}
	return false
}

// pass queues what others caused. A client that does not read fast enough for hints
// does not get them; it is not closed for their sake.
func (s *session) pass(packet []byte, hint bool) {
	if hint {
		s.mu.Lock()
		busy := s.waiting > s.n.cfg.Limits.SendQueue/hintShare
		s.mu.Unlock()
		if busy {
			s.n.metrics.hints.Inc()
			return
		}
	}
	s.queue(packet)
}

// write is the session's writer: it sends what waits and ends.
func (s *session) write() {
	for {
		s.mu.Lock()
		batch := s.out
		s.out = nil
		if len(batch) == 0 {
			s.writing = false
			closed, why := s.closed, s.why
			s.mu.Unlock()
			if closed {
				s.conn.Close(why)
			}
			return
		}
		s.since = time.Now()
		s.mu.Unlock()
		size := 0
		for _, p := range batch {
			size += len(p)
		}
		err := s.conn.Write(batch)
		s.mu.Lock()
		s.waiting -= size
		s.easeLocked()
		if err != nil {
			s.closeLocked(CloseSlow)
		}
		s.mu.Unlock()
	}
}

// stuckWait is how long the answer to an earlier request is waited for: a topic that
// is stuck must not hold up the others.
const stuckWait = time.Second

// calm makes the reader wait until the answers to what the client asked before have
// been given, and half of its queue is free for the next. So a client may ask for
// many long answers at once and read them at its pace.
func (s *session) calm() {
	var stuck <-chan time.Time
	patient := true
	for {
		eased := s.uneasy(patient)
		if eased == nil {
			return
		}
		if stuck == nil {
			t := time.NewTimer(stuckWait)
			defer t.Stop()
			stuck = t.C
		}
		select {
		case <-eased:
		case <-stuck:
			patient = false
		}
	}
}

// uneasy returns what to wait for before more is asked, nil if nothing. A patient
// reader waits also for answers that are yet to be given.
func (s *session) uneasy(patient bool) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.waiting <= s.n.cfg.Limits.SendQueue/2 && (s.asking == 0 || !patient) {
		return nil
	}
	if s.eased == nil {
		s.eased = make(chan struct{})
	}
	return s.eased
}

func (s *session) easeLocked() {
	if s.eased != nil {
		close(s.eased)
		s.eased = nil
	}
}

// asks counts requests whose answers may be large: by 1 when one goes to its topic, by
// -1 when it has been answered.
func (s *session) asks(by int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asking += by; by < 0 {
		s.easeLocked()
	}
}

// behindTime is how long a client may take to read what was sent to it and still get
// its answers in time.
const behindTime = time.Second

// behind reports whether an answer given now may reach the client too late.
func (s *session) behind() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writing && time.Since(s.since) > behindTime
}

// linger is how long a session that is being closed may take to read what waits.
const linger = time.Second

// close ends the connection when what waits has been sent, or at once if the client
// does not read; the reader then cleans up.
func (s *session) close(reason CloseReason) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closeLocked(reason)
}

func (s *session) closeLocked(reason CloseReason) {
	if s.closed {
		return
	}
	s.closed, s.why = true, reason
	s.easeLocked()
	switch {
	case reason == CloseSlow:
		s.out = nil
		s.n.start(func() { s.conn.Close(reason) })
	case s.writing:
		time.AfterFunc(linger, func() { s.conn.Close(reason) })
	default:
		s.writing = true
		s.n.start(s.write)
	}
}

// end tells every topic that the session is gone.
func (s *session) end() {
	s.mu.Lock()
	s.closed = true
	attached, calls := s.topics, s.calls
	s.topics, s.calls = nil, nil
	s.mu.Unlock()
	for _, t := range attached {
		t.push(goneEvent{s}, 0)
	}
	for id, t := range calls {
		if attached[id] == nil {
			t.push(goneEvent{s}, 0)
		}
	}
	s.n.mu.Lock()
	delete(s.n.sessions, s)
	s.n.mu.Unlock()
	if s.who.User != "" {
		s.n.logout(s)
	}
}

// attach notes that the session is attached to t; false if the session has ended,
// in which case t must not keep it.
func (s *session) attach(t *topic) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	if s.topics == nil {
		s.topics = make(map[protocol.TopicID]*topic, 2)
	}
	s.topics[t.id] = t
	return true
}

func (s *session) detach(t *topic) {
	s.mu.Lock()
	delete(s.topics, t.id)
	s.mu.Unlock()
}

// tie notes that the session has taken a call in t, to which it need not be attached;
// false if it has ended.
func (s *session) tie(t *topic) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	if s.calls == nil {
		s.calls = make(map[protocol.TopicID]*topic, 1)
	}
	s.calls[t.id] = t
	return true
}

// untie notes that the call is over.
func (s *session) untie(t *topic) {
	s.mu.Lock()
	delete(s.calls, t.id)
	s.mu.Unlock()
}

// attachedTo reports whether the session gets what happens in a topic directly.
func (s *session) attachedTo(id protocol.TopicID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.topics[id] != nil
}

// signIn makes the session that of a user, once.
func (s *session) signIn(who Identity) {
	s.who = who
	s.n.login(s)
}

func codeLabel(code int) string { return strconv.Itoa(code/100) + "xx" }
