package node

import (
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/time/rate"

	"parley/protocol"
)

// A hub is the sessions of one user who is logged in. What concerns a user but no
// attached topic goes to those sessions that are attached to me.
type hub struct {
	mu       sync.Mutex
	sessions []*session // logged in
	me       []*session // attached to me
	// ua is the user agent of the session that last did something.
	ua atomic.Pointer[string]
	// online is kept by the user's me: it also holds while the last session may be
	// coming back.
	online atomic.Bool
	// bytes is what the user's sessions may send; it outlives the hub.
	bytes *rate.Limiter
	// silent says that the user does not want to be told of presence.
	silent atomic.Bool
}

// userBurst is how many seconds' worth of bytes a user may send at once.
const userBurst = 16

func (n *Node) hub(u protocol.UserID) *hub {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.users[u]
}

func (n *Node) login(s *session) {
	n.mu.Lock()
	h := n.users[s.who.User]
	if h == nil {
		h = &hub{bytes: n.spending.limiter(string(s.who.User))}
		n.users[s.who.User] = h
	}
	h.mu.Lock()
	h.sessions = append(h.sessions, s)
	h.mu.Unlock()
	n.mu.Unlock()
}

func (n *Node) logout(s *session) {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.users[s.who.User]
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sessions = without(h.sessions, s)
	h.me = without(h.me, s)
	if len(h.sessions) == 0 && !h.online.Load() {
		delete(n.users, s.who.User)
	}
}

// forgetHub drops the hub of a user who is neither logged in nor seen as online.
func (n *Node) forgetHub(u protocol.UserID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.users[u]
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.sessions) == 0 && !h.online.Load() {
		delete(n.users, u)
	}
}

func without(list []*session, s *session) []*session {
	if i := slices.Index(list, s); i >= 0 {
		list = slices.Delete(list, i, i+1)
	}
	return list
}

// userOnline reports whether others see the user as online.
func (n *Node) userOnline(u protocol.UserID) bool {
	if n.remote(u) {
		return n.learnt.isOnline(u)
	}
	h := n.hub(u)
	return h != nil && h.online.Load()
}

// onMe calls f for each session of u that is attached to me and not to skip. f must
// not wait.
func (n *Node) onMe(u protocol.UserID, skip protocol.TopicID, f func(*session)) {
	h := n.hub(u)
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.me {
		if skip == "" || !s.attachedTo(skip) {
			f(s)
		}
	}
}

// presOnMe tells u on me, in sessions that are not attached to the topic skip.
func (n *Node) presOnMe(u protocol.UserID, skip protocol.TopicID, p protocol.Pres) {
	p.Topic = "me"
	n.broadcast(u, skip, &protocol.Response{Pres: &p}, nil)
}

// broadcast sends r to the sessions of u on me but one; it is encoded only if there
// is anyone to read it.
func (n *Node) broadcast(u protocol.UserID, skip protocol.TopicID, r *protocol.Response, except *session) {
	if r.Pres != nil && n.silences(u, r.Pres.What) {
		return
	}
	var packet []byte
	n.onMe(u, skip, func(s *session) {
		if s == except {
			return
		}
		if packet == nil {
			packet = r.Encode()
		}
		s.pass(packet, isHint(r))
	})
}

// silences reports whether u does not want to know that something has happened.
func (n *Node) silences(u protocol.UserID, what string) bool {
	switch what {
	case "on", "off", "ua", "msg", "upd":
		h := n.hub(u)
		return h != nil && h.silent.Load()
	}
	return false
}

// evictUser closes all sessions of a user whose account has ended or is suspended.
func (n *Node) evictUser(u protocol.UserID, why string) {
	n.log.Info("user's sessions closed", "user", u, "why", why)
	n.evictOthers(u, nil)
}

// evictOthers closes all sessions of a user but one.
func (n *Node) evictOthers(u protocol.UserID, but *session) {
	h := n.hub(u)
	if h == nil {
		return
	}
	h.mu.Lock()
	open := slices.Clone(h.sessions)
	h.mu.Unlock()
	for _, s := range open {
		if s != but {
			s.reply(&protocol.Ctrl{Code: 205, Text: okText(205)})
			s.close(CloseNormal)
		}
	}
}

// closeAttached closes the sessions that are attached to a topic.
func (n *Node) closeAttached(id protocol.TopicID) {
	n.mu.Lock()
	var open []*session
	for s := range n.sessions {
		if s.attachedTo(id) {
			open = append(open, s)
		}
	}
	n.mu.Unlock()
	for _, s := range open {
		s.close(CloseNormal)
	}
}
