package node

import (
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	"parley/protocol"
)

// What other nodes say is passed on to clients as it is, so that it must be what
// clients can read: JSON that is whole, and times that they know how to write.

// isJSON reports whether clients can get a text as it is. A WebSocket ends at what is
// not UTF-8.
func isJSON(text []byte) bool { return utf8.Valid(text) && json.Valid(text) }

// shownJSON is a field of a description; nothing, if clients could not read it.
func shownJSON(text []byte) []byte {
	if !isFace(text) {
		return nil
	}
	return text
}

// outsideHead is the head of a message of another node without what only this one
// sets; in a group also without calls, which are between two.
func outsideHead(raw []byte, group bool) ([]byte, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	var head map[string]json.RawMessage
	if err := json.Unmarshal(raw, &head); err != nil {
		return nil, err
	}
	if !utf8.Valid(raw) {
		return nil, protocol.Malformed
	}
	clean := len(head) > 0
	for name := range head {
		if ownedHead(name) || group && strings.HasPrefix(name, "webrtc") {
			delete(head, name)
			clean = false
		}
	}
	switch {
	case clean:
		return raw, nil
	case len(head) == 0:
		return nil, nil
	}
	return jsonObject(head), nil
}

// sentAt is when another node's user sent something: at most now.
func sentAt(ms int64, now time.Time) time.Time {
	if sent := time.UnixMilli(ms); ms > 0 && sent.Before(now) {
		return sent
	}
	return now
}
