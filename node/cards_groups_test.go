package node_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
)

// club makes a group of alice's with bob and carl of two other nodes; its id.
func club(r *fed) (group, alice, bob, carl string) {
	a, b, c := r.sites[nodeA], r.sites[nodeB], r.sites[nodeC]
	alice, bob, carl = a.user("alice"), b.user("bob"), c.user("carl")
	group = ctrlOf(find(a.say("alice", `{"sub":{"id":"g","topic":"newx","set":{"desc":{"public":{"fn":"Club"}}}}}`), `"code":200`)).Topic
	got(r.t, b.say("bob", `{"sub":{"id":"g","topic":"`+group+`"}}`), `"code":200`)
	got(r.t, c.say("carl", `{"sub":{"id":"g","topic":"`+group+`"}}`), `"code":200`)
	r.rest()
	return group, alice, bob, carl
}

var threeNodes = []protocol.Node{nodeA, nodeB, nodeC}

// Members of a group see one another's faces, whatever nodes they are of, also when one
// changes; and files that one sends.
func TestFacesAndFilesInGroups(t *testing.T) {
	const nodeD protocol.Node = "d.localhost"
	inFederation(t, nil, append(slices.Clone(threeNodes), nodeD), func(r *fed) {
		a, b, c := r.sites[nodeA], r.sites[nodeB], r.sites[nodeC]
		group, alice, bob, carl := club(r)
		if got := publicOf(t, b, carl); got != `{"fn":"carl"}` {
			t.Errorf("for bob, carl is %s", got)
		}
		face, faceID, _ := c.upload(carl, 1000, "image/png")
		c.say("carl", fmt.Sprintf(`{"set":{"id":"d","topic":"me","desc":{"public":{"fn":"Carl","photo":{"ref":%q}}}},"extra":{"attachments":[%q]}}`, face, face))
		for _, s := range []*site{a, b} {
			want := fmt.Sprintf(`{"fn":"Carl","photo":{"ref":%q}}`, face)
			if got := publicOf(t, s, carl); got != want {
				t.Errorf("at %s, carl is %s", s.name, got)
			}
		}
		if _, _, err := b.fetch(bob, nodeC, faceID); err != nil {
			t.Errorf("his picture: %v", err)
		}
		path, id, _ := c.upload(carl, 1000, "image/png")
		c.sends("carl", group, path)
		for u, s := range map[string]*site{alice: a, bob: b} {
			if _, _, err := s.fetch(u, nodeC, id); err != nil {
				t.Errorf("a file in the group, at %s: %v", s.name, err)
			}
		}
		// One who comes later to the group, from a node that was not in it.
		d := r.sites[nodeD]
		dora := d.user("dora")
		got(t, d.say("dora", `{"sub":{"id":"g","topic":"`+group+`"}}`), `"code":200`)
		got(t, d.say("dora", `{"get":{"id":"h","topic":"`+group+`","what":"data"}}`), path)
		if _, _, err := d.fetch(dora, nodeC, id); err != nil {
			t.Errorf("a file in the history of the group: %v", err)
		}
	})
}

// An account that ends leaves its groups on all nodes; groups that it owned end.
func TestDeletedAccountInGroups(t *testing.T) {
	inFederation(t, nil, threeNodes, func(r *fed) {
		a, b, c := r.sites[nodeA], r.sites[nodeB], r.sites[nodeC]
		group, _, _, carl := club(r)
		live := func(s *site) (n int) {
			s.view(func(tx store.Tx) error {
				n = 0
				for m, err := range tx.SubsTo(protocol.TopicID(group)) {
					if err != nil {
						return err
					}
					if m.Live() {
						n++
					}
				}
				return nil
			})
			return n
		}
		if live(a) != 3 || live(b) != 3 {
			t.Fatalf("%d members at home, %d at bob's", live(a), live(b))
		}
		c.pipes["carl"].send(`{"del":{"id":"d","what":"user","hard":true}}`)
		pass(10 * time.Second)
		if live(a) != 2 || live(b) != 2 {
			t.Errorf("after carl: %d members at home, %d at bob's", live(a), live(b))
		}
		if publicOf(t, b, carl) != "" {
			t.Error("bob still has his face")
		}
		b.pipes["bob"].take()
		a.pipes["alice"].send(`{"del":{"id":"d","what":"user"}}`)
		pass(10 * time.Second)
		got(t, b.pipes["bob"].take(), `"what":"gone"`, group)
		if live(a) != 0 || live(b) != 0 {
			t.Errorf("after alice: %d members at home, %d at bob's", live(a), live(b))
		}
	})
}

// The home of a group cannot give a user of a third node another face.
func TestForgedFaceInGroup(t *testing.T) {
	inFederation(t, nil, twoNodes, func(r *fed) {
		a, b := r.sites[nodeA], r.sites[nodeB]
		c := r.strange(nodeC, mute{})
		alice, bob := a.user("alice"), b.user("bob")
		eve := protocol.NewUserID(3, nodeC)
		group := protocol.NewGroupID(5, nodeC)
		face := func(u protocol.UserID) s2s.Membership {
			card := &s2s.Card{User: u, Version: time.Now().Add(time.Hour).UnixMilli(), Public: []byte(`{"fn":"Mallory"}`), Auth: protocol.ModeP2P}
			card.Sig = c.mesh.Sign(card.Signed())
			return s2s.Membership{User: u, Want: protocol.ModeP2P, Given: protocol.ModeP2P, Card: card}
		}
		c.post(nodeB, &s2s.Post{Topic: group, From: eve, At: 1, Invite: &s2s.Invite{User: protocol.UserID(bob), By: eve, Given: protocol.ModeP2P,
			Group:   s2s.Group{ID: group, Created: 1, Updated: 1, Owner: eve, Auth: protocol.ModeP2P, Seq: 1, Rev: 1, Public: []byte(`{"fn":"Club"}`)},
			Members: []s2s.Membership{face(eve), face(protocol.UserID(alice)), face(protocol.UserID(bob))}}})
		pass(10 * time.Second)
		if got := publicOf(t, b, string(eve)); got != `{"fn":"Mallory"}` {
			t.Errorf("its own user is %q", got)
		}
		if got := publicOf(t, b, alice); got != `{"fn":"alice"}` {
			t.Errorf("alice is %q", got)
		}
		if got := publicOf(t, b, bob); got != `{"fn":"bob"}` {
			t.Errorf("bob is %q", got)
		}
	})
}
