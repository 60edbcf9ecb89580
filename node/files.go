package node

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"parley/protocol"
	"parley/store"
)

// filePrefix is where clients find files: "/v0/file/s/<node>/<id>.<ext>".
const filePrefix = "/v0/file/s/"

const (
	fileIDBytes  = 18 // random; the id is what entitles to the file
	fileIDChars  = fileIDBytes / 3 * 4
	maxExt       = 8
	collectBatch = 256            // files removed in one transaction
	uploadTime   = 24 * time.Hour // after which an upload has ended, well or not
)

// newAccountTopic is the topic that a client names when it uploads the picture of
// an account that it is about to create, for which nobody can be logged in.
const newAccountTopic = "newacc"

// bytesAbsent is the Size of a record without bytes: of an upload that goes on, or of
// a grave. The record is made before the blob and deleted after it, so that a crash
// leaves no blob without a record. That of an upload bears the time when it must have
// ended, so that it is not collected before.
const bytesAbsent = -1

// grave before the id of a file makes the id of a file that is being removed. Clients
// cannot name it.
const grave = "~"

// Upload is a file on its way in.
type Upload struct {
	Who   Identity
	From  Origin
	Topic string // what the file is for, as the client says
	Name  string // without a path
	MIME  string // type and subtype
	Body  io.Reader
	// After, if not nil, runs when Body has ended, and may fill in what is known
	// only then: Who and Topic. If it fails, the file is not kept.
	After func(*Upload) error
}

// SaveFile stores a file. Unless it is put to use it is removed after a while.
// Errors: TooLarge, TooMany (at a time), Unauthorized (nobody may upload anonymously
// but for a new account), Full, NotOffered, Policy (over the user's quota), and those
// of Body.
func (n *Node) SaveFile(ctx context.Context, up Upload) (*store.File, error) {
	if n.cfg.Blobs == nil {
		return nil, protocol.NotOffered
	}
	limit, err := n.mayUpload(&up)
	if err != nil {
		return nil, err
	}
	f := &store.File{ID: newFileID(), User: up.Who.User, MIME: up.MIME, Name: up.Name, Size: bytesAbsent, Created: n.wall().Add(uploadTime)}
	if err := n.withinQuota(f.User, 0); err != nil {
		return nil, err
	}
	err = n.store.Update(func(tx store.Tx) error { return tx.PutFile(f) })
	if err != nil {
		return nil, fileFault(err)
	}
	err = n.receive(ctx, f, &up, limit)
	if err == nil {
		err = n.keepFile(f)
	}
	if err != nil {
		n.discardFile(f.ID)
		return nil, fileFault(err)
	}
	return f, nil
}

