package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"parley/protocol"
	"parley/protocol/client"
	"parley/testnet/checks"
	"parley/testnet/vtime"
)

// Times of a client.
const (
	patience  = 30 * time.Second // for an answer
	firstWait = 500 * time.Millisecond
	longest   = 5 * time.Second // between two attempts to sign in
	page      = 100             // messages of history
)

// User is a person with a client that stays signed in while the person wants that, as
// well as the node allows: it connects again, attaches to its conversations, and fetches
// what it has missed.
type User struct {
	No   int
	Name string // "alice@a"
	ID   protocol.UserID
	c    *Cluster
	m    *Machine

	login, password string

	wg   sync.WaitGroup
	stop context.CancelFunc

	mu      sync.Mutex
	wanted  bool                     // guarded by mu; to be signed in
	changed chan struct{}            // closed when wanted changes; guarded by mu
	session *client.Client           // guarded by mu; nil: not signed in
	ready   chan struct{}            // closed while signed in; guarded by mu
	rooms   map[string]*Room         // guarded by mu; by what the user calls them
	last    map[string]int           // guarded by mu; number of the last message had
	seen    map[protocol.UserID]bool // guarded by mu; who is shown as online
	notices int                      // guarded by mu; of presence
	signIns int                      // guarded by mu
	heard   int                      // guarded by mu; messages of others
	writing int                      // guarded by mu; requests that are not answered
}

// NewUser makes an account at a machine whose node runs, and signs in.
func (c *Cluster) NewUser(ctx context.Context, machine int, login string) (*User, error) {
	m := c.Machines[machine]
	u := &User{
		Name: login + "@" + m.Label, c: c, m: m, login: login, password: "password of " + login,
		changed: make(chan struct{}), ready: make(chan struct{}), wanted: true,
		rooms: map[string]*Room{}, last: map[string]int{}, seen: map[protocol.UserID]bool{},
	}
	var err error
	if u.ID, err = m.AddUser(ctx, login, u.password); err != nil {
		return nil, fmt.Errorf("account of %s: %w", u.Name, err)
	}
	c.mu.Lock()
	u.No = len(c.users)
	c.users = append(c.users, u)
	c.mu.Unlock()
	life, stop := context.WithCancel(context.Background())
	u.stop = stop
	u.wg.Go(func() { u.live(life) })
	return u, u.Ready(ctx)
}

// leave ends the client for good.
func (u *User) leave() {
	u.stop()
	u.wg.Wait()
}

// SignIn and SignOff say whether the person wants to be online. They do not wait.
func (u *User) SignIn()  { u.want(true) }
func (u *User) SignOff() { u.want(false) }

func (u *User) want(in bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.wanted == in {
		return
	}
	u.wanted = in
	close(u.changed)
	u.changed = make(chan struct{})
}

// Wanted reports whether the person wants to be online.
func (u *User) Wanted() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.wanted
}

// wants is what the person wants, and a channel that is closed when that changes.
func (u *User) wants() (bool, <-chan struct{}) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.wanted, u.changed
}

// Ready waits until the user is signed in.
func (u *User) Ready(ctx context.Context) error {
	_, err := u.online(ctx)
	return err
}

// online is the session, when there is one.
func (u *User) online(ctx context.Context) (*client.Client, error) {
	for {
		u.mu.Lock()
		s, ready := u.session, u.ready
		u.mu.Unlock()
		if s != nil {
			return s, nil
		}
		select {
		case <-ready:
		case <-ctx.Done():
			return nil, fmt.Errorf("%s is not signed in: %w", u.Name, ctx.Err())
		}
	}
}

// live keeps a session while one is wanted.
func (u *User) live(ctx context.Context) {
	wait := firstWait
	for ctx.Err() == nil {
		wanted, changed := u.wants()
		if !wanted {
			select {
			case <-changed:
			case <-ctx.Done():
			}
			continue
		}
		s, err := u.signIn(ctx)
		if err != nil {
			if !errors.Is(err, ErrDown) && ctx.Err() == nil {
				u.c.note("sign-in", "%s: %v", u.Name, err)
			}
			vtime.Sleep(ctx, wait)
			wait = min(2*wait, longest)
			continue
		}
		wait = firstWait
		u.attend(ctx, s, changed)
		u.setSession(nil)
		_ = s.Close() // why it ended does not matter
	}
}

func (u *User) setSession(s *client.Client) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.session = s
	if s != nil {
		u.signIns++
		close(u.ready)
	} else {
		u.ready = make(chan struct{})
	}
}

