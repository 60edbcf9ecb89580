package crash

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"parley/protocol"
	"parley/protocol/client"
	"parley/testnet"
)

const (
	usersInWorld = 6
	password     = "crash-password"
	waitAnswer   = 20 * time.Second // for an answer of a living node
)

// world is the users and rooms that live through all crashes.
type world struct {
	j     *Journal
	url   string // of the node that runs now
	users []*user
	rooms []*room
	drift *room // a group that two of its users join and leave

	mu       sync.Mutex
	problems []string // contradictions noticed while the node ran
}

// user is an account and, while the node runs, its session.
type user struct {
	w     *world
	name  string // login
	id    string
	token []byte
	rng   *rand.Rand
	c     *client.Client
	rooms []*room          // joined for good
	topic map[string]*room // by what the user calls them
}

// room is a topic that keeps messages.
type room struct {
	name    string // in the journal
	members []*user
	owner   *user // nil in a conversation of two
	grp     string
}

// call is what u calls the room.
func (r *room) call(u *user) string {
	if r.owner != nil {
		return r.grp
	}
	for _, m := range r.members {
		if m != u {
			return m.id
		}
	}
	return ""
}

func newWorld(seed uint64) *world {
	w := &world{j: NewJournal()}
	for i := range usersInWorld {
		w.users = append(w.users, &user{w: w, name: fmt.Sprintf("crash%02d", i), topic: map[string]*room{},
			rng: rand.New(rand.NewPCG(seed, uint64(i)))})
	}
	return w
}

// found notes a contradiction.
func (w *world) found(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.problems = append(w.problems, fmt.Sprintf(format, args...))
}

// contradictions are those noticed so far.
func (w *world) contradictions() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.problems
}

// populate makes accounts and rooms on an empty node.
func (w *world) populate(ctx context.Context) error {
	for _, u := range w.users {
		if err := u.connect(ctx); err != nil {
			return err
		}
	}
	pairs := [][2]int{{0, 1}, {2, 3}, {4, 5}, {0, 3}}
	for _, p := range pairs {
		w.add(&room{name: fmt.Sprintf("p2p %d-%d", p[0], p[1]), members: []*user{w.users[p[0]], w.users[p[1]]}})
	}
	for i, members := range [][]*user{w.users, w.users[1:4]} {
		if err := w.addGroup(ctx, fmt.Sprintf("group %d", i), members); err != nil {
			return err
		}
	}
	if err := w.addGroup(ctx, "drift", w.users[:2]); err != nil {
		return err
	}
	w.drift = w.rooms[len(w.rooms)-1]
	return w.join(ctx)
}

func (w *world) add(r *room) {
	w.rooms = append(w.rooms, r)
	for _, m := range r.members {
		m.rooms = append(m.rooms, r)
		m.topic[r.call(m)] = r
	}
}

// addGroup makes a group; the first member owns it.
func (w *world) addGroup(ctx context.Context, name string, members []*user) error {
	r := &room{name: name, members: members, owner: members[0]}
	s, err := r.owner.c.Subscribe(ctx, &protocol.Sub{Topic: "new1", Set: &protocol.SetQuery{
		Desc: &protocol.SetDesc{Public: text("0"), Defacs: &protocol.Defacs{Auth: "JRWPS", Anon: "N"}}}})
	if err != nil {
		return fmt.Errorf("making a group: %w", err)
	}
	r.grp = s.Topic
	w.add(r)
	return nil
}

// enter connects all users and brings them into their rooms.
func (w *world) enter(ctx context.Context) error {
	for _, u := range w.users {
		if err := u.connect(ctx); err != nil {
			return err
		}
	}
	return w.join(ctx)
}

func (w *world) join(ctx context.Context) error {
	for _, u := range w.users {
		for _, r := range u.rooms {
			if _, err := u.c.Subscribe(ctx, &protocol.Sub{Topic: r.call(u)}); err != nil && !already(err) {
				return fmt.Errorf("%s entering %s: %w", u.name, r.name, err)
			}
		}
	}
	return nil
}

// already reports whether an error is no more than that there was nothing to do.
func already(err error) bool {
	var e *client.Error
	return errors.As(err, &e) && e.Code == 304
}

// leave closes all sessions.
func (w *world) leave() {
	for _, u := range w.users {
		if u.c != nil {
			u.c.Close()
		}
	}
}

// connect opens a session, making the account the first time, and attaches it to me.
func (u *user) connect(ctx context.Context) error {
	c, err := testnet.Dial(ctx, u.w.url, client.Config{UserAgent: "parley-crash", OnEvent: u.event})
	if err != nil {
		return err
	}
	u.c = c
	var s *client.Session
	if u.token == nil {
		s, err = c.CreateAccount(ctx, client.Account{Login: u.name, Password: password, Public: json.RawMessage(text("0"))})
	} else {
		s, err = c.LoginToken(ctx, u.token)
	}
	if err != nil {
		return fmt.Errorf("%s cannot log in: %w", u.name, err)
	}
	u.id, u.token = s.User, s.Token
	_, err = c.Subscribe(ctx, &protocol.Sub{Topic: "me"})
	return err
}

// event puts into the journal what the user is told.
func (u *user) event(e *protocol.Response) {
	switch {
	case e.Data != nil:
		r := u.topic[e.Data.Topic]
		if r == nil {
			return
		}
		var s string
		if json.Unmarshal(e.Data.Content, &s) != nil || !u.w.j.Shown(r.name, e.Data.From, s, e.Data.Seq) {
			u.w.found("%s was shown seq %d of %s, which cannot be: %.100s", u.name, e.Data.Seq, r.name, e.Data.Content)
		}
	case e.Info != nil && (e.Info.What == "read" || e.Info.What == "recv"):
		topic := e.Info.Topic
		if e.Info.Src != "" {
			topic = e.Info.Src
		}
		if r := u.topic[topic]; r != nil {
			u.w.j.Marked(r.name, e.Info.From, e.Info.What, e.Info.Seq)
		}
	}
}

// text is a card with a name, as JSON.
func text(s string) json.RawMessage { return fmt.Appendf(nil, `{"fn":%q}`, s) }

// name reads text.
func name(card json.RawMessage) string {
	var c struct {
		FN      string `json:"fn"`
		Comment string `json:"comment"`
	}
	if json.Unmarshal(card, &c) != nil {
		return "unreadable: " + string(card)
	}
	return strings.TrimSpace(c.FN + c.Comment)
}

// drifters are those who join and leave the drift group.
func (w *world) drifters() []*user { return w.users[4:] }
