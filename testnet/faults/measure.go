package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"parley/protocol"
	"parley/protocol/client"
	"parley/testnet"
)

const (
	window    = 64              // messages of the sender that are not acknowledged
	patience  = 2 * time.Minute // until everything must have arrived
	pageLimit = 100
)

// tally is what the sender knows.
type tally struct {
	acked   map[int]bool // by number in the text
	refused int
}

// measure sends messages while the fault happens, and then compares what the sender was
// told with what the receiver has.
func (p *pair) measure(ctx context.Context, c Case) (*Result, error) {
	if err := p.befriend(ctx); err != nil {
		return nil, fmt.Errorf("getting to know each other: %w", err)
	}
	before := p.sender.rss()
	began := time.Now()
	var failed error
	var wg sync.WaitGroup
	wg.Go(func() { failed = c.fault(p, ctx) })
	t, sendErr := p.send(ctx, c)
	wg.Wait()
	if err := errors.Join(failed, sendErr); err != nil {
		return nil, err
	}
	growth := p.sender.rss() - before
	if before == 0 {
		growth = 0
	}
	r, err := p.settle(ctx, t)
	if err != nil {
		return nil, err
	}
	r.Case, r.Took, r.Growth, r.Unordered = c.Name, time.Since(began), growth, c.Unordered
	return r, nil
}

// usage is what the node has used; zero if it is dead or cannot be told.
func (n *place) usage() testnet.Usage {
	proc := n.process()
	if proc == nil {
		return testnet.Usage{}
	}
	u, err := testnet.ReadUsage(proc.PID())
	if err != nil {
		return testnet.Usage{}
	}
	return u
}

// rss is the resident memory of the node in bytes.
func (n *place) rss() int64 { return int64(n.usage().RSS) << 10 }

// befriend lets alice write to bob, and bob accept.
func (p *pair) befriend(ctx context.Context) error {
	ctx, stop := context.WithTimeout(ctx, 30*time.Second)
	defer stop()
	alice, err := p.sender.connect(ctx, client.Config{})
	if err != nil {
		return err
	}
	defer alice.Close()
	bob, err := p.receiver.connect(ctx, client.Config{})
	if err != nil {
		return err
	}
	defer bob.Close()
	if _, err := alice.Subscribe(ctx, &protocol.Sub{Topic: bob.User()}); err != nil {
		return err
	}
	if _, err := alice.Publish(ctx, bob.User(), "0"); err != nil {
		return err
	}
	for r := range bob.Events() {
		if r.Pres != nil && r.Pres.Src == alice.User() {
			break
		}
	}
	sub, err := bob.Subscribe(ctx, &protocol.Sub{Topic: alice.User(), Get: &protocol.GetQuery{What: "desc"}})
	if err != nil {
		return err
	}
	if _, err := bob.SetMode(ctx, alice.User(), "", sub.Desc.Acs.Given); err != nil {
		return err
	}
	_, err = bob.SetMode(ctx, alice.User(), alice.User(), sub.Desc.Acs.Given)
	return err
}

