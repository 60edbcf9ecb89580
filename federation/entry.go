package federation

import (
	"encoding/binary"
	"errors"

	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
)

// An entry is a post as the outbox holds it: a byte of marks, the topic with its length
// as a varint, so that it is found without looking into the post, and the post as
// s2s.Codec.PostBody has it, for that peer.
type entry []byte

// Marks of an entry: what its author has been told.
const (
	toldDelayed byte = 1 << iota
	toldUnconfirmed
	toldHeld
)

var errEntry = errors.New("federation: the outbox holds something that is no post")

func newEntry(c s2s.Codec, p *s2s.Post) (entry, error) {
	body, err := c.PostBody(p)
	if err != nil {
		return nil, err
	}
	t := p.TopicID()
	e := make(entry, 1, 1+binary.MaxVarintLen32+len(t)+len(body))
	e = binary.AppendUvarint(e, uint64(len(t)))
	e = append(e, t...)
	return append(e, body...), nil
}

func (e entry) split() (topic, body []byte, err error) {
	if len(e) < 2 {
		return nil, nil, errEntry
	}
	n, size := binary.Uvarint(e[1:])
	if size <= 0 || n > uint64(len(e)-1-size) {
		return nil, nil, errEntry
	}
	rest := e[1+size:]
	return rest[:n], rest[n:], nil
}

// void reports whether the entry only holds a place.
func (e entry) void() bool { return len(e) == 0 }

// about reports whether it is a post of the topic.
func (e entry) about(t protocol.TopicID) bool {
	topic, _, err := e.split()
	return err == nil && string(topic) == string(t)
}

func (e entry) post(c s2s.Codec) (*s2s.Post, error) {
	_, body, err := e.split()
	if err != nil {
		return nil, err
	}
	p := new(s2s.Post)
	return p, c.DecodeOwn(body, p)
}

func (e entry) has(mark byte) bool { return !e.void() && e[0]&mark != 0 }

// marked is a copy with a mark.
func (e entry) marked(mark byte) entry {
	c := append(entry(nil), e...)
	c[0] |= mark
	return c
}

// LaneOf is the lane of a topic's posts (spec/link.md#lanes).
func LaneOf(t protocol.TopicID) store.Lane { return store.Lane(s2s.LaneOf(t)) }

// parkedLane is where the store keeps the posts of a lane that are to come later.
func parkedLane(l store.Lane) store.Lane { return l + 128 }
