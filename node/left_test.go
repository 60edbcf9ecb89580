package node_test

import (
	"fmt"
	"strings"
	"testing"

	"parley/node"
	"parley/protocol"
)

// Who has left a group is asked before being in it again, and who gave up Join stays out,
// whoever has ended the subscription; who was put out wants in as before.
func TestInvitedAgain(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		w.user("al")
		group := w.group("al", "null", 0)
		leave, gone := `{"leave":{"id":"l","topic":%q,"unsub":true}}`, `{"del":{"id":"d","topic":%q,"what":"topic"}}`
		banned := `{"set":{"id":"b","topic":%q,"sub":{"mode":"N"}}}`
		for name, c := range map[string]struct {
			does []string
			out  bool // put out by the owner
			want string
		}{
			"left":              {[]string{leave}, false, "J"},
			"deleted":           {[]string{gone}, false, "J"},
			"banned and gone":   {[]string{banned, gone}, false, "N"},
			"banned and out":    {[]string{banned}, true, "N"},
			"put out":           {nil, true, "JRWPS"},
			"asked and put out": {[]string{`{"set":{"id":"b","topic":%q,"sub":{"mode":"J"}}}`}, true, "J"},
		} {
			name = strings.ReplaceAll(name, " ", "-")
			u := w.user(name)
			sub := fmt.Sprintf(`{"sub":{"id":"s","topic":%q}}`, group)
			w.ask(name, sub, 200)
			for _, d := range c.does {
				w.pipes[name].send(fmt.Sprintf(d, group))
				w.wait()
			}
			if c.out {
				w.ask("al", fmt.Sprintf(`{"del":{"id":"o","topic":%q,"what":"sub","user":%q}}`, group, u), 200)
			}
			acs := w.ask("al", fmt.Sprintf(`{"set":{"id":"i","topic":%q,"sub":{"user":%q,"mode":"JRWPS"}}}`, group, u), 200)["acs"].(map[string]any)
			if acs["want"] != c.want || acs["given"] != "JRWPS" {
				t.Errorf("%s: invited again, the modes are %v, want %s of JRWPS", name, acs, c.want)
			}
			w.ask(name, sub, 200) // coming by oneself is always possible
			w.ask(name, fmt.Sprintf(`{"set":{"id":"a","topic":%q,"sub":{"mode":"JRW"}}}`, group), 200)
			w.ask(name, fmt.Sprintf(`{"pub":{"id":"p","topic":%q,"content":"here"}}`, group), 202)
		}
	})
}

// Of a group of another node, too.
func TestInvitedAgainAbroad(t *testing.T) {
	inFederation(t, func(*node.Config) {}, []protocol.Node{nodeA, nodeB}, func(r *fed) {
		a, b := r.sites[nodeA], r.sites[nodeB]
		al, bo := a.user("al"), b.user("bo")
		got(t, b.say("bo", fmt.Sprintf(`{"sub":{"id":"s","topic":%q}}`, al)), `"code":200`) // no strangers
		made := find(a.say("al", `{"sub":{"id":"g","topic":"new"}}`), `"code":200`)
		group := made[strings.Index(made, `"grp`)+1:]
		group = group[:strings.IndexByte(group, '"')]
		modes := func(want string) {
			t.Helper()
			got(t, a.say("al", fmt.Sprintf(`{"set":{"id":"i","topic":%q,"sub":{"user":%q}}}`, group, bo)), `"code":200`)
			got(t, b.say("bo", fmt.Sprintf(`{"get":{"id":"q","topic":"me","what":"sub","sub":{"topic":%q}}}`, group)), `"want":"`+want+`"`)
		}
		modes("JRWPS")
		got(t, b.say("bo", fmt.Sprintf(`{"sub":{"id":"s","topic":%q}}`, group)), `"code":200`)
		got(t, b.say("bo", fmt.Sprintf(`{"leave":{"id":"l","topic":%q,"unsub":true}}`, group)), `"code":200`)
		modes("J")
	})
}
