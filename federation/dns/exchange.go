package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	mdns "github.com/miekg/dns"
	"golang.org/x/sync/singleflight"

	"parley/federation"
)

// Times.
const (
	tryTimeout    = 2 * time.Second // of one question to one server
	lookupTimeout = 8 * time.Second
	tries         = 2 // of each server
	maxLife       = 24 * time.Hour
	maxNegative   = 15 * time.Minute // RFC 2308 allows more
	failureLife   = 30 * time.Second
	freshEnough   = time.Minute // an answer without the key that is wanted is not asked for again
)

const (
	maxCached  = 4096
	udpSize    = 1232 // bytes: fits into a packet of any path (DNS flag day 2020)
	maxMessage = 16 << 10
)

// server is a resolver. Of one that is trusted, AD means that it has validated DNSSEC and
// that nobody could change the answer on its way (RFC 6840, 5.7 and 4035, 4.9.3).
type server struct {
	addr    string
	trusted bool
}

// answer is what the DNS has at a name.
type answer struct {
	records   []mdns.RR
	authentic bool
	err       error // ErrNothing, or a failure
	at, until time.Time
}

type question struct {
	name string // lower case, with the final dot
	kind uint16
}

// cache keeps answers and failures for their time. The flights are lookups going on.
type cache struct {
	mu      sync.Mutex
	answers map[question]*answer
	flights singleflight.Group
}

func newCache() *cache { return &cache{answers: map[question]*answer{}} }

func (c *cache) get(q question, now time.Time) *answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a := c.answers[q]; a != nil && now.Before(a.until) {
		return a
	}
	return nil
}

func (c *cache) put(q question, a *answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.answers) >= maxCached {
		for k, old := range c.answers {
			if !old.until.After(a.at) {
				delete(c.answers, k)
			}
		}
	}
	for k := range c.answers { // any, if all are good
		if len(c.answers) < maxCached {
			break
		}
		delete(c.answers, k)
	}
	c.answers[q] = a
}

func (c *cache) drop(name string, kind uint16) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.answers, question{mdns.Fqdn(name), kind})
}

// lookup asks for records, once for all who ask at the same time. Its error wraps
// ErrNothing if there are none.
func (r *Resolver) lookup(ctx context.Context, name string, kind uint16) (*answer, error) {
	q := question{mdns.Fqdn(name), kind}
	if a := r.cache.get(q, time.Now()); a != nil {
		return a, a.err
	}
	flight := r.cache.flights.DoChan(fmt.Sprint(kind, q.name), func() (any, error) {
		if a := r.cache.get(q, time.Now()); a != nil { // the flight before has just landed
			return a, nil
		}
		// Others may wait for it: it does not end with the first who asked.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookupTimeout)
		defer cancel()
		a := r.ask(ctx, q)
		r.cache.put(q, a)
		return a, nil
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case got := <-flight:
		a := got.Val.(*answer)
		return a, a.err
	}
}

// ask tries the servers in turn.
func (r *Resolver) ask(ctx context.Context, q question) *answer {
	var failed []error
	for range tries {
		for _, s := range r.servers {
			m, err := r.exchange(ctx, s.addr, q)
			if err == nil {
				return read(m, q, s.trusted)
			}
			failed = append(failed, fmt.Errorf("%s: %w", s.addr, err))
			if ctx.Err() != nil {
				break
			}
		}
	}
	now := time.Now()
	err := fmt.Errorf("look up %s %s: %w", mdns.TypeToString[q.kind], q.name, errors.Join(failed...))
	return &answer{err: err, at: now, until: now.Add(failureLife)}
}

// exchange asks one server, over TCP if the answer does not fit. Only an answer to the
// question is returned, with code "no error" or "no such name".
func (r *Resolver) exchange(ctx context.Context, addr string, q question) (*mdns.Msg, error) {
	ask := new(mdns.Msg)
	ask.SetQuestion(q.name, q.kind)
	ask.SetEdns0(udpSize, true) // DO: resolvers set AD for those who know DNSSEC
	ask.AuthenticatedData = true
	for _, network := range []string{"udp", "tcp"} {
		m, err := r.once(ctx, network, addr, ask)
		if err != nil {
			return nil, err
		}
		if m.Truncated && network == "udp" {
			continue
		}
		if err := fits(m, q); err != nil {
			return nil, err
		}
		return m, nil
	}
	return nil, errors.New("truncated")
}

func (r *Resolver) once(ctx context.Context, network, addr string, ask *mdns.Msg) (*mdns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	conn, err := r.dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	client := &mdns.Client{Net: network, UDPSize: udpSize, Timeout: tryTimeout}
	m, _, err := client.ExchangeWithConnContext(ctx, ask, &mdns.Conn{Conn: conn, UDPSize: udpSize})
	if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
		return nil, errors.New("no answer in time")
	}
	return m, err
}

func fits(m *mdns.Msg, q question) error {
	switch {
	case m.Rcode != mdns.RcodeSuccess && m.Rcode != mdns.RcodeNameError:
		return fmt.Errorf("the resolver answers %s", mdns.RcodeToString[m.Rcode])
	case !m.Response || len(m.Question) != 1 || m.Question[0].Qtype != q.kind ||
		!strings.EqualFold(m.Question[0].Name, q.name):
		return errors.New("the answer is to another question")
	case m.Truncated || m.Len() > maxMessage:
		return errors.New("the answer is too large")
	}
	return nil
}

// read takes the records that were asked for, and how long they are good.
func read(m *mdns.Msg, q question, trusted bool) *answer {
	now := time.Now()
	a := &answer{authentic: trusted && m.AuthenticatedData, at: now}
	life := maxLife
	for _, rr := range m.Answer {
		life = min(life, time.Duration(rr.Header().Ttl)*time.Second) // of CNAMEs, too
		if rr.Header().Rrtype == q.kind && len(a.records) < maxRecords {
			a.records = append(a.records, rr)
		}
	}
	if len(a.records) == 0 {
		life = negativeLife(m)
		what := "no " + mdns.TypeToString[q.kind] + " record"
		if m.Rcode == mdns.RcodeNameError {
			what = "no such name"
		}
		a.err = fmt.Errorf("%w: %s: %s", federation.ErrNothing, q.name, what)
	}
	a.until = now.Add(life)
	return a
}

// negativeLife is how long it is good that there is nothing (RFC 2308, 5).
func negativeLife(m *mdns.Msg) time.Duration {
	for _, rr := range m.Ns {
		if soa, ok := rr.(*mdns.SOA); ok {
			return min(maxNegative, time.Duration(min(soa.Minttl, soa.Hdr.Ttl))*time.Second)
		}
	}
	return failureLife
}
