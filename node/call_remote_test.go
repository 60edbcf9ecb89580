package node_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"parley/node"
	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
)

// phone is two users of two nodes who can call each other; bob has two sessions.
type phone struct {
	*fed
	a, b       *site
	alice, bob string
	n          int
}

func withPhones(t *testing.T, f func(p *phone)) {
	t.Helper()
	inFederation(t, func(c *node.Config) { c.Calls.ICE = json.RawMessage(`[{"urls":["stun:localhost"]}]`) }, twoNodes, func(r *fed) {
		p := &phone{fed: r, a: r.sites[nodeA], b: r.sites[nodeB]}
		p.alice, p.bob = p.a.user("alice"), p.b.user("bob")
		befriend(p.a, "alice", p.alice, p.b, "bob", p.bob)
		// The numbers of a message differ from node to node.
		p.b.say("bob", `{"pub":{"id":"x1","topic":"`+p.alice+`","content":"one"}}`)
		p.b.again("bob2", "bob")
		r.rest()
		f(p)
	})
}

// ring begins a call and returns its number at both nodes.
func (p *phone) ring() (atA, atB int) {
	p.t.Helper()
	p.n++
	answer := p.a.say("alice", fmt.Sprintf(`{"pub":{"id":"c%d","topic":%q,"head":{"webrtc":"started","mime":"text/x-drafty"},"content":{"fmt":[{"at":-1}],"ent":[{"tp":"VC"}]}}}`, p.n, p.bob))
	got(p.t, answer, `"code":202`)
	atA = seqIn(p.t, find(answer, `"webrtc":"started"`))
	rings := p.b.pipes["bob"].take()
	got(p.t, rings, `"webrtc":"started"`, `"from":"`+p.alice+`"`)
	got(p.t, p.b.pipes["bob2"].take(), `"what":"msg"`)
	return atA, seqIn(p.t, find(rings, `"webrtc":"started"`))
}

func seqIn(t testing.TB, packet string) int {
	t.Helper()
	var r struct{ Data struct{ Seq int } }
	if err := json.Unmarshal([]byte(packet), &r); err != nil || r.Data.Seq == 0 {
		t.Fatalf("no number in %q", packet)
	}
	return r.Data.Seq
}

// note is what a client says in a call.
func note(topic string, seq int, event, payload string) string {
	if payload != "" {
		payload = `,"payload":` + payload
	}
	return fmt.Sprintf(`{"note":{"topic":%q,"what":"call","seq":%d,"event":%q%s}}`, topic, seq, event, payload)
}

// A call goes on between users of two nodes as it does on one: each has the numbers of
// the own replica.
func TestCallAcrossNodes(t *testing.T) {
	withPhones(t, func(p *phone) {
		atA, atB := p.ring()
		p.b.say("bob", note(p.alice, atB, "ringing", ""))
		got(t, p.a.pipes["alice"].take(), `"event":"ringing"`, fmt.Sprintf(`"seq":%d`, atA), `"from":"`+p.bob+`"`)
		toBob := p.b.say("bob", note(p.alice, atB, "accept", ""))
		got(t, toBob, `"webrtc":"accepted"`, fmt.Sprintf(`"replace":":%d"`, atB), `"from":"`+p.alice+`"`, `"sender":"`+p.bob+`"`)
		got(t, p.b.pipes["bob2"].take(), `"event":"accept"`, `"topic":"me"`)
		toAlice := p.a.pipes["alice"].take()
		got(t, toAlice, `"event":"accept"`, fmt.Sprintf(`"seq":%d`, atA))
		got(t, toAlice, `"webrtc":"accepted"`, fmt.Sprintf(`"replace":":%d"`, atA), `"sender":"`+p.bob+`"`)
		for _, step := range []struct {
			from, to     *site
			who, whom    string
			topic, other string
			seq, seen    int
			event        string
		}{
			{p.a, p.b, "alice", "bob", p.bob, p.alice, atA, atB, "offer"},
			{p.b, p.a, "bob", "alice", p.alice, p.bob, atB, atA, "answer"},
			{p.b, p.a, "bob", "alice", p.alice, p.bob, atB, atA, "ice-candidate"},
			{p.a, p.b, "alice", "bob", p.bob, p.alice, atA, atB, "ice-candidate"},
		} {
			step.from.say(step.who, note(step.topic, step.seq, step.event, `{"sdp":"v=0"}`))
			got(t, step.to.pipes[step.whom].take(), `"event":"`+step.event+`"`, fmt.Sprintf(`"seq":%d`, step.seen), `"payload":{"sdp":"v=0"}`)
		}
		p.b.say("bob2", note(p.alice, atB, "hang-up", "")) // is no party
		pass(10 * time.Minute)                             // a link that was idle
		if s := find(p.a.pipes["alice"].take(), "hang-up"); s != "" {
			t.Fatalf("the call has ended: %s", s)
		}
		toBob = p.b.say("bob", note(p.alice, atB, "hang-up", ""))
		got(t, toBob, `"event":"hang-up"`)
		got(t, toBob, `"webrtc":"finished"`, `"webrtc-duration":6`, `"sender":"`+p.bob+`"`)
		toAlice = p.a.pipes["alice"].take()
		got(t, toAlice, `"event":"hang-up"`)
		got(t, toAlice, `"webrtc":"finished"`)
		p.ring() // and again
	})
}

