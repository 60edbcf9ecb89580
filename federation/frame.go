package federation

import (
	"bufio"
	"context"
	"errors"
	"sync/atomic"

	"parley/protocol"
	"parley/protocol/s2s"
)

// Kinds of one-way streams, as their first byte says (spec/link.md#streams).
const (
	streamControl byte = 0
	streamCasts   byte = 1
	streamLane    byte = 0x10 // and the number of the lane
)

// Sizes of buffers of a stream.
const (
	writeBuffer = 16 << 10
	readBuffer  = 8 << 10
)

// frameWriter writes frames to a stream.
type frameWriter struct {
	codec s2s.Codec
	s     SendStream
	w     *bufio.Writer
	count *atomic.Uint64 // of bytes; may be nil
	last  int            // size of the last frame
}

func newFrameWriter(s SendStream, c s2s.Codec) *frameWriter {
	return &frameWriter{codec: c, s: s, w: bufio.NewWriterSize(s, writeBuffer)}
}

// openSend begins a stream of a kind.
func openSend(ctx context.Context, conn Conn, c s2s.Codec, kind byte) (*frameWriter, error) {
	s, err := conn.OpenSend(ctx)
	if err != nil {
		return nil, err
	}
	w := newFrameWriter(s, c)
	return w, w.w.WriteByte(kind)
}

// write adds a frame to the buffer.
func (w *frameWriter) write(f s2s.Frame) error {
	b, err := w.codec.AppendFrame(w.w.AvailableBuffer(), f)
	if err != nil {
		return err
	}
	return w.writeRaw(b)
}

// writeRaw adds a frame that is encoded, with its length in front.
func (w *frameWriter) writeRaw(b []byte) error {
	w.last = len(b)
	if w.count != nil {
		w.count.Add(uint64(len(b)))
	}
	_, err := w.w.Write(b)
	return err
}

func (w *frameWriter) flush() error { return w.w.Flush() }

// frameReader reads what a frameWriter writes.
type frameReader struct {
	codec s2s.Codec
	s     ReceiveStream
	r     *bufio.Reader
	max   int
	count *atomic.Uint64
}

func newFrameReader(s ReceiveStream, c s2s.Codec, limit int) *frameReader {
	return &frameReader{codec: c, s: s, r: bufio.NewReaderSize(s, readBuffer), max: limit}
}

// read fills f with the next frame and tells its size. io.EOF: the stream has ended
// between frames.
func (r *frameReader) read(f s2s.Frame) (int, error) {
	n, err := r.codec.ReadFrame(r.r, r.max, f)
	if errors.Is(err, s2s.ErrFrame) {
		return 0, closing(CloseProtocol, "%v", err)
	}
	if r.count != nil {
		r.count.Add(uint64(n))
	}
	return n, err
}

// kind reads the first byte of a stream.
func (r *frameReader) kind() (byte, error) { return r.r.ReadByte() }

// codec is of the frames of a link with a peer.
func (m *Mesh) codec(n protocol.Node) s2s.Codec { return s2s.Codec{Self: m.self, Peer: n} }
