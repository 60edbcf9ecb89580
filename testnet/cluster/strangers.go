package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"parley/node"
	"parley/protocol"
	"parley/protocol/client"
	"parley/protocol/s2s"
	"parley/reputation"
	"parley/store"
	"parley/testnet/vtime"
)

// First contacts between users who have not met, and what nodes think of each other.

// visit opens a session for a moment, whether or not the user is signed in elsewhere; it
// does not show the user as online.
func (u *User) visit(ctx context.Context, do func(ctx context.Context, s *client.Client) error) error {
	p, err := u.m.connect()
	if err != nil {
		return err
	}
	s := client.New(p, client.Config{UserAgent: "testnet/1"})
	defer s.Close() // nothing is left to be lost
	// What is begun is finished, or it would not be known what became of it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	if _, err := s.Hi(ctx); err != nil {
		return err
	}
	if _, err := s.LoginBasic(ctx, u.login, u.password); err != nil {
		return err
	}
	return do(ctx, s)
}

// Approach writes to a stranger. protocol.TooMany: the own node does not want its user to
// write to so many; protocol.Denied: to any.
func (u *User) Approach(ctx context.Context, to *User, text string) error {
	return u.visit(ctx, func(ctx context.Context, s *client.Client) error {
		if _, err := s.Subscribe(ctx, &protocol.Sub{Topic: string(to.ID)}); err != nil {
			return err
		}
		_, err := s.Publish(ctx, string(to.ID), text)
		return err
	})
}

// Approached reports whether a first contact has arrived at the user's node. It has not
// if the node is down.
func (u *User) Approached(from *User) bool {
	err := u.m.View(func(tx store.Tx) error {
		_, err := tx.Topic(protocol.P2P(u.ID, from.ID))
		return err
	})
	return err == nil
}

// Answer accepts a stranger and writes back.
func (u *User) Answer(ctx context.Context, from *User, text string) error {
	return u.visit(ctx, func(ctx context.Context, s *client.Client) error {
		topic := string(from.ID)
		if _, err := s.Subscribe(ctx, &protocol.Sub{Topic: topic}); err != nil {
			return err
		}
		for _, user := range []string{"", topic} { // what u wants, and gives
			if _, err := s.SetMode(ctx, topic, user, friends); err != nil {
				return err
			}
		}
		_, err := s.Publish(ctx, topic, text)
		return err
	})
}

// Block does not want to hear of a stranger any more.
func (u *User) Block(ctx context.Context, from *User) error {
	return u.visit(ctx, func(ctx context.Context, s *client.Client) error {
		if _, err := s.Subscribe(ctx, &protocol.Sub{Topic: string(from.ID)}); err != nil {
			return err
		}
		_, err := s.SetMode(ctx, string(from.ID), "", "-JP")
		return err
	})
}

// Report tells the operators of a stranger, as clients do.
func (u *User) Report(ctx context.Context, from *User) error {
	return u.visit(ctx, func(ctx context.Context, s *client.Client) error {
		r, err := s.Send(ctx, &protocol.Pub{Topic: "sys", Content: json.RawMessage(fmt.Sprintf(`{"action":"report","target":%q}`, from.ID))})
		if err == nil {
			_, err = r.Wait(ctx)
		}
		return err
	})
}

// Unleash makes a node forget what it has counted of its own users: they have no limits.
func (m *Machine) Unleash() error {
	if a := m.outside(); a != nil {
		return a.unleash()
	}
	return m.restate(func(s *reputation.State) { s.Accounts = nil })
}

// Slander makes a node hold as much against others as it can, and so tell that.
func (m *Machine) Slander(others ...*Machine) error { return m.believe(worst, others) }

// Praise makes a node think as well of others as it can, and so tell that.
func (m *Machine) Praise(others ...*Machine) error { return m.believe(best, others) }

