package storetest

import (
	"errors"

	"parley/protocol"
	"parley/store"
)

var peerCases = map[string]func(*box){
	"peers":     peers,
	"followers": followers,
	"values":    values,
	"replicas":  replicas,
}

func peers(b *box) {
	b.view(func(tx store.Tx) error {
		p, err := tx.Peer(peer)
		missing(b, "unknown peer", p, err)
		listed(b, "no peers", tx.AllPeers())
		return nil
	})
	p := &store.Peer{Name: peer, First: day, Seen: day, Proof: 3, Keys: []store.PeerKey{{Key: []byte("k1"), Since: day, Before: []byte("k0")}, {Key: []byte("k0"), Until: day, Revoked: true}},
		Pin: []byte("pin"), Addrs: []string{"192.0.2.1:7788"}, Access: store.AccessDeny, Proven: day, Succession: 3, Incarnation: 1 << 63, Boot: 7, Failures: 2, Next: day, Cached: []byte("c")}
	q := &store.Peer{Name: longer}
	b.update(func(tx store.Tx) error { return errors.Join(tx.PutPeer(p), tx.PutPeer(q)) })
	b.view(func(tx store.Tx) error {
		got, err := tx.Peer(peer)
		equal(b, "peer", got, err, p)
		got.Keys[0].Key[0] = 'x' // the caller's own
		again, err := tx.Peer(peer)
		equal(b, "peer again", again, err, p)
		all, err := collect(tx.AllPeers())
		equal(b, "number of peers", len(all), err, 2)
		return nil
	})
	b.update(func(tx store.Tx) error { return errors.Join(tx.DeletePeer(peer), tx.DeletePeer(home)) })
	b.view(func(tx store.Tx) error {
		got, err := tx.Peer(peer)
		missing(b, "deleted peer", got, err)
		listed(b, "the other", tx.AllPeers(), q)
		return nil
	})
}

func followers(b *box) {
	g, h := protocol.NewGroupID(1, home), protocol.NewGroupID(2, home)
	gp, gl, hp := &store.Follower{Topic: g, Node: peer, Rev: 3}, &store.Follower{Topic: g, Node: longer}, &store.Follower{Topic: h, Node: peer}
	b.update(func(tx store.Tx) error {
		return errors.Join(tx.PutFollower(gp), tx.PutFollower(gl), tx.PutFollower(hp))
	})
	b.view(func(tx store.Tx) error {
		got, err := tx.Follower(g, peer)
		equal(b, "follower", got, err, gp)
		got, err = tx.Follower(h, longer)
		missing(b, "none", got, err)
		all, err := collect(tx.FollowersOf(g))
		equal(b, "number of followers", len(all), err, 2)
		listed(b, "followers", tx.FollowersOf(h), hp)
		all, err = collect(tx.FollowedBy(peer))
		equal(b, "number of topics", len(all), err, 2)
		listed(b, "topics", tx.FollowedBy(longer), gl)
		return nil
	})
	gp.Rev = 9
	b.update(func(tx store.Tx) error {
		return errors.Join(tx.PutFollower(gp), tx.DeleteFollower(h, peer), tx.DeleteFollower(h, longer))
	})
	b.view(func(tx store.Tx) error {
		listed(b, "topics", tx.FollowedBy(peer), gp)
		listed(b, "followers", tx.FollowersOf(h))
		return nil
	})
}

func values(b *box) {
	b.view(func(tx store.Tx) error {
		v, err := tx.Value("a")
		missing(b, "unknown value", v, err)
		return nil
	})
	b.update(func(tx store.Tx) error { return errors.Join(tx.PutValue("a", []byte("1")), tx.PutValue("ab", nil)) })
	b.update(func(tx store.Tx) error { return tx.PutValue("a", []byte("2")) })
	b.view(func(tx store.Tx) error {
		v, err := tx.Value("a")
		equal(b, "value", string(v), err, "2")
		v, err = tx.Value("ab")
		equal(b, "empty value", string(v), err, "")
		listed(b, "names", tx.Values("a"), "a", "ab")
		listed(b, "some names", tx.Values("ab"), "ab")
		return nil
	})
	b.update(func(tx store.Tx) error { return errors.Join(tx.DeleteValue("a"), tx.DeleteValue("b")) })
	b.view(func(tx store.Tx) error {
		listed(b, "names left", tx.Values(""), "ab")
		return nil
	})
}

func replicas(b *box) {
	g := protocol.NewGroupID(7, peer)
	head := func(want store.Head) {
		b.Helper()
		b.view(func(tx store.Tx) error {
			h, err := tx.Head(g)
			equal(b, "head", h, err, want)
			return nil
		})
	}
	b.update(func(tx store.Tx) error { return tx.PutTopic(&store.Topic{ID: g, Created: day, Updated: day, Base: 5}) })
	b.update(func(tx store.Tx) error { return tx.Raise(g, 4, 9) })
	head(store.Head{Seq: 4, Rev: 9})
	b.update(func(tx store.Tx) error { return tx.Raise(g, 3, 10) }) // never back
	head(store.Head{Seq: 4, Rev: 10})
	m := &store.Message{Seq: 2, From: alice, TS: day, Tag: 8, Content: []byte("1")}
	b.update(func(tx store.Tx) error { return tx.Insert(g, m) })
	b.refused(store.ErrExists, func(tx store.Tx) error {
		return tx.Insert(g, &store.Message{Seq: 2, From: bob, TS: day, Content: []byte("2")})
	})
	b.refused(nil, func(tx store.Tx) error {
		return tx.Insert(g, &store.Message{Seq: 5, From: bob, TS: day, Content: []byte("2")})
	})
	b.refused(nil, func(tx store.Tx) error { return tx.Insert(g, &store.Message{From: bob, TS: day, Content: []byte("2")}) })
	b.update(func(tx store.Tx) error {
		return tx.Append(g, &store.Message{From: bob, TS: day, Tag: 1, Content: []byte("5")})
	})
	b.view(func(tx store.Tx) error {
		listed(b, "history", tx.History(g, 1, 9), &store.Message{Seq: 5, From: bob, TS: day, Origin: 5, Tag: 1, Content: []byte("5")},
			&store.Message{Seq: 2, From: alice, TS: day, Origin: 2, Tag: 8, Content: []byte("1")})
		seq, err := tx.Named(g, alice, 2, 8)
		equal(b, "named", seq, err, 2)
		t, err := tx.Topic(g)
		equal(b, "topic", t, err, &store.Topic{ID: g, Created: day, Updated: day, Base: 5})
		return nil
	})
	b.update(func(tx store.Tx) error { return tx.Prune(g) })
	head(store.Head{})
	b.view(func(tx store.Tx) error {
		listed(b, "history left", tx.History(g, 1, 9))
		return nil
	})
	b.update(func(tx store.Tx) error { return tx.PutTopic(&store.Topic{ID: g, Created: day, Updated: day}) })
	b.update(func(tx store.Tx) error { return tx.DeleteTopic(g) })
	b.refused(store.ErrExists, func(tx store.Tx) error { return tx.PutTopic(&store.Topic{ID: g, Created: day, Updated: day}) })
}
