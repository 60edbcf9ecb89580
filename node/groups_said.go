package node

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"

	"parley/protocol/s2s"
	"parley/store"
)

// valueSaid is where a follower notes, by group and what was signed, under which number a
// message was told.
const valueSaid = "group said\x00"

// saidLen is how much of the hash of what was signed is kept, in bytes: two messages that
// share it would have to be made for it by their own author.
const saidLen = 16

// saidBefore notes under which number the home tells a message, and reports whether that
// was another before. A signature holds for a message, not for its number, which the home
// gives afterwards: so the home could tell words of others a second time, as if said anew
// (spec/link.md#signatures).
func (f *follower) saidBefore(tx store.Tx, e *s2s.Event) (bool, error) {
	if e.By == "" || e.By.Node() == f.home() {
		return false, nil // the home speaks for itself
	}
	sum := sha256.Sum256(e.Message.Signed(f.t.id, e.By))
	name := valueSaid + string(f.t.id) + "\x00" + base64.RawURLEncoding.EncodeToString(sum[:saidLen])
	number := binary.BigEndian.AppendUint64(nil, uint64(e.Message.Seq))
	switch was, err := tx.Value(name); {
	case errors.Is(err, store.ErrNotFound):
		return false, tx.PutValue(name, number)
	case err != nil:
		return false, err
	default:
		return string(was) != string(number), nil
	}
}
