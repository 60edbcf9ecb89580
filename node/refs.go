package node

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
)

// Each replica of a conversation of two has its own numbers. What names a message by
// its number in one is translated on the way to the other: through the message's name,
// which is the same everywhere.

// refHeads are the heads that name a message of the same conversation.
var refHeads = []string{"reply", "replace", "thread"}

func nameOf(m *store.Message) *s2s.Name { return &s2s.Name{From: m.From, Origin: m.Origin, Tag: m.Tag} }

// parseRef reads a reference as clients write it: "123", ":123" or "topic:123", or a
// number. It returns what stands before the number.
func parseRef(raw json.RawMessage) (prefix string, seq int, ok bool) {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		s = string(raw)
	}
	i := strings.LastIndexByte(s, ':') + 1
	seq, err := strconv.Atoi(s[i:])
	return s[:i], seq, err == nil && seq > 0
}

// named finds the name of a message by its number here; nil if it is no more.
func (r *room) named(tx store.Tx, seq int) (*s2s.Name, error) {
	m, err := tx.Message(r.t.id, seq)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return nameOf(m), nil
}

// seqOf finds the number here of a message by its name; 0 if it is unknown or no more.
func (r *room) seqOf(tx store.Tx, n s2s.Name) (int, error) {
	return tx.Named(r.t.id, n.From, n.Origin, n.Tag)
}

// outward is a message as the other node gets it.
func (r *room) outward(tx store.Tx, m *store.Message) (*s2s.Message, error) {
	out := &s2s.Message{Origin: m.Origin, Tag: m.Tag, Head: m.Head, Content: m.Content}
	if out.Origin == 0 {
		out.Origin = m.Seq
	}
	if len(m.Head) > 0 {
		var head map[string]json.RawMessage
		if err := json.Unmarshal(m.Head, &head); err != nil {
			return nil, err
		}
		for _, h := range refHeads {
			_, seq, ok := parseRef(head[h])
			if !ok {
				continue
			}
			name, err := r.named(tx, seq)
			if err != nil {
				return nil, err
			}
			if name != nil {
				if out.Refs == nil {
					out.Refs = map[string]s2s.Name{}
				}
				out.Refs[h] = *name
			}
		}
	}
	_, err := eachFormSeq(m.Content, func(seq int) (int, error) {
		name, err := r.named(tx, seq)
		if name == nil {
			name = &s2s.Name{}
		}
		out.Seqs = append(out.Seqs, *name)
		return seq, err
	})
	return out, err
}

// inward is a message of the other node as one of ours would have sent it. A reference
// to what is not there is left out; an edit of it, or of another's message, is refused.
func (r *room) inward(tx store.Tx, p *s2s.Post) (protocol.Pub, error) {
	in := protocol.Pub{Content: p.Message.Content}
	if !utf8.Valid(p.Message.Head) || len(in.Content) > 0 && !isJSON(in.Content) { // clients get it as it is
		return in, protocol.Malformed
	}
	if len(p.Message.Head) > 0 {
		if err := json.Unmarshal(p.Message.Head, &in.Head); err != nil {
			return in, protocol.Malformed
		}
	}
	for _, h := range refHeads {
		if in.Head[h] == nil {
			continue
		}
		prefix, _, _ := parseRef(in.Head[h])
		delete(in.Head, h)
		name, ok := p.Message.Refs[h]
		seq := 0
		if ok {
			var err error
			if seq, err = r.seqOf(tx, name); err != nil {
				return in, err
			}
		}
		switch {
		case h == "replace" && ok && name.From != p.From:
			return in, protocol.Denied
		case h == "replace" && seq == 0:
			return in, &protocol.Error{Fault: protocol.NotFound, What: "the message to replace"}
		case seq == 0:
			continue
		}
		if len(prefix) > 1 {
			prefix = r.policy.name(p.To, false) + ":"
		}
		in.Head[h] = jsonString(prefix + strconv.Itoa(seq))
	}
	i := 0
	content, err := eachFormSeq(in.Content, func(int) (int, error) {
		if i++; i > len(p.Message.Seqs) {
			return 0, nil
		}
		return r.seqOf(tx, p.Message.Seqs[i-1])
	})
	in.Content = content
	return in, err
}

func jsonString(s string) json.RawMessage {
	b, _ := json.Marshal(s) // strings always marshal
	return b
}

