package bench

import (
	"context"
	"slices"
	"sync"
	"time"

	"parley/protocol"
	"parley/protocol/client"
)

// calm is how long the presence scenario waits for the server.
type calm struct {
	notice   time.Duration // one that takes longer counts as missing
	contacts time.Duration // after making contacts, for their notices to end
	look     time.Duration // from the last 'on' to asking who is online
}

var usualCalm = calm{notice: 30 * time.Second, contacts: 6 * time.Second, look: time.Second}

// runPresence: a user with c.Users online contacts comes and goes, c.Messages times:
// how long until every contact was told, and does the user see all of them.
func runPresence(ctx context.Context, t *target, c Case) (*Run, error) {
	if err := t.ensure(ctx, c.Users+1); err != nil {
		return nil, err
	}
	if err := t.befriend(ctx, c.Users); err != nil {
		return nil, err
	}
	watch := &presenceWatch{t: t, hub: t.session(t.login(0)).User, told: make(chan int64, 2*c.Users)}
	cs, err := t.openAll(ctx, 1, c.Users, func(int) hooks { return hooks{event: watch.contact()} })
	if err != nil {
		return nil, err
	}
	defer cs.close()
	pause(ctx, t.calm.look)

	r, w := newRun(), newWindow(t)
	if err := w.open(); err != nil {
		return nil, err
	}
	var all [2]notices // on, off
	start := time.Now()
	for i := 0; i < c.Messages && time.Since(start) < c.Duration && ctx.Err() == nil; i++ {
		if err := watch.round(ctx, r, c.Users, &all); err != nil {
			return nil, err
		}
	}
	if err := w.close(); err != nil {
		return nil, err
	}
	for i, what := range []string{"on", "off"} {
		r.latencies(what, all[i].each)
		r.latencies(what+", last contact", all[i].last)
	}
	w.report(r, float64(len(all[0].each)+len(all[1].each)), "notice")
	r.violation("connection lost", cs.lost())
	return r, ctx.Err()
}

// befriend makes accounts 1 … n contacts of account 0.
func (t *target) befriend(ctx context.Context, n int) error {
	hub := t.session(t.login(0)).User
	err := parallel(4, n, func(k int) error {
		c, err := t.open(ctx, 1+k, hooks{packet: idle})
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = attach(ctx, c, hub)
		return err
	})
	pause(ctx, t.calm.contacts)
	return err
}

// notices are how long it took to tell each contact, and the last one of a round.
type notices struct{ each, last []int64 }

func (n *notices) add(lat []int64) {
	if len(lat) > 0 {
		n.each = append(n.each, lat...)
		n.last = append(n.last, slices.Max(lat))
	}
}

// presenceWatch collects when the contacts hear about the hub.
type presenceWatch struct {
	t    *target
	hub  string
	told chan int64

	mu    sync.Mutex
	what  string // notice that is waited for
	start int64
}

// contact gives the hook of one contact; only its first notice of a kind counts.
func (p *presenceWatch) contact() func(*protocol.Response) {
	last := ""
	return func(r *protocol.Response) {
		m := r.Pres
		if m == nil || m.Topic != "me" || m.Src != p.hub || (m.What != "on" && m.What != "off") {
			return
		}
		now := p.t.clock()
		p.mu.Lock()
		want, start := p.what, p.start
		p.mu.Unlock()
		if m.What == want && last != want {
			p.told <- now - start
		}
		last = m.What
	}
}

// round brings the hub online and takes it away again.
func (p *presenceWatch) round(ctx context.Context, r *Run, contacts int, all *[2]notices) error {
	c, err := p.t.open(ctx, 0, hooks{packet: idle})
	if err != nil {
		return err
	}
	defer c.Close()
	p.expect("on")
	if err := attachMe(ctx, c); err != nil {
		return err
	}
	lat := p.wait(ctx, contacts)
	all[0].add(lat)
	r.violation("'on' not seen", contacts-len(lat))
	pause(ctx, p.t.calm.look)
	seen, err := onlineContacts(ctx, c)
	if err != nil {
		return err
	}
	r.violation("'online' not shown", max(0, contacts-seen))

	p.expect("off")
	c.Close()
	lat = p.wait(ctx, contacts)
	all[1].add(lat)
	r.violation("'off' not seen", contacts-len(lat))
	return nil
}

func (p *presenceWatch) expect(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.what, p.start = what, p.t.clock()
}

// wait returns how long it took to tell each of n contacts; fewer if some were not.
func (p *presenceWatch) wait(ctx context.Context, n int) []int64 {
	late := time.NewTimer(p.t.calm.notice)
	defer late.Stop()
	var lat []int64
	for len(lat) < n {
		select {
		case d := <-p.told:
			lat = append(lat, d)
		case <-late.C:
			return lat
		case <-ctx.Done():
			return lat
		}
	}
	return lat
}

// onlineContacts counts the subscriptions of the user that are shown as online.
func onlineContacts(ctx context.Context, c *client.Client) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	subs, err := c.GetSubs(ctx, "me")
	n := 0
	for _, s := range subs {
		if s.Online {
			n++
		}
	}
	return n, err
}
