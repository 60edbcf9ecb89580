package tour

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"parley/protocol"
)

func (w *walk) signIn(ctx context.Context) (err error) {
	if w.alice, err = w.arrive(ctx, w.cfg.Alice); err != nil {
		return err
	}
	w.bob, err = w.arrive(ctx, w.cfg.Bob)
	return err
}

// find searches as the web app does: the words are set on fnd, then the results got.
func (w *walk) find(ctx context.Context) error {
	a := w.alice.c
	if _, err := a.Subscribe(ctx, &protocol.Sub{Topic: "fnd"}); err != nil {
		return err
	}
	handle := w.cfg.Bob.Login + "@" + string(w.cfg.Bob.Node)
	query, err := json.Marshal("alias:" + handle + "," + handle)
	if err != nil {
		return err
	}
	if err := a.SetDesc(ctx, "fnd", protocol.SetDesc{Public: query}); err != nil {
		return err
	}
	found, err := a.GetSubs(ctx, "fnd")
	if err != nil {
		return err
	}
	if len(found) != 1 || found[0].Topic != w.bob.c.User() && found[0].User != w.bob.c.User() {
		return fmt.Errorf("searching for %s found %d users", handle, len(found))
	}
	return nil
}

func (w *walk) firstContact(ctx context.Context) error {
	a, b := w.alice.c, w.bob.c
	if _, err := a.Subscribe(ctx, &protocol.Sub{Topic: b.User(), Get: &protocol.GetQuery{What: "desc"}}); err != nil {
		return err
	}
	if _, err := a.Publish(ctx, b.User(), "Hello from another node"); err != nil {
		return err
	}
	if err := w.bob.pres(ctx, "me", a.User(), "acs"); err != nil {
		return err
	}
	sub, err := b.Subscribe(ctx, &protocol.Sub{Topic: a.User(), Get: &protocol.GetQuery{What: "desc data"}})
	if err != nil {
		return err
	}
	if sub.Acs != nil && sub.Acs.Mode == sub.Acs.Given {
		return errors.New("bob was not asked whether to accept")
	}
	if len(sub.Data) == 0 { // on its way
		_, err = w.bob.data(ctx, a.User(), "Hello from another node")
	}
	return err
}

// accept does what the web app's button does: want what is given, and give the same.
func (w *walk) accept(ctx context.Context) error {
	a, b := w.alice.c, w.bob.c
	desc, err := b.GetDesc(ctx, a.User())
	if err != nil {
		return err
	}
	if _, err := b.SetMode(ctx, a.User(), "", desc.Acs.Given); err != nil {
		return err
	}
	if _, err := b.SetMode(ctx, a.User(), a.User(), desc.Acs.Given); err != nil {
		return err
	}
	if _, err := b.Publish(ctx, a.User(), "Hello back"); err != nil {
		return err
	}
	_, err = w.alice.data(ctx, b.User(), "Hello back")
	return err
}

func (w *walk) receipt(ctx context.Context) error {
	a, b := w.alice.c, w.bob.c
	seq, err := a.Publish(ctx, b.User(), "Did you read this?")
	if err != nil {
		return err
	}
	d, err := w.bob.data(ctx, a.User(), "Did you read this?")
	if err != nil {
		return err
	}
	if err := b.Note(ctx, protocol.Note{Topic: a.User(), What: "read", Seq: d.Seq}); err != nil {
		return err
	}
	return w.alice.info(ctx, b.User(), "read", seq)
}

func (w *walk) typing(ctx context.Context) error {
	if err := w.alice.c.Note(ctx, protocol.Note{Topic: w.bob.c.User(), What: "kp"}); err != nil {
		return err
	}
	return w.bob.info(ctx, w.alice.c.User(), "kp", 0)
}

func (w *walk) presence(ctx context.Context) error {
	bob := w.bob.c.User()
	w.alice.seen = nil // what became known before
	w.bob.close()
	if err := w.alice.pres(ctx, "me", bob, "off"); err != nil {
		return err
	}
	var err error
	if w.bob, err = w.arrive(ctx, w.cfg.Bob); err != nil {
		return err
	}
	if err := w.alice.pres(ctx, "me", bob, "on"); err != nil {
		return err
	}
	_, err = w.bob.c.Subscribe(ctx, &protocol.Sub{Topic: w.alice.c.User()})
	return err
}

func (w *walk) edit(ctx context.Context) error {
	a, b := w.alice.c, w.bob.c
	seq, err := b.Publish(ctx, a.User(), "A mistkae")
	if err != nil {
		return err
	}
	first, err := w.alice.data(ctx, b.User(), "A mistkae")
	if err != nil {
		return err
	}
	r, err := b.Send(ctx, &protocol.Pub{Topic: a.User(), Content: json.RawMessage(`"A mistake"`),
		Head: map[string]json.RawMessage{"replace": json.RawMessage(`":` + strconv.Itoa(seq) + `"`)}})
	if err != nil {
		return err
	}
	if _, err := r.Wait(ctx); err != nil {
		return err
	}
	d, err := w.alice.data(ctx, b.User(), "A mistake")
	if err != nil {
		return err
	}
	var head struct {
		Replace string `json:"replace"`
	}
	if err := json.Unmarshal(d.Head, &head); err != nil {
		return err
	}
	if want := ":" + strconv.Itoa(first.Seq); head.Replace != want {
		return fmt.Errorf("the correction is of message %q, not %q", head.Replace, want)
	}
	return nil
}

func (w *walk) erase(ctx context.Context) error {
	a, b := w.alice.c, w.bob.c
	seq, err := a.Publish(ctx, b.User(), "Forget this")
	if err != nil {
		return err
	}
	d, err := w.bob.data(ctx, a.User(), "Forget this")
	if err != nil {
		return err
	}
	if _, err := a.DeleteMessages(ctx, b.User(), true, protocol.Range{Low: seq}); err != nil {
		return err
	}
	_, err = w.bob.expect(ctx, "the deletion", func(r *protocol.Response) bool {
		return r.Pres != nil && r.Pres.What == "del" && len(r.Pres.DelSeq) == 1 && r.Pres.DelSeq[0].Low == d.Seq
	})
	return err
}

func (w *walk) invite(ctx context.Context) error {
	a, b := w.alice.c, w.bob.c
	sub, err := a.Subscribe(ctx, &protocol.Sub{Topic: "new", Set: &protocol.SetQuery{
		Desc: &protocol.SetDesc{Public: json.RawMessage(`{"fn":"Tour"}`)}}})
	if err != nil {
		return err
	}
	w.group = sub.Topic
	if _, err := a.SetMode(ctx, w.group, b.User(), ""); err != nil {
		return err
	}
	if err := w.bob.pres(ctx, "me", w.group, "acs"); err != nil {
		return err
	}
	_, err = b.Subscribe(ctx, &protocol.Sub{Topic: w.group, Get: &protocol.GetQuery{What: "desc sub data"}})
	return err
}

func (w *walk) groupMessages(ctx context.Context) error {
	for _, way := range [][2]*visitor{{w.alice, w.bob}, {w.bob, w.alice}} {
		said := "To all, from " + way[0].guest.Login
		if _, err := way[0].c.Publish(ctx, w.group, said); err != nil {
			return err
		}
		for _, v := range way {
			if _, err := v.data(ctx, w.group, said); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *walk) fileToBob(ctx context.Context) error   { return w.file(ctx, w.alice, w.bob) }
func (w *walk) fileToAlice(ctx context.Context) error { return w.file(ctx, w.bob, w.alice) }
