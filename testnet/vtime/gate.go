package vtime

import (
	"context"
	"net"
	"sync"
	"time"
)

// Sizes and times of gates.
const (
	tick      = 2 * time.Millisecond // outside, between two advances of the clock
	chunk     = 32 << 10             // bytes read at once
	underway  = 64                   // chunks of a connection on their way, each direction
	waitDrain = 5 * time.Millisecond // inside, until a slow reader outside is tried again
)

// Gate lets connections from outside into a bubble, and the clock go by a pace meanwhile:
// between two steps the bubble waits for the gate, which is outside, and its clock stands
// still.
//
// NewGate, Port and Close are called outside; Open and [Port.Listen], with all that comes
// of it, inside.
type Gate struct {
	pace  float64
	began time.Time    // outside, as what is in passages
	in    chan passage // made outside
	done  chan struct{}
	stop  sync.Once
	wg    sync.WaitGroup

	mu    sync.Mutex
	ports []*Port // guarded by mu
}

// passage is what comes in, and when it did: the clock inside goes on to that first, so
// that nothing takes less time outside than it should, also if the bubble is behind.
type passage struct {
	at   time.Time
	conn *guest // nil: only the time
	data []byte
	end  bool // of conn
}

// NewGate makes a gate with a pace: how much faster than outside time goes by.
func NewGate(pace float64) *Gate {
	g := &Gate{pace: pace, began: time.Now(), in: make(chan passage, underway), done: make(chan struct{})}
	g.wg.Go(g.beat)
	return g
}

// beat tells the bubble how far to go.
func (g *Gate) beat() {
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			if !g.pass(passage{}) {
				return
			}
		case <-g.done:
			return
		}
	}
}

// pass brings something in; false if the gate is closed.
func (g *Gate) pass(p passage) bool {
	p.at = time.Now()
	select {
	case g.in <- p:
		return true
	case <-g.done:
		return false
	}
}

// Open lets ports be attached and time go by the pace until ctx ends or the gate is closed;
// then time goes by as before. It is called inside, by a goroutine that the caller waits
// for.
func (g *Gate) Open(ctx context.Context) {
	inside := map[*guest]bool{}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer func() {
		for q := range inside {
			close(q.queue)
			_ = q.pipe.Close()
		}
	}()
	last := g.began
	for ctx.Err() == nil {
		select {
		case p := <-g.in:
			if p.at.After(last) {
				Sleep(ctx, time.Duration(float64(p.at.Sub(last))*g.pace))
				last = p.at
			}
			switch q := p.conn; {
			case q == nil:
			case p.end && inside[q]:
				delete(inside, q)
				close(q.queue)
			case inside[q]:
				q.queue <- p.data // there is room: see guest.room
			case !p.end:
				inside[q] = true
				q.enter(&wg)
			}
		case <-g.done:
			return
		}
	}
}

// Close ends all connections, ports, and the pace, and waits for that.
func (g *Gate) Close() {
	g.Shut()
	g.wg.Wait()
}

// Shut is Close without waiting: it may be called inside, too.
func (g *Gate) Shut() {
	g.stop.Do(func() { close(g.done) })
	g.mu.Lock()
	ports := g.ports
	g.mu.Unlock()
	for _, p := range ports {
		_ = p.outer.Close() // it may be already
		p.Drop()
	}
}

// Port is a listener outside, behind which there is one inside, or nobody for the moment.
type Port struct {
	gate  *Gate
	outer net.Listener

	mu     sync.Mutex
	inner  *inner          // guarded by mu; nil: nobody listens
	guests map[*guest]bool // guarded by mu
}

// Port takes over a listener.
func (g *Gate) Port(outer net.Listener) *Port {
	p := &Port{gate: g, outer: outer, guests: map[*guest]bool{}}
	g.mu.Lock()
	g.ports = append(g.ports, p)
	g.mu.Unlock()
	g.wg.Go(p.accept)
	return p
}

// Addr is where clients reach it.
func (p *Port) Addr() net.Addr { return p.outer.Addr() }

