package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"parley/protocol"
	"parley/protocol/client"
	"parley/reputation"
	"parley/testnet/checks"
	"parley/testnet/vtime"
)

// Room is a conversation of two, or a group.
type Room struct {
	Name    string
	Members []*User
	topic   string // of a group
	ledger  *checks.Room
}

// call is what a member calls the room.
func (r *Room) call(u *User) string {
	if r.topic != "" {
		return r.topic
	}
	return string(r.other(u).ID)
}

func (r *Room) other(u *User) *User {
	if r.Members[0] == u {
		return r.Members[1]
	}
	return r.Members[0]
}

// pairKey is that of a conversation of two in Cluster.rooms.
type pairKey [2]int

func pairOf(a, b *User) pairKey { return pairKey{min(a.No, b.No), max(a.No, b.No)} }

// Room is the conversation of two users who have met; nil if they have not.
func (c *Cluster) Room(a, b *User) *Room {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rooms[pairOf(a, b)]
}

// Rooms are all conversations, those of two and groups.
func (c *Cluster) Rooms() []*Room {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []*Room
	for _, r := range c.rooms {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b *Room) int { return a.ledger.ID - b.ledger.ID })
	return all
}

func (c *Cluster) newRoom(key any, name, topic string, group bool, members ...*User) *Room {
	apart, nos := false, make([]int, len(members))
	for i, u := range members {
		nos[i] = u.No
		apart = apart || u.m != members[0].m
	}
	r := &Room{Name: name, Members: members, topic: topic, ledger: c.Ledger.AddRoom(name, nos, group, apart)}
	c.mu.Lock()
	c.rooms[key] = r
	c.mu.Unlock()
	for _, u := range members {
		u.mu.Lock()
		u.rooms[r.call(u)] = r
		u.mu.Unlock()
	}
	return r
}

// Meet makes two users know each other: the first writes to the second, so to speak, who
// accepts. It waits until both may write.
func (c *Cluster) Meet(ctx context.Context, a, b *User) error {
	if err := c.introduce(ctx, a, b); err != nil {
		return fmt.Errorf("%s meets %s: %w", a.Name, b.Name, err)
	}
	c.newRoom(pairOf(a, b), a.Name+" – "+b.Name, "", false, a, b)
	return nil
}

// friends is the mode of who may do everything that two can do.
const friends = "JRWPA"

func (c *Cluster) introduce(ctx context.Context, a, b *User) error {
	sa, err := a.online(ctx)
	if err != nil {
		return err
	}
	sb, err := b.online(ctx)
	if err != nil {
		return err
	}
	if err := c.admit(a.m, b.m); err != nil {
		return err
	}
	if err := approach(ctx, sa, a, b); err != nil {
		return err
	}
	if err := knows(ctx, sb, a); err != nil {
		return err
	}
	if _, err := sb.Subscribe(ctx, &protocol.Sub{Topic: string(a.ID)}); err != nil {
		return err
	}
	for _, user := range []string{"", string(a.ID)} { // what b wants, and gives
		if _, err := sb.SetMode(ctx, string(a.ID), user, friends); err != nil {
			return err
		}
	}
	return poll(ctx, func() (bool, error) {
		d, err := sa.GetDesc(ctx, string(b.ID))
		if err != nil {
			return false, err
		}
		var mode protocol.Mode
		if d.Acs != nil {
			mode, err = protocol.ParseMode(d.Acs.Mode)
		}
		return mode.Has(protocol.Write | protocol.Presence), err
	})
}

// admit makes a node admit the first contacts of another, until Strangers: contacts are
// made in moments that take people weeks.
func (c *Cluster) admit(from, at *Machine) error {
	c.mu.Lock()
	pair := [2]int{at.no, from.no}
	known := c.open[pair]
	c.open[pair] = true
	c.mu.Unlock()
	if known || from == at {
		return nil
	}
	return at.setStanding(from.Name, reputation.Allow)
}

// Strangers makes nodes look at first contacts again as they usually do.
func (c *Cluster) Strangers() error {
	c.mu.Lock()
	open := c.open
	c.open = map[[2]int]bool{}
	c.mu.Unlock()
	for pair := range open {
		at, from := c.Machines[pair[0]], c.Machines[pair[1]]
		if at == from {
			continue
		}
		if err := at.setStanding(from.Name, reputation.Auto); err != nil {
			return fmt.Errorf("standing of %s at %s: %w", from.Name, at.Name, err)
		}
	}
	return nil
}

// approach begins a conversation. A node lets its users meet few strangers a day: what it
// has counted is forgotten when they are too many.
func approach(ctx context.Context, s *client.Client, a, b *User) error {
	_, err := s.Subscribe(ctx, &protocol.Sub{Topic: string(b.ID)})
	if !errors.Is(err, protocol.TooMany) {
		return err
	}
	if err := a.m.Unleash(); err != nil {
		return err
	}
	_, err = s.Subscribe(ctx, &protocol.Sub{Topic: string(b.ID)})
	return err
}

