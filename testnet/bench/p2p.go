package bench

import "context"

// runP2P: pairs of users; every sender keeps c.Inflight messages unacknowledged.
func runP2P(ctx context.Context, t *target, c Case) (*Run, error) {
	if err := t.ensure(ctx, 2*c.Users); err != nil {
		return nil, err
	}
	tr := newTraffic(t, c)
	for range c.Users {
		tr.addFlow(0)
	}
	for _, f := range tr.flows {
		tr.addReceiver(nil, f)
	}
	var err error
	tr.clients, err = t.openAll(ctx, 0, 2*c.Users, func(k int) hooks {
		if k%2 == 0 {
			return listen(tr.flows[k/2], nil)
		}
		return listen(nil, tr.receivers[k/2])
	})
	if err != nil {
		return nil, err
	}
	err = parallel(4, c.Users, func(i int) error {
		s, r, f := tr.clients[2*i], tr.clients[2*i+1], tr.flows[i]
		f.sender = s
		var err error
		if f.topic, err = attach(ctx, s, r.User()); err != nil {
			return err
		}
		_, err = attach(ctx, r, s.User())
		return err
	})
	if err != nil {
		tr.clients.close()
		return nil, err
	}
	if err := tr.play(ctx); err != nil {
		return nil, err
	}
	acked, delivered, ackLat, lat := tr.check()
	tr.run.add("acked", "msg/s", float64(acked)/tr.win.sec)
	tr.run.add("delivered", "msg/s", float64(delivered)/tr.win.sec)
	tr.run.latencies("ack", ackLat)
	tr.run.latencies("delivery", lat)
	tr.win.report(tr.run, float64(acked), "message")
	return tr.run, nil
}