// believe puts others into what a node knows, as as makes them.
func (m *Machine) believe(as func(*reputation.Peer), others []*Machine) error {
	var of []reputation.Peer
	return m.restate(func(s *reputation.State) {
		for _, o := range others {
			kept := s.Strangers[:0]
			for _, p := range s.Strangers {
				if p.Name != o.Name {
					kept = append(kept, p)
				}
			}
			s.Strangers = kept
			found := false
			for i := range s.Peers {
				if s.Peers[i].Name == o.Name {
					found = true
					as(&s.Peers[i])
				}
			}
			if !found {
				p := reputation.Peer{Sender: reputation.Sender{Name: o.Name, Domain: string(o.Name), Proof: reputation.ProofDomain},
					First: s.At, Aged: s.At, At: s.At}
				as(&p)
				of = append(of, p)
			}
		}
		s.Peers = append(s.Peers, of...)
	})
}

// best is a peer with which there have been a lot of good conversations for long.
func best(p *reputation.Peer) {
	const much = 64
	p.P, p.Ps, p.Long, p.N, p.Ns, p.Voices = much, much, much, 0, 0, nil
}

// Question asks another node what it thinks of a third. refused: it has been asked too much.
func (m *Machine) Question(ctx context.Context, of *Machine, about protocol.Node) (refused bool, err error) {
	r := m.inside()
	if r == nil {
		return false, ErrDown
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, _, err = r.mesh.Ask(ctx, of.Name, &s2s.Ask{Opinion: reputation.EncodeQuestion(reputation.Told, netip.Prefix{}, []byte(about))})
	switch {
	case errors.Is(err, protocol.TooMany):
		return true, nil
	case errors.Is(err, protocol.NotFound): // it says nothing of that one
		return false, nil
	}
	return false, err
}

// worst is a peer of which two users say all that they can.
func worst(p *reputation.Peer) {
	const much = 64
	p.P, p.Ps, p.Long, p.N, p.Ns = 0, 0, 0, much, much
	p.Voices = []reputation.Voice{{User: "usrAAAAAAAAAAA", Bad: 4}, {User: "usrAAAAAAAAAAB", Bad: 4}}
}

func (m *Machine) restate(change func(*reputation.State)) error {
	return m.operate(func(n *node.Node) error {
		state := n.ExportStanding()
		change(&state)
		return n.ImportStanding(state)
	})
}

// Peers are what a node knows of the others; none if it is down.
func (m *Machine) Peers() (all []reputation.Peer) {
	_ = m.operate(func(n *node.Node) error { // it is down
		all = n.Standings()
		return nil
	})
	return all
}

// Welcome makes all nodes admit every first contact.
func (c *Cluster) Welcome() error {
	for _, at := range c.Machines {
		for _, p := range at.Peers() {
			err := at.setStanding(p.Name, reputation.Allow)
			if err != nil && !errors.Is(err, ErrDown) {
				return err
			}
		}
	}
	return nil
}

// ageStep is how long nodes are down at once: as long as counts for what they know.
const ageStep = reputation.MaxAway

// Age lets time pass in which nobody is there. All users are signed in, before and after.
func (c *Cluster) Age(ctx context.Context, d time.Duration) error {
	var up []*Machine
	for _, m := range c.Machines {
		if m.Up() {
			up = append(up, m)
		}
	}
	for _, u := range c.Users() {
		u.SignOff()
	}
	vtime.Sleep(ctx, time.Second)
	for ; d > 0; d -= ageStep {
		for _, m := range up {
			if err := m.Stop(); err != nil {
				return err
			}
		}
		vtime.Sleep(ctx, min(d, ageStep))
		for _, m := range up {
			if err := m.Start(); err != nil {
				return err
			}
		}
		vtime.Sleep(ctx, time.Second)
	}
	for _, u := range c.Users() {
		u.SignIn()
	}
	for _, u := range c.Users() {
		if err := u.Ready(ctx); err != nil {
			return err
		}
	}
	return ctx.Err()
}
