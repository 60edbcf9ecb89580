package protocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"unicode/utf8"
)

// MaxDepth is how deeply a packet may nest arrays and objects.
const MaxDepth = 1000

// Decode reads one packet, as spec/client.md#packets says: unknown fields are ignored,
// and how many verbs there are is left to the caller. The error is for the log; a
// client is told 400.
func Decode(packet []byte) (*Request, error) {
	if !utf8.Valid(packet) {
		return nil, errors.New("not UTF-8")
	}
	if tooDeep(packet) {
		return nil, errors.New("nested too deeply")
	}
	r := new(Request)
	if err := json.Unmarshal(packet, r); err != nil {
		return nil, err
	}
	return r, nil
}

func tooDeep(p []byte) bool { return deeper(p, MaxDepth) }

// deeper looks at brackets outside of strings only; whether they match is left
// to the decoder.
func deeper(p []byte, limit int) bool {
	depth := 0
	for i := 0; i < len(p); i++ {
		switch p[i] {
		case '{', '[':
			if depth++; depth > limit {
				return true
			}
		case '}', ']':
			depth--
		case '"':
			for i++; i < len(p) && p[i] != '"'; i++ {
				if p[i] == '\\' {
					i++
				}
			}
		}
	}
	return false
}

// Encode writes one packet. The frequent packets are appended by hand: it is the
// inner loop of fan-out.
func (r *Response) Encode() []byte {
	switch {
	case r.Data != nil:
		return r.Data.append(make([]byte, 0, 160+len(r.Data.Head)+len(r.Data.Content)))
	case r.Pres != nil:
		return r.Pres.append(make([]byte, 0, 160))
	case r.Info != nil:
		return r.Info.append(make([]byte, 0, 160+len(r.Info.Payload)))
	case r.Ctrl != nil:
		return r.Ctrl.append(make([]byte, 0, 192))
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(r); err != nil { // only a broken RawMessage can do this: never stored
		return (&Response{Ctrl: &Ctrl{Code: Internal.Code(), Text: Internal.Text()}}).Encode()
	}
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'})
}

func (d *Data) append(b []byte) []byte {
	b = append(b, `{"data":{"topic":`...)
	b = appendString(b, d.Topic)
	b = optString(b, `,"from":`, d.From)
	b = append(b, `,"ts":`...)
	b = d.TS.UTC().AppendFormat(b, timeLayout)
	b = append(b, `,"seq":`...)
	b = strconv.AppendInt(b, int64(d.Seq), 10)
	b = optRaw(b, `,"head":`, d.Head)
	b = append(b, `,"content":`...)
	if len(d.Content) == 0 {
		b = append(b, "null"...)
	}
	b = append(b, d.Content...)
	return append(b, "}}"...)
}

func (p *Pres) append(b []byte) []byte {
	b = append(b, `{"pres":{"topic":`...)
	b = appendString(b, p.Topic)
	b = optString(b, `,"src":`, p.Src)
	b = appendString(append(b, `,"what":`...), p.What)
	b = optString(b, `,"ua":`, p.UA)
	b = optInt(b, `,"seq":`, p.Seq)
	b = optInt(b, `,"clear":`, p.Clear)
	if len(p.DelSeq) > 0 {
		b = optJSON(b, `,"delseq":`, p.DelSeq)
	}
	b = optString(b, `,"tgt":`, p.Tgt)
	b = optString(b, `,"act":`, p.Act)
	if p.Acs != nil {
		b = optJSON(b, `,"dacs":`, p.Acs)
	}
	return append(b, "}}"...)
}

func (i *Info) append(b []byte) []byte {
	b = append(b, `{"info":{"topic":`...)
	b = appendString(b, i.Topic)
	b = optString(b, `,"src":`, i.Src)
	b = optString(b, `,"from":`, i.From)
	b = appendString(append(b, `,"what":`...), i.What)
	b = optInt(b, `,"seq":`, i.Seq)
	b = optString(b, `,"event":`, i.Event)
	b = optRaw(b, `,"payload":`, i.Payload)
	return append(b, "}}"...)
}

func (c *Ctrl) append(b []byte) []byte {
	b = append(b, `{"ctrl":{`...)
	if c.ID != "" {
		b = appendString(append(b, `"id":`...), c.ID)
		b = append(b, ',')
	}
	if c.Topic != "" {
		b = appendString(append(b, `"topic":`...), c.Topic)
		b = append(b, ',')
	}
	if seq, ok := c.Params["seq"].(int); ok && len(c.Params) == 1 { // the answer to {pub}
		b = strconv.AppendInt(append(b, `"params":{"seq":`...), int64(seq), 10)
		b = append(b, `},`...)
	} else if len(c.Params) > 0 {
		b = optJSON(b, `"params":`, c.Params)
		b = append(b, ',')
	}
	b = strconv.AppendInt(append(b, `"code":`...), int64(c.Code), 10)
	b = appendString(append(b, `,"text":`...), c.Text)
	b = append(b, `,"ts":`...)
	b = c.TS.UTC().AppendFormat(b, timeLayout)
	return append(b, "}}"...)
}

func optString(b []byte, name, s string) []byte {
	if s == "" {
		return b
	}
	return appendString(append(b, name...), s)
}

func optInt(b []byte, name string, n int) []byte {
	if n == 0 {
		return b
	}
	return strconv.AppendInt(append(b, name...), int64(n), 10)
}

func optRaw(b []byte, name string, raw json.RawMessage) []byte {
	if len(raw) == 0 {
		return b
	}
	return append(append(b, name...), raw...)
}

func optJSON(b []byte, name string, v any) []byte {
	j, err := json.Marshal(v)
	if err != nil { // values are made by the node, of marshalable types
		j = []byte("null")
	}
	return append(append(b, name...), j...)
}

// appendString quotes s. Strings without anything to escape, nearly all, are
// copied.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			j, _ := json.Marshal(s) // a string always marshals
			return append(b, j...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// embeds is how many levels of a packet are around a value that it carries.
const embeds = 4

// CheckJSON returns an error unless j is one JSON value that can be carried in a packet:
// in UTF-8, and not nested too deeply.
func CheckJSON(j []byte) error {
	switch {
	case !utf8.Valid(j):
		return errors.New("not UTF-8")
	case deeper(j, MaxDepth-embeds):
		return errors.New("nested too deeply")
	case !json.Valid(j):
		return errors.New("not JSON")
	}
	return nil
}