// knows waits until a user is in another's list.
func knows(ctx context.Context, s *client.Client, u *User) error {
	return poll(ctx, func() (bool, error) {
		subs, err := s.GetSubs(ctx, "me")
		return slices.ContainsFunc(subs, func(d protocol.SubDesc) bool { return d.Topic == string(u.ID) }), err
	})
}

// NewGroup makes a group of the first user and invites the others, who join.
func (c *Cluster) NewGroup(ctx context.Context, name string, members ...*User) (*Room, error) {
	owner, err := members[0].online(ctx)
	if err != nil {
		return nil, err
	}
	public, err := json.Marshal(map[string]string{"fn": name})
	if err != nil {
		return nil, err
	}
	sub, err := owner.Subscribe(ctx, &protocol.Sub{Topic: "new", Set: &protocol.SetQuery{Desc: &protocol.SetDesc{Public: public}}})
	if err != nil {
		return nil, fmt.Errorf("%s makes group %s: %w", members[0].Name, name, err)
	}
	for _, u := range members[1:] {
		// Of other nodes, only who is known can be invited.
		if c.Room(members[0], u) == nil && u.m != members[0].m {
			if err := c.introduce(ctx, members[0], u); err != nil {
				return nil, fmt.Errorf("%s meets %s: %w", members[0].Name, u.Name, err)
			}
		}
		if err := join(ctx, owner, u, sub.Topic); err != nil {
			return nil, fmt.Errorf("%s joins group %s: %w", u.Name, name, err)
		}
	}
	return c.newRoom(sub.Topic, name, sub.Topic, true, members...), nil
}

func join(ctx context.Context, owner *client.Client, u *User, group string) error {
	if _, err := owner.SetMode(ctx, group, string(u.ID), ""); err != nil {
		return err
	}
	s, err := u.online(ctx)
	if err != nil {
		return err
	}
	err = poll(ctx, func() (bool, error) {
		subs, err := s.GetSubs(ctx, "me")
		return slices.ContainsFunc(subs, func(d protocol.SubDesc) bool { return d.Topic == group }), err
	})
	if err != nil {
		return err
	}
	_, err = s.Subscribe(ctx, &protocol.Sub{Topic: group})
	return err
}

// Attach opens the conversations of a user in the present session; with the next ones it
// happens by itself.
func (u *User) Attach(ctx context.Context) error {
	s, err := u.online(ctx)
	if err != nil {
		return err
	}
	for topic := range u.calls() {
		if err := u.attach(ctx, s, topic); err != nil {
			return fmt.Errorf("%s attaches to %s: %w", u.Name, topic, err)
		}
	}
	return nil
}

// pollEvery is how often a condition is looked at.
const pollEvery = 100 * time.Millisecond

// poll waits until something is so.
func poll(ctx context.Context, is func() (bool, error)) error {
	for {
		ok, err := is()
		if ok || err != nil {
			return err
		}
		if !vtime.Sleep(ctx, pollEvery) {
			return ctx.Err()
		}
	}
}

// history reads a room as a member sees it.
func (u *User) history(ctx context.Context, r *Room, s *client.Client) (checks.Replica, error) {
	out := checks.Replica{Room: r.ledger, User: u.No}
	data, err := fetch(ctx, s, r.call(u), 1)
	if err != nil {
		return out, fmt.Errorf("%s reads %s: %w", u.Name, r.Name, err)
	}
	by := map[string]int{}
	for _, m := range r.Members {
		by[string(m.ID)] = m.No
	}
	for i := range data {
		d := data[len(data)-1-i]
		l := checks.Line{Seq: d.Seq, From: -1, Content: d.Content}
		if no, ok := by[d.From]; ok {
			l.From = no
		}
		var head struct {
			Status string `json:"x-parley-status"`
			Reply  string `json:"reply"`
		}
		if len(d.Head) > 0 {
			if err := json.Unmarshal(d.Head, &head); err != nil {
				return out, fmt.Errorf("%s reads %s: head of %d: %w", u.Name, r.Name, d.Seq, err)
			}
		}
		if head.Status != "" {
			l.Status = head.Status
			l.About, _ = strconv.Atoi(head.Reply) // none: about no message
		}
		out.Lines = append(out.Lines, l)
	}
	return out, nil
}

// IsGroup reports whether it is a group.
func (r *Room) IsGroup() bool { return r.topic != "" }

// Rooms are the conversations of a user, by name.
func (u *User) Rooms() []*Room {
	calls := u.calls()
	all := make([]*Room, 0, len(calls))
	for _, r := range calls {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b *Room) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Ledger is the room in the cluster's ledger.
func (r *Room) Ledger() *checks.Room { return r.ledger }

// Nodes are those of the members.
func (r *Room) Nodes() map[protocol.Node]bool {
	all := map[protocol.Node]bool{}
	for _, u := range r.Members {
		all[u.m.Name] = true
	}
	return all
}

// Machine is the number of the user's machine.
func (u *User) Machine() int { return u.m.no }
