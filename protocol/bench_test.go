package protocol

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func BenchmarkDecode(b *testing.B) {
	for _, c := range []struct{ name, packet string }{
		{"pub", `{"pub":{"id":"12345","topic":"grp2il9suCbuko@chat.example.org","noecho":true,"head":{"mime":"text/x-drafty"},"content":{"txt":"` + strings.Repeat("lorem ", 16) + `","fmt":[{"len":5,"tp":"ST"}]}}}`},
		{"note", `{"note":{"topic":"usr2il9suCbuko@chat.example.org","what":"read","seq":12345}}`},
		{"image", `{"pub":{"topic":"grp2il9suCbuko","content":{"txt":" ","ent":[{"tp":"IM","data":{"val":"` + strings.Repeat("iVBORw0K", 8000) + `"}}]}}}`},
	} {
		b.Run(c.name, func(b *testing.B) {
			packet := []byte(c.packet)
			b.SetBytes(int64(len(packet)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Decode(packet); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	now := At(time.Now())
	const user, group = "usr2il9suCbuko@chat.example.org", "grp2il9suCbuko@chat.example.org"
	content := json.RawMessage(`{"txt":"` + strings.Repeat("lorem ", 16) + `"}`)
	for _, c := range []struct {
		name string
		r    *Response
	}{
		{"data", &Response{Data: &Data{Topic: group, From: user, TS: now, Seq: 12345, Head: json.RawMessage(`{"mime":"text/x-drafty"}`), Content: content}}},
		{"pres", &Response{Pres: &Pres{Topic: "me", Src: user, What: "on", UA: "TinodeWeb/0.25.3 (Linux x86_64)"}}},
		{"info", &Response{Info: &Info{Topic: group, From: user, What: "read", Seq: 12345}}},
		{"ctrl", &Response{Ctrl: &Ctrl{ID: "12345", Topic: group, Params: map[string]any{"seq": 12345}, Code: 202, Text: "accepted", TS: now}}},
		{"meta", &Response{Meta: &Meta{ID: "1", Topic: "me", TS: now, Sub: []SubDesc{{Topic: group, Updated: &now, Acs: NewAcs(ModeOwner, ModeOwner), Seq: 9, Public: content}}}}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.r.Encode()
			}
		})
	}
}
