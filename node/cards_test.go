package node_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"parley/node"
	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
)

// publicOf is what a node has of a user.
func publicOf(t *testing.T, s *site, u string) string {
	t.Helper()
	var public []byte
	err := s.st.View(func(tx store.Tx) error {
		rec, err := tx.User(protocol.UserID(u))
		if err == nil {
			public = rec.Public
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(public)
}

// post queues a post at a node as if that had decided so.
func (s *site) post(to protocol.Node, p *s2s.Post) {
	s.t.Helper()
	err := s.st.Update(func(tx store.Tx) error { return s.mesh.Post(tx, to, "", p) })
	if err != nil {
		s.t.Fatal(err)
	}
	s.mesh.Wake(to)
	pass(2 * time.Second)
}

// A changed profile reaches nodes with which a topic is shared, once, however many of
// its users are concerned; while a node is away the last one waits for it.
func TestProfileReachesOtherNodes(t *testing.T) {
	inFederation(t, nil, []protocol.Node{nodeA, nodeB, nodeC}, func(r *fed) {
		a, b := r.sites[nodeA], r.sites[nodeB]
		alice := a.user("alice")
		ids := map[string]string{}
		for _, n := range []string{"bob", "bert"} {
			ids[n] = b.user(n)
			befriend(a, "alice", alice, b, n, ids[n])
		}
		before := posts(t, a, nodeB)
		got(t, a.say("alice", `{"set":{"id":"d","topic":"me","desc":{"public":{"fn":"Alice L."}}}}`), `"code":200`)
		for _, n := range []string{"bob", "bert"} {
			p := b.pipes[n].take()
			got(t, p, `"what":"upd"`, `"src":"`+alice+`"`)
			got(t, b.say(n, `{"get":{"id":"x","topic":"me","what":"sub"}}`), `"fn":"Alice L."`)
		}
		if n := posts(t, a, nodeB) - before; n != 1 {
			t.Errorf("%d posts for one change", n)
		}
		if n := posts(t, a, nodeC); n != 0 {
			t.Errorf("%d posts to a node that has nothing to do with her", n)
		}
		got(t, a.say("alice", `{"set":{"id":"d","topic":"me","desc":{"private":{"note":"mine"}}}}`), `"code":200`)
		if n := posts(t, a, nodeB) - before; n != 1 {
			t.Error("what is private was told")
		}

		r.cut(a.name, b.name)
		pass(2 * time.Minute)
		for i := range 5 {
			got(t, a.say("alice", fmt.Sprintf(`{"set":{"id":"d","topic":"me","desc":{"public":{"fn":"Alice %d"}}}}`, i)), `"code":200`)
		}
		if n := posts(t, a, nodeB) - before; n > 3 {
			t.Errorf("%d posts wait for five changes", n-1)
		}
		r.heal(a.name, b.name)
		pass(5 * time.Minute)
		if got := publicOf(t, b, alice); got != `{"fn":"Alice 4"}` {
			t.Errorf("after the cut she is %s", got)
		}
	})
}

// posts counts what a node has queued for another, ever.
func posts(t *testing.T, s *site, to protocol.Node) (n uint64) {
	t.Helper()
	err := s.st.View(func(tx store.Tx) error {
		n = 0
		for l := range store.Lane(s2s.Lanes) {
			q, err := tx.Queue(to, l)
			if err != nil {
				return err
			}
			n += q.Last
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Nobody speaks for another node's users; of two cards the newer holds, whichever
// comes last; and what is no card is none.
func TestForgedCards(t *testing.T) {
	inFederation(t, nil, twoNodes, func(r *fed) {
		a, b := r.sites[nodeA], r.sites[nodeB]
		c := r.strange(nodeC, mute{})
		alice, bob := a.user("alice"), b.user("bob")
		befriend(a, "alice", alice, b, "bob", bob)
		card := func(u string, version int64, public string) *s2s.Post {
			return &s2s.Post{From: protocol.UserID(u), At: 1, Card: &s2s.Card{User: protocol.UserID(u), Version: version,
				Public: []byte(public), Auth: protocol.ModeP2P}}
		}
		far := time.Now().Add(time.Hour).UnixMilli()
		c.post(nodeB, card(alice, far, `{"fn":"Mallory"}`))
		c.post(nodeB, card(bob, far, `{"fn":"Mallory"}`))
		c.post(nodeB, &s2s.Post{From: protocol.UserID(alice), At: 1, Tombstone: &s2s.Tombstone{User: protocol.UserID(alice), Erase: true}})
		c.post(nodeB, &s2s.Post{From: protocol.UserID(bob), At: 1, Tombstone: &s2s.Tombstone{User: protocol.UserID(bob), Erase: true}})
		a.post(nodeB, card(alice, 5, `{"fn":"older"}`))
		a.post(nodeB, card(alice, far, `{"fn":`))
		if got := publicOf(t, b, alice); got != `{"fn":"alice"}` {
			t.Errorf("alice is %s", got)
		}
		if got := publicOf(t, b, bob); got != `{"fn":"bob"}` {
			t.Errorf("bob is %s", got)
		}
		got(t, b.say("bob", `{"get":{"id":"x","topic":"me","what":"sub"}}`), `"topic":"`+alice+`"`)
		a.post(nodeB, card(alice, far, `{"fn":"newer"}`))
		a.post(nodeB, card(alice, far-1, `{"fn":"older"}`))
		if got := publicOf(t, b, alice); got != `{"fn":"newer"}` {
			t.Errorf("alice is %s", got)
		}
		if s := find(b.say("bob", `{"get":{"id":"x","topic":"me","what":"sub"}}`), `"trusted"`); s != "" {
			t.Errorf("another node has marked its user: %s", s)
		}
	})
}

// Whoever ends an account is gone at other nodes, too: face and presence; what was
// sent stays, or goes with a hard deletion; nobody of that id comes again.
func TestDeletedAccountElsewhere(t *testing.T) {
	for _, hard := range []bool{false, true} {
		t.Run(fmt.Sprint("hard=", hard), func(t *testing.T) {
			inFederation(t, nil, twoNodes, func(r *fed) {
				a, b := r.sites[nodeA], r.sites[nodeB]
				alice, bob := a.user("alice"), b.user("bob")
				befriend(a, "alice", alice, b, "bob", bob)
				got(t, b.say("bob", `{"get":{"id":"x","topic":"me","what":"sub"}}`), `"online":true`, `"fn":"alice"`)
				a.pipes["alice"].send(fmt.Sprintf(`{"del":{"id":"d","what":"user","hard":%t}}`, hard))
				pass(10 * time.Second)
				told := b.pipes["bob"].take()
				if hard {
					got(t, told, `"what":"gone"`, alice)
				} else {
					got(t, told, `"what":"off"`, alice)
				}
				list := b.say("bob", `{"get":{"id":"x","topic":"me","what":"sub"}}`)
				if find(list, `"fn":"alice"`) != "" || find(list, `"online":true`) != "" {
					t.Errorf("she is still to be seen: %s", list)
				}
				if publicOf(t, b, alice) != "" {
					t.Error("her profile is kept")
				}
				b.again("bob2", "bob")
				again := b.say("bob2", `{"sub":{"id":"s","topic":"`+alice+`","get":{"what":"data"}}}`)
				if hard {
					got(t, again, `"code":404`)
				} else {
					got(t, again, `"content":"hello"`)
				}
				a.post(nodeB, &s2s.Post{From: protocol.UserID(alice), At: 1, Card: &s2s.Card{User: protocol.UserID(alice),
					Version: time.Now().Add(time.Hour).UnixMilli(), Public: []byte(`{"fn":"back"}`), Auth: protocol.ModeP2P}})
				if publicOf(t, b, alice) != "" {
					t.Error("she came back from the dead")
				}
			})
		})
	}
}

// A suspended account is so at home only; a guest is at home only, unless the operator
// says otherwise.
func TestGuestsAreAtHome(t *testing.T) {
	inFederation(t, nil, twoNodes, func(r *fed) {
		a, b := r.sites[nodeA], r.sites[nodeB]
		bob := b.user("bob")
		a.open("guest")
		guest := find(a.say("guest", `{"acc":{"id":"a","user":"new","scheme":"anonymous","login":true}}`), `"code":200`)
		got(t, a.say("guest", `{"sub":{"id":"s","topic":"`+bob+`"}}`), `"code":403`)
		id := ctrlOf(guest).Params["user"].(string)
		got(t, b.say("bob", `{"sub":{"id":"s","topic":"`+id+`"}}`), `"code":404`)
		_, _, err := b.mesh.Ask(context.Background(), nodeA, &s2s.Ask{Card: protocol.UserID(id)})
		if protocol.FaultOf(err) != protocol.NotFound {
			t.Errorf("the card of a guest: %v", err)
		}
	})
}

// What another node says is data: nothing in it becomes a packet of its own, or of
// somebody else, or a time that clients cannot read.
func TestContentsAreNotTrusted(t *testing.T) {
	inFederation(t, nil, []protocol.Node{nodeB}, func(r *fed) {
		b := r.sites[nodeB]
		c := r.strange(nodeC, mute{})
		bob := b.user("bob")
		eve := protocol.NewUserID(9, nodeC)
		post := func(p *s2s.Post) {
			p.From, p.To = eve, protocol.UserID(bob)
			c.post(nodeB, p)
		}
		post(&s2s.Post{At: 1, Mode: &s2s.Mode{Want: protocol.ModeP2P, Given: protocol.ModeP2P}})
		b.say("bob", `{"sub":{"id":"s","topic":"`+string(eve)+`","set":{"sub":{"mode":"JRWPAD"}}}}`)
		for i, m := range []s2s.Message{
			{Content: []byte(`1}},{"ctrl":{"code":205}`)},
			{Content: []byte(`"x","from":"` + bob + `"`)},
			{Content: []byte(`"x"`), Head: []byte(`{"a":1},"from":"x"`)},
			{Content: []byte(`"x"`), Head: []byte(`[1]`)},
			{Content: []byte{'"', 0xff, '"'}},
			{Content: []byte(`"x"`), Head: []byte("{\"a\":\"\xff\"}")},
		} {
			m.Origin, m.Tag = 100+i, 1
			post(&s2s.Post{At: 1, Message: &m})
		}
		if p := b.pipes["bob"].take(); len(p) > 0 {
			t.Errorf("bob got %s", p)
		}
		for i, at := range []int64{-1 << 62, 1 << 62, 253402300799999} {
			post(&s2s.Post{At: at, Message: &s2s.Message{Origin: 200 + i, Tag: 1, Content: []byte(`"fine"`),
				Head: []byte(`{"sender":"` + bob + `","x-parley-status":"bounced","x-other":1}`)}})
			p := b.pipes["bob"].take()
			if data := find(p, `"content":"fine"`); data != "" || i == 2 { // the others are refused before
				got(t, []string{data}, `"ts":"20`, `"head":{"x-other":1}`)
			}
		}
	})
}

// What was written while a node was away arrives whole, also a message, its correction
// and an answer to it that come at once.
func TestCorrectionsThatWaited(t *testing.T) {
	inFederation(t, nil, twoNodes, func(r *fed) {
		a, b := r.sites[nodeA], r.sites[nodeB]
		alice, bob := a.user("alice"), b.user("bob")
		befriend(a, "alice", alice, b, "bob", bob)
		r.cut(nodeA, nodeB)
		pass(2 * time.Minute)
		first := find(a.say("alice", `{"pub":{"id":"w1","topic":"`+bob+`","content":"helo"}}`), `"code":202`)
		seq := int(ctrlOf(first).Params["seq"].(float64))
		a.say("alice", fmt.Sprintf(`{"pub":{"id":"w2","topic":%q,"head":{"replace":":%d"},"content":"hello again"}}`, bob, seq))
		a.say("alice", fmt.Sprintf(`{"pub":{"id":"w3","topic":%q,"head":{"reply":"%d"},"content":"no answer?"}}`, bob, seq))
		r.heal(nodeA, nodeB)
		b.pipes["bob"].take()
		pass(5 * time.Minute)
		told := b.pipes["bob"].take()
		got(t, told, `"content":"hello again"`, `"replace":":`)
		got(t, told, `"content":"no answer?"`, `"reply":"`)
		if s := find(a.pipes["alice"].take(), "bounced"); s != "" {
			t.Errorf("alice: %s", s)
		}
	})
}

// Where guests may go abroad, they are guests there, too.
func TestGuestsAbroad(t *testing.T) {
	for _, guests := range []bool{false, true} {
		inFederation(t, func(c *node.Config) { c.Federation.Guests = guests }, twoNodes, func(r *fed) {
			a, b := r.sites[nodeA], r.sites[nodeB]
			bob, carl := b.user("bob"), b.user("carl")
			got(t, b.say("carl", `{"set":{"id":"d","topic":"me","desc":{"defacs":{"anon":"JRWPA"}}}}`), `"code":200`)
			group := func(anon string) string {
				made := find(b.say("bob", `{"sub":{"id":"g","topic":"newx","set":{"desc":{"defacs":{"auth":"JRWPS","anon":"`+anon+`"}}}}}`), `"code":200`)
				return ctrlOf(made).Topic
			}
			open, closed := group("JR"), group("N")
			a.open("guest")
			got(t, a.say("guest", `{"acc":{"id":"a","user":"new","scheme":"anonymous","login":true}}`), `"code":200`)
			join := func(topic string) string {
				return find(a.say("guest", `{"sub":{"id":"s","topic":"`+topic+`"}}`), `"id":"s"`)
			}
			if !guests {
				for _, topic := range []string{open, closed, bob, carl} {
					got(t, []string{join(topic)}, `"code":403`)
				}
				return
			}
			got(t, []string{join(open)}, `"code":200`, `"given":"JR"`)
			got(t, a.say("guest", `{"pub":{"id":"p","topic":"`+open+`","content":"x"}}`), `"code":403`)
			got(t, []string{join(closed)}, `"code":403`)
			join(bob) // who gives guests nothing: his node refuses
			if list := b.say("bob", `{"get":{"id":"l","topic":"me","what":"sub"}}`); find(list, `"topic":"usr`) != "" {
				t.Errorf("a guest has come to bob: %s", list)
			}
			got(t, []string{join(carl)}, `"code":200`)
			got(t, b.say("carl", `{"sub":{"id":"m","topic":"me","get":{"what":"sub"}}}`), `"topic":"usr`)
		})
	}
}
