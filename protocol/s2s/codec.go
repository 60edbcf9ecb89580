package s2s

import (
	"fmt"
	"io"

	"parley/protocol"
)

// Frame is what can be read and written: *Control, *Line, *Cast, *Ask, *Answer, and by
// themselves *Post and *Verdict, which are kept. Others are parts of these.
type Frame interface{ layouter }

// Codec writes and reads frames of a link between two nodes, in which ids are short. The
// zero Codec is for what is kept or signed: all ids are in full.
type Codec struct {
	Self, Peer protocol.Node
}

// Append writes a frame without its length.
func (c Codec) Append(b []byte, f Frame) ([]byte, error) {
	w := coder{speaker: c.Self, hearer: c.Peer, writing: true, out: b}
	if w.record(f); w.err != nil {
		return b, w.err
	}
	return w.out, nil
}

// Decode reads what the peer has written with Append into an empty frame, which keeps
// parts of b. Keys that are not known are passed over. The error wraps ErrFrame. A Line
// whose post makes no sense is no error: Post.Check tells.
func (c Codec) Decode(b []byte, f Frame) error { return c.decode(b, f, c.Peer, c.Self) }

// DecodeOwn reads what this node has written itself, such as a post in its outbox.
func (c Codec) DecodeOwn(b []byte, f Frame) error { return c.decode(b, f, c.Self, c.Peer) }

func (c Codec) decode(b []byte, f Frame, speaker, hearer protocol.Node) error {
	r := coder{speaker: speaker, hearer: hearer, in: b}
	r.record(f)
	if len(r.in) > 0 {
		r.fail("%d bytes after the end", len(r.in))
	}
	return r.err
}

// AppendFrame writes a frame with its length in front.
func (c Codec) AppendFrame(b []byte, f Frame) ([]byte, error) {
	const room = 2 // for the length of most
	start := len(b)
	out, err := c.Append(append(b, make([]byte, room)...), f)
	if err != nil {
		return b, err
	}
	n := len(out) - start - room
	if n >= 1<<6 && n < 1<<14 {
		AppendVarint(out[:start], uint64(n))
		return out, nil
	}
	body := append([]byte(nil), out[start+room:]...)
	return append(AppendVarint(out[:start], uint64(n)), body...), nil
}

// Keys of what AppendPost writes by itself.
const (
	linePost = 1
	postN    = 1
)

// PostBody writes a post as it is queued: without its number.
func (c Codec) PostBody(p *Post) ([]byte, error) {
	unnumbered := *p
	unnumbered.N = 0
	return c.Append(make([]byte, 0, 256), &unnumbered)
}

// AppendPost writes the Line of post n with its length in front, around what PostBody
// has made of it.
func AppendPost(b []byte, n uint64, body []byte) ([]byte, error) {
	if len(body) < 2 || body[0] <= majorMap || body[0] >= majorMap|23 || body[1] == postN || n == 0 {
		return b, fmt.Errorf("%w: not the body of a post", ErrFrame)
	}
	var room [16]byte
	head := appendHead(append(room[:0], majorMap|1, linePost, body[0]+1, postN), majorUint, n)
	b = AppendVarint(b, uint64(len(head)+len(body)-1))
	return append(append(b, head...), body[1:]...), nil
}

// post is an optional Post. If it is well-formed and makes no sense, then what it was is
// left for Check, so that the peer can be told which of its posts that was.
func (c *coder) post(key uint64, v **Post) {
	if c.writing || !c.has(key) {
		if c.writing {
			optional(c, key, v)
		}
		return
	}
	before := *c
	*v = new(Post)
	if c.record(*v); c.err == nil {
		c.advance(false)
		return
	}
	bad, n := c.err, (*v).N
	if *c = before; n == 0 {
		c.err = bad
		c.fail("")
		return
	}
	c.skip()
	*v = &Post{N: n, bad: bad}
	c.advance(false)
}

// Marshal writes a frame with all ids in full: see Codec.
func Marshal(v any) ([]byte, error) {
	f, ok := v.(Frame)
	if !ok {
		return nil, fmt.Errorf("%w: %T", ErrFrame, v)
	}
	return Codec{}.Append(nil, f)
}

// Unmarshal reads what Marshal writes.
func Unmarshal(b []byte, v any) error {
	f, ok := v.(Frame)
	if !ok {
		return fmt.Errorf("%w: %T", ErrFrame, v)
	}
	return Codec{}.Decode(b, f)
}

// Source is what frames are read from, such as a bufio.Reader.
type Source interface {
	io.Reader
	io.ByteReader
}

// ReadFrame reads a frame with its length in front, of at most limit bytes, and tells how
// many it took. io.EOF: the source has ended between frames. An error that wraps ErrFrame
// is the peer's fault; others are of the source.
func (c Codec) ReadFrame(r Source, limit int, f Frame) (int, error) {
	b, err := ReadBytes(r, limit)
	if err != nil {
		return 0, err
	}
	return len(b), c.Decode(b, f)
}

// ReadBytes reads the bytes of a frame. Room for them is made as they come: 64 KiB at a
// time, so that a length alone costs nothing.
func ReadBytes(r Source, limit int) ([]byte, error) {
	const step = 64 << 10
	n, err := ReadVarint(r)
	if err != nil {
		return nil, err
	}
	if n > uint64(max(limit, 0)) {
		return nil, fmt.Errorf("%w: %d bytes, %d are allowed", ErrFrame, n, limit)
	}
	b := make([]byte, min(n, step))
	for have := uint64(0); ; {
		if _, err := io.ReadFull(r, b[have:]); err == io.EOF {
			return nil, io.ErrUnexpectedEOF
		} else if err != nil {
			return nil, err
		}
		if have = uint64(len(b)); have == n {
			return b, nil
		}
		b = append(b, make([]byte, min(n-have, uint64(len(b))))...)
	}
}
