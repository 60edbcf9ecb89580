package bolt

import (
	"bytes"
	"errors"
	"iter"

	"go.etcd.io/bbolt"

	"parley/store"
)

// The buckets; the comment is key → value.
var (
	bktMeta      = []byte("meta")
	bktUsers     = []byte("users")     // user → record
	bktSeen      = []byte("seen")      // user → record
	bktTags      = []byte("tags")      // tag, id → nothing
	bktLogins    = []byte("logins")    // scheme, name → record
	bktLoginOf   = []byte("loginof")   // user, scheme → name
	bktCreds     = []byte("creds")     // user, method, value → record
	bktConfirmed = []byte("confirmed") // method, value → user
	bktTopics    = []byte("topics")    // topic → record
	bktGone      = []byte("gone")      // topic → nothing: a tombstone
	bktHeads     = []byte("heads")     // topic → head
	bktSubs      = []byte("subs")      // topic, user → record
	bktSubsOf    = []byte("subsof")    // user, topic → nothing
	bktMarks     = []byte("marks")     // topic, user → recv, read
	bktMessages  = []byte("messages")  // topic, seq → message
	bktNames     = []byte("names")     // topic, from, origin tag → seq, where they differ
	bktDels      = []byte("deletions") // topic, id → record
	bktHidden    = []byte("hidden")    // topic, user → ranges
	bktEvents    = []byte("events")    // topic, rev → record
	bktFiles     = []byte("files")     // file → record
	bktFilesOf   = []byte("filesof")   // user, file → nothing
	bktLinks     = []byte("links")     // ref, NUL, NUL, file → nothing
	bktUses      = []byte("uses")      // file, ref → nothing
	bktPosts     = []byte("posts")     // peer, lane, n → record
	bktPostKeys  = []byte("postkeys")  // peer, lane, key → n
	bktQueues    = []byte("queues")    // peer, lane → record
	bktCursors   = []byte("cursors")   // peer, lane → n
	bktVerdicts  = []byte("verdicts")  // peer, lane, n → body

	buckets = [][]byte{bktMeta, bktUsers, bktSeen, bktTags, bktLogins, bktLoginOf, bktCreds, bktConfirmed,
		bktTopics, bktGone, bktHeads, bktSubs, bktSubsOf, bktMarks, bktMessages, bktNames, bktDels, bktHidden,
		bktEvents, bktFiles, bktFilesOf, bktLinks, bktUses, bktPosts, bktPostKeys, bktQueues, bktCursors, bktVerdicts}

	keyMeta = []byte("meta")
)

// tx is one transaction. It implements store.Tx.
type tx struct{ t *bbolt.Tx }

func (x *tx) bucket(name []byte) *bbolt.Bucket { return x.t.Bucket(name) }

// scan calls f for the keys with a prefix, in order, until it returns false.
func scan(b *bbolt.Bucket, prefix []byte, f func(k, v []byte) bool) {
	c := b.Cursor()
	for k, v := c.Seek(prefix); k != nil && bytes.HasPrefix(k, prefix); k, v = c.Next() {
		if !f(k, v) {
			return
		}
	}
}

// maxEmpty is how many emptied pages in a row are passed over: no transaction empties
// as many, but a cursor is lost if its keys are deleted meanwhile.
const maxEmpty = 1 << 20

// backwards yields the keys from the last that is below high down to low; all keys
// between belong to the same name.
func (x *tx) backwards(bucket, low, high []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		c := x.bucket(bucket).Cursor()
		first, _ := c.Seek(low)
		if first == nil || bytes.Compare(first, high) >= 0 {
			return
		}
		first = bytes.Clone(first)
		var k, v []byte
		if at, _ := c.Seek(high); at == nil {
			k, v = c.Last()
		} else {
			k, v = c.Prev()
		}
		for empty := 0; empty < maxEmpty; k, v = c.Prev() {
			if k == nil { // a page that this transaction has emptied; first is still to come
				empty++
				continue
			}
			empty = 0
			if !yield(k, v) || bytes.Compare(k, first) <= 0 {
				return
			}
		}
	}
}

// wipe deletes the keys with a prefix.
func wipe(b *bbolt.Bucket, prefix []byte) error {
	var ks [][]byte
	scan(b, prefix, func(k, _ []byte) bool {
		ks = append(ks, bytes.Clone(k))
		return true
	})
	var err error
	for _, k := range ks {
		err = errors.Join(err, b.Delete(k))
	}
	return err
}

// records yields the CBOR records under a prefix.
func records[T any](b *bbolt.Bucket, prefix []byte) iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		scan(b, prefix, func(_, v []byte) bool {
			r := new(T)
			if err := decode(v, r); err != nil {
				yield(nil, err)
				return false
			}
			return yield(r, nil)
		})
	}
}

// suffixes yields what follows a prefix in the keys that have it.
func suffixes(b *bbolt.Bucket, prefix []byte) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		scan(b, prefix, func(k, _ []byte) bool { return yield(string(k[len(prefix):]), nil) })
	}
}

func get[T any](b *bbolt.Bucket, key []byte) (*T, error) {
	v := new(T)
	if err := getRecord(b, key, v); err != nil {
		return nil, err
	}
	return v, nil
}

var nothing = []byte{}

var _ store.Tx = (*tx)(nil)
