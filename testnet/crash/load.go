package crash

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"parley/protocol"
	"parley/protocol/client"
)

const (
	burst     = 8                    // messages that a user sends without waiting
	maxDelete = 3                    // messages that one deletion covers
	maxPause  = 4 * time.Millisecond // between two acts of a user
)

// counter numbers what is written, so that every message and value differs.
var counter atomic.Int64

// load lets all users act until their connections end or ctx does.
func (w *world) load(ctx context.Context) {
	var wg sync.WaitGroup
	for _, u := range w.users {
		wg.Go(func() {
			s := &actor{user: u}
			for ctx.Err() == nil && u.c.Err() == nil {
				s.act(ctx)
				pause(ctx, time.Duration(u.rng.Int64N(int64(maxPause))))
			}
			s.harvest()
		})
	}
	wg.Wait()
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// actor is a user during one load.
type actor struct {
	*user
	waiting  []waiting // messages whose answers have not been looked at
	attached bool      // to the drift group
}

type waiting struct {
	r *room
	m *message
	*client.Receipt
}

// act does one thing at random.
func (a *actor) act(ctx context.Context) {
	r := a.rooms[a.rng.IntN(len(a.rooms))]
	switch n := a.rng.IntN(100); {
	case n < 50:
		a.publish(ctx, r)
	case n < 70:
		a.mark(ctx, r)
	case n < 76:
		a.ownMode(ctx, r)
	case n < 80:
		a.giveMode(ctx, r)
	case n < 88:
		a.delete(ctx, r, false)
	case n < 92:
		a.delete(ctx, r, true)
	case n < 94:
		a.describe(ctx, r)
	case n < 96:
		a.rename(ctx)
	default:
		a.driftAbout(ctx)
	}
}

// publish sends a burst without waiting for answers.
func (a *actor) publish(ctx context.Context, r *room) {
	for range 1 + a.rng.IntN(burst) {
		text := fmt.Sprintf("%s %d", a.name, counter.Add(1))
		m := a.w.j.Sending(r.name, a.id, text)
		receipt, err := a.c.Send(ctx, &protocol.Pub{Topic: r.call(a.user), Content: strconv.AppendQuote(nil, text)})
		if err != nil {
			return // never sent, or nobody knows: it stays unknown
		}
		a.waiting = append(a.waiting, waiting{r, m, receipt})
	}
}

// harvest looks at the answers to all messages; the connection has ended, or will be
// waited for.
func (a *actor) harvest() {
	for _, m := range a.waiting {
		ctx, cancel := context.WithTimeout(context.Background(), waitAnswer)
		seq, err := m.Wait(ctx)
		cancel()
		a.w.j.Sent(m.r.name, m.m, seq, err)
	}
	a.waiting = nil
}

// mark tells how far the user has read or received a room.
func (a *actor) mark(ctx context.Context, r *room) {
	last := a.w.j.Last(r.name)
	if last == 0 {
		return
	}
	seq := max(1, last-a.rng.IntN(burst))
	what := "recv"
	if a.rng.IntN(2) == 0 {
		what = "read"
	}
	a.w.j.Marking(r.name, a.id, what, seq)
	a.c.Note(ctx, protocol.Note{Topic: r.call(a.user), What: what, Seq: seq})
}

// Modes that users give themselves and others: none takes away the right to read and
// write, and none lets a member do what only an owner does in these rooms.
var (
	groupModes = []string{"JRWPS", "JRWP", "JRWS", "JRW"}
	p2pModes   = []string{"JRWPAD", "JRWAD"}
)

func (a *actor) anyMode(r *room) string {
	if r.owner == nil {
		return p2pModes[a.rng.IntN(len(p2pModes))]
	}
	return groupModes[a.rng.IntN(len(groupModes))]
}

// change journals a request that changes a value.
func (a *actor) change(name, val string, ask func() error) {
	w := a.w.j.Writing(name, val)
	err := ask()
	if already(err) {
		err = nil
	}
	a.w.j.Written(w, err)
}

func (a *actor) ownMode(ctx context.Context, r *room) {
	if r.owner == a.user {
		return
	}
	mode := a.anyMode(r)
	a.change(valueName("want", r, a.user), mode, func() error { return a.setMode(ctx, r, "", mode) })
}

// giveMode changes what another is given: the other side of a conversation, or a
// member by the owner.
func (a *actor) giveMode(ctx context.Context, r *room) {
	u := r.members[a.rng.IntN(len(r.members))]
	if u == a.user || (r.owner != nil && r.owner != a.user) {
		return
	}
	mode := a.anyMode(r)
	a.change(valueName("given", r, u), mode, func() error { return a.setMode(ctx, r, u.id, mode) })
}

func (a *actor) setMode(ctx context.Context, r *room, user, mode string) error {
	acs, err := a.c.SetMode(ctx, r.call(a.user), user, mode)
	if err != nil || acs == nil {
		return err
	}
	if got := acs.Want; user == "" && got != mode {
		a.w.found("%s asked for %s in %s and was answered want %s", a.name, mode, r.name, got)
	}
	if got := acs.Given; user != "" && got != mode {
		a.w.found("%s gave %s in %s and was answered given %s", a.name, mode, r.name, got)
	}
	return nil
}

// delete deletes up to maxDelete messages; only owners, and both sides of a
// conversation, do it for all.
func (a *actor) delete(ctx context.Context, r *room, hard bool) {
	if hard && r.owner != nil && r.owner != a.user {
		return
	}
	these, ok := a.w.j.Deletable(r.name, 1+a.rng.IntN(maxDelete), a.rng.IntN)
	if !ok {
		return
	}
	d := a.w.j.Deleting(r.name, a.id, hard, these)
	_, err := a.c.DeleteMessages(ctx, r.call(a.user), hard, these)
	a.w.j.Deleted(d, err)
}

// describe changes the user's private note on a room, or the face of an own group.
func (a *actor) describe(ctx context.Context, r *room) {
	s := strconv.FormatInt(counter.Add(1), 10)
	if r.owner == a.user {
		a.change(valueName("public", r, nil), s, func() error {
			return a.c.SetDesc(ctx, r.call(a.user), protocol.SetDesc{Public: text(s)})
		})
		return
	}
	a.change(valueName("private", r, a.user), s, func() error {
		return a.c.SetDesc(ctx, r.call(a.user), protocol.SetDesc{Private: fmt.Appendf(nil, `{"comment":%q}`, s)})
	})
}

// rename changes the user's own face.
func (a *actor) rename(ctx context.Context) {
	s := strconv.FormatInt(counter.Add(1), 10)
	a.change("public "+a.name, s, func() error { return a.c.SetDesc(ctx, "me", protocol.SetDesc{Public: text(s)}) })
}

// driftAbout joins or leaves the drift group, for those who may.
func (a *actor) driftAbout(ctx context.Context) {
	if !slices.Contains(a.w.drifters(), a.user) {
		return
	}
	name := valueName("member", a.w.drift, a.user)
	if v, _ := a.w.j.Value(name); v == "in" && a.attached { // one must be there to leave
		a.change(name, "out", func() error { return a.c.Leave(ctx, a.w.drift.grp, true) })
		a.attached = false
		return
	}
	a.change(name, "in", func() error {
		_, err := a.c.Subscribe(ctx, &protocol.Sub{Topic: a.w.drift.grp})
		return err
	})
	a.attached = true
}

// valueName names a value in the journal.
func valueName(what string, r *room, u *user) string {
	if u == nil {
		return what + " of " + r.name
	}
	return what + " of " + u.name + " in " + r.name
}
