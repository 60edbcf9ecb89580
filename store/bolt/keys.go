package bolt

import (
	"bytes"
	"encoding/binary"
	"iter"
	"strings"
	"unicode/utf8"

	"go.etcd.io/bbolt"

	"parley/protocol"
	"parley/store"
)

// The buckets; the comment is key → value. In keys, a comma is a NUL, a lane is a
// character from '0' on, and numbers are big-endian so that they sort. A change here
// is a new schema.
var (
	bktMeta      = []byte("meta")      // "meta" → description of the store
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
	bktNames     = []byte("names")     // topic, from, origin tag → seq, where origin is another number
	bktDels      = []byte("deletions") // topic, id → record
	bktHidden    = []byte("hidden")    // topic, user → ranges
	bktEvents    = []byte("events")    // topic, rev → record
	bktFiles     = []byte("files")     // file → record
	bktFilesOf   = []byte("filesof")   // user, file → nothing
	bktLinks     = []byte("links")     // ref, , , file → nothing
	bktUses      = []byte("uses")      // file, ref → nothing
	bktPosts     = []byte("posts")     // peer, lane, n → record
	bktPostKeys  = []byte("postkeys")  // peer, lane, key → n
	bktQueues    = []byte("queues")    // peer, lane → record
	bktCursors   = []byte("cursors")   // peer, lane → n
	bktVerdicts  = []byte("verdicts")  // peer, lane, n → record

	buckets = [][]byte{bktMeta, bktUsers, bktSeen, bktTags, bktLogins, bktLoginOf, bktCreds, bktConfirmed,
		bktTopics, bktGone, bktHeads, bktSubs, bktSubsOf, bktMarks, bktMessages, bktNames, bktDels, bktHidden, bktEvents,
		bktFiles, bktFilesOf, bktLinks, bktUses, bktPosts, bktPostKeys, bktQueues, bktCursors, bktVerdicts}

	bktPeers      = []byte("peers")      // peer → record
	bktFollowers  = []byte("followers")  // topic, peer → record
	bktFollowedBy = []byte("followedby") // peer, topic → nothing
	bktValues     = []byte("values")     // name → bytes

	// added are the buckets that a file of an earlier release may lack.
	added = [][]byte{bktPeers, bktFollowers, bktFollowedBy, bktValues}

	// ofTopics are those whose keys are a topic, a NUL and more.
	ofTopics = [][]byte{bktSubs, bktMarks, bktHidden, bktMessages, bktNames, bktDels, bktEvents}

	keyMeta = []byte("meta")
	nothing = []byte{}
)

// fillAppended packs the pages of what is appended and seldom deleted.
const fillAppended = 0.9

// key joins parts with NUL. A NUL within a part, which only a stranger would send,
// becomes a byte that UTF-8 has not, so that nobody can name another key by it.
func key(parts ...string) []byte {
	n := 0
	for _, p := range parts {
		n += len(p) + 1
	}
	b := make([]byte, 0, n+8)
	for i, p := range parts {
		if i > 0 {
			b = append(b, 0)
		}
		b = append(b, strings.ReplaceAll(p, "\x00", "\xff")...)
	}
	return b
}

// prefixOf is what all keys of a name begin with.
func prefixOf(parts ...string) []byte { return append(key(parts...), 0) }

// numbered is a key of a name and a number that sorts by number.
func numbered(name string, n uint64) []byte {
	return binary.BigEndian.AppendUint64(prefixOf(name), n)
}

// number is the one at the end of a key.
func number(k []byte) uint64 { return binary.BigEndian.Uint64(k[len(k)-8:]) }

func bigEndian(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

const nameEnd = 8 + 4 // bytes of origin and tag

func nameKey(t protocol.TopicID, from protocol.UserID, origin int, tag uint32) []byte {
	b := binary.BigEndian.AppendUint64(prefixOf(string(t), string(from)), uint64(origin))
	return binary.BigEndian.AppendUint32(b, tag)
}

// linkSeparator ends a ref in the key of a link. File ids have no NUL, so the last
// one in a key is the separator, whatever bytes the ref ends in.
const linkSeparator = "\x00\x00\x00"

func linkKey(r store.Ref, id string) []byte { return []byte(string(r) + linkSeparator + id) }

// refsTo is what the refs of all messages of a topic begin with.
func refsTo(t protocol.TopicID) []byte {
	r := store.RefMessage(t, 0)
	return []byte(r[:len(r)-8])
}

func useKey(id string, r store.Ref) []byte { return append(prefixOf(id), r...) }

// laneKey names one lane to or from a peer.
func laneKey(n protocol.Node, l store.Lane) []byte {
	return key(string(n), string(rune('0'+l)))
}

// laneOf is the peer and the lane at the beginning of a key.
func laneOf(k []byte) (protocol.Node, store.Lane) {
	n, rest, _ := strings.Cut(string(k), "\x00")
	r, _ := utf8.DecodeRuneInString(rest)
	return protocol.Node(n), store.Lane(r - '0')
}

// inLane is what the keys of the posts in a lane begin with.
func inLane(n protocol.Node, l store.Lane) []byte { return append(laneKey(n, l), 0) }

func postKey(n protocol.Node, l store.Lane, post uint64) []byte {
	return binary.BigEndian.AppendUint64(inLane(n, l), post)
}

func postKeyKey(n protocol.Node, l store.Lane, key string) []byte {
	return append(inLane(n, l), key...)
}

// walk yields the keys with a prefix, from the first that is not below start. What
// yield gets is its own to keep no longer than the call; it may change the bucket.
func walk(b *bbolt.Bucket, prefix, start []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		c := b.Cursor()
		k, v := c.Seek(start)
		for k != nil && bytes.HasPrefix(k, prefix) {
			if !b.Writable() {
				if !yield(k, v) {
					return
				}
				k, v = c.Next()
				continue
			}
			at := bytes.Clone(k) // a cursor does not survive changes
			if !yield(at, v) {
				return
			}
			if k, v = c.Seek(at); bytes.Equal(k, at) {
				k, v = c.Next()
			}
		}
	}
}

// walkBack yields the keys from the last that is below high down to low. Both begin
// with the same prefix, and so do all keys between.
func walkBack(b *bbolt.Bucket, low, high []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		c := b.Cursor()
		k, v := before(c, low, high)
		for k != nil && bytes.Compare(k, low) >= 0 {
			if !b.Writable() {
				if !yield(k, v) {
					return
				}
				k, v = c.Prev()
				continue
			}
			at := bytes.Clone(k)
			if !yield(at, v) {
				return
			}
			k, v = before(c, low, at)
		}
	}
}

// maxEmpty is how many emptied pages in a row are passed over: no transaction
// empties as many.
const maxEmpty = 1 << 20

// before moves a cursor to the last key that is below high and not below low.
func before(c *bbolt.Cursor, low, high []byte) (k, v []byte) {
	first, _ := c.Seek(low)
	if first == nil || bytes.Compare(first, high) >= 0 {
		return nil, nil
	}
	if at, _ := c.Seek(high); at == nil {
		k, v = c.Last()
	} else {
		k, v = c.Prev()
	}
	// Prev, other than Next, gives nil for a page that this transaction has emptied;
	// first is still to come.
	for empty := 0; k == nil && empty < maxEmpty; empty++ {
		k, v = c.Prev()
	}
	return k, v
}

// all yields the keys with a prefix.
func all(b *bbolt.Bucket, prefix []byte) iter.Seq2[[]byte, []byte] { return walk(b, prefix, prefix) }
