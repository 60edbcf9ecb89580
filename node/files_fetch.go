package node

import (
	"context"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"sync"
	"time"

	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
)

// fetch brings one file from its node, once for all who want it meanwhile.
type fetch struct {
	m     *imports
	key   string
	home  protocol.Node
	id    string
	by    protocol.UserID // who wanted it first
	until time.Time       // of a failure; guarded by m.mu

	ready chan struct{} // closed when file or err is known
	file  *store.File
	w     store.BlobWriter
	late  *time.Timer // set with file

	mu      sync.Mutex // guards the rest
	err     error      // why it has ended badly
	whole   bool       // all is here and good
	written int64
	changed chan struct{} // closed and replaced when one of these changes
	users   int           // readers, and run; the last one closes w
}

// run fetches.
func (f *fetch) run() {
	err := f.fetch(f.m.n.outside)
	if err != nil {
		f.m.n.log.Info("a file of another node was not fetched", "peer", f.home, "err", err)
	}
	f.m.ended(f, err)
	f.change(func() { f.err, f.whole = err, err == nil })
	if f.file == nil {
		close(f.ready)
	}
	f.leave()
}

// change changes the state and wakes readers.
func (f *fetch) change(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
	close(f.changed)
	f.changed = make(chan struct{})
}

// leave is called by each user once.
func (f *fetch) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.users--; f.users == 0 && f.w != nil {
		if err := f.w.Close(); err != nil {
			f.m.n.log.Warn("closing a fetched file failed", "err", err)
		}
	}
}

// fetch asks for the file, and where the link breaks off, for the rest of it.
func (f *fetch) fetch(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	sum := sha256.New()
	err := f.attempt(ctx, sum, stop)
	for try := 1; try < importTries && again(err) && f.file != nil && ctx.Err() == nil; try++ {
		err = f.attempt(ctx, sum, stop)
	}
	if f.file == nil {
		return fetchFault(ctx, err)
	}
	f.late.Stop()
	if err == nil && [sha256.Size]byte(sum.Sum(nil)) != f.file.SHA256 {
		err = errOtherFile
	}
	if err == nil {
		err = errors.Join(f.w.Commit(), f.m.store(f.file))
	}
	if err != nil {
		f.m.release(f.file.Size)
		_ = f.m.n.cfg.Blobs.Remove(blobID(f.key)) // if it was committed
		return fetchFault(ctx, err)
	}
	f.m.took(f.file)
	return nil
}

// attempt asks once and takes what comes. A node from which nothing comes for a while
// is left; late is called when the whole takes too long.
func (f *fetch) attempt(ctx context.Context, sum hash.Hash, late func()) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	stall := time.AfterFunc(importStall, stop)
	defer stall.Stop()
	info, body, err := f.ask(ctx)
	if err != nil {
		return err
	}
	defer body.Close()
	switch {
	case f.file != nil && !sameFile(f.file, info):
		return errOtherFile
	case f.file == nil:
		if err := f.begin(info); err != nil {
			return err
		}
		f.late = time.AfterFunc(importStall+time.Duration(f.file.Size/importSlowest)*time.Second, late)
	}
	return f.copy(body, sum, stall)
}

// again reports whether another attempt makes sense: the node gave no reason.
func again(err error) bool {
	return err != nil && !errors.Is(err, errOurDisk) && !errors.Is(err, errOtherFile)
}

var (
	errOtherFile = protocol.Errorf(protocol.Busy, "the node gave something else than it said")
	errOurDisk   = errors.New("node: a fetched file cannot be written")
)

// fetchFault is err as clients are told it.
func fetchFault(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, context.Canceled) { // by a timer of ours
		return protocol.Errorf(protocol.Timeout, "the node is too slow: %v", err)
	}
	if err = fileFault(err); protocol.FaultOf(err) == protocol.Internal && !errors.Is(err, errOurDisk) {
		return &protocol.Error{Fault: protocol.Busy, Err: err} // the link
	}
	return err
}

