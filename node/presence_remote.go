package node

import (
	"errors"
	"sync"
	"time"

	"parley/federation"
	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
)

// Presence goes from node to node, once for each node and change, whoever of its users
// is to know; their node tells them.

// learntTime is how long what is known of another node's users holds when the link to
// it was lost.
const learntTime = 90 * time.Second

// A learnt is what other nodes say of their users, and which nodes ours want to hear.
type learnt struct {
	mu     sync.Mutex
	online map[protocol.Node]map[protocol.UserID]string // user agents
	links  map[protocol.Node]uint64                     // counts changes of the link
	wanted map[protocol.Node]int                        // users of ours who are online and have contacts there
	wants  map[protocol.UserID][]protocol.Node
}

func newLearnt() *learnt {
	return &learnt{
		online: map[protocol.Node]map[protocol.UserID]string{}, links: map[protocol.Node]uint64{},
		wanted: map[protocol.Node]int{}, wants: map[protocol.UserID][]protocol.Node{},
	}
}

// isOnline reports whether a remote user is known to be online.
func (l *learnt) isOnline(u protocol.UserID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, on := l.online[u.Node()][u]
	return on
}

// set notes what is said of a user; it reports whether that is news.
func (l *learnt) set(s s2s.Status) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	users := l.online[s.User.Node()]
	ua, was := users[s.User]
	switch {
	case !s.Online:
		delete(users, s.User)
		return was
	case was && s.UA == "": // which client is not told again
		return false
	case users == nil:
		users = map[protocol.UserID]string{}
		l.online[s.User.Node()] = users
	}
	users[s.User] = s.UA
	return !was || ua != s.UA
}

// others are the users of a node who are known to be online and are not in a list.
func (l *learnt) others(n protocol.Node, list []s2s.Status) (gone []protocol.UserID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	there := map[protocol.UserID]bool{}
	for _, s := range list {
		there[s.User] = true
	}
	for u := range l.online[n] {
		if !there[u] {
			gone = append(gone, u)
		}
	}
	return gone
}

// linked notes a change of the link to a node, and returns how many there were.
func (l *learnt) linked(n protocol.Node) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.links[n]++
	return l.links[n]
}

func (l *learnt) unchanged(n protocol.Node, count uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.links[n] == count
}

// want notes the nodes that a user of ours, now online, wants to hear of; none when
// offline. It returns those that are wanted for the first time, or no more.
func (l *learnt) want(u protocol.UserID, nodes []protocol.Node) (more, less []protocol.Node) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range nodes {
		if l.wanted[n]++; l.wanted[n] == 1 {
			more = append(more, n)
		}
	}
	for _, n := range l.wants[u] {
		if l.wanted[n]--; l.wanted[n] == 0 {
			delete(l.wanted, n)
			less = append(less, n)
		}
	}
	if len(nodes) == 0 {
		delete(l.wants, u)
	} else {
		l.wants[u] = nodes
	}
	return more, less
}

// hold counts, by 1 or -1, one more or less who wants to hear of a node. It reports
// whether that is the first or was the last.
func (l *learnt) hold(n protocol.Node, by int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	was := l.wanted[n]
	if l.wanted[n] = was + by; was+by == 0 {
		delete(l.wanted, n)
	}
	return was == 0 || was+by == 0
}

// visible reports whether the user of mine shows presence to the user of theirs.
func visible(mine, theirs *store.Sub) bool {
	return mine.Live() && theirs.Live() && mine.Want.Has(protocol.Write) && theirs.Given.Has(protocol.Presence)
}

// abroad finds, of a user's conversations, the nodes to tell of the user's presence,
// and all nodes of contacts.
func (n *Node) abroad(tx store.Tx, u protocol.UserID) (tell, all []protocol.Node, err error) {
	told, any := map[protocol.Node]bool{}, map[protocol.Node]bool{}
	for s, err := range tx.SubsOf(u) {
		if err != nil {
			return nil, nil, err
		}
		to := n.other(s.Topic)
		if to == "" || !s.Live() || told[to] {
			continue
		}
		if !any[to] {
			any[to] = true
			all = append(all, to)
		}
		theirs, err := tx.Sub(s.Topic, s.Topic.Peer(u))
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		if visible(s, theirs) {
			told[to] = true
			tell = append(tell, to)
		}
	}
	return tell, all, nil
}

// tellAbroad tells other nodes of the presence of one of our users.
func (n *Node) tellAbroad(u protocol.UserID, p protocol.Pres) {
	if n.cfg.Network == nil || n.remote(u) || p.What == "upd" {
		return
	}
	tell, all, err := n.contactsAbroad(u)
	if err != nil {
		return
	}
	on := p.What != "off"
	status := s2s.Status{User: u, Online: on, UA: p.UA}
	if !on {
		status.Seen = n.wall().UnixMilli()
		all = nil
	}
	if p.What != "ua" {
		defer n.want(u, all)()
	}
	for _, to := range tell {
		n.cfg.Network.Cast(to, &s2s.Cast{Presence: &s2s.Presence{Users: []s2s.Status{status}, Watch: p.What == "on"}})
	}
}

// contactsAbroad is abroad outside of a transaction; a fault is logged.
func (n *Node) contactsAbroad(u protocol.UserID) (tell, all []protocol.Node, err error) {
	err = n.store.View(func(tx store.Tx) (err error) {
		tell, all, err = n.abroad(tx, u)
		return err
	})
	if err != nil {
		n.log.Error("presence not told to other nodes", "err", err)
	}
	return tell, all, err
}

// want has links kept to the nodes of a user's contacts while the user is online. What
// is returned lets go of those that nobody wants any more.
func (n *Node) want(u protocol.UserID, nodes []protocol.Node) (release func()) {
	more, less := n.learnt.want(u, nodes)
	for _, to := range more {
		n.cfg.Network.Keep(to, true)
	}
	return func() {
		for _, to := range less {
			n.cfg.Network.Keep(to, false)
		}
	}
}

