package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"parley/protocol"
	"parley/protocol/client"
)

// runFanout: one group, every member online, c.Senders of them publish.
func runFanout(ctx context.Context, t *target, c Case) (*Run, error) {
	if c.Users < 2 || c.Senders < 1 || c.Senders > c.Users {
		return nil, errors.New("fanout needs two members and no more senders than members")
	}
	if err := t.ensure(ctx, c.Users); err != nil {
		return nil, err
	}
	if limit := t.server.MaxSubscribers; limit > 0 && c.Users > limit {
		return nil, fmt.Errorf("the server allows groups of %d", limit)
	}
	tr := newTraffic(t, c)
	senders := make([]*flow, c.Users) // nil: this member does not send
	for i := range c.Senders {
		senders[i] = tr.addFlow(c.Users - 1)
	}
	for _, f := range senders {
		tr.addReceiver(f, tr.flows...)
	}
	var err error
	tr.clients, err = t.openAll(ctx, 0, c.Users, func(k int) hooks { return listen(senders[k], tr.receivers[k]) })
	if err != nil {
		return nil, err
	}
	if err := tr.gather(ctx); err != nil {
		tr.clients.close()
		return nil, err
	}
	if err := tr.play(ctx); err != nil {
		return nil, err
	}
	acked, delivered, ackLat, lat := tr.check()
	tr.run.add("published", "msg/s", float64(acked)/tr.win.sec)
	tr.run.add("delivered", "msg/s", float64(delivered)/tr.win.sec)
	tr.run.latencies("ack", ackLat)
	tr.run.latencies("delivery", lat)
	tr.win.report(tr.run, float64(delivered), "delivery")
	return tr.run, nil
}

// gather makes a group and brings every client into it.
func (t *traffic) gather(ctx context.Context) error {
	topic, err := newGroup(ctx, t.clients[0], "fan-out")
	if err != nil {
		return err
	}
	for i, f := range t.flows {
		f.sender, f.topic = t.clients[i], topic
	}
	err = parallel(2, len(t.clients)-1, func(i int) error {
		_, err := attach(ctx, t.clients[i+1], topic)
		return err
	})
	pause(ctx, settleGroup)
	return err
}

// settleGroup lets the notices of joining end before a load begins.
const settleGroup = 200 * time.Millisecond

func newGroup(ctx context.Context, c *client.Client, title string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	s, err := c.Subscribe(ctx, &protocol.Sub{Topic: "new1", Set: &protocol.SetQuery{
		Desc: &protocol.SetDesc{Public: fmt.Appendf(nil, `{"fn":%q}`, title)}}})
	if err != nil {
		return "", fmt.Errorf("making a group: %w", err)
	}
	return s.Topic, nil
}
