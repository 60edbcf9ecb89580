package federation

import (
	"sync"

	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
)

// Sizes of what a sender does at a time.
const (
	pagePosts  = 64        // read from the store
	pageBytes  = 128 << 10 // about
	offerBlock = 256       // posts marked as offered ahead of the wire
	maxWindow  = 1024      // unanswered posts, whatever the peer allows
)

// sender sends the posts of one lane over a link: in order, from the store, each once.
// It holds one page of them, however many there are.
type sender struct {
	l      *link
	lane   store.Lane
	wake   chan struct{} // room for one
	w      *frameWriter  // opened with the first frame
	window uint64
	start  uint64 // what the peer has taken before; its answers come first

	mu       sync.Mutex
	sent     uint64 // guarded by mu, as what follows: last post on the wire
	answered uint64 // by the peer
	acted    uint64 // answers that have been acted upon, in the store
	tell     bool   // that they have been, since the peer keeps verdicts
}

func newSender(l *link, lane store.Lane) *sender {
	w := l.theirs.Limits.Window
	if w <= 0 {
		w = defaultWindow
	}
	return &sender{l: l, lane: lane, wake: make(chan struct{}, 1), window: uint64(min(w, maxWindow))}
}

// begin sets where the lane stands: settled here, taken by the peer; early was sent
// before the peer's Hello, on w.
func (s *sender) begin(settled, taken, early uint64, w *frameWriter) {
	s.start = max(settled, taken)
	s.sent, s.answered, s.acted = max(s.start, early), settled, settled
	s.w = w
}

func (s *sender) look() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// follows reports whether post n will be sent at once.
func (s *sender) follows(n uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.acted >= s.start && n > s.sent && n-s.sent <= pagePosts && n-s.answered <= s.window
}

// run sends until the link ends.
func (s *sender) run() error {
	for {
		busy, err := s.step()
		if err != nil {
			return err
		}
		if busy {
			continue
		}
		if s.w != nil {
			if err := s.w.flush(); err != nil {
				return err
			}
		}
		select {
		case <-s.wake:
		case <-s.l.ctx.Done():
			return s.l.cause()
		}
	}
}

// step sends a page of posts, or a piece of a log. Until the peer's answers to what it
// has taken on earlier links have been acted upon, nothing is sent: posts of a topic
// that was to come later must not follow on.
//
// That answers have been acted upon is told before the page is read. So whatever was
// read before posts were parked is on the wire before the peer hears that they are.
func (s *sender) step() (busy bool, err error) {
	s.mu.Lock()
	room := s.window - min(s.window, s.sent-s.answered)
	held, settled := s.acted < s.start, uint64(0)
	if s.tell && !held {
		settled, s.tell = s.acted, false
	}
	s.mu.Unlock()
	if held {
		return false, nil
	}
	if settled > 0 {
		if err := s.write(&s2s.Line{Settled: settled}); err != nil {
			return false, err
		}
	}
	if room == 0 {
		return s.piece()
	}
	page, err := s.page(min(room, pagePosts))
	if err != nil {
		return false, err
	}
	for _, p := range page {
		if err := s.send(p); err != nil {
			return false, err
		}
	}
	if len(page) > 0 {
		return true, nil
	}
	return s.piece()
}

// page reads what comes next, of what is offered; if nothing is, it offers a block.
func (s *sender) page(limit uint64) (page []*store.Post, err error) {
	s.mu.Lock()
	sent := s.sent
	s.mu.Unlock()
	to, st := s.l.peer.Name, s.l.m.cfg.Store
	var q store.Queue
	err = st.View(func(tx store.Tx) (err error) {
		if q, err = tx.Queue(to, s.lane); err != nil || q.Offered <= sent {
			return err
		}
		page, err = readPage(tx, to, s.lane, sent, min(q.Offered, sent+limit))
		return err
	})
	if err != nil || q.Offered > sent || q.Last <= sent {
		return page, err
	}
	err = st.Update(func(tx store.Tx) error {
		q, err := tx.Queue(to, s.lane)
		if err != nil {
			return err
		}
		if err := tx.Offer(to, s.lane, min(q.Last, sent+offerBlock)); err != nil {
			return err
		}
		page, err = readPage(tx, to, s.lane, sent, min(q.Last, sent+limit))
		return err
	})
	return page, err
}

