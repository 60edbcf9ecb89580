package bolt

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"go.etcd.io/bbolt"

	"parley/protocol"
	"parley/store"
)

// RestoreGap is by how much restoring raises the seq of every topic: past what
// clients can have seen after the backup was made. The numbers between are recorded
// as deleted, so that clients look for nothing there.
const RestoreGap = 1000

// Restore makes a store at path to, which must not exist, of the backup at from. It
// gets a new incarnation.
func Restore(from, to string) (err error) {
	if _, err := os.Lstat(to); err == nil {
		return fmt.Errorf("%w: %s", store.ErrExists, to)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, removeIfThere(to))
		}
	}()
	if err := copyFile(from, to); err != nil {
		return err
	}
	if err := Check(to); err != nil {
		return err
	}
	b, err := bbolt.Open(to, 0o600, &bbolt.Options{Timeout: lockTimeout})
	if err != nil {
		return fault(err)
	}
	if _, err := prepare(b, Options{}); err != nil {
		return errors.Join(err, b.Close())
	}
	err = b.Update(func(t *bbolt.Tx) error {
		x := &tx{t}
		var m store.Meta
		if err := getRecord(x.bucket(bktMeta), keyMeta, &m); err != nil {
			return err
		}
		m.Incarnation = newIncarnation()
		if err := putRecord(x.bucket(bktMeta), keyMeta, &m); err != nil {
			return err
		}
		return x.raise(time.Now())
	})
	return errors.Join(fault(err), b.Close())
}

func removeIfThere(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// raise moves every topic past what clients can have seen.
func (x *tx) raise(now time.Time) error {
	var topics []protocol.TopicID
	for k := range scanAll(x.bucket(bktHeads)) {
		topics = append(topics, protocol.TopicID(k))
	}
	for _, t := range topics {
		h, err := x.Head(t)
		if err != nil {
			return err
		}
		gap := protocol.Range{Low: h.Seq + 1, Hi: h.Seq + 1 + RestoreGap}
		h.Seq += RestoreGap
		if err := x.putHead(t, h); err != nil {
			return err
		}
		if err := x.Delete(t, &store.Deletion{TS: now, Ranges: protocol.Ranges{gap}}); err != nil {
			return err
		}
	}
	return nil
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return fault(errors.Join(err, out.Sync(), out.Close()))
}

// Check reads the whole file at path, which must not be in use, and tells what is
// wrong with it: broken pages, records that cannot be read, indexes and numbers that
// disagree.
func Check(path string) error {
	b, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockTimeout, ReadOnly: true})
	if err != nil {
		return fault(err)
	}
	err = b.View(func(t *bbolt.Tx) error {
		var all error
		for err := range t.Check() {
			all = errors.Join(all, err)
		}
		if all != nil {
			return all
		}
		return (&tx{t}).check()
	})
	return errors.Join(err, b.Close())
}

// check verifies what the store promises of its records.
func (x *tx) check() error {
	for _, name := range buckets {
		if x.bucket(name) == nil {
			return fmt.Errorf("store: no bucket %q", name)
		}
	}
	var all error
	for t, err := range x.AllTopics() {
		if err != nil {
			return err
		}
		all = errors.Join(all, x.checkTopic(t))
	}
	for u, err := range x.AllUsers() {
		if err != nil {
			return err
		}
		for _, tag := range findable(u) {
			if x.bucket(bktTags).Get(key(tag, string(u.ID))) == nil {
				all = errors.Join(all, fmt.Errorf("store: user %s is not found by tag %s", u.ID, tag))
			}
		}
	}
	return all
}

func (x *tx) checkTopic(t *store.Topic) error {
	h, err := x.Head(t.ID)
	if err != nil {
		return err
	}
	var gone protocol.Ranges
	for d, err := range x.Deletions(t.ID, "", 1, h.Del+1) {
		if err != nil {
			return err
		}
		gone = gone.Union(d.Ranges)
	}
	if t.Base > 0 { // a replica has what has come of it so far
		return nil
	}
	want := h.Seq
	for m, err := range x.History(t.ID, 0, int(^uint(0)>>1)) {
		if err != nil {
			return err
		}
		for ; want > m.Seq && gone.Contains(want); want-- {
		}
		if m.Seq != want {
			return fmt.Errorf("store: topic %s has message %d where %d is expected", t.ID, m.Seq, want)
		}
		want--
	}
	for ; want > 0 && gone.Contains(want); want-- {
	}
	if want > 0 {
		return fmt.Errorf("store: topic %s lacks message %d", t.ID, want)
	}
	for s, err := range x.SubsTo(t.ID) {
		if err != nil {
			return err
		}
		if x.bucket(bktSubsOf).Get(key(string(s.User), string(t.ID))) == nil {
			return fmt.Errorf("store: subscription of %s to %s is not among the user's", s.User, t.ID)
		}
	}
	return nil
}
