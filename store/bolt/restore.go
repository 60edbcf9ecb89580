package bolt

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"time"

	"go.etcd.io/bbolt"

	"parley/protocol"
	"parley/store"
)

// RestoreGap is by how much restoring at least raises the seq of every topic: past
// what clients can have seen after the backup was made. To it comes twice what the
// topic got in as long a time before the backup as has passed since. The numbers
// between are recorded as deleted, so that clients look for nothing there. The ids of
// deletions are raised by as much. Events keep their numbers: peers learn from the
// new incarnation to compare them.
const RestoreGap = 1000

// Restore makes a store at path to, which must not exist (ErrExists), of the backup
// at from. It gets a new incarnation, and all must sign in again: a token that was
// made void after the backup must not come to life. It is there whole or not at all.
func Restore(from, to string) (err error) {
	if _, err := os.Lstat(to); err == nil {
		return fmt.Errorf("%w: %s", store.ErrExists, to)
	}
	temp, err := os.MkdirTemp(filepath.Dir(to), filepath.Base(to)+".*.restored")
	if err != nil {
		return fault(err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	copied := filepath.Join(temp, filepath.Base(to))
	if err := copyFile(from, copied); err != nil {
		return err
	}
	if err := checkPages(copied); err != nil {
		return err
	}
	if err := renew(copied, time.Now()); err != nil {
		return err
	}
	return place(copied, to)
}

// renew makes a store of a copy of one.
func renew(path string, now time.Time) (err error) {
	b, err := openBolt(path, &bbolt.Options{Timeout: lockTimeout})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	m, err := prepare(b, "", false)
	if err != nil {
		return err
	}
	if err := checkRecords(b, m.Node); err != nil {
		return err
	}
	m.Incarnation = newIncarnation()
	return fault(b.Update(func(t *bbolt.Tx) error {
		x := &tx{t: t}
		if err := x.putRecord(bktMeta, keyMeta, &m); err != nil {
			return err
		}
		if err := x.raise(m.Node, now); err != nil {
			return err
		}
		return x.expel()
	}))
}

// expel makes the tokens of all users void: those that were issued before the backup,
// and those after it, whose epochs were greater.
func (x *tx) expel() error {
	for u, err := range x.AllUsers() {
		if err != nil {
			return err
		}
		u.Epoch += RestoreGap
		if err := x.PutUser(u); err != nil {
			return err
		}
	}
	return nil
}

func removeIfThere(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
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
		return fault(err)
	}
	_, err = io.Copy(out, in)
	return fault(errors.Join(err, out.Sync(), out.Close()))
}

// raise moves every topic past what clients can have seen. A replica of another node's
// group stays: that node gives its numbers.
func (x *tx) raise(home protocol.Node, now time.Time) error {
	heads, newest, err := x.heads()
	if err != nil {
		return err
	}
	since := newest.Add(newest.Sub(now)) // as long before the backup as it is old
	for t, h := range heads {
		if replica(t, home) {
			continue
		}
		by, err := x.gap(t, h, since)
		if err != nil {
			return err
		}
		gap := protocol.Range{Low: h.Seq + 1, Hi: h.Seq + 1 + by}
		if err := x.raiseMarks(t, h.Seq, by); err != nil {
			return err
		}
		h.Seq += by
		h.Del += by
		if err := x.putHead(t, h); err != nil {
			return err
		}
		d := &store.Deletion{TS: now.UTC().Truncate(time.Millisecond), Ranges: protocol.Ranges{gap}}
		if err := x.Delete(t, d); err != nil {
			return err
		}
	}
	return nil
}

// replica reports whether a topic is a group of another node than home.
func replica(t protocol.TopicID, home protocol.Node) bool {
	return t.Kind() == protocol.KindGroup && t.Home() != home
}

// raiseMarks keeps those who had received or read everything from having unread
// messages.
func (x *tx) raiseMarks(t protocol.TopicID, seq, by int) error {
	prefix := prefixOf(string(t))
	for k, v := range all(x.bucket(bktMarks), prefix) {
		m, err := decodeMarks(v)
		if err != nil {
			return err
		}
		if m.Recv < seq {
			continue
		}
		m.Recv += by
		if m.Read >= seq {
			m.Read += by
		}
		if err := x.PutMarks(t, protocol.UserID(k[len(prefix):]), m); err != nil {
			return err
		}
	}
	return nil
}

// heads are those of all topics, and when the last message in any was stored.
func (x *tx) heads() (map[protocol.TopicID]store.Head, time.Time, error) {
	heads, newest := map[protocol.TopicID]store.Head{}, time.Time{}
	for k, v := range all(x.bucket(bktHeads), nil) {
		h, err := decodeHead(v)
		if err != nil {
			return nil, newest, err
		}
		heads[protocol.TopicID(k)] = h
		if h.Touched.After(newest) {
			newest = h.Touched
		}
	}
	for t, err := range x.AllTopics() { // those without a message yet, too
		if err != nil {
			return nil, newest, err
		}
		if _, known := heads[t.ID]; !known {
			heads[t.ID] = store.Head{}
		}
	}
	return heads, newest, nil
}

// gap is how far a topic is moved.
func (x *tx) gap(t protocol.TopicID, h store.Head, since time.Time) (int, error) {
	var bad error
	recent := sort.Search(h.Seq, func(i int) bool {
		for m, err := range x.History(t, 1, h.Seq-i+1) {
			bad = errors.Join(bad, err)
			return err != nil || m.TS.Before(since)
		}
		return true
	})
	return RestoreGap + 2*recent, bad
}