// send lets alice write; while her node is away she waits and goes on.
func (p *pair) send(ctx context.Context, c Case) (*tally, error) {
	t := &tally{acked: map[int]bool{}}
	peer, err := p.receiver.userID(ctx)
	if err != nil {
		return nil, err
	}
	pad := strings.Repeat("x", max(0, c.Size-8))
	next := 1
	for next <= c.Messages {
		conn, err := p.sender.connect(ctx, client.Config{OnEvent: func(*protocol.Response) {}})
		if err != nil {
			return nil, err
		}
		if _, err := conn.Subscribe(ctx, &protocol.Sub{Topic: peer}); err != nil {
			conn.Close()
			continue
		}
		next = t.stream(ctx, conn, peer, next, c, pad)
		conn.Close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	return t, nil
}

// stream sends messages until all are, or the connection ends: what was sent and not
// acknowledged then is not sent again, and counts only if it arrives twice.
func (t *tally) stream(ctx context.Context, conn *client.Client, peer string, next int, c Case, pad string) int {
	type sent struct {
		n int
		r *client.Receipt
	}
	var open []sent
	harvest := func(keep int) {
		for len(open) > keep {
			if _, err := open[0].r.Wait(ctx); err == nil {
				t.acked[open[0].n] = true
			} else if conn.Err() == nil {
				t.refused++
			}
			open = open[1:]
		}
	}
	began := time.Now()
	first := next
	for ; next <= c.Messages && conn.Err() == nil && ctx.Err() == nil; next++ {
		if c.Rate > 0 {
			due := began.Add(time.Duration(float64(next-first) / c.Rate * float64(time.Second)))
			select {
			case <-time.After(time.Until(due)):
			case <-ctx.Done():
			}
		}
		content, err := json.Marshal(fmt.Sprintf("%07d %s", next, pad))
		if err != nil {
			break
		}
		r, err := conn.Send(ctx, &protocol.Pub{Topic: peer, Content: content, NoEcho: true})
		if err != nil {
			break
		}
		open = append(open, sent{next, r})
		harvest(window)
	}
	harvest(0)
	return next
}

// userID is the id of the user of a place.
func (n *place) userID(ctx context.Context) (string, error) {
	c, err := n.connect(ctx, client.Config{})
	if err != nil {
		return "", err
	}
	defer c.Close()
	return c.User(), nil
}

// settle waits until all acknowledged messages have arrived or nothing more does, and
// compares.
func (p *pair) settle(ctx context.Context, t *tally) (*Result, error) {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		r, err := p.compare(ctx, t)
		if err != nil {
			return nil, err
		}
		if r.Lost == 0 {
			return r, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return r, nil
		}
	}
}

func (p *pair) compare(ctx context.Context, t *tally) (*Result, error) {
	arrived, err := p.history(context.WithoutCancel(ctx), p.receiver, p.sender)
	if err != nil {
		return nil, err
	}
	kept, err := p.history(context.WithoutCancel(ctx), p.sender, p.receiver)
	if err != nil {
		return nil, err
	}
	bounced := map[int]bool{}
	numbers := map[int]int{} // seq in the sender's replica → number
	for _, m := range kept {
		if m.status == "" {
			numbers[m.seq] = m.n
		}
	}
	for _, m := range kept {
		switch m.status {
		case "bounced", "unconfirmed":
			bounced[numbers[m.reply]] = true
		case "delivered":
			delete(bounced, numbers[m.reply])
		}
	}
	r := &Result{Sent: len(t.acked), Refused: t.refused, Bounced: len(bounced)}
	count := map[int]int{}
	last := 0
	for _, m := range arrived {
		if m.n == 0 {
			continue
		}
		if count[m.n]++; count[m.n] > 1 {
			r.Doubled++
		} else if m.n < last {
			r.Disordered++
		}
		last = max(last, m.n)
		if bounced[m.n] {
			r.Both++
		}
	}
	for n := range t.acked {
		if count[n] == 0 && !bounced[n] {
			r.Lost++
		}
	}
	return r, nil
}

// line is a message in somebody's history.
type line struct {
	seq, n int
	status string
	reply  int
}

// history is all that a user has of the conversation with the other, oldest first.
func (p *pair) history(ctx context.Context, of, with *place) ([]line, error) {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	peer, err := with.userID(ctx)
	if err != nil {
		return nil, err
	}
	c, err := of.connect(ctx, client.Config{OnEvent: func(*protocol.Response) {}})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if _, err := c.Subscribe(ctx, &protocol.Sub{Topic: peer}); err != nil {
		return nil, err
	}
	var all []line
	for since := 1; ; {
		page, err := c.GetData(ctx, peer, protocol.GetRanges{Since: since, Before: since + pageLimit, Limit: pageLimit})
		if err != nil {
			return nil, err
		}
		if len(page) == 0 {
			return all, nil
		}
		for i := len(page) - 1; i >= 0; i-- {
			all = append(all, lineOf(page[i]))
		}
		since += pageLimit
	}
}

func lineOf(d *protocol.Data) line {
	l := line{seq: d.Seq}
	var text string
	if json.Unmarshal(d.Content, &text) == nil && len(text) >= 7 {
		l.n, _ = strconv.Atoi(text[:7])
	}
	var head struct {
		Status string `json:"x-parley-status"`
		Reply  string `json:"reply"`
	}
	if len(d.Head) > 0 && json.Unmarshal(d.Head, &head) == nil {
		l.status = head.Status
		l.reply, _ = strconv.Atoi(head.Reply)
	}
	return l
}
