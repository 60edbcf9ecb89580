package specpeer

import (
	"context"

	"github.com/quic-go/quic-go"
)

// on returns the stream of a kind, which is opened when something is said on it for the
// first time.
func (l *Link) on(kind byte, s **quic.SendStream) (*quic.SendStream, error) {
	var err error
	if *s == nil {
		*s, err = l.open(l.ctx, kind)
	}
	return *s, err
}

// ack answers posts.
func (l *Link) ack(a *Ack) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return writeFrame(l.control, Control{Ack: a})
}

// line says something in a lane.
func (l *Link) line(lane int, f Line) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, err := l.on(byte(laneStream+lane), &l.lanes[lane])
	if err != nil {
		return err
	}
	return writeFrame(s, f)
}

// settle tells that verdicts were acted upon.
func (l *Link) settle(a *Ack) error {
	if len(a.Verdicts) == 0 {
		return nil
	}
	return l.line(a.Lane, Line{Settled: a.Upto})
}

// lane is that of a post's topic.
func (p *Peer) lane(post *Post) int {
	from, to := Full(post.From, p.Name, p.Other), Full(post.To, p.Name, p.Other)
	switch {
	case post.Topic != "":
		return laneOf(Full(post.Topic, p.Name, p.Other))
	case post.From != "" && post.To != "":
		return laneOf(Pair(from, to))
	}
	return laneOf("")
}

func (l *Link) send(post *Post) error { return l.line(l.p.lane(post), Line{Post: post}) }

// Post sends a post, now or, if the other has not yet answered what it has, then. It
// returns the number.
func (l *Link) Post(post *Post) (uint64, error) {
	l.p.mu.Lock()
	o := &l.p.out[l.p.lane(post)]
	o.add(post)
	n, now := post.N, o.acked >= o.wait
	l.p.mu.Unlock()
	if !now {
		return n, nil
	}
	return n, l.send(post)
}

// greet answers what was taken on earlier links and the other has not settled.
func (l *Link) greet() error {
	for lane, theirs := range l.Theirs.Lanes {
		if a := l.p.owed(lane, theirs.Lowest); a != nil && !l.Anew {
			if err := l.ack(a); err != nil {
				return err
			}
		}
	}
	return nil
}

// again sends what was not answered on earlier links, unless it must wait for the other's
// answers: then readControl does.
func (l *Link) again() error {
	for lane := range lanes {
		l.p.mu.Lock()
		o := &l.p.out[lane]
		var posts []*Post
		if o.acked >= o.wait {
			posts = o.unanswered()
		}
		l.p.mu.Unlock()
		for _, post := range posts {
			if err := l.send(post); err != nil {
				return err
			}
		}
	}
	return nil
}

// Verdict waits until the other has answered a post.
func (l *Link) Verdict(ctx context.Context, post *Post) (Verdict, error) {
	lane := l.p.lane(post)
	for {
		l.p.mu.Lock()
		v, ok := l.p.out[lane].verdicts[post.N]
		changed := l.p.changed
		l.p.mu.Unlock()
		if ok {
			return v, nil
		}
		select {
		case <-changed:
		case <-l.ctx.Done():
			return v, context.Cause(l.ctx)
		case <-ctx.Done():
			return v, ctx.Err()
		}
	}
}

// Cast says a cast on the stream of casts, or in a datagram.
func (l *Link) Cast(c *Cast, datagram bool) error {
	if datagram {
		b, err := encoding.Marshal(c)
		if err != nil {
			return err
		}
		return l.conn.SendDatagram(b)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s, err := l.on(castStream, &l.casts)
	if err != nil {
		return err
	}
	return writeFrame(s, c)
}

// Await waits until the other has said something that passes; what comes before is passed
// over.
func (l *Link) Await(ctx context.Context, pass func(Heard) bool) (Heard, error) {
	for {
		select {
		case h := <-l.heard:
			if pass(h) {
				return h, nil
			}
		case <-l.ctx.Done():
			return Heard{}, context.Cause(l.ctx)
		case <-ctx.Done():
			return Heard{}, ctx.Err()
		}
	}
}
