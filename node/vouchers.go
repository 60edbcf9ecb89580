package node

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"parley/protocol"
	"parley/reputation"
)

const (
	maxVouchers   = 8
	patronsAsked  = 16 // of whom those are shown who have something to say
	vouchersEvery = 12 * time.Hour
	vouchersAgain = time.Hour      // without an answer
	vouchersLife  = 20 * time.Hour // of the 24 h that a statement is good for
	vouchingTime  = 10 * time.Second
)

// vouchers are statements about this node that it shows to strangers.
type vouchers struct {
	mu    sync.Mutex
	wire  [][]byte                    // guarded by mu; of those whose word counts most first
	asked map[protocol.Node]time.Time // guarded by mu
	of    map[protocol.Node]voucher   // guarded by mu
}

// voucher is what one peer says.
type voucher struct {
	wire []byte
	got  time.Time
}

// gather asks those whose word about us counts most with others for it, now and then.
func (s *standing) gather() {
	if s.n.cfg.Federation.Deaf {
		return
	}
	var patrons []protocol.Node
	s.with(func(e *reputation.Engine, now time.Time) { patrons = e.Patrons(now, patronsAsked) })
	v := &s.n.vouchers
	ctx, stop := context.WithTimeout(s.n.outside, vouchingTime)
	defer stop()
	var wg sync.WaitGroup
	for _, p := range v.due(patrons) {
		wg.Go(func() {
			wire, err := s.askWire(ctx, p, reputation.EncodeQuestion(reputation.Carried, netip.Prefix{}, []byte(s.n.name)))
			v.take(p, wire, err == nil)
		})
	}
	wg.Wait()
	v.choose(patrons)
}

// due are those who were not asked for long enough.
func (v *vouchers) due(patrons []protocol.Node) (due []protocol.Node) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for p := range v.asked {
		if !slices.Contains(patrons, p) {
			delete(v.asked, p)
			delete(v.of, p)
		}
	}
	for _, p := range patrons {
		if time.Since(v.asked[p]) > vouchersEvery {
			v.asked[p] = time.Now()
			due = append(due, p)
		}
	}
	return due
}

// take takes an answer. Who did not answer is asked again sooner.
func (v *vouchers) take(from protocol.Node, wire []byte, ok bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if ok {
		v.of[from] = voucher{wire, time.Now()}
	} else {
		v.asked[from] = time.Now().Add(vouchersAgain - vouchersEvery)
	}
}

// choose takes what is still good of the best.
func (v *vouchers) choose(patrons []protocol.Node) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.wire = nil
	for _, p := range patrons {
		if o, ok := v.of[p]; ok && time.Since(o.got) < vouchersLife && len(v.wire) < maxVouchers {
			v.wire = append(v.wire, o.wire)
		}
	}
}

// shown are the statements that go along with a first contact.
func (v *vouchers) shown() [][]byte {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.wire)
}
