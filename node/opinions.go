package node

import (
	"context"
	"crypto/ed25519"
	crand "crypto/rand"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"parley/federation"
	"parley/protocol"
	"parley/protocol/s2s"
	"parley/reputation"
)

// What nodes say of one another: asked for when a stranger comes, and carried by a
// node that is praised (spec/reputation.md).

const (
	maxVouchers   = 8
	patronsAsked  = 16 // of whom those are shown who have something to say
	vouchersEvery = 12 * time.Hour
	vouchersAgain = time.Hour      // without an answer
	vouchersLife  = 20 * time.Hour // of the 24 h that a statement is good for
)

// cryptoRand is randomness that peers cannot foresee.
func cryptoRand() *rand.Rand {
	var seed [32]byte
	crand.Read(seed[:]) // never fails
	return rand.New(rand.NewChaCha8(seed))
}

// keyOf is the present key of a node that is known here.
func (s *standing) keyOf(name protocol.Node) (ed25519.PublicKey, bool) {
	p, err := s.peer(name)
	if err != nil || len(p.Keys) == 0 || p.Keys[0].Revoked {
		return nil, false
	}
	key := ed25519.PublicKey(p.Keys[0].Key)
	return key, len(key) == ed25519.PublicKeySize
}

// open checks statements; those that are not good are passed over.
func (s *standing) open(wire [][]byte) []reputation.Statement {
	var good []reputation.Statement
	for _, w := range wire[:min(len(wire), maxVouchers)] {
		if st, err := reputation.OpenStatement(w, s.keyOf, time.Now()); err == nil {
			good = append(good, st)
		}
	}
	return good
}

// inquire asks others about a node and takes what they say into account.
func (s *standing) inquire(who reputation.Sender, carried []reputation.Statement, whom []protocol.Node) {
	ctx, stop := context.WithTimeout(s.n.ctx, askingTime)
	defer stop()
	var mu sync.Mutex
	var told []reputation.Statement
	var wg sync.WaitGroup
	for _, peer := range whom {
		wg.Go(func() {
			st, ok := s.ask(ctx, peer, who.Name, reputation.Told)
			if ok {
				mu.Lock()
				told = append(told, st...)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	s.with(func(e *reputation.Engine, now time.Time) {
		e.Learn(now, who, carried, told)
		delete(s.asking, who.Name)
	})
}

// ask asks a peer what it says of a node.
func (s *standing) ask(ctx context.Context, peer, about protocol.Node, kind reputation.Kind) ([]reputation.Statement, bool) {
	wire, err := s.askWire(ctx, peer, about, kind)
	if err != nil {
		return nil, false
	}
	var good []reputation.Statement
	for _, st := range s.open([][]byte{wire}) {
		if st.By == peer && st.About == about && st.Kind == kind {
			good = append(good, st)
		}
	}
	return good, true
}

func (s *standing) askWire(ctx context.Context, peer, about protocol.Node, kind reputation.Kind) ([]byte, error) {
	a, err := s.n.ask(ctx, peer, &s2s.Ask{Opinion: append([]byte{byte(kind)}, about...)})
	if err != nil {
		return nil, err
	}
	return a.Opinion, nil
}

// answer says what we think of a node to a peer that may ask, or to that node itself.
func (s *standing) answer(from federation.Peer, in []byte) *s2s.Answer {
	if s.n.cfg.OpinionKey == nil || len(in) < 2 {
		return failed(protocol.NotOffered)
	}
	kind := reputation.Kind(in[0])
	about, err := protocol.ParseNode(string(in[1:]))
	if err != nil || kind != reputation.Carried && kind != reputation.Told || (kind == reputation.Carried) != (about == from.Name) {
		return failed(protocol.Malformed)
	}
	var st reputation.Statement
	may, ok := false, false
	s.with(func(e *reputation.Engine, now time.Time) {
		if may = e.MayAnswer(now, from.Name); may {
			st, ok = e.Opinion(now, s.n.name, about, kind)
		}
	})
	switch {
	case !may:
		return failed(protocol.TooMany)
	case !ok:
		return failed(protocol.NotFound)
	}
	wire, err := st.Sign(s.n.cfg.OpinionKey)
	if err != nil {
		return failed(err)
	}
	return &s2s.Answer{Opinion: wire}
}

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
	var patrons []protocol.Node
	s.with(func(e *reputation.Engine, now time.Time) { patrons = e.Patrons(now, patronsAsked) })
	v := &s.n.vouchers
	ctx, stop := context.WithTimeout(s.n.ctx, askingTime)
	defer stop()
	var wg sync.WaitGroup
	for _, p := range v.due(patrons) {
		wg.Go(func() {
			wire, err := s.askWire(ctx, p, s.n.name, reputation.Carried)
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