func (p *Port) accept() {
	for {
		c, err := p.outer.Accept()
		if err != nil {
			return
		}
		q := &guest{port: p, outer: c, out: make(chan []byte, underway), room: make(chan struct{}, underway)}
		p.mu.Lock()
		l := p.inner
		if l != nil {
			p.guests[q] = true
		}
		p.mu.Unlock()
		if l == nil {
			_ = c.Close() // as if nobody listened
			continue
		}
		q.to = l
		p.gate.wg.Go(q.readOuter)
		p.gate.wg.Go(q.writeOuter)
	}
}

// Drop ends all connections without a word.
func (p *Port) Drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for q := range p.guests {
		_ = q.outer.Close()
	}
}

// Listen is the listener inside; the one before must have been closed.
func (p *Port) Listen() net.Listener {
	l := &inner{port: p, conns: make(chan net.Conn, underway), closed: make(chan struct{})}
	p.mu.Lock()
	p.inner = l
	p.mu.Unlock()
	return l
}

// inner implements net.Listener.
type inner struct {
	port   *Port
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *inner) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *inner) Close() error {
	l.once.Do(func() {
		l.port.mu.Lock()
		if l.port.inner == l {
			l.port.inner = nil
		}
		l.port.mu.Unlock()
		close(l.closed)
		for len(l.conns) > 0 {
			_ = (<-l.conns).Close()
		}
	})
	return nil
}

func (l *inner) Addr() net.Addr { return l.port.outer.Addr() }

// guest is a connection from outside. What comes in goes through the gate and a queue to
// one end of a pipe, whose other end is the server's.
type guest struct {
	port  *Port
	outer net.Conn
	to    *inner
	out   chan []byte   // made outside
	room  chan struct{} // made outside: chunks on their way in

	// Inside.
	queue chan []byte
	pipe  net.Conn
}

func (q *guest) readOuter() {
	defer func() {
		q.port.mu.Lock()
		delete(q.port.guests, q)
		q.port.mu.Unlock()
		q.port.gate.pass(passage{conn: q, end: true})
	}()
	if !q.port.gate.pass(passage{conn: q}) { // is announced
		return
	}
	for {
		select {
		case q.room <- struct{}{}:
		case <-q.port.gate.done:
			return
		}
		b := make([]byte, chunk)
		n, err := q.outer.Read(b)
		if n > 0 && !q.port.gate.pass(passage{conn: q, data: b[:n]}) || err != nil {
			return
		}
	}
}

func (q *guest) writeOuter() {
	defer q.outer.Close()
	for {
		select {
		case b, ok := <-q.out:
			if !ok {
				return
			}
			if _, err := q.outer.Write(b); err != nil {
				return
			}
		case <-q.port.gate.done:
			return
		}
	}
}

// enter makes the connection inside.
func (q *guest) enter(wg *sync.WaitGroup) {
	near, far := net.Pipe()
	q.pipe, q.queue = near, make(chan []byte, underway)
	wg.Go(q.pump)
	wg.Go(q.drain)
	select {
	case <-q.to.closed:
		_ = near.Close()
	case q.to.conns <- &server{Conn: far, guest: q}:
	default:
		_ = near.Close() // too many at once
	}
}

// pump writes what has come to the server.
func (q *guest) pump() {
	defer q.pipe.Close()
	for b := range q.queue {
		if _, err := q.pipe.Write(b); err != nil { // the server is done: so is the client, then
			_ = q.pipe.Close()
		}
		<-q.room
	}
}

// drain gives what the server writes to whoever is outside.
func (q *guest) drain() {
	defer close(q.out)
	b := make([]byte, chunk)
	for {
		n, err := q.pipe.Read(b)
		if n > 0 && !q.give(append([]byte(nil), b[:n]...)) {
			return
		}
		if err != nil {
			return
		}
	}
}

// give waits inside while the reader outside is slow, so that time goes on.
func (q *guest) give(b []byte) bool {
	for {
		select {
		case q.out <- b:
			return true
		case <-q.port.gate.done:
			return false
		default:
		}
		t := time.NewTimer(waitDrain)
		<-t.C
	}
}

// server is the connection as the server has it.
type server struct {
	net.Conn
	guest *guest
}

func (s *server) RemoteAddr() net.Addr { return s.guest.outer.RemoteAddr() }
func (s *server) LocalAddr() net.Addr  { return s.guest.outer.LocalAddr() }
