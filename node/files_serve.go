package node

import (
	"errors"
	"io"
	"time"

	"parley/federation"
	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
)

// What one node may have of the files here.
const (
	exportsEach = 16     // at a time
	exportRate  = 128    // units of 64 KiB a second: 8 MiB
	exportBurst = 16_384 // units: 1 GiB
)

// answerFile gives a peer a file of ours, or a part of it: the id is what entitles.
func (n *Node) answerFile(from federation.Peer, a *s2s.File) (*s2s.Answer, io.ReadCloser) {
	info, body, err := n.exportFile(from, a)
	if err != nil {
		answer := failed(err)
		if answer.Fault == protocol.TooMany {
			answer.Wait = 1
		}
		return answer, nil
	}
	return &s2s.Answer{File: info}, body
}

func (n *Node) exportFile(from federation.Peer, a *s2s.File) (*s2s.FileInfo, io.ReadCloser, error) {
	id, ok := ParseFileName(a.ID)
	if !ok || id != a.ID || n.cfg.Blobs == nil {
		return nil, nil, protocol.NotFound
	}
	var f *store.File
	err := n.store.View(func(tx store.Tx) (err error) {
		f, err = tx.File(id)
		return err
	})
	if err == nil && f.Size < 0 {
		err = store.ErrNotFound
	}
	if err != nil {
		return nil, nil, fileFault(err)
	}
	if a.Offset < 0 || a.Offset > f.Size || a.Length < 0 {
		return nil, nil, protocol.Malformed
	}
	follow := f.Size - a.Offset
	if a.Length > 0 {
		follow = min(follow, a.Length)
	}
	if !n.exports.units.limiter(string(from.Name)).AllowN(time.Now(), int(1+follow/importUnit)) {
		return nil, nil, protocol.TooMany
	}
	free, ok := n.exports.take(from.Name)
	if !ok {
		return nil, nil, protocol.TooMany
	}
	b, err := n.openAt(id, a.Offset)
	if err != nil {
		free()
		return nil, nil, err
	}
	info := &s2s.FileInfo{Size: f.Size, MIME: f.MIME, Name: f.Name, SHA256: f.SHA256[:], Follow: follow}
	return info, &export{io.LimitReader(b, follow), b, free}, nil
}

func (n *Node) openAt(id string, offset int64) (io.ReadSeekCloser, error) {
	b, err := n.cfg.Blobs.Open(id)
	if err != nil {
		return nil, fileFault(err)
	}
	if _, err := b.Seek(offset, io.SeekStart); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// export is a file, or a part of it, on its way to a peer.
type export struct {
	io.Reader
	b    io.Closer
	free func()
}

// Close implements io.Closer; it is called once.
func (e *export) Close() error {
	e.free()
	return e.b.Close()
}
