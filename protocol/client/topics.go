package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"parley/protocol"
)

// Subscription is a topic to which the session is attached.
type Subscription struct {
	Topic string        // its permanent name
	Acs   *protocol.Acs // nil if the user was subscribed already
	View                // what Sub.Get asked for
}

// Subscribe subscribes the user to a topic if need be and attaches the session to
// it. A topic of "new" (group) or "nch" (channel) makes one. Parts asked for in
// s.Get that are refused are an error beside a Subscription that holds the rest.
func (c *Client) Subscribe(ctx context.Context, s *protocol.Sub) (*Subscription, error) {
	k := &call{want: 1}
	if s.Get != nil {
		what := splitWhat(s.Get.What)
		k.want += len(what)
		for _, w := range what {
			if w == "data" {
				k.topic, k.query = s.Topic, s.Get.Data
			}
		}
	}
	err := c.do(ctx, k, func(id string) *protocol.Request {
		sub := *s
		sub.ID = id
		return &protocol.Request{Sub: &sub}
	})
	if err != nil {
		return nil, err
	}
	r := k.answers[0].Ctrl
	if r == nil {
		return nil, fmt.Errorf("%w: meta before ctrl", ErrUnexpected)
	}
	if err := asError(r); err != nil {
		return nil, err
	}
	var p params
	if err := decodeParams(r, &p); err != nil {
		return nil, err
	}
	sub := &Subscription{Topic: r.Topic, Acs: p.Acs}
	return sub, sub.add(k.answers[1:], k.data)
}

// Leave detaches the session from a topic, and ends the subscription if unsub.
func (c *Client) Leave(ctx context.Context, topic string, unsub bool) error {
	_, err := c.ctrl(ctx, func(id string) *protocol.Request {
		return &protocol.Request{Leave: &protocol.Leave{ID: id, Topic: topic, Unsub: unsub}}
	})
	return err
}

// Get asks for parts of a topic. It makes a request of each part and sends them
// together; parts that are refused are an error beside a View that holds the others.
func (c *Client) Get(ctx context.Context, topic string, q protocol.GetQuery) (*View, error) {
	var calls []*call
	for _, w := range splitWhat(q.What) {
		k := &call{}
		if w == "data" {
			k.topic, k.query = topic, q.Data
		}
		part := q
		part.What = w
		c.begin(ctx, k, func(id string) *protocol.Request {
			return &protocol.Request{Get: &protocol.Get{ID: id, Topic: topic, GetQuery: part}}
		})
		calls = append(calls, k)
	}
	v := new(View)
	var errs []error
	for _, k := range calls {
		err := c.finish(ctx, k)
		if err == nil {
			err = v.add(k.answers, k.data)
		}
		errs = append(errs, err)
	}
	return v, errors.Join(errs...)
}

// GetDesc asks for the description of a topic.
func (c *Client) GetDesc(ctx context.Context, topic string) (*protocol.Desc, error) {
	v, err := c.Get(ctx, topic, protocol.GetQuery{What: "desc"})
	return v.Desc, err
}

// GetSubs asks who is subscribed to a topic, or on me to what the user is.
func (c *Client) GetSubs(ctx context.Context, topic string) ([]protocol.SubDesc, error) {
	v, err := c.Get(ctx, topic, protocol.GetQuery{What: "sub"})
	return v.Subs, err
}

// GetData asks for messages: those of the page that q describes, newest first.
// They do not come as events too.
func (c *Client) GetData(ctx context.Context, topic string, q protocol.GetRanges) ([]*protocol.Data, error) {
	v, err := c.Get(ctx, topic, protocol.GetQuery{What: "data", Data: &q})
	return v.Data, err
}

// GetDel asks for a part of the log of deletions, nil if there are none in it.
func (c *Client) GetDel(ctx context.Context, topic string, q protocol.GetRanges) (*protocol.DelDesc, error) {
	v, err := c.Get(ctx, topic, protocol.GetQuery{What: "del", Del: &q})
	return v.Del, err
}

// SetDesc changes the description of a topic, or on me of the user.
func (c *Client) SetDesc(ctx context.Context, topic string, d protocol.SetDesc) error {
	_, err := c.set(ctx, topic, protocol.SetQuery{Desc: &d})
	return err
}

// SetMode changes what user is given in a topic, or with user "" what the
// requester wants, and returns what came of it: nil if nothing changed.
func (c *Client) SetMode(ctx context.Context, topic, user, mode string) (*protocol.Acs, error) {
	r, err := c.set(ctx, topic, protocol.SetQuery{Sub: &protocol.SetSub{User: user, Mode: mode}})
	if err != nil {
		return nil, err
	}
	var p params
	if err := decodeParams(r, &p); err != nil {
		return nil, err
	}
	return p.Acs, nil
}

// SetTags replaces the tags of the user (topic me) or of a group.
func (c *Client) SetTags(ctx context.Context, topic string, tags []string) error {
	_, err := c.set(ctx, topic, protocol.SetQuery{Tags: tags})
	return err
}

// SetCred adds a credential of the user, or confirms one.
func (c *Client) SetCred(ctx context.Context, cr protocol.Credential) error {
	_, err := c.set(ctx, "me", protocol.SetQuery{Cred: &cr})
	return err
}

// SetAux merges keys into the auxiliary data of a topic.
func (c *Client) SetAux(ctx context.Context, topic string, aux map[string]json.RawMessage) error {
	_, err := c.set(ctx, topic, protocol.SetQuery{Aux: aux})
	return err
}

// set changes one part of a topic: a node answers each part by itself.
func (c *Client) set(ctx context.Context, topic string, q protocol.SetQuery) (*protocol.Ctrl, error) {
	return c.ctrl(ctx, func(id string) *protocol.Request {
		return &protocol.Request{Set: &protocol.Set{ID: id, Topic: topic, SetQuery: q}}
	})
}

// DeleteMessages deletes messages: for the user, or if hard for all. It returns
// the number of the deletion in the topic's log.
func (c *Client) DeleteMessages(ctx context.Context, topic string, hard bool, seqs ...protocol.Range) (int, error) {
	r, err := c.Delete(ctx, protocol.Del{Topic: topic, What: "msg", Hard: hard, DelSeq: seqs})
	if err != nil {
		return 0, err
	}
	var p params
	if err := decodeParams(r, &p); err != nil {
		return 0, err
	}
	return p.Del, nil
}

// Delete deletes what d says: messages, a topic, a subscription, a user or a
// credential.
func (c *Client) Delete(ctx context.Context, d protocol.Del) (*protocol.Ctrl, error) {
	return c.ctrl(ctx, func(id string) *protocol.Request {
		d.ID = id
		return &protocol.Request{Del: &d}
	})
}

// Note sends a notification, such as {what: "read", seq: 7}. A node does not
// answer notes; Note returns when the packet is queued.
func (c *Client) Note(ctx context.Context, n protocol.Note) error {
	packet, err := json.Marshal(protocol.Request{Note: &n})
	if err != nil {
		return fmt.Errorf("client: %w", err)
	}
	return c.Write(ctx, packet)
}