// signIn opens a session and brings it up to date.
func (u *User) signIn(ctx context.Context) (_ *client.Client, err error) {
	p, err := u.m.connect()
	if err != nil {
		return nil, err
	}
	s := client.New(p, client.Config{UserAgent: "testnet/1"})
	defer func() {
		if err != nil {
			_ = s.Close()
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if _, err := s.Hi(ctx); err != nil {
		return nil, err
	}
	if _, err := s.LoginBasic(ctx, u.login, u.password); err != nil {
		return nil, err
	}
	me, err := s.Subscribe(ctx, &protocol.Sub{Topic: "me", Get: &protocol.GetQuery{What: "sub"}})
	if err != nil {
		return nil, err
	}
	u.look(me.Subs)
	for topic := range u.calls() {
		if err := u.attach(ctx, s, topic); err != nil {
			return nil, fmt.Errorf("attach to %s: %w", topic, err)
		}
	}
	u.setSession(s)
	return s, nil
}

// calls are the user's conversations, by what the user calls them.
func (u *User) calls() map[string]*Room {
	u.mu.Lock()
	defer u.mu.Unlock()
	all := make(map[string]*Room, len(u.rooms))
	for k, r := range u.rooms {
		all[k] = r
	}
	return all
}

// look takes in who is shown as online.
func (u *User) look(subs []protocol.SubDesc) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, s := range subs {
		u.seen[protocol.UserID(s.Topic)] = s.Online
	}
}

// attach attaches to a conversation and fetches what the client does not have.
func (u *User) attach(ctx context.Context, s *client.Client, topic string) error {
	if _, err := s.Subscribe(ctx, &protocol.Sub{Topic: topic}); err != nil {
		return err
	}
	u.mu.Lock()
	since := u.last[topic] + 1
	u.mu.Unlock()
	lines, err := fetch(ctx, s, topic, since)
	for i := range lines {
		u.data(topic, lines[len(lines)-1-i])
	}
	return err
}

// fetch gets the history of a topic from a number on, newest first. A page may have fewer
// messages than were asked for.
func fetch(ctx context.Context, s *client.Client, topic string, since int) ([]*protocol.Data, error) {
	var all []*protocol.Data
	for before := 0; ; {
		some, err := s.GetData(ctx, topic, protocol.GetRanges{Since: since, Before: before, Limit: page})
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
		if len(some) == 0 || some[len(some)-1].Seq <= since {
			return all, nil
		}
		before = some[len(some)-1].Seq
	}
}

// attend takes events until the session ends, or is not wanted any more.
func (u *User) attend(ctx context.Context, s *client.Client, changed <-chan struct{}) {
	read := map[string]int{} // topics in which something is to be said to be read
	for {
		// Several messages that come together are read together.
		var idle <-chan time.Time
		if len(read) > 0 {
			idle = time.After(time.Millisecond)
		}
		select {
		case r, ok := <-s.Events():
			if !ok {
				return
			}
			u.event(r, read)
		case <-idle:
			for topic, seq := range read {
				// Lost with the session, it is said again with the next message.
				_ = s.Note(ctx, protocol.Note{Topic: topic, What: "read", Seq: seq})
			}
			clear(read)
		case <-changed:
			if wanted, next := u.wants(); wanted {
				changed = next
				continue
			}
			return
		case <-ctx.Done():
			return
		}
	}
}

// event takes one event.
func (u *User) event(r *protocol.Response, read map[string]int) {
	switch {
	case r.Data != nil:
		if u.data(r.Data.Topic, r.Data) {
			read[r.Data.Topic] = r.Data.Seq
		}
	case r.Pres != nil && r.Pres.Topic == "me" && (r.Pres.What == "on" || r.Pres.What == "off"):
		u.mu.Lock()
		u.seen[protocol.UserID(r.Pres.Src)] = r.Pres.What == "on"
		u.notices++
		u.mu.Unlock()
	}
}

// data takes a message; it reports whether it is another's.
func (u *User) data(topic string, d *protocol.Data) bool {
	u.mu.Lock()
	room := u.rooms[topic]
	u.last[topic] = max(u.last[topic], d.Seq)
	u.mu.Unlock()
	if room == nil || d.From == "" || d.From == string(u.ID) {
		return false
	}
	m, first := u.c.Ledger.Heard(u.No, d.Content, time.Now())
	if first {
		u.mu.Lock()
		u.heard++
		u.mu.Unlock()
		u.c.heard(u, m)
	}
	return true
}

// Heard is how many messages of others the client got.
func (u *User) Heard() int { u.mu.Lock(); defer u.mu.Unlock(); return u.heard }

// Notices is how many notices of presence the user got; SignIns, how many sessions there
// were.
func (u *User) Notices() int { u.mu.Lock(); defer u.mu.Unlock(); return u.notices }

// SignIns is how often the user was signed in.
func (u *User) SignIns() int { u.mu.Lock(); defer u.mu.Unlock(); return u.signIns }

// Write says something of so many bytes in a room, and waits for the answer of the own
// node. That the node refuses it is no error, nor that the session ends before.
func (u *User) Write(ctx context.Context, r *Room, size int) (*checks.Message, error) {
	s, err := u.online(ctx)
	if err != nil {
		return nil, err
	}
	m, text := u.c.Ledger.Begin(u.No, r.ledger, size)
	content, err := json.Marshal(text)
	if err != nil {
		return nil, err
	}
	u.wrote(1)
	defer u.wrote(-1)
	receipt, err := s.Send(ctx, &protocol.Pub{Topic: r.call(u), Content: content, NoEcho: true})
	if err != nil {
		return m, nil
	}
	// What is begun is finished, or it would not be known what became of it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	seq, err := receipt.Wait(ctx)
	if refusal := new(client.Error); errors.As(err, &refusal) {
		u.c.Ledger.Answer(m, 0, refusal.Code, time.Now())
		u.c.refused(u, m, refusal)
	} else if err == nil {
		u.c.Ledger.Answer(m, seq, 0, time.Now())
	}
	return m, nil
}

func (u *User) wrote(n int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.writing += n
}

// Writing is how many messages of the user's the own node has not answered.
func (u *User) Writing() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.writing
}

// SignedIn reports whether there is a session.
func (u *User) SignedIn() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.session != nil
}
