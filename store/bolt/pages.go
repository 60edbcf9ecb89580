package bolt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"os"
)

// bbolt maps its file, so that one that was cut short kills the process at the first
// page that is missing. Of its format, as in go.etcd.io/bbolt/internal/common, the
// following is used to see that in time: pages 0 and 1 each hold, after a header of
// 16 bytes, magic, version, page size, flags (32 bits each), root, its sequence, free
// list, number of pages, transaction id (64 bits each), and the FNV-1a hash of all
// that; the valid one with the greater id holds.
const (
	pageHeader = 16
	metaLength = 4*4 + 5*8 + 8
	boltMagic  = 0xED0CDAED

	minPage, maxPage = 1 << 10, 1 << 24 // bytes, of any system's
)

// checkLength says if the file at path is shorter than it says it is.
func checkLength(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() == 0 { // makeFile never leaves one: a copy failed, or a disk was full
		return damaged(errors.New("it is empty"))
	}
	want, err := declaredLength(f)
	if err != nil {
		return damaged(err)
	}
	if info.Size() < want {
		return damaged(fmt.Errorf("it was cut short: it has %d bytes of %d", info.Size(), want))
	}
	return nil
}

// declaredLength is how long a file must at least be, in bytes.
func declaredLength(f io.ReaderAt) (int64, error) {
	first, ok := readMeta(f, 0)
	second, ok2 := metaPage{}, false
	for size := int64(minPage); size <= maxPage && !ok2; size *= 2 {
		if !ok || first.size == size {
			second, ok2 = readMeta(f, size)
		}
	}
	switch {
	case ok && (!ok2 || first.id > second.id):
		return first.pages * first.size, nil
	case ok2:
		return second.pages * second.size, nil
	}
	return 0, errors.New("neither of its first pages is valid")
}

type metaPage struct {
	id    uint64
	pages int64
	size  int64 // of a page
}

func readMeta(f io.ReaderAt, at int64) (m metaPage, ok bool) {
	raw := make([]byte, metaLength)
	if _, err := f.ReadAt(raw, at+pageHeader); err != nil {
		return m, false
	}
	sum := fnv.New64a()
	sum.Write(raw[:metaLength-8])
	e := binary.NativeEndian
	if e.Uint32(raw) != boltMagic || e.Uint64(raw[metaLength-8:]) != sum.Sum64() {
		return m, false
	}
	return metaPage{id: e.Uint64(raw[48:]), pages: int64(e.Uint64(raw[40:])), size: int64(e.Uint32(raw[8:]))}, true
}