// newContact keeps a link to the node of a contact that a user of ours, online, has got.
func (r *room) newContact() {
	if r.n.other(r.t.id) == "" {
		return
	}
	if u, _ := r.ends(); r.n.userOnline(u) {
		if _, all, err := r.n.contactsAbroad(u); err == nil {
			r.n.want(u, all)()
		}
	}
}

// confide tells the other's node that our user is online, if that may be seen: the
// user may just have said so.
func (r *room) confide() {
	if r.n.other(r.t.id) == "" || !r.confides() {
		return
	}
	if u, other := r.ends(); r.n.userOnline(u) {
		r.n.cfg.Network.Cast(other.Node(), &s2s.Cast{Presence: &s2s.Presence{Users: []s2s.Status{r.n.status(u)}, Watch: true}})
	}
}

// status is what is told of a user of ours who is online.
func (n *Node) status(u protocol.UserID) s2s.Status {
	s := s2s.Status{User: u, Online: true}
	if h := n.hub(u); h != nil {
		if ua := h.ua.Load(); ua != nil {
			s.UA = *ua
		}
	}
	return s
}

// hearPresence takes what another node says of its users.
func (n *Node) hearPresence(from protocol.Node, p *s2s.Presence) {
	for _, s := range p.Users {
		if s.User.Node() == from {
			n.learn(s)
		}
	}
	if p.Digest {
		for _, u := range n.learnt.others(from, p.Users) {
			n.learn(s2s.Status{User: u})
		}
	}
	if p.Watch {
		n.answerWatch(from, p.Users)
	}
}

// learn notes the presence of a remote user and tells those who may see it.
func (n *Node) learn(s s2s.Status) {
	was := n.learnt.isOnline(s.User)
	if !n.learnt.set(s) {
		return
	}
	pres := protocol.Pres{What: "ua", UA: clip(s.UA, maxUserAgent)}
	switch {
	case !s.Online:
		pres.What = "off"
		when := n.wall()
		if t := time.UnixMilli(s.Seen); s.Seen > 0 && t.Before(when) {
			when = t
		}
		err := n.store.Update(func(tx store.Tx) error { return tx.PutSeen(s.User, store.Seen{When: when, UA: pres.UA}) })
		if err != nil {
			n.log.Error("last seen not stored", "err", err)
		}
	case !was:
		pres.What = "on"
	}
	n.tellContacts(s.User, pres)
}

// maxAgents is of how many users one answer also says which clients they use.
const maxAgents = 16

// answerWatch tells a node whose users came online of ours whom these may see.
func (n *Node) answerWatch(to protocol.Node, came []s2s.Status) {
	var list []s2s.Status
	err := n.store.View(func(tx store.Tx) error {
		list = nil
		told := map[protocol.UserID]bool{}
		for _, c := range came {
			if c.User.Node() != to {
				continue
			}
			for theirs, err := range tx.SubsOf(c.User) {
				if err != nil {
					return err
				}
				u := theirs.Topic.Peer(c.User)
				if theirs.Topic.Kind() != protocol.KindP2P || told[u] || !n.userOnline(u) {
					continue
				}
				mine, err := tx.Sub(theirs.Topic, u)
				if errors.Is(err, store.ErrNotFound) {
					continue
				}
				if err != nil {
					return err
				}
				if visible(mine, theirs) {
					told[u] = true
					list = append(list, n.status(u))
				}
			}
		}
		return nil
	})
	if err != nil {
		n.log.Error("presence not told to another node", "err", err)
		return
	}
	if len(list) > maxAgents {
		for i := range list {
			list[i].UA = ""
		}
	}
	if len(list) > 0 {
		n.cfg.Network.Cast(to, &s2s.Cast{Presence: &s2s.Presence{Users: list}})
	}
}

// digest tells a node which of our users are online, of those whom its users may see.
func (n *Node) digest(to protocol.Node) {
	n.mu.Lock()
	var online []protocol.UserID
	for u, h := range n.users {
		if h.online.Load() {
			online = append(online, u)
		}
	}
	n.mu.Unlock()
	list := []s2s.Status{}
	err := n.store.View(func(tx store.Tx) error {
		list = list[:0]
		for _, u := range online {
			tell, _, err := n.abroad(tx, u)
			if err != nil {
				return err
			}
			for _, t := range tell {
				if t == to {
					list = append(list, n.status(u))
				}
			}
		}
		return nil
	})
	if err != nil {
		n.log.Error("presence not told to another node", "err", err)
		return
	}
	n.cfg.Network.Cast(to, &s2s.Cast{Presence: &s2s.Presence{Users: list, Digest: true}})
}

// linked follows the links to other nodes.
func (n *Node) linked(to protocol.Node, s federation.LinkState) {
	count := n.learnt.linked(to)
	n.paces.forget(to)
	switch s {
	case federation.LinkUp:
		n.setPace(to)
		n.tellGroups(partedEvent{to, true})
		n.digest(to)
	case federation.LinkClosed:
		n.forgetPresence(to)
	case federation.LinkLost:
		n.cutCalls(to)
		time.AfterFunc(learntTime, func() {
			if n.enter() {
				if n.learnt.unchanged(to, count) {
					n.forgetPresence(to)
				}
				n.wg.Done()
			}
		})
	}
}

// forgetPresence takes the users of a node for offline.
func (n *Node) forgetPresence(of protocol.Node) {
	n.tellGroups(partedEvent{of, false})
	for _, u := range n.learnt.others(of, nil) {
		n.learn(s2s.Status{User: u})
	}
}
