package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"parley/protocol"
	"parley/protocol/client"
	"parley/testnet"
)

// Figure is one number of how two nodes work together, and what XMPP servers were
// measured with.
type Figure struct {
	What  string  `json:"what"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	Goal  string  `json:"goal,omitempty"`
	XMPP  string  `json:"xmpp,omitempty"`
}

// How much is measured at full scale.
const (
	perfPairs    = 8
	perfMessages = 40_000
	perfRate     = 500 // messages a second, for latencies
	perfSeconds  = 10
	perfContacts = 100
	perfGroup    = 200 // messages to the group
)

// Measure prints how fast and how frugal two nodes are together, without faults.
func Measure(ctx context.Context, cfg Config) (_ []Figure, err error) {
	if cfg.Scale == 0 {
		cfg.Scale = 1
	}
	var all []Figure
	err = cfg.onPair(ctx, func(p *pair) (bool, error) {
		for _, part := range []func(context.Context) ([]Figure, error){p.throughput, p.latency, p.presence, p.group} {
			fs, err := part(ctx)
			if err != nil {
				return true, err
			}
			all = append(all, fs...)
		}
		return false, nil
	})
	return all, err
}

// count scales a number.
func (p *pair) count(n int) int { return max(10, int(float64(n)*p.scale)) }

// friends are a user of each node who know each other, connected.
type friends struct{ a, b *client.Client }

// makeFriends makes n pairs. heard is told each message that b of a pair gets.
func (p *pair) makeFriends(ctx context.Context, prefix string, n int, heard func(pair int, d *protocol.Data)) ([]friends, error) {
	all := make([]friends, n)
	for i := range all {
		a, err := p.newUser(ctx, p.sender, fmt.Sprintf("%sa%d", prefix, i), nil)
		if err != nil {
			return nil, err
		}
		b, err := p.newUser(ctx, p.receiver, fmt.Sprintf("%sb%d", prefix, i), func(r *protocol.Response) {
			if r.Data != nil && heard != nil {
				heard(i, r.Data)
			}
		})
		if err != nil {
			return nil, err
		}
		all[i] = friends{a, b}
		if err := introduce(ctx, a, b); err != nil {
			return nil, fmt.Errorf("pair %d: %w", i, err)
		}
	}
	return all, nil
}

// newUser makes an account and stays connected.
func (p *pair) newUser(ctx context.Context, at *place, login string, event func(*protocol.Response)) (*client.Client, error) {
	if event == nil {
		event = func(*protocol.Response) {}
	}
	c, err := testnet.Dial(ctx, at.process().WebSocket(), client.Config{OnEvent: event})
	if err != nil {
		return nil, err
	}
	if _, err := c.CreateAccount(ctx, client.Account{Login: login, Password: password, Public: map[string]string{"fn": login}}); err != nil {
		return nil, err
	}
	_, err = c.Subscribe(ctx, &protocol.Sub{Topic: "me"})
	return c, err
}

// introduce lets both begin, so that nobody is a stranger.
func introduce(ctx context.Context, a, b *client.Client) error {
	if _, err := a.Subscribe(ctx, &protocol.Sub{Topic: b.User()}); err != nil {
		return err
	}
	if _, err := b.Subscribe(ctx, &protocol.Sub{Topic: a.User()}); err != nil {
		return err
	}
	all := protocol.ModeP2P.String()
	for range 50 { // until both nodes know that both want it
		if _, err := b.SetMode(ctx, a.User(), "", all); err != nil {
			return err
		}
		if _, err := b.SetMode(ctx, a.User(), a.User(), all); err != nil {
			return err
		}
		d, err := a.GetDesc(ctx, b.User())
		if err != nil {
			return err
		}
		if d.Acs != nil && strings.Contains(d.Acs.Mode, "W") && strings.Contains(d.Acs.Mode, "P") {
			return nil
		}
		pause(ctx, 20*time.Millisecond)
	}
	return fmt.Errorf("%s and %s did not get to know each other", a.User(), b.User())
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// cpu is the processor time that a node has used, in µs.
func (n *place) cpu() float64 { return n.usage().CPU * 1e6 }

// wire is what has crossed the network between the nodes, both ways.
func (p *pair) wire() (bytes, packets int64) {
	return p.forth.bytes.Load() + p.back.bytes.Load(), p.forth.packets.Load() + p.back.packets.Load()
}

// throughput sends as much as goes, from all pairs at once.
func (p *pair) throughput(ctx context.Context) ([]Figure, error) {
	each := p.count(perfMessages) / perfPairs
	var got atomic.Int64
	done := make(chan struct{})
	all, err := p.makeFriends(ctx, "t", perfPairs, func(int, *protocol.Data) {
		if got.Add(1) == int64(each*perfPairs) {
			close(done)
		}
	})
	if err != nil {
		return nil, err
	}
	content, err := json.Marshal(strings.Repeat("x", 98))
	if err != nil {
		return nil, err
	}
	bytes, _ := p.wire()
	sender, receiver := p.sender.cpu(), p.receiver.cpu()
	began := time.Now()
	var wg sync.WaitGroup
	errs := make(chan error, perfPairs)
	for _, f := range all {
		wg.Go(func() { errs <- flood(ctx, f.a, f.b.User(), content, each) })
	}
	wg.Wait()
	for range all {
		if err := <-errs; err != nil {
			return nil, err
		}
	}
	select {
	case <-done:
	case <-time.After(patience):
		return nil, fmt.Errorf("only %d of %d messages arrived", got.Load(), each*perfPairs)
	}
	took, n := time.Since(began), float64(each*perfPairs)
	after, _ := p.wire()
	for _, f := range all {
		f.a.Close()
		f.b.Close()
	}
	return []Figure{
		{"1:1 across nodes, durable at both", n / took.Seconds(), "messages/s", ">= 8000", "Prosody 2200 with archive, 7200 without; ejabberd 8500-12000, not durable"},
		{"CPU at the sender's node", (p.sender.cpu() - sender) / n, "µs/message", "<= 90", "Prosody 276 with archive, 95 without; ejabberd 60"},
		{"CPU at the receiver's node", (p.receiver.cpu() - receiver) / n, "µs/message", "<= 70", "Prosody 239 with archive, 73 without; ejabberd 47"},
		{"on the wire for 100 bytes of text, both ways with UDP", float64(after-bytes) / n, "bytes/message", "<= 200", "Prosody 203-307, ejabberd 224"},
	}, nil
}

func flood(ctx context.Context, c *client.Client, to string, content []byte, n int) error {
	var open []*client.Receipt
	for range n {
		r, err := c.Send(ctx, &protocol.Pub{Topic: to, Content: content, NoEcho: true})
		if err != nil {
			return err
		}
		if open = append(open, r); len(open) >= window {
			if _, err := open[0].Wait(ctx); err != nil {
				return err
			}
			open = open[1:]
		}
	}
	for _, r := range open {
		if _, err := r.Wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// latency sends at a steady rate, and times each message from client to client.
func (p *pair) latency(ctx context.Context) ([]Figure, error) {
	n := p.count(perfRate * perfSeconds)
	var mu sync.Mutex
	var took []float64
	done := make(chan struct{})
	all, err := p.makeFriends(ctx, "l", 1, func(_ int, d *protocol.Data) {
		now := time.Now()
		var text string
		if json.Unmarshal(d.Content, &text) != nil {
			return
		}
		sent, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
		if err != nil {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		took = append(took, now.Sub(time.Unix(0, sent)).Seconds()*1000)
		if len(took) == n {
			close(done)
		}
	})
	if err != nil {
		return nil, err
	}
	began := time.Now()
	for i := range n {
		pause(ctx, time.Until(began.Add(time.Duration(i)*time.Second/perfRate)))
		text := fmt.Sprintf("%100d", time.Now().UnixNano())
		content, err := json.Marshal(text)
		if err != nil {
			return nil, err
		}
		if _, err := all[0].a.Send(ctx, &protocol.Pub{Topic: all[0].b.User(), Content: content, NoEcho: true}); err != nil {
			return nil, err
		}
	}
	select {
	case <-done:
	case <-time.After(patience):
		return nil, fmt.Errorf("not all messages arrived")
	}
	all[0].a.Close()
	all[0].b.Close()
	slices.Sort(took)
	at := func(q float64) float64 { return took[min(len(took)-1, int(math.Ceil(q*float64(len(took))))-1)] }
	return []Figure{
		{"latency at 500 messages/s, median", at(.5), "ms", "<= 1.0", "Prosody 19 (0.46 without Nagle), ejabberd 0.7"},
		{"latency at 500 messages/s, 99 %", at(.99), "ms", "<= 5", "Prosody 48 (4.2 without Nagle), ejabberd 30"},
	}, nil
}

// presence lets a user with many contacts at the other node come and go.
func (p *pair) presence(ctx context.Context) ([]Figure, error) {
	contacts := p.count(perfContacts)
	login := "presence"
	one, err := p.newUser(ctx, p.sender, login, nil)
	if err != nil {
		return nil, err
	}
	var on, off atomic.Int64
	user := one.User()
	for i := range contacts {
		c, err := p.newUser(ctx, p.receiver, fmt.Sprintf("contact%d", i), func(r *protocol.Response) {
			if r.Pres != nil && r.Pres.Src == user {
				switch r.Pres.What {
				case "on":
					on.Add(1)
				case "off":
					off.Add(1)
				}
			}
		})
		if err != nil {
			return nil, err
		}
		if err := introduce(ctx, one, c); err != nil {
			return nil, err
		}
	}
	var figures []Figure
	for _, act := range []struct {
		what  string
		do    func() error
		count *atomic.Int64
		known string
	}{
		{"goes off", one.Close, &off, "100 stanzas"},
		{"comes back", func() (err error) {
			one, err = p.login(ctx, p.sender, login)
			return err
		}, &on, "300 stanzas, 35-37 kB"},
	} {
		pause(ctx, 2*time.Second) // what was before has been acknowledged
		act.count.Store(0)
		bytes, packets := p.wire()
		if err := act.do(); err != nil {
			return nil, err
		}
		for deadline := time.Now().Add(patience); act.count.Load() < int64(contacts) && time.Now().Before(deadline); {
			pause(ctx, 20*time.Millisecond)
		}
		if got := act.count.Load(); got != int64(contacts) {
			return nil, fmt.Errorf("%d of %d contacts saw that a user %s", got, contacts, act.what)
		}
		pause(ctx, time.Second)
		b, n := p.wire()
		figures = append(figures,
			Figure{fmt.Sprintf("a user with %d contacts there %s", contacts, act.what), float64(b - bytes), "bytes", "< 3000", act.known},
			Figure{"  the same in packets, both ways, with acknowledgements", float64(n - packets), "packets", "", ""})
	}
	return figures, nil
}

// login connects a user who has an account.
func (p *pair) login(ctx context.Context, at *place, login string) (*client.Client, error) {
	c, err := testnet.Dial(ctx, at.process().WebSocket(), client.Config{OnEvent: func(*protocol.Response) {}})
	if err != nil {
		return nil, err
	}
	if _, err := c.LoginBasic(ctx, login, password); err != nil {
		return nil, err
	}
	_, err = c.Subscribe(ctx, &protocol.Sub{Topic: "me"})
	return c, err
}

// group sends to a group with many members at the other node.
func (p *pair) group(ctx context.Context) ([]Figure, error) {
	members, messages := p.count(perfContacts), p.count(perfGroup)
	owner, err := p.newUser(ctx, p.sender, "owner", nil)
	if err != nil {
		return nil, err
	}
	sub, err := owner.Subscribe(ctx, &protocol.Sub{Topic: "new"})
	if err != nil {
		return nil, err
	}
	var got atomic.Int64
	before, _ := p.wire()
	for i := range members {
		c, err := p.newUser(ctx, p.receiver, fmt.Sprintf("member%d", i), func(r *protocol.Response) {
			if r.Data != nil {
				got.Add(1)
			}
		})
		if err != nil {
			return nil, err
		}
		if _, err := c.Subscribe(ctx, &protocol.Sub{Topic: sub.Topic}); err != nil {
			return nil, fmt.Errorf("member %d joins: %w", i, err)
		}
	}
	pause(ctx, time.Second)
	joined, _ := p.wire()
	content, err := json.Marshal(strings.Repeat("x", 98))
	if err != nil {
		return nil, err
	}
	for i := range messages {
		if _, err := owner.Publish(ctx, sub.Topic, json.RawMessage(content)); err != nil {
			return nil, fmt.Errorf("message %d: %w", i, err)
		}
		pause(ctx, 5*time.Millisecond)
	}
	for deadline := time.Now().Add(patience); got.Load() < int64(members*messages) && time.Now().Before(deadline); {
		pause(ctx, 20*time.Millisecond)
	}
	if got.Load() != int64(members*messages) {
		return nil, fmt.Errorf("%d of %d copies of messages to a group arrived", got.Load(), members*messages)
	}
	after, _ := p.wire()
	return []Figure{
		{fmt.Sprintf("%d users there join a group", members), float64(joined-before) / 1000, "kB", "O(n)", "Prosody 3300, ejabberd 2200 (10,100 presences)"},
		{fmt.Sprintf("a message to a group with %d members there", members), float64(after-joined) / float64(messages), "bytes", "<= 400", "Prosody 32,500, ejabberd 25,000 (100 copies)"},
	}, nil
}
