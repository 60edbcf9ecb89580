package s2s

import (
	"crypto/ed25519"
	"strings"

	"parley/protocol"
)

// A sample is a frame that a.example says to b.example, for the vectors.
type sample struct {
	name, meaning string
	frame         Frame
}

const (
	sampleTime  = 1_793_613_600_123
	hubGroup    = protocol.TopicID("grp2il9suCbuko@a.example")
	theirGroup  = protocol.TopicID("grpAAAAAAAAAAA@b.example")
	sampleBody  = `{"txt":"Hi"}`
	sampleTheme = `{"fn":"Alice"}`
)

// nameOf is message 7 of bob, as alice's node calls it.
func nameOf() *Name { return &Name{From: bob, Origin: 7, Tag: 0xc0ffee} }

func sampleCard() *Card {
	c := &Card{User: alice, Version: sampleTime, Public: []byte(sampleTheme), Auth: protocol.ModeP2P}
	c.Sig = ed25519.Sign(testKey(1), c.Signed())
	return c
}

func guestCard() *Card {
	c := &Card{User: alice, Version: sampleTime, Auth: protocol.None, Guest: true}
	c.Sig = ed25519.Sign(testKey(1), c.Signed())
	return c
}

func sampleGroup() Group {
	return Group{ID: hubGroup, Created: sampleTime, Updated: sampleTime, Owner: alice, Auth: protocol.ModeGroupAuth,
		Anon: protocol.Read, Channel: true,
		Public: []byte(`{"fn":"Club"}`), Aux: []byte(`{"pins":[3]}`), Tags: []string{"club"}, Seq: 12, Rev: 30}
}

func members() []Membership {
	return []Membership{{User: alice, Want: protocol.ModeOwner, Given: protocol.ModeOwner, Card: sampleCard()},
		{User: bob, Want: protocol.ModeGroupAuth, Given: protocol.ModeGroupAuth}}
}

func post(set func(*Post)) *Line {
	p := &Post{N: 1, From: alice, To: bob, At: sampleTime}
	set(p)
	return &Line{Post: p}
}

func samples() []sample {
	var all []sample
	for _, more := range [][]sample{controlSamples(), lineSamples(), groupSamples(), castSamples(), askSamples(), answerSamples()} {
		all = append(all, more...)
	}
	return all
}

func controlSamples() []sample {
	return []sample{
		{"hello", "the first frame of a control stream: a says who it is and where the lanes stand", &Control{Hello: &Hello{
			Name: "a.example", To: "b.example", Boot: 3, Incarnation: 0x1122334455667788, Known: 0x99aabbccddeeff00,
			Lanes:    []LaneState{{Lowest: 1, Next: 1}, {Lowest: 5, Next: 9, Applied: 300}, {Lowest: 1, Next: 1}, {Lowest: 1, Next: 1, Applied: 7}},
			Features: []string{"logs"}, Limits: Limits{Frame: MaxFrame, Content: MaxContent, Window: 256}, Build: "parley 1.0",
			Succession: []byte{0xa0}, Time: sampleTime, Reach: 6}}},
		{"ack", "posts of lane 2 up to 41 are on b's disk, all applied", &Control{Ack: &Ack{Lane: 2, Upto: 41}}},
		{"ack with verdicts", "up to 44; 42 is refused (denied), the topic of 44 may come again in 60 s", &Control{Ack: &Ack{Lane: 0, Upto: 44,
			Verdicts: []Verdict{{N: 42, Outcome: Refused, Fault: protocol.Denied, Reason: "permission denied"},
				{N: 44, Outcome: Later, Fault: protocol.TooMany, Reason: "too many first contacts", Wait: 60}}}}},
		{"log ack", "a has b's group up to revision 30", &Control{LogAck: &LogAck{Group: theirGroup, Rev: 30}}},
		{"log ack, reset", "a wants to have the group again from revision 12 on", &Control{LogAck: &LogAck{Group: theirGroup, Rev: 12, Reset: true}}},
		{"log ack, stop", "nobody at a is in the group any more", &Control{LogAck: &LogAck{Group: theirGroup, Stop: true}}},
		{"limits", "from now on a takes 64 unanswered posts in a lane, 100 a second and 1 MiB a second", &Control{Limits: &Limits{Window: 64, Posts: 100, Bytes: 1 << 20}}},
		{"reach", "a can tell of 64 nodes now, or more", &Control{Reach: &Reach{Class: 7}}},
		{"goodbye", "a is about to close", &Control{Goodbye: &Goodbye{Reason: "shutting down"}}},
		{"verdict", "by itself, as it may be kept", &Verdict{N: 9, Outcome: Refused, Fault: protocol.NotFound, Reason: "not found"}},
	}
}

