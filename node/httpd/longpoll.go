package httpd

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"parley/node"
	"parley/protocol"
)

// Times of long polling.
const (
	pollWait   = 50 * time.Second // a poll without news is answered with nothing
	pollExpiry = 55 * time.Second // without any request; then the session ends
	sendWait   = 30 * time.Second // for the session to take a packet
	sidBytes   = 16
)

var errPollClosed = errors.New("httpd: long poll closed")

// polls are the sessions over long polling, by sid.
type polls struct {
	mu sync.Mutex
	m  map[string]*poll
}

func (p *polls) get(sid string) *poll {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.m[sid]
}

// poll is one session over long polling. Packets pass from hand to hand: those that
// nobody fetches wait in the session, which counts them.
type poll struct {
	in, out chan []byte
	done    chan struct{}
	close   sync.Once

	mu     sync.Mutex
	busy   int // requests
	expiry *time.Timer
}

func newPoll() *poll {
	p := &poll{in: make(chan []byte), out: make(chan []byte), done: make(chan struct{})}
	p.expiry = time.AfterFunc(pollExpiry, func() { p.Close(node.CloseNormal) })
	return p
}

// Read implements [node.Conn].
func (p *poll) Read() ([]byte, error) {
	select {
	case b := <-p.in:
		return b, nil
	case <-p.done:
		return nil, io.EOF
	}
}

// Write implements [node.Conn].
func (p *poll) Write(packets [][]byte) error {
	for _, b := range packets {
		select {
		case p.out <- b:
		case <-p.done:
			return errPollClosed
		}
	}
	return nil
}

// Close implements [node.Conn].
func (p *poll) Close(node.CloseReason) { p.close.Do(func() { close(p.done) }) }

// use counts a request, during which the session does not expire, until release.
func (p *poll) use() (release func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.busy++
	p.expiry.Stop()
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.busy--; p.busy == 0 {
			p.expiry.Reset(pollExpiry)
		}
	}
}

// longPoll answers the first request of a client with its sid, a request with a
// body by taking it as a packet, and others with the next packet.
func (s *Server) longPoll(w http.ResponseWriter, r *http.Request) {
	if cors(w, r, "GET, POST, OPTIONS") {
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		refuse(w, protocol.Unsupported)
		return
	}
	if !s.needKey(w, r) {
		return
	}
	sid := r.URL.Query().Get("sid")
	if sid == "" {
		s.openPoll(w, r)
		return
	}
	p := s.polls.get(sid)
	if p == nil {
		reply(w, protocol.Ctrl{Code: http.StatusForbidden, Text: textSession})
		return
	}
	defer p.use()()
	packet, ok := s.packet(w, r)
	switch {
	case !ok:
	case len(packet) > 0:
		p.send(w, r, packet)
	default:
		p.fetch(w, r)
	}
}

func (s *Server) openPoll(w http.ResponseWriter, r *http.Request) {
	o := s.origin(r, "lp", false)
	if s.node.Admit(o.Addr) != nil {
		refuse(w, protocol.TooMany)
		return
	}
	var b [sidBytes]byte
	rand.Read(b[:]) // never fails
	sid := base64.RawURLEncoding.EncodeToString(b[:])
	p := newPoll()
	s.polls.mu.Lock()
	s.polls.m[sid] = p
	s.polls.mu.Unlock()
	s.metrics.polls.Inc()
	s.serve(p, o, func() {
		p.Close(node.CloseNormal)
		p.expiry.Stop()
		s.polls.mu.Lock()
		delete(s.polls.m, sid)
		s.polls.mu.Unlock()
		s.metrics.polls.Dec()
	})
	reply(w, protocol.Ctrl{Code: http.StatusCreated, Text: "created", Params: map[string]any{"sid": sid}})
}

// packet reads the body; not ok if it has answered the request.
func (s *Server) packet(w http.ResponseWriter, r *http.Request) (packet []byte, ok bool) {
	limit := int64(s.node.Limits().MaxMessage)
	packet, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if err != nil {
		refuse(w, bodyFault(err))
		return nil, false
	}
	return packet, true
}

// send gives a packet to the session and answers with nothing.
func (p *poll) send(w http.ResponseWriter, r *http.Request, packet []byte) {
	late := time.NewTimer(sendWait)
	defer late.Stop()
	select {
	case p.in <- packet:
		deliver(w, nil)
	case <-p.done:
		reply(w, protocol.Ctrl{Code: http.StatusForbidden, Text: textSession})
	case <-late.C:
		refuse(w, protocol.Busy)
	case <-r.Context().Done():
	}
}

// fetch answers with the next packet, or nothing after a while.
func (p *poll) fetch(w http.ResponseWriter, r *http.Request) {
	timeout(w, pollWait+requestTimeout)
	idle := time.NewTimer(pollWait)
	defer idle.Stop()
	select {
	case b := <-p.out:
		deliver(w, b)
	case <-idle.C:
		deliver(w, nil)
	case <-p.done:
		reply(w, protocol.Ctrl{Code: http.StatusForbidden, Text: textSession})
	case <-r.Context().Done():
	}
}

// deliver sends one packet as it is.
func deliver(w http.ResponseWriter, packet []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(packet) // whether the client got it is not known either way
}
