package store

import (
	"encoding/binary"

	"parley/protocol"
)

// messageRef sorts by topic and seq, so that an engine can find the links of a
// range of messages.
func messageRef(t protocol.TopicID, seq int) Ref {
	b := append([]byte("m\x00"), t...)
	b = append(b, 0)
	return Ref(binary.BigEndian.AppendUint64(b, uint64(seq)))
}