func lineSamples() []sample {
	return []sample{
		{"message", "100 bytes of content", post(func(p *Post) { p.N, p.Message = 4711, post100().Message })},
		{"message with head and references", "a reply to message 7 of bob", post(func(p *Post) {
			p.Message = &Message{Origin: 2, Tag: 1, Head: []byte(`{"mime":"text/x-drafty","reply":7}`), Content: []byte(sampleBody),
				Refs: map[string]Name{"reply": *nameOf(), "thread": *nameOf()}, Seqs: []Name{*nameOf()}}
		})},
		{"first message", "with the author's card and modes", post(func(p *Post) {
			p.Message = &Message{Origin: 1, Tag: 2, Content: []byte(`"Hi"`), Card: sampleCard(),
				Mode: &Mode{Want: protocol.ModeP2P, Given: protocol.ModeP2P}}
		})},
		{"deletion", "for all: messages 1 to 3 of alice and 7 of bob", post(func(p *Post) {
			p.Delete = &Delete{Of: []Erased{{From: alice, Ranges: []Span{{Low: 1, High: 4}}}, {From: bob, Ranges: []Span{{Low: 7, High: 8}}}}}
		})},
		{"marks", "alice has read up to message 7 of bob", post(func(p *Post) { p.Marks = &Marks{Recv: nameOf(), Read: nameOf()} })},
		{"mode", "alice begins a conversation, with a voucher", post(func(p *Post) {
			p.Mode = &Mode{Want: protocol.ModeP2P, Given: protocol.ModeP2P, Card: sampleCard(), Vouchers: [][]byte{{1, 2, 3}}}
		})},
		{"mode, ended", "alice has left it", post(func(p *Post) { p.Mode = &Mode{Ended: true} })},
		{"card", "alice has changed her face", post(func(p *Post) { p.To, p.Card = "", sampleCard() })},
		{"card of a guest", "", post(func(p *Post) { p.To, p.Card = "", guestCard() })},
		{"aux", "message 7 of bob is pinned", post(func(p *Post) {
			p.Aux = &Aux{JSON: []byte(`{"pins":[7]}`), Refs: []Name{*nameOf()}}
		})},
		{"tombstone", "alice's account is no more, nor is what she wrote", post(func(p *Post) {
			d := &Tombstone{User: alice, Erase: true, At: sampleTime}
			d.Sig = ed25519.Sign(testKey(1), d.Signed())
			p.To, p.Tombstone = "", d
		})},
		{"report", "two users of a complain of bob", post(func(p *Post) { p.From, p.To, p.Report = "", "", &Report{User: bob, Count: 2} })},
		{"void", "post 5 was withdrawn", &Line{Void: 5}},
		{"settled", "a has acted on all verdicts up to 44", &Line{Settled: 44}},
		{"post by itself", "as it may be queued: without its number", &Post{From: alice, To: bob, At: sampleTime,
			Message: &Message{Origin: 1, Tag: 2, Content: []byte(`"Hi"`)}}},
	}
}