// However a call ends, both see it, and another can follow.
func TestCallEndings(t *testing.T) {
	both := func(t *testing.T, p *phone, state string) {
		t.Helper()
		pass(time.Minute)
		for _, s := range []struct {
			at   *site
			name string
		}{{p.a, "alice"}, {p.b, "bob"}} {
			if pipe := s.at.pipes[s.name]; pipe != nil {
				p := pipe.take()
				got(t, p, `"webrtc":"`+state+`"`, `"replace":":`)
				got(t, p, `"event":"hang-up"`)
			}
		}
	}
	send := func(s *site, who, packet string) { s.pipes[who].send(packet) }
	talk := func(p *phone, atB int) {
		p.b.say("bob", note(p.alice, atB, "accept", ""))
		p.rest()
	}
	for name, f := range map[string]func(p *phone, atA, atB int) string{
		"declined": func(p *phone, _, atB int) string {
			send(p.b, "bob2", note(p.alice, atB, "hang-up", ""))
			return "declined"
		},
		"given up": func(p *phone, atA, _ int) string {
			send(p.a, "alice", note(p.bob, atA, "hang-up", ""))
			return "missed"
		},
		"not taken": func(*phone, int, int) string { return "missed" },
		"the caller's session ends": func(p *phone, _, atB int) string {
			talk(p, atB)
			p.a.pipes["alice"].Close(node.CloseNormal)
			delete(p.a.pipes, "alice")
			return "disconnected"
		},
		"the callee's session ends": func(p *phone, _, atB int) string {
			talk(p, atB)
			p.b.pipes["bob"].Close(node.CloseNormal)
			delete(p.b.pipes, "bob")
			return "disconnected"
		},
		"the callee's session, never in the conversation, ends": func(p *phone, _, atB int) string {
			p.b.say("bob2", note(p.alice, atB, "accept", ""))
			p.rest()
			party := p.b.pipes["bob2"]
			p.b.again("bob2", "bob")
			p.rest()
			party.Close(node.CloseNormal)
			return "disconnected"
		},
		"the link is lost": func(p *phone, _, atB int) string {
			talk(p, atB)
			p.net.Sever(p.a.at, p.b.at)
			return "disconnected"
		},
	} {
		t.Run(name, func(t *testing.T) {
			withPhones(t, func(p *phone) {
				atA, atB := p.ring()
				both(t, p, f(p, atA, atB))
				if p.a.pipes["alice"] != nil && p.b.pipes["bob"] != nil {
					p.ring()
				}
			})
		})
	}
}

// Who is in a call is busy for the same other; the caller is told, and no line says that
// something was not delivered.
func TestCallBusy(t *testing.T) {
	withPhones(t, func(p *phone) {
		start := `{"pub":{"id":"z","topic":%q,"head":{"webrtc":"started"},"content":"call"}}`
		p.a.pipes["alice"].send(fmt.Sprintf(start, p.bob))
		p.b.pipes["bob"].send(fmt.Sprintf(start, p.alice))
		pass(5 * time.Second)
		for _, told := range [][]string{p.a.pipes["alice"].take(), p.b.pipes["bob"].take()} {
			got(t, told, `"webrtc":"busy"`)
			got(t, told, `"event":"hang-up"`)
			if s := find(told, "x-parley-status"); s != "" {
				t.Errorf("a line about it: %s", s)
			}
		}
		p.ring()
	})
}

