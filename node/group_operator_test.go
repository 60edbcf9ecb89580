package node_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"parley/protocol"
	"parley/store"
)

// ownerOn is who owns the group for a node, and whether a user's mode there has O.
func (r *trio) ownerOn(s *site, u protocol.UserID) (owner protocol.UserID, owns bool) {
	s.view(func(tx store.Tx) error {
		rec, err := tx.Topic(r.group)
		if err != nil {
			return err
		}
		sub, err := tx.Sub(r.group, u)
		if err != nil {
			return err
		}
		owner, owns = rec.Owner, (sub.Want & sub.Given).Has(protocol.Owner)
		return nil
	})
	return owner, owns
}

func (r *trio) ownerOf(s *site) (owner protocol.UserID) {
	s.view(func(tx store.Tx) error {
		rec, err := tx.Topic(r.group)
		if err == nil {
			owner = rec.Owner
		}
		return err
	})
	return owner
}

// The owner is gone, with the node that would have to act for the owner: the operator of the
// group's home appoints another. All followers hear of it, also the former owner's.
func TestOperatorAppointsOwner(t *testing.T) {
	withTrio(t, func(r *trio) {
		al := r.ownerOf(r.a)
		r.a.ask("al", fmt.Sprintf(`{"set":{"id":"1","topic":%q,"sub":{"user":%q,"mode":"JRWPASDO"}}}`, r.group, r.bo), 200)
		pass(time.Second)
		r.b.ask("bo", fmt.Sprintf(`{"set":{"id":"2","topic":%q,"sub":{"mode":"JRWPASDO"}}}`, r.group), 200)
		pass(time.Second)
		if owner, owns := r.ownerOn(r.c, r.bo); owner != r.bo || !owns {
			t.Fatalf("c has %s as the owner, %v", owner, owns)
		}
		r.b.halt()
		ctx := context.Background() // that of t is not of the bubble
		for _, wrong := range []error{
			r.a.n.AppointOwner(ctx, r.group, protocol.NewUserID(77, r.a.name)),
			r.a.n.AppointOwner(ctx, protocol.NewGroupID(77, r.a.name), al),
			r.c.n.AppointOwner(ctx, r.group, r.ca),
		} {
			if !errors.Is(wrong, protocol.NotFound) {
				t.Errorf("want not found: %v", wrong)
			}
		}
		if err := r.a.n.AppointOwner(ctx, r.group, r.ca); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		r.c.ask("ca", fmt.Sprintf(`{"set":{"id":"3","topic":%q,"desc":{"public":{"fn":"saved"}}}}`, r.group), 200)
		r.b.up()
		pass(time.Minute)
		for _, s := range []*site{r.a, r.b, r.c} {
			if owner, owns := r.ownerOn(s, r.ca); owner != r.ca || !owns {
				t.Errorf("%s has %s as the owner, %v", s.name, owner, owns)
			}
			if _, owns := r.ownerOn(s, r.bo); owns {
				t.Errorf("%s takes the former owner for one", s.name)
			}
		}
		groups, err := r.a.n.Groups()
		if err != nil || len(groups) != 1 || groups[0].Owner != r.ca || groups[0].Name != "saved" || groups[0].Members != 3 {
			t.Errorf("the operator sees %+v, %v", groups, err)
		}
	})
}