// ask asks the node for the file, from where we are.
func (f *fetch) ask(ctx context.Context) (*s2s.FileInfo, io.ReadCloser, error) {
	a, body, err := f.m.n.cfg.Network.Ask(ctx, f.home, &s2s.Ask{File: &s2s.File{ID: f.id, Offset: f.written}})
	if err != nil {
		return nil, nil, err
	}
	if body == nil {
		body = io.NopCloser(eof{})
	}
	if a.File == nil || a.File.Follow < 0 || a.File.Follow > a.File.Size-f.written {
		body.Close()
		return nil, nil, errOtherFile
	}
	return a.File, body, nil
}

// eof is nothing to read.
type eof struct{}

// Read implements io.Reader.
func (eof) Read([]byte) (int, error) { return 0, io.EOF }

// begin makes ready for a file as its node describes it, and lets readers begin.
func (f *fetch) begin(info *s2s.FileInfo) error {
	file, err := importedFile(f.key, info, f.m.n.wall())
	if err != nil {
		return err
	}
	if err := f.m.charge(f.by, file.Size); err != nil {
		return err
	}
	if err := f.m.reserve(file.Size); err != nil {
		return err
	}
	w, err := f.m.n.cfg.Blobs.Create(blobID(f.key))
	if err != nil {
		f.m.release(file.Size)
		return fileFault(err)
	}
	f.w, f.file = w, file
	close(f.ready)
	return nil
}

// copy takes what comes, at most what was declared.
func (f *fetch) copy(body io.Reader, sum hash.Hash, stall *time.Timer) error {
	buf := make([]byte, 32<<10)
	for f.written < f.file.Size {
		n, err := body.Read(buf[:min(int64(len(buf)), f.file.Size-f.written)])
		if n > 0 {
			stall.Reset(importStall)
			if _, err := f.w.Write(buf[:n]); err != nil {
				return errors.Join(errOurDisk, err)
			}
			sum.Write(buf[:n])
			f.change(func() { f.written += int64(n) })
		}
		if err != nil && f.written < f.file.Size {
			return err
		}
	}
	return nil
}

// reader waits until it is known what there is to read.
func (f *fetch) reader(ctx context.Context) (*store.File, io.ReadSeekCloser, error) {
	wait, stop := context.WithTimeout(ctx, importStall)
	defer stop()
	select {
	case <-f.ready:
	case <-wait.Done():
		return nil, nil, protocol.Timeout
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.err != nil:
		return nil, nil, f.err
	case f.users == 0: // it is over, and closed
		file, b, err := f.m.open(f.key)
		if err == nil && file == nil { // and thrown out again
			err = protocol.Busy
		}
		return file, b, err
	}
	f.users++
	return f.file, &fetchReader{f: f, ctx: ctx}, nil
}

// fetchReader reads a file that may still be on its way.
type fetchReader struct {
	f    *fetch
	ctx  context.Context // of the request that it answers
	at   int64
	over bool
}

// Read implements io.Reader. It waits for what is not there yet.
func (r *fetchReader) Read(p []byte) (int, error) {
	for {
		ready, changed, err := r.f.state()
		switch {
		case err != nil:
			return 0, err
		case r.at >= r.f.file.Size:
			return 0, io.EOF
		case r.at < ready:
			n, err := r.f.w.ReadAt(p[:min(int64(len(p)), ready-r.at)], r.at)
			r.at += int64(n)
			if n > 0 {
				err = nil
			}
			return n, err
		}
		select {
		case <-changed:
		case <-r.ctx.Done():
			return 0, r.ctx.Err()
		}
	}
}

// state is how much can be read: all but the last byte of a file that is not known to
// be good, so that what is not good does not look whole to anybody.
func (f *fetch) state() (ready int64, changed <-chan struct{}, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.whole {
		return f.file.Size, f.changed, nil
	}
	return min(f.written, f.file.Size-1), f.changed, f.err
}

// Seek implements io.Seeker.
func (r *fetchReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.at
	case io.SeekEnd:
		offset += r.f.file.Size
	}
	if offset < 0 {
		return 0, protocol.Malformed
	}
	r.at = offset
	return offset, nil
}

// Close implements io.Closer.
func (r *fetchReader) Close() error {
	if !r.over {
		r.over = true
		r.f.leave()
	}
	return nil
}
