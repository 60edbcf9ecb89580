package node

import (
	"context"
	"crypto/ed25519"
	crand "crypto/rand"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"parley/federation"
	"parley/protocol"
	"parley/protocol/s2s"
	"parley/reputation"
)

// What nodes say of one another: asked for when a stranger comes, and carried by a
// node that is praised (spec/reputation.md).

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
		if st, err := reputation.OpenStatement(w, s.keyOf, s.n.wall()); err == nil {
			good = append(good, st)
		}
	}
	return good
}

// tellReach tells others of how many nodes this one can tell.
func (s *standing) tellReach() {
	if s.n.cfg.OpinionKey == nil || s.n.cfg.Federation.Mute {
		return
	}
	var class uint8
	s.with(func(e *reputation.Engine, now time.Time) { class = e.Reach(now) })
	s.n.cfg.Network.Reach(class)
}

// Reaches implements federation.Handler.
func (n *Node) Reaches(p federation.Peer, class uint8) {
	n.standing.with(func(e *reputation.Engine, now time.Time) { e.Reaches(now, sender(p), class) })
}

// hold has others asked about a node, if that is due; not nil: what comes from there waits
// for their answers, unless it is known well.
func (s *standing) hold(who reputation.Sender, vouchers [][]byte) *waiting {
	if s.n.cfg.Federation.Deaf {
		return nil
	}
	carried := s.open(vouchers)
	var ask []protocol.Node
	holds := false
	now := s.now()
	var until time.Time
	s.with(func(e *reputation.Engine, now time.Time) {
		if until = s.asking[who.Name]; until.IsZero() {
			if ask = e.Plan(now, who, carried, cryptoRand()); len(ask) > 0 {
				until = now.Add(askingTime)
				s.asking[who.Name] = until
			}
		}
		holds = e.Holds(now, who.Name)
	})
	if len(ask) > 0 {
		s.n.metrics.inquiries.Inc()
		s.n.start(func() { s.inquire(who, carried, ask) })
	}
	if !holds || !now.Before(until) {
		return nil
	}
	return &waiting{min(until.Sub(now), askingPause), reputation.ReasonAsking.String()}
}

// inquire asks others about a node and takes what they say into account. It ends when all
// have answered, or the time is over.
func (s *standing) inquire(who reputation.Sender, carried []reputation.Statement, whom []protocol.Node) {
	ctx, stop := context.WithTimeout(s.n.outside, askingTime)
	defer stop()
	var mu sync.Mutex
	var answers []reputation.Answer
	var wg sync.WaitGroup
	for _, peer := range whom {
		wg.Go(func() {
			a, err := s.ask(ctx, peer, who)
			if err != nil {
				s.n.log.Debug("no opinion", "peer", peer, "about", who.Name, "err", err)
				return
			}
			mu.Lock()
			answers = append(answers, a)
			mu.Unlock()
		})
	}
	wg.Wait()
	s.with(func(e *reputation.Engine, now time.Time) {
		e.Learn(now, who, carried, answers...)
		delete(s.asking, who.Name)
	})
}

// ask asks a peer what it says of a node.
func (s *standing) ask(ctx context.Context, peer protocol.Node, about reputation.Sender) (a reputation.Answer, err error) {
	wire, err := s.askWire(ctx, peer, reputation.EncodeQuestion(reputation.Told, about.Prefix, []byte(about.Name)))
	if err != nil {
		return a, err
	}
	a, wire, err = reputation.ParseAnswer(wire)
	a.By = peer
	if err != nil || len(wire) == 0 {
		return a, err
	}
	a.Told, err = reputation.OpenStatement(wire, s.keyOf, s.n.wall())
	return a, err
}

// askWire asks a peer for its word.
func (s *standing) askWire(ctx context.Context, peer protocol.Node, question []byte) ([]byte, error) {
	a, err := s.n.ask(ctx, peer, &s2s.Ask{Opinion: question})
	if err != nil {
		return nil, err
	}
	return a.Opinion, nil
}

// file tells witnesses what users here hold against other nodes.
func (s *standing) file() {
	if s.n.cfg.OpinionKey == nil || s.n.cfg.Federation.Mute {
		return
	}
	var all []reputation.Accusation
	s.with(func(e *reputation.Engine, now time.Time) { all = e.Accuse(now, s.n.name) })
	ctx, stop := context.WithTimeout(s.n.outside, askingTime)
	defer stop()
	for _, a := range all {
		wire, err := a.Sign(s.n.cfg.OpinionKey)
		if err != nil {
			s.n.log.Error("blame not filed", "about", a.About, "err", err)
			continue
		}
		for _, w := range a.Witnesses {
			_, err := s.n.ask(ctx, w, &s2s.Ask{Opinion: reputation.EncodeQuestion(reputation.Filed, a.Network, wire)})
			s.n.log.Info("blame of a node is filed with another", "about", a.About, "with", w, "err", err)
			s.n.metrics.filings.WithLabelValues("ours", outcome(err)).Inc()
		}
	}
}