func groupSamples() []sample {
	sig := make([]byte, sigSize)
	signed := GroupMessage{Tag: 5, TS: sampleTime, Content: []byte(sampleBody)}
	copy(sig, ed25519.Sign(testKey(3), signed.Signed(hubGroup, carol)))
	return []sample{
		{"invitation", "bob was invited to a group of a, which b follows from here on", post(func(p *Post) {
			p.From, p.To, p.Topic = "", "", hubGroup
			p.Invite = &Invite{User: bob, By: alice, Given: protocol.ModeGroupAuth, Want: protocol.ModeGroupAuth, Group: sampleGroup(), Members: members()}
		})},
		{"follow", "a has a group of b up to revision 30 and wants what follows", post(func(p *Post) {
			p.From, p.To, p.Topic, p.Follow = "", "", theirGroup, &Follow{Rev: 30}
		})},
		{"follow, stop", "nobody at a is in it any more", post(func(p *Post) {
			p.From, p.To, p.Topic, p.Follow = "", "", theirGroup, &Follow{Rev: 31, Stop: true}
		})},
		{"group marks", "alice has read message 12 of a group of b", post(func(p *Post) {
			p.To, p.Topic, p.Marks = "", theirGroup, &Marks{Read: &Name{From: alice, Origin: 12}}
		})},
		{"command as a post", "alice leaves a group of b, whenever b hears of it", post(func(p *Post) {
			p.To, p.Topic = "", theirGroup
			p.Command = &Command{Key: []byte("0123456789abcdef"), Group: theirGroup, User: alice, At: sampleTime, Request: []byte(`{"leave":{"unsub":true}}`)}
		})},
		{"withdrawal", "a command, unless it has been applied", post(func(p *Post) {
			p.From, p.To, p.Topic, p.Withdraw = "", "", theirGroup, &Withdraw{Key: []byte("0123456789abcdef"), Group: theirGroup, At: sampleTime}
		})},
		{"reads", "how far members of a group have come", post(func(p *Post) {
			p.From, p.To, p.Topic, p.Reads = "", "", theirGroup, []Reader{{User: alice, Recv: 12, Read: 11}}
		})},
		{"log", "six events of a group of a: 31 to 36; message 15 was erased since", &Line{Log: &Log{Group: hubGroup, After: 30, Events: []Event{
			{At: sampleTime, By: alice, Message: &GroupMessage{Seq: 13, Tag: 4, TS: sampleTime, Head: []byte(`{"mime":"text/plain"}`), Content: []byte(`"Hi"`)}},
			{At: sampleTime, By: carol, Message: &GroupMessage{Seq: 14, Tag: 5, TS: sampleTime, Content: []byte(sampleBody)}, Sig: sig},
			{At: sampleTime, By: alice, Message: &GroupMessage{Seq: 15}},
			{At: sampleTime, By: alice, Erase: &Erasure{ID: 1, Ranges: []Span{{Low: 13, High: 14}}}},
			{At: sampleTime, By: alice, Sub: &Membership{User: carol, Want: protocol.ModeGroupAuth, Ended: true}},
			{At: sampleTime, By: alice, Owner: bob},
		}}}},
		{"log, end", "the group was described anew, then it ended", &Line{Log: &Log{Group: hubGroup, After: 36, Events: []Event{
			{At: sampleTime, By: alice, Desc: func() *Group { g := sampleGroup(); return &g }()}, {At: sampleTime, End: true}}}}},
	}
}

func castSamples() []sample {
	return []sample{
		{"presence", "alice is online, and wants to know of users at b", &Cast{Presence: &Presence{Watch: true,
			Users: []Status{{User: alice, Online: true, UA: "X/1", To: []protocol.UserID{bob}}}}}},
		{"presence, all", "nobody at a is online but alice", &Cast{Presence: &Presence{Digest: true, Users: []Status{{User: alice, Online: true}}}}},
		{"presence, off", "alice has gone", &Cast{Presence: &Presence{Users: []Status{{User: alice, Seen: sampleTime}}}}},
		{"note", "alice is typing", &Cast{Note: &Note{Topic: protocol.P2P(alice, bob), From: alice, What: "kp"}}},
		{"note in a group", "carol is typing in a group of a, which passes it on", &Cast{Note: &Note{Topic: hubGroup, From: carol, What: "kp"}}},
		{"note of a message", "with all that a note can have", &Cast{Note: &Note{Topic: protocol.P2P(alice, bob), From: alice, What: "data",
			Event: "x", Of: nameOf(), Data: []byte(`{"x":1}`)}}},
		{"here", "who has come to a group and who has gone", &Cast{Here: &Here{Group: hubGroup, On: []protocol.UserID{alice}, Off: []protocol.UserID{carol}}}},
		{"here, all", "who is there", &Cast{Here: &Here{Group: hubGroup, On: []protocol.UserID{alice, bob}, All: true}}},
		{"call", "alice's phone rings for the call that message 7 of bob began", &Cast{Call: &Call{Topic: protocol.P2P(alice, bob),
			From: alice, Of: *nameOf(), Event: "ringing", Payload: []byte(`{"x":1}`)}}},
	}
}

