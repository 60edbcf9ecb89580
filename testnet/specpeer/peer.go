package specpeer

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"sync"
)

// Peer is one side of links with one other node, and what it keeps over all of them.
type Peer struct {
	Name, Other string
	Key         ed25519.PrivateKey
	OtherKey    ed25519.PublicKey
	// Judge says what becomes of a post; N is filled in.
	Judge func(*Post) Verdict
	// Answer answers questions.
	Answer func(*Ask) *Answer
	Boot   uint64

	mu          sync.Mutex
	incarnation uint64 // guarded by mu, as what follows
	known       uint64
	out         [lanes]outLane
	in          [lanes]inLane
	changed     chan struct{} // closed when a verdict has come
}

// outLane is what was sent in a lane.
type outLane struct {
	lowest, next uint64
	posts        map[uint64]*Post // not answered
	verdicts     map[uint64]Verdict
	wait         uint64 // nothing is sent before what is up to here was answered
	acked        uint64
}

// inLane is what has come in a lane.
type inLane struct {
	applied  uint64
	verdicts []Verdict // not settled
}

// Begin empties the store: it is a new one, of that incarnation.
func (p *Peer) Begin(incarnation uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.incarnation, p.known, p.changed = incarnation, 0, make(chan struct{})
	for l := range lanes {
		p.out[l] = outLane{lowest: 1, next: 1, posts: map[uint64]*Post{}, verdicts: map[uint64]Verdict{}}
		p.in[l] = inLane{}
	}
}

func (p *Peer) hello() *Hello {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := &Hello{Name: p.Name, To: p.Other, Boot: p.Boot, Incarnation: p.incarnation, Known: p.known,
		Features: []string{"early"}, Build: "specpeer"}
	for l := range lanes {
		h.Lanes = append(h.Lanes, LaneState{Lowest: p.out[l].lowest, Next: p.out[l].next, Applied: p.in[l].applied})
	}
	return h
}

// fits reports whether a Hello fits the other's (spec/link.md#restored).
func fits(h, other *Hello) bool {
	for l, s := range h.Lanes {
		if a := other.Lanes[l].Applied; s.Lowest-1 > a || a >= s.Next {
			return false
		}
	}
	return other.Known == 0 || other.Known == h.Incarnation
}

// next is an incarnation after one of the two was set back.
func next(a, b uint64) uint64 {
	t := []byte("parley incarnation v1")
	t = binary.BigEndian.AppendUint64(t, a)
	t = binary.BigEndian.AppendUint64(t, b)
	sum := sha256.Sum256(t)
	return binary.BigEndian.Uint64(sum[:])
}

// agree takes note of the Hellos of a link, and reports whether one of the two was set back.
func (p *Peer) agree(mine, theirs *Hello) (anew bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if anew = !fits(mine, theirs) || !fits(theirs, mine); !anew {
		p.known = theirs.Incarnation
		for l := range lanes {
			p.out[l].wait, p.out[l].acked = 0, 0
			if a := theirs.Lanes[l].Applied; a >= p.out[l].lowest {
				p.out[l].wait = a
			}
		}
		return false
	}
	p.incarnation, p.known = next(mine.Incarnation, theirs.Incarnation), next(theirs.Incarnation, mine.Incarnation)
	for l := range lanes {
		o := &p.out[l]
		n := max(mine.Lanes[l].Next-1, theirs.Lanes[l].Applied)
		left := o.unanswered()
		*o = outLane{lowest: n + 1, next: n + 1, posts: map[uint64]*Post{}, verdicts: map[uint64]Verdict{}}
		for _, post := range left {
			o.add(post)
		}
		p.in[l] = inLane{applied: max(theirs.Lanes[l].Next-1, mine.Lanes[l].Applied)}
	}
	return true
}

func (o *outLane) add(post *Post) {
	post.N = o.next
	o.posts[post.N] = post
	o.next++
}

// unanswered are the posts that wait, in order.
func (o *outLane) unanswered() (posts []*Post) {
	for _, post := range o.posts {
		posts = append(posts, post)
	}
	slices.SortFunc(posts, func(a, b *Post) int { return int(a.N) - int(b.N) })
	return posts
}

// answered notes what an Ack says, and returns the posts that may be sent now that the
// other has said how far it is.
func (p *Peer) answered(a *Ack) (send []*Post) {
	p.mu.Lock()
	defer p.mu.Unlock()
	o := &p.out[a.Lane]
	for _, v := range a.Verdicts {
		o.verdicts[v.N] = v
		delete(o.posts, v.N)
	}
	for n := range o.posts {
		if n <= a.Upto {
			o.verdicts[n] = Verdict{N: n}
			delete(o.posts, n)
		}
	}
	before := o.acked >= o.wait
	o.acked = max(o.acked, a.Upto)
	o.lowest = max(o.lowest, a.Upto+1)
	close(p.changed)
	p.changed = make(chan struct{})
	if !before && o.acked >= o.wait {
		send = o.unanswered()
	}
	return send
}

// take has a post judged, if it is the next, and returns what is to be answered; false: it
// breaks the order.
func (p *Peer) take(lane int, n uint64, post *Post) (*Ack, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := &p.in[lane]
	switch {
	case n > i.applied+1:
		return nil, false
	case n == i.applied+1:
		i.applied = n
		if post == nil {
			break
		}
		if v := p.Judge(post); v.Outcome != Applied {
			v.N = n
			i.verdicts = append(i.verdicts, v)
		}
	}
	return &Ack{Lane: lane, Upto: i.applied, Verdicts: slices.Clone(i.verdicts)}, true
}

// settled forgets verdicts.
func (p *Peer) settled(lane int, upto uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := &p.in[lane]
	i.verdicts = slices.DeleteFunc(i.verdicts, func(v Verdict) bool { return v.N <= upto })
}

// owed is the answer to what was taken and is not settled; nil: nothing.
func (p *Peer) owed(lane int, lowest uint64) *Ack {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := &p.in[lane]
	if i.applied < lowest {
		return nil
	}
	return &Ack{Lane: lane, Upto: i.applied, Verdicts: slices.Clone(i.verdicts)}
}