// Others than the parties are not heard, and no message of a user becomes a call's turn
// but those of a call of the same user.
func TestCallForged(t *testing.T) {
	withPhones(t, func(p *phone) {
		c := p.strange(nodeC, mute{})
		_, atB := p.ring()
		topic := protocol.P2P(protocol.UserID(p.alice), protocol.UserID(p.bob))
		cast := func(s *site, from protocol.UserID, of s2s.Name, event, payload string) {
			s.mesh.Cast(nodeB, &s2s.Cast{Call: &s2s.Call{Topic: topic, From: from, Of: of, Event: event, Payload: []byte(payload)}})
			pass(time.Second)
		}
		p.b.say("bob", note(p.alice, atB, "accept", ""))
		p.rest()
		var name s2s.Name
		p.a.view(func(tx store.Tx) error {
			for m, err := range tx.History(topic, 1, 100) {
				if err != nil {
					return err
				}
				if strings.Contains(string(m.Head), "started") {
					name = s2s.Name{From: m.From, Origin: m.Origin, Tag: m.Tag}
				}
			}
			return nil
		})
		cast(c, protocol.UserID(p.alice), name, "hang-up", "")
		cast(c, protocol.NewUserID(1, nodeC), name, "hang-up", "")
		cast(p.a, protocol.UserID(p.bob), name, "hang-up", "")
		cast(p.a, protocol.UserID(p.alice), s2s.Name{From: name.From, Origin: name.Origin, Tag: name.Tag + 1}, "hang-up", "")
		cast(p.a, protocol.UserID(p.alice), name, "offer", `1},"x":{`)
		if got := p.b.pipes["bob"].take(); len(got) > 0 {
			t.Errorf("bob was told %s", got)
		}
		turn := func(origin int, refs map[string]s2s.Name, head string) []string {
			p.a.post(nodeB, &s2s.Post{From: protocol.UserID(p.alice), To: protocol.UserID(p.bob), At: 1,
				Message: &s2s.Message{Origin: origin, Tag: 5, Head: []byte(head), Content: []byte(`"x"`), Refs: refs}})
			return p.b.pipes["bob"].take()
		}
		call := map[string]s2s.Name{"replace": name}
		var hello s2s.Name
		p.a.view(func(tx store.Tx) error {
			m, err := tx.Message(topic, 1)
			hello = s2s.Name{From: m.From, Origin: m.Origin, Tag: m.Tag}
			return err
		})
		for i, forged := range [][]string{
			turn(900, map[string]s2s.Name{"replace": hello}, `{"webrtc":"finished","replace":":1"}`),
			turn(901, nil, `{"webrtc":"finished"}`),
			turn(902, nil, `{"webrtc":"accepted"}`),
			turn(903, call, `{"webrtc":"ringing","replace":":1"}`),
		} {
			if len(forged) > 0 {
				t.Errorf("%d: bob was told %s", i, forged)
			}
		}
		end := turn(904, call, `{"webrtc":"finished","replace":":1","sender":"`+p.alice+`"}`)
		got(t, end, `"webrtc":"finished"`)
		if s := find(end, `"sender"`); s != "" {
			t.Errorf("a sender that is none: %s", s)
		}
		got(t, end, `"event":"hang-up"`)
	})
}

// A stranger's call does not ring.
func TestStrangersDoNotCall(t *testing.T) {
	inFederation(t, func(c *node.Config) { c.Calls.ICE = json.RawMessage(`[{"urls":["stun:localhost"]}]`) }, twoNodes, func(r *fed) {
		a, b := r.sites[nodeA], r.sites[nodeB]
		a.user("alice")
		bob := b.user("bob")
		a.say("alice", `{"sub":{"id":"s","topic":"`+bob+`"}}`)
		r.rest()
		told := a.say("alice", `{"pub":{"id":"z","topic":"`+bob+`","head":{"webrtc":"started"},"content":"call"}}`)
		got(t, told, `"webrtc":"disconnected"`)
		if s := find(b.pipes["bob"].take(), "webrtc"); s != "" {
			t.Errorf("bob: %s", s)
		}
	})
}