func outcome(err error) string {
	if err != nil {
		return "refused"
	}
	return "taken"
}

// takeFiled keeps what a peer has filed about a third node.
func (s *standing) takeFiled(from federation.Peer, network netip.Prefix, wire []byte) *s2s.Answer {
	st, err := reputation.OpenStatement(wire, s.keyOf, s.n.wall())
	if err != nil {
		return failed(protocol.Malformed)
	}
	taken := false
	s.with(func(e *reputation.Engine, now time.Time) {
		taken = e.TakeFiled(now, from.Name, senderIn(st.About, network), st)
	})
	if !taken {
		s.n.metrics.filings.WithLabelValues("theirs", "refused").Inc()
		return failed(protocol.Denied)
	}
	s.n.metrics.filings.WithLabelValues("theirs", "taken").Inc()
	return &s2s.Answer{Opinion: []byte{byte(reputation.Filed)}}
}

// answer says what we think of a node to a peer that may ask, or to that node itself.
func (s *standing) answer(from federation.Peer, in []byte) *s2s.Answer {
	if s.n.cfg.OpinionKey == nil || s.n.cfg.Federation.Mute {
		return failed(protocol.NotOffered)
	}
	may := false
	s.with(func(e *reputation.Engine, now time.Time) { may = e.MayAnswer(now, from.Name) })
	if !may {
		s.n.metrics.opinions.WithLabelValues("refused").Inc()
		return (&waiting{opinionPause, "questions about others"}).answer()
	}
	kind, network, what, err := reputation.ParseQuestion(in)
	if err != nil {
		return failed(protocol.Malformed)
	}
	if kind == reputation.Filed {
		return s.takeFiled(from, network, what)
	}
	about, err := protocol.ParseNode(string(what))
	if err != nil || (kind == reputation.Carried) != (about == from.Name) {
		return failed(protocol.Malformed)
	}
	wire, err := s.opinion(question{kind, about})
	if err != nil {
		return failed(err)
	}
	s.n.metrics.opinions.WithLabelValues(map[bool]string{true: "nothing", false: "answered"}[wire == nil]).Inc()
	switch {
	case kind == reputation.Told:
		var a reputation.Answer
		s.with(func(e *reputation.Engine, now time.Time) { a = e.Asked(now, senderIn(about, network), from.Name) })
		wire = a.Encode(wire)
	case wire == nil:
		return failed(protocol.NotFound)
	}
	return &s2s.Answer{Opinion: wire}
}

// What being asked may cost, and tell: an answer is made once, and given again until it is
// old, so that who asks often sees no more than who asks once.
const (
	maxAnswers   = 4096
	answerLife   = 10 * time.Minute
	opinionPause = 6 * time.Minute // until one who has asked too much may ask again
)

// question is what is asked.
type question struct {
	kind  reputation.Kind
	about protocol.Node
}

// answered is what was answered, nil if nothing, and until when that stays so.
type answered struct {
	wire  []byte
	until time.Time
}

// answers are those that are given again.
type answers struct {
	mu sync.Mutex
	of map[question]answered
}

func (a *answers) get(q question, now time.Time) (answered, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	old, ok := a.of[q]
	return old, ok && now.Before(old.until)
}

// put keeps an answer; what is no longer good makes room first.
func (a *answers) put(q question, as answered, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.of) >= maxAnswers {
		for k, old := range a.of {
			if !now.Before(old.until) {
				delete(a.of, k)
			}
		}
	}
	for k := range a.of { // any: it can be made again
		if len(a.of) < maxAnswers {
			break
		}
		delete(a.of, k)
	}
	a.of[q] = as
}

// opinion is what we say, signed; nil: nothing.
func (s *standing) opinion(q question) (wire []byte, err error) {
	now := time.Now()
	if old, ok := s.said.get(q, now); ok {
		return old.wire, nil
	}
	var st reputation.Statement
	ok := false
	s.with(func(e *reputation.Engine, now time.Time) { st, ok = e.Opinion(now, s.n.name, q.about, q.kind) })
	if ok {
		if wire, err = st.Sign(s.n.cfg.OpinionKey); err != nil {
			return nil, err
		}
	}
	s.said.put(q, answered{wire, now.Add(answerLife)}, now)
	return wire, nil
}
