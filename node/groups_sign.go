package node

import (
	"encoding/binary"

	"parley/protocol"
)

// What the home node of a user signs of what the user does in a group of another node, so
// that other followers need not believe the group's home.

const (
	wantDomain  = "parley group want v1\x00"
	eraseDomain = "parley group erase v1\x00"
)

// signedIn begins such a text: its kind, the group, the user, the time in ms since 1970.
func signedIn(domain string, group protocol.TopicID, u protocol.UserID, at int64) []byte {
	text := []byte(domain)
	for _, part := range []string{string(group), string(u)} {
		text = binary.BigEndian.AppendUint32(text, uint32(len(part)))
		text = append(text, part...)
	}
	return binary.BigEndian.AppendUint64(text, uint64(at))
}

// signedWant adds the wanted mode, and whether the user leaves.
func signedWant(group protocol.TopicID, u protocol.UserID, at int64, want protocol.Mode, ended bool) []byte {
	text := append(signedIn(wantDomain, group, u, at), byte(want), 0)
	if ended {
		text[len(text)-2], text[len(text)-1] = 0, 1
	}
	return text
}

// signedErase adds the ranges.
func signedErase(group protocol.TopicID, u protocol.UserID, at int64, ranges protocol.Ranges) []byte {
	text := signedIn(eraseDomain, group, u, at)
	for _, r := range ranges {
		text = binary.BigEndian.AppendUint64(text, uint64(r.Low))
		text = binary.BigEndian.AppendUint64(text, uint64(r.End()))
	}
	return text
}

// wished is the mode that a request wants for its own user, or that it leaves.
func wished(in *protocol.Request) (want protocol.Mode, ended, ok bool) {
	switch {
	case in.Leave != nil:
		return 0, true, true
	case in.Set != nil && in.Set.Sub != nil && in.Set.Sub.User == "":
		want, err := protocol.ParseMode(in.Set.Sub.Mode)
		return want, false, err == nil
	}
	return 0, false, false
}
