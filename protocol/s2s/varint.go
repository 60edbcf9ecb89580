package s2s

import (
	"encoding/binary"
	"errors"
	"io"
)

// maxVarint is above all lengths and numbers that a varint can say (RFC 9000 section 16).
const maxVarint = 1 << 62

// AppendVarint writes a number below 2^62 as QUIC does (RFC 9000 section 16), in the
// shortest form. Every implementation of QUIC has it, its first byte says how long it is,
// and HTTP/3 frames its streams the same way.
func AppendVarint(b []byte, n uint64) []byte {
	switch {
	case n < 1<<6:
		return append(b, byte(n))
	case n < 1<<14:
		return binary.BigEndian.AppendUint16(b, uint16(n)|1<<14)
	case n < 1<<30:
		return binary.BigEndian.AppendUint32(b, uint32(n)|2<<30)
	}
	return binary.BigEndian.AppendUint64(b, n&(maxVarint-1)|3<<62)
}

// ReadVarint reads one, in any of its forms. io.EOF: there is nothing left;
// io.ErrUnexpectedEOF: it is cut off.
func ReadVarint(r io.ByteReader) (uint64, error) {
	first, err := r.ReadByte()
	if err != nil {
		return 0, err
	}
	n := uint64(first & 0x3f)
	for range 1<<(first>>6) - 1 {
		b, err := r.ReadByte()
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return 0, err
		}
		n = n<<8 | uint64(b)
	}
	return n, nil
}