func readPage(tx store.Tx, to protocol.Node, l store.Lane, after, upto uint64) (page []*store.Post, err error) {
	size := 0
	for p, err := range tx.Posts(to, l, after) {
		if err != nil {
			return nil, err
		}
		if p.N > upto || size > pageBytes {
			break
		}
		page, size = append(page, p), size+len(p.Body)
	}
	return page, nil
}

// send writes one post, around the body that was encoded when it was queued. Its number
// counts as wired before.
func (s *sender) send(p *store.Post) error {
	raw, err := encodePost(s.l.codec, p)
	if limit := s.l.theirs.Limits.Frame; err == nil && limit > 0 && len(raw) > limit && len(p.Body) > 0 {
		if err = s.l.books.tooLarge(s.lane, p); err == nil {
			raw, err = encodePost(s.l.codec, &store.Post{N: p.N})
		}
	}
	if err != nil {
		return err
	}
	s.l.p.wire(s.lane, p.N)
	s.mu.Lock()
	s.sent = p.N
	s.mu.Unlock()
	s.l.p.sends(s.l.codec, p, len(raw))
	return s.writeRaw(raw)
}

// sends counts a post that is written, and tells whoever watches.
func (p *remote) sends(c s2s.Codec, post *store.Post, bytes int) {
	p.counts.posts.Add(1)
	if p.m.cfg.Watch == nil {
		return
	}
	if said, err := entry(post.Body).post(c); err == nil {
		p.watchPost(true, said, bytes)
	}
}

// encodePost makes the frame of a post, or of a void in its place.
func encodePost(c s2s.Codec, p *store.Post) ([]byte, error) {
	if entry(p.Body).void() {
		return c.AppendFrame(nil, &s2s.Line{Void: p.N})
	}
	_, body, err := entry(p.Body).split()
	if err != nil {
		return nil, err
	}
	return s2s.AppendPost(nil, p.N, body)
}

// write sends a frame; see writeRaw.
func (s *sender) write(line *s2s.Line) error {
	raw, err := s.l.codec.AppendFrame(nil, line)
	if err != nil {
		return err
	}
	return s.writeRaw(raw)
}

// writeRaw opens the lane's stream if need be. What is written is sent when the buffer
// is full or nothing else is to be sent.
func (s *sender) writeRaw(raw []byte) error {
	if s.w == nil {
		w, err := openSend(s.l.ctx, s.l.conn, s.l.codec, streamLane+byte(s.lane))
		if err != nil {
			return err
		}
		w.count = &s.l.p.counts.postsOut
		s.w = w
	}
	s.l.touch()
	return s.w.writeRaw(raw)
}

// got takes an answer up to a number.
func (s *sender) got(upto uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if upto > s.sent {
		return closing(CloseProtocol, "answer to post %d of lane %d, which was not sent", upto, s.lane)
	}
	s.answered = max(s.answered, upto)
	s.look()
	return nil
}

// done notes that answers have been acted upon; tell: the peer keeps some until it
// hears of that.
func (s *sender) done(upto uint64, tell bool) {
	s.mu.Lock()
	s.acted, s.tell = max(s.acted, upto), s.tell || tell
	s.mu.Unlock()
	s.look()
}

// holds reports whether the sender waits for answers to be acted upon.
func (s *sender) holds() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.acted < s.start
}

// open reports whether the peer has not answered everything.
func (s *sender) open() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.acted < s.sent
}

// resize takes another window of the peer; 0 leaves it.
func (s *sender) resize(window int) {
	if window <= 0 {
		return
	}
	s.mu.Lock()
	s.window = uint64(min(window, maxWindow))
	s.mu.Unlock()
	s.look()
}