// eachFormSeq replaces the number of the form in each answer to a form: the entity EX
// of a Drafty text with a JSON object that has "seq". Other content is as it was.
func eachFormSeq(content []byte, f func(int) (int, error)) ([]byte, error) {
	if !strings.Contains(string(content), `"seq"`) {
		return content, nil
	}
	var doc map[string]json.RawMessage
	var ents []map[string]json.RawMessage
	if json.Unmarshal(content, &doc) != nil || json.Unmarshal(doc["ent"], &ents) != nil {
		return content, nil
	}
	changed := false
	for _, ent := range ents {
		var data, val map[string]json.RawMessage
		var seq int
		if string(ent["tp"]) != `"EX"` || json.Unmarshal(ent["data"], &data) != nil ||
			json.Unmarshal(data["val"], &val) != nil || json.Unmarshal(val["seq"], &seq) != nil {
			continue
		}
		now, err := f(seq)
		if err != nil {
			return nil, err
		}
		if now == seq {
			continue
		}
		changed = true
		val["seq"] = json.RawMessage(strconv.Itoa(now))
		data["val"], ent["data"] = jsonObject(val), jsonObject(data)
	}
	if !changed {
		return content, nil
	}
	doc["ent"], _ = json.Marshal(ents) // valid JSON always marshals
	return jsonObject(doc), nil
}

func jsonObject(m map[string]json.RawMessage) json.RawMessage {
	b, _ := json.Marshal(m) // valid JSON always marshals
	return b
}

// erased names the messages in ranges: by author, each range as one of that author's.
func (r *room) erased(tx store.Tx, ranges protocol.Ranges) ([]s2s.Erased, error) {
	spans := map[protocol.UserID][]s2s.Span{}
	for _, rg := range ranges {
		last := map[protocol.UserID]*s2s.Span{}
		for m, err := range tx.History(r.t.id, rg.Low, rg.End()) {
			if err != nil {
				return nil, err
			}
			switch s := last[m.From]; {
			case m.From == "":
			case s == nil:
				last[m.From] = &s2s.Span{Low: m.Origin, High: m.Origin + 1}
			default:
				s.Low, s.High = min(s.Low, m.Origin), max(s.High, m.Origin+1)
			}
		}
		for u, s := range last {
			spans[u] = append(spans[u], *s)
		}
	}
	var of []s2s.Erased
	for u, s := range spans {
		of = append(of, s2s.Erased{From: u, Ranges: s})
	}
	slices.SortFunc(of, func(a, b s2s.Erased) int { return strings.Compare(string(a.From), string(b.From)) })
	return of, nil
}

// local finds the numbers here of messages that are named by author and range. An
// author's messages are in the same order on every node.
func (r *room) local(tx store.Tx, of []s2s.Erased) (protocol.Ranges, error) {
	var found []protocol.Range
	for _, e := range of {
		low := 0
		for _, s := range e.Ranges {
			if low == 0 || s.Low < low {
				low = s.Low
			}
		}
		for m, err := range tx.History(r.t.id, 1, r.head.Seq+1) {
			if err != nil {
				return nil, err
			}
			if m.From != e.From {
				continue
			}
			if m.Origin < low {
				break
			}
			if slices.ContainsFunc(e.Ranges, func(s s2s.Span) bool { return s.Low <= m.Origin && m.Origin < s.High }) {
				found = append(found, protocol.Range{Low: m.Seq})
			}
		}
	}
	if len(found) == 0 {
		return nil, nil
	}
	return protocol.NewRanges(found)
}

// auxOutward is what is kept for both as the other node gets it.
func (r *room) auxOutward(tx store.Tx, aux []byte) (*s2s.Aux, error) {
	out := &s2s.Aux{JSON: aux}
	for _, seq := range pinsOf(aux) {
		name, err := r.named(tx, seq)
		if err != nil {
			return nil, err
		}
		if name != nil {
			out.Refs = append(out.Refs, *name)
		}
	}
	return out, nil
}

// auxInward is the reverse.
func (r *room) auxInward(in *s2s.Aux) ([]byte, error) {
	var doc map[string]json.RawMessage
	if !isFace(in.JSON) || len(in.JSON) > 0 && json.Unmarshal(in.JSON, &doc) != nil {
		return nil, protocol.Malformed
	}
	if doc["pins"] == nil {
		return in.JSON, nil
	}
	pins := []int{}
	err := r.n.store.View(func(tx store.Tx) error {
		pins = pins[:0]
		for _, name := range in.Refs {
			seq, err := r.seqOf(tx, name)
			if err != nil {
				return err
			}
			if seq > 0 {
				pins = append(pins, seq)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	doc["pins"], err = json.Marshal(pins)
	return jsonObject(doc), err
}

// pinsOf are the numbers of pinned messages.
func pinsOf(aux []byte) []int {
	var doc struct {
		Pins []int `json:"pins"`
	}
	if json.Unmarshal(aux, &doc) != nil {
		return nil
	}
	return doc.Pins
}
