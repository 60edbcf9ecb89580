package node

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

const (
	mailQueue   = 256              // codes waiting to be sent, before 503
	mailAtOnce  = 4                // codes being sent
	mailTimeout = 30 * time.Second // for one
	mailGrace   = 2 * time.Second  // for all that are left at shutdown
)

// mailer runs what must not keep a client waiting, nor show by how long it takes
// what was found: sending codes. The queue is bounded; places are taken before
// anything is promised.
type mailer struct {
	log    *slog.Logger
	ctx    context.Context
	cancel context.CancelFunc
	places chan struct{}
	turns  chan struct{}

	mu     sync.Mutex // guards closed, and that no job starts after it
	closed bool
	jobs   sync.WaitGroup
}

func newMailer(log *slog.Logger) *mailer {
	m := &mailer{log: log, places: make(chan struct{}, mailQueue), turns: make(chan struct{}, mailAtOnce)}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	return m
}

// reserve takes n places in the queue, each for one start or release; false if
// there are not as many.
func (m *mailer) reserve(n int) bool {
	for i := range n {
		select {
		case m.places <- struct{}{}:
		default:
			m.release(i)
			return false
		}
	}
	return true
}

// release gives n places back.
func (m *mailer) release(n int) {
	for range n {
		<-m.places
	}
}

// start runs a job for which a place was reserved. After close it is dropped.
func (m *mailer) start(job func(context.Context)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		m.release(1)
		return
	}
	m.jobs.Go(func() {
		defer m.release(1)
		m.turns <- struct{}{}
		defer func() { <-m.turns }()
		ctx, cancel := context.WithTimeout(m.ctx, mailTimeout)
		defer cancel()
		job(ctx)
	})
}

// send gives a code to its validator. What a mail server says of a failure may
// repeat what it was given, which is not for the log.
func (m *mailer) send(ctx context.Context, method string, v Validator, c Code) {
	if err := v.Send(ctx, c); err != nil {
		why := strings.NewReplacer(c.To, "(address)", c.Code, "(code)").Replace(err.Error())
		m.log.Warn("code not sent", "method", method, "err", why)
	}
}

// close lets running jobs finish for a moment, then waits until they have ended.
func (m *mailer) close() {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	grace := time.AfterFunc(mailGrace, m.cancel)
	defer grace.Stop()
	m.jobs.Wait()
	m.cancel()
}
