package cluster

import (
	"context"
	"fmt"
	"time"

	"parley/protocol/client"
	"parley/testnet/checks"
	"parley/testnet/vtime"
)

// Outcome is what a run has come to.
type Outcome struct {
	*checks.Found
	Waiting  int // see Cluster.Waiting
	Presence int // contacts whose state was looked at
	Wrong    int // of those, shown wrongly
	Settled  bool
}

// Settle waits until nothing is on its way any more; at most so long. It reports whether
// that came.
func (c *Cluster) Settle(ctx context.Context, most time.Duration) (bool, error) {
	for end := time.Now().Add(most); ; {
		waiting, err := c.Waiting()
		if err != nil || waiting == 0 {
			return err == nil, err
		}
		if time.Now().After(end) || !vtime.Sleep(ctx, pollEvery) {
			return false, ctx.Err()
		}
	}
}

// Waiting is how much is on its way: requests of users that are not answered, posts in
// the outboxes of all nodes that run, and groups that followers do not have in full.
func (c *Cluster) Waiting() (int, error) {
	all := 0
	for _, m := range c.Machines {
		n, err := m.Waiting()
		if err != nil {
			return 0, fmt.Errorf("outbox of %s: %w", m.Name, err)
		}
		all += n
	}
	for _, u := range c.Users() {
		all += u.Writing()
	}
	return all, nil
}

// settleClients waits a moment until clients have what their nodes have. What the writers
// were told to have ended does not come: then the moment is over.
func (c *Cluster) settleClients(ctx context.Context) {
	for end := time.Now().Add(longest); time.Now().Before(end) && vtime.Sleep(ctx, pollEvery); {
		if c.Ledger.AllHeard() {
			return
		}
	}
}

// Calm is how long presence may take to be right again after everything else is: what
// was learnt of a node that vanished ends 90 s later, and links are tried again at least
// every few minutes.
const Calm = 2 * time.Minute

// Finish starts the nodes that are down, signs everybody in, waits until all is
// delivered, at most so long, reads all replicas and judges. Faults must have ended.
func (c *Cluster) Finish(ctx context.Context, most time.Duration) (*Outcome, error) {
	for _, m := range c.Machines {
		if err := m.Start(); err != nil {
			return nil, err
		}
	}
	for _, u := range c.Users() {
		u.SignIn()
	}
	for _, u := range c.Users() {
		if err := u.Ready(ctx); err != nil {
			return nil, err
		}
	}
	out := &Outcome{}
	var err error
	if out.Settled, err = c.Settle(ctx, most); err != nil {
		return nil, err
	}
	c.settleClients(ctx)
	if err := c.settlePresence(ctx, out); err != nil {
		return nil, err
	}
	if out.Waiting, err = c.Waiting(); err != nil {
		return nil, err
	}
	replicas, err := c.replicas(ctx)
	if err != nil {
		return nil, err
	}
	users := c.Users()
	out.Found = c.Ledger.Compare(replicas, func(u int) string {
		if u < 0 {
			return "nobody"
		}
		return users[u].Name
	})
	return out, nil
}

// settlePresence waits until everybody is shown as online, at most for Calm.
func (c *Cluster) settlePresence(ctx context.Context, out *Outcome) error {
	for end := time.Now().Add(Calm); ; {
		out.Presence, out.Wrong = 0, 0
		for _, u := range c.Users() {
			for _, r := range u.calls() {
				if r.topic == "" {
					out.Presence++
					if !u.Sees(r.other(u)) {
						out.Wrong++
					}
				}
			}
		}
		if out.Wrong == 0 || time.Now().After(end) {
			c.noteWrong()
			return nil
		}
		if !vtime.Sleep(ctx, time.Second) {
			return ctx.Err()
		}
	}
}

// noteWrong tells who is shown wrongly.
func (c *Cluster) noteWrong() {
	for _, u := range c.Users() {
		for _, r := range u.Rooms() {
			if !r.IsGroup() && !u.Sees(r.other(u)) {
				o := r.other(u)
				c.note("presence", "%s does not see that %s is online; linked: %v and %v", u.Name, o.Name, u.m.Linked(o.m), o.m.Linked(u.m))
			}
		}
	}
}

// Sees reports whether a contact is shown as online.
func (u *User) Sees(other *User) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.seen[other.ID]
}

// replicas reads everything that all users can read.
func (c *Cluster) replicas(ctx context.Context) ([]checks.Replica, error) {
	var all []checks.Replica
	for _, u := range c.Users() {
		s, err := u.online(ctx)
		if err != nil {
			return nil, err
		}
		for _, r := range c.Rooms() {
			if _, in := u.calls()[r.call(u)]; !in || !r.has(u) {
				continue
			}
			h, err := u.history(ctx, r, s)
			if err != nil {
				return nil, err
			}
			all = append(all, h)
		}
	}
	return all, nil
}

func (r *Room) has(u *User) bool {
	for _, m := range r.Members {
		if m == u {
			return true
		}
	}
	return false
}

// note, heard and refused tell of what happens to whoever watches.
func (c *Cluster) note(kind, format string, args ...any) {
	if c.cfg.Note != nil {
		c.cfg.Note(kind, fmt.Sprintf(format, args...))
	}
}

func (c *Cluster) heard(u *User, m *checks.Message) {
	if c.cfg.Heard != nil {
		c.cfg.Heard(u, m)
	}
}

func (c *Cluster) refused(u *User, m *checks.Message, e *client.Error) {
	c.note("refused", "message %d of %s: %d %s", m.ID, u.Name, e.Code, e.Text)
}