func newFileID() string {
	var b [fileIDBytes]byte
	rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// receive brings the bytes to the disk and completes f.
func (n *Node) receive(ctx context.Context, f *store.File, up *Upload, limit int64) error {
	w, err := n.cfg.Blobs.Create(f.ID)
	if err != nil {
		return err
	}
	defer w.Close()
	sum := sha256.New()
	size, err := io.Copy(io.MultiWriter(w, sum), io.LimitReader(up.Body, limit+1))
	switch {
	case err != nil:
		return err
	case size > limit:
		return protocol.TooLarge
	}
	if up.After != nil {
		if err := up.After(up); err != nil {
			return err
		}
	}
	if up.Who.User == "" {
		if up.Topic != newAccountTopic {
			return protocol.Unauthorized
		}
		if err := n.guestHasRoom(size); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	f.User, f.Size, f.Created = up.Who.User, size, n.wall()
	sum.Sum(f.SHA256[:0])
	return w.Commit()
}

// keepFile makes a received file one that exists.
func (n *Node) keepFile(f *store.File) error {
	if err := n.withinQuota(f.User, f.Size); err != nil {
		return err
	}
	return n.store.Update(func(tx store.Tx) error {
		if _, err := tx.File(f.ID); err != nil {
			return err // took so long that it was collected
		}
		return tx.PutFile(f)
	})
}

// withinQuota refuses size more bytes of a user who would then have too many. It counts
// in a transaction of its own, since somebody with many files must not hold up those
// who write; uploads that end at once may so exceed the quota by their number.
func (n *Node) withinQuota(u protocol.UserID, size int64) error {
	if n.cfg.FileQuota <= 0 || u == "" {
		return nil
	}
	var total int64
	err := n.store.View(func(tx store.Tx) error {
		total = size
		for f, err := range tx.FilesOf(u) {
			if err != nil {
				return err
			}
			total += max(f.Size, 0)
		}
		return nil
	})
	if err != nil {
		return fileFault(err)
	}
	if total > n.cfg.FileQuota {
		return &protocol.Error{Fault: protocol.Policy, What: "quota"}
	}
	return nil
}

// discardFile removes what is left of a broken upload. What fails here is
// collected later.
func (n *Node) discardFile(id string) {
	err := n.cfg.Blobs.Remove(id)
	if err == nil || errors.Is(err, store.ErrNotFound) {
		err = n.store.Update(func(tx store.Tx) error { return tx.DeleteFile(id) })
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		n.log.Warn("a broken upload stays until it is collected", "err", err)
	}
}

// OpenFile finds a file for anybody who is logged in: its id is known only to
// those who were told.
func (n *Node) OpenFile(ctx context.Context, who Identity, id string) (*store.File, io.ReadSeekCloser, error) {
	if n.cfg.Blobs == nil {
		return nil, nil, protocol.NotFound
	}
	if who.User == "" {
		return nil, nil, protocol.Unauthorized
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	var f *store.File
	err := n.store.View(func(tx store.Tx) (err error) {
		f, err = tx.File(id)
		return err
	})
	if err != nil {
		return nil, nil, fileFault(err)
	}
	if f.Size < 0 {
		return nil, nil, protocol.NotFound
	}
	b, err := n.cfg.Blobs.Open(id)
	if err != nil {
		return nil, nil, fileFault(err)
	}
	return f, b, nil
}

// collectFiles removes files that have had no use for Config.UnusedFiles, and
// returns how many it found.
func (n *Node) collectFiles(now time.Time) (int, error) {
	if n.cfg.Blobs == nil {
		return 0, nil
	}
	removed := 0
	for {
		ids, err := n.unusedFiles(now.Add(-n.cfg.UnusedFiles))
		if err != nil {
			return removed, err
		}
		if err := n.removeFiles(ids); err != nil {
			return removed, err
		}
		if removed += len(ids); len(ids) < collectBatch {
			return removed, nil
		}
	}
}

// unusedFiles finds one batch.
func (n *Node) unusedFiles(before time.Time) (ids []string, err error) {
	err = n.store.View(func(tx store.Tx) error {
		ids = ids[:0]
		for f, err := range tx.Unused(before) {
			if err != nil {
				return err
			}
			if ids = append(ids, f.ID); len(ids) == collectBatch {
				break
			}
		}
		return nil
	})
	return ids, err
}

// removeFiles removes files unless they have come into use. The record of one gives
// way to that of its grave, which stays until the blob is gone, so that nothing can
// be linked to it any more and a crash leaves something to be collected.
func (n *Node) removeFiles(ids []string) error {
	var buried []string
	err := n.store.Update(func(tx store.Tx) (err error) {
		buried, err = bury(tx, ids)
		return err
	})
	if err != nil {
		return err
	}
	for _, id := range buried {
		n.imports.forget(id)
		if err := n.cfg.Blobs.Remove(blobID(id)); err != nil && !errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("blob: %w", err)
		}
	}
	return n.store.Update(func(tx store.Tx) error {
		for _, id := range buried {
			if err := tx.DeleteFile(grave + id); err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
		}
		return nil
	})
}

// bury returns the ids whose blobs are to be removed.
func bury(tx store.Files, ids []string) (buried []string, err error) {
	for _, id := range ids {
		if id, dead := strings.CutPrefix(id, grave); dead {
			buried = append(buried, id)
			continue
		}
		f, err := tx.File(id)
		if errors.Is(err, store.ErrNotFound) || err == nil && f.Uses > 0 {
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := tx.DeleteFile(id); err != nil {
			return nil, err
		}
		if err := tx.PutFile(&store.File{ID: grave + id, Size: bytesAbsent, Created: f.Created}); err != nil {
			return nil, err
		}
		buried = append(buried, id)
	}
	return buried, nil
}

// fileFault is err as clients are told it.
func fileFault(err error) error {
	for _, m := range []struct {
		err   error
		fault protocol.Fault
	}{{store.ErrFull, protocol.Full}, {store.ErrClosed, protocol.Busy}, {store.ErrNotFound, protocol.NotFound}} {
		if errors.Is(err, m.err) {
			return &protocol.Error{Fault: m.fault, Err: err}
		}
	}
	return err
}

// FilePath is where clients find a file of node n.
func FilePath(n protocol.Node, f *store.File) string {
	return filePrefix + string(n) + "/" + f.ID + fileExt(f.MIME, f.Name)
}

// extensions of common types; of others the name decides.
var extensions = map[string]string{
	"image/jpeg": ".jpg", "image/png": ".png", "image/gif": ".gif", "image/webp": ".webp", "image/svg+xml": ".svg",
	"audio/aac": ".aac", "audio/mpeg": ".mp3", "audio/mp4": ".m4a", "audio/ogg": ".ogg", "audio/webm": ".webm",
	"video/mp4": ".mp4", "video/webm": ".webm", "video/quicktime": ".mov",
	"application/pdf": ".pdf", "application/zip": ".zip", "application/json": ".json", "text/plain": ".txt", "text/html": ".html",
}

// fileExt is for people and for clients that look at it; the node does not.
func fileExt(mime, name string) string {
	if ext, ok := extensions[mime]; ok {
		return ext
	}
	ext := strings.ToLower(path.Ext(name))
	if len(ext) < 2 || len(ext) > maxExt || strings.Trim(ext[1:], "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
		return ""
	}
	return ext
}

// fileIDs are the ids of home's files in the relative references of attachments:
// "/v0/file/s/<node>/<id>.<ext>", with or without the node, or only the last part.
// What names another place is ignored.
func fileIDs(home protocol.Node, refs []string) []string {
	var ids []string
	seen := map[string]bool{}
	for _, ref := range refs {
		if id, ok := fileID(home, ref); ok && !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	return ids
}

func fileID(home protocol.Node, ref string) (string, bool) {
	ref, _, _ = strings.Cut(ref, "?")
	ref, _ = strings.CutPrefix(ref, filePrefix)
	ref, _ = strings.CutPrefix(ref, "./")
	if at, rest, qualified := strings.Cut(ref, "/"); qualified {
		if !strings.EqualFold(at, string(home)) {
			return "", false
		}
		ref = rest
	}
	return ParseFileName(ref)
}

// ParseFileName finds the id in the last part of a file's path, "<id>.<ext>".
func ParseFileName(name string) (id string, ok bool) {
	id, _, _ = strings.Cut(name, ".")
	if len(id) != fileIDChars {
		return "", false
	}
	_, err := base64.RawURLEncoding.DecodeString(id)
	return id, err == nil
}
