package s2s

import "parley/protocol"

// What stands before a text that is signed, so that it cannot be taken for another.
const (
	cardPrefix      = "parley card v1\x00"
	tombstonePrefix = "parley tombstone v1\x00"
)

// Signed is what the home node of a user signs of a card: cardPrefix and the array of
// its fields but Sig, in deterministic CBOR; Guest only if set.
func (c *Card) Signed() []byte {
	fields := []any{c.User, c.Version, notNil(c.Public), c.Auth}
	if c.Guest {
		fields = append(fields, true)
	}
	return signed(cardPrefix, fields)
}

// Signed is what the home node of a user signs of a tombstone, likewise.
func (t *Tombstone) Signed() []byte {
	return signed(tombstonePrefix, struct {
		_     struct{} `cbor:",toarray"`
		User  protocol.UserID
		Erase bool
		At    int64
	}{User: t.User, Erase: t.Erase, At: t.At})
}

// notNil makes the empty text of what was left out on the way.
func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

func signed(prefix string, v any) []byte {
	b, err := statementOut.Marshal(v)
	if err != nil { // plain fields always encode
		panic(err)
	}
	return append([]byte(prefix), b...)
}