func askSamples() []sample {
	return []sample{
		{"ask ping", "", &Ask{Ping: &Ping{Data: []byte("abc")}}},
		{"ask card", "bob's face", &Ask{Card: bob}},
		{"ask handle", "who is bob@b.example?", &Ask{Handle: "bob"}},
		{"ask history", "messages 5 to 9 of a group", &Ask{History: &History{Topic: theirGroup, Low: 5, High: 10, Limit: 24}}},
		{"ask history of a conversation", "those of bob that alice's node lacks", &Ask{History: &History{Topic: protocol.P2P(alice, bob), Low: 5, High: 10, Limit: 24, Of: bob}}},
		{"ask file", "4 bytes from byte 100 on", &Ask{File: &File{ID: "abcdefghijklmnopqrstuvwx", Offset: 100, Length: 4}}},
		{"ask opinion", "see spec/reputation.md", &Ask{Opinion: []byte("\x01c.example")}},
		{"ask command", "alice publishes in a group of b", &Ask{Command: &Command{Key: []byte("0123456789abcdef"), Group: theirGroup, User: alice, At: sampleTime,
			Request: []byte(`{"pub":{"content":"Hi"}}`), Tag: 77, Sig: []byte(strings.Repeat("\x55", sigSize)), Card: sampleCard()}}},
		{"ask snapshot", "a group as it is now", &Ask{Snapshot: theirGroup}},
		{"ask snapshot page", "the members after alice", &Ask{Snapshot: theirGroup, Pages: true, After: alice}},
		{"ask group", "what do strangers see of it?", &Ask{Group: theirGroup}},
		{"ask keys", "present and past", &Ask{Keys: true}},
		{"ask resume", "compare what both have", &Ask{Resume: &Compare{Topics: []TopicState{
			{Topic: protocol.P2P(alice, bob), Mine: 12, Yours: 7}, {Topic: theirGroup, Rev: 30}}, More: "grp"}}},
	}
}

func answerSamples() []sample {
	g := sampleGroup()
	s, err := NewStatement("revocation", map[int]any{1: "a.example", 2: int64(sampleTime)}, testKey(1).Public().(ed25519.PublicKey),
		func(b []byte) []byte { return ed25519.Sign(testKey(1), b) })
	if err != nil {
		panic(err)
	}
	return []sample{
		{"answer failed", "not found", &Answer{Failed: true, Fault: protocol.NotFound, Reason: "not found"}},
		{"answer busy", "ask again in a second", &Answer{Failed: true, Fault: protocol.TooMany, Wait: 1}},
		{"answer ping", "", &Answer{Ping: &Ping{Data: []byte("abc")}}},
		{"answer card", "", &Answer{Card: sampleCard()}},
		{"answer group", "the handle is a group's", &Answer{Group: &g}},
		{"answer group of strangers", "what they see of it: three are subscribed", &Answer{Group: &Group{ID: hubGroup, Created: sampleTime,
			Updated: sampleTime, Auth: protocol.ModeGroupAuth, Public: []byte(`{"fn":"Club"}`), SubCount: 3}}},
		{"answer history", "", &Answer{History: []Event{{At: sampleTime, By: alice, Message: &GroupMessage{Seq: 5, TS: sampleTime, Content: []byte(`"x"`)}}}}},
		{"answer posts", "", &Answer{Posts: []Post{{From: alice, To: bob, At: sampleTime, Message: &Message{Origin: 5, Tag: 6, Content: []byte(`"x"`)}}}}},
		{"answer file", "4 bytes follow", &Answer{File: &FileInfo{Size: 104, MIME: "image/png", Name: "x.png", SHA256: make([]byte, 32), Follow: 4}}},
		{"answer opinion", "", &Answer{Opinion: []byte{1, 2, 3}}},
		{"answer command", "what the client gets", &Answer{Result: &Result{Code: 202, Text: "accepted", Params: []byte(`{"seq":15}`), Rev: 36}}},
		{"answer snapshot", "", &Answer{Snapshot: &Snapshot{Group: g, Members: members(), Erased: []Erasure{{ID: 1, Ranges: []Span{{Low: 2, High: 3}}}}, More: true}}},
		{"answer keys", "", &Answer{Keys: []Statement{*s}}},
		{"answer compare", "", &Answer{Compare: &Compare{Topics: []TopicState{{Topic: theirGroup, Rev: 29}}}}},
	}
}
