package federation

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"sync/atomic"

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
	room  []byte         // for the frame that is being written
	count *atomic.Uint64 // of bytes; may be nil
	last  int            // size of the last frame
}

func newFrameWriter(s SendStream) *frameWriter {
	return &frameWriter{s: s, w: bufio.NewWriterSize(s, writeBuffer)}
}

// openSend begins a stream of a kind.
func openSend(ctx context.Context, c Conn, kind byte) (*frameWriter, error) {
	s, err := c.OpenSend(ctx)
	if err != nil {
		return nil, err
	}
	w := newFrameWriter(s)
	return w, w.w.WriteByte(kind)
}

// write adds a frame to the buffer.
func (w *frameWriter) write(v any) error {
	b, err := s2s.Marshal(v)
	if err != nil {
		return err
	}
	return w.writeRaw(b)
}

func (w *frameWriter) writeRaw(b []byte) error {
	n := binary.PutUvarint(w.head[:], uint64(len(b)))
	w.last = n + len(b)
	if w.count != nil {
		w.count.Add(uint64(w.last))
	}
	if _, err := w.w.Write(w.head[:n]); err != nil {
		return err
	}
	_, err := w.w.Write(b)
	return err
}

func (w *frameWriter) flush() error { return w.w.Flush() }

// frameReader reads what a frameWriter writes.
type frameReader struct {
	s     ReceiveStream
	r     *bufio.Reader
	max   int
	count *atomic.Uint64
}

func newFrameReader(s ReceiveStream, limit int) *frameReader {
	return &frameReader{s: s, r: bufio.NewReaderSize(s, readBuffer), max: limit}
}

// read fills v with the next frame and tells its size. io.EOF: the stream has ended
// between frames.
func (r *frameReader) read(v any) (int, error) {
	n, err := binary.ReadUvarint(r.r)
	if err != nil {
		return 0, err
	}
	if n > uint64(r.max) {
		return 0, closing(CloseProtocol, "frame of %d bytes", n)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r.r, b); err != nil {
		return 0, err
	}
	if r.count != nil {
		r.count.Add(n)
	}
	if err := s2s.Unmarshal(b, v); err != nil {
		return 0, closing(CloseProtocol, "malformed frame")
	}
	return int(n), nil
}

// kind reads the first byte of a stream.
func (r *frameReader) kind() (byte, error) { return r.r.ReadByte() }
